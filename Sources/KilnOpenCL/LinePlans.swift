import KilnEngine

// Scans and sorting: families that work along lines of dense tensors.

extension Planner {
  mutating func plan(_ step: ScanStep) {
    let (kind, isReverse): (Reduction, Bool) =
      switch step.kind {
      case .sum(let reverse): (.sum, reverse)
      case .product(let reverse): (.product, reverse)
      }
    var macros = Planner.combination(kind, step.input.dtype)
    if isReverse { macros.append(("REVERSE", "")) }
    launchEach(
      KernelText(files: ["scan"], macros: macros),
      place(step.input) + place(step.output) + [.long(step.outer), .long(step.length), .long(step.inner)],
      count: step.outer * step.inner, least: max(1, 4096 / max(step.length, 1)))
  }

  private static let sortedRun = 32

  mutating func plan(_ step: ArgsortStep) {
    let dtype = step.input.dtype
    // NaN is the greatest value, equal to itself.
    let ascending = dtype.isFloat ? "((a) < (b) || ((a) == (a) && (b) != (b)))" : "((a) < (b))"
    let descending = dtype.isFloat ? "((b) < (a) || ((b) == (b) && (a) != (a)))" : "((b) < (a))"
    let macros = [("T", dtype.openCL), ("BEFORE(a, b)", step.descending ? descending : ascending)]
    let count = step.rows * step.columns
    let key = place(step.input)
    let output = place(step.output)
    let sizes: [Argument] = [.long(step.rows), .long(step.columns)]
    var runs: [Int] = []
    var run = Planner.sortedRun
    while run < step.columns {
      runs.append(run)
      run *= 2
    }
    // The last pass writes to the output; the passes before alternate with the scratch memory.
    let other: [Argument] = runs.isEmpty ? output : [.scratch, .long(scratch(count * 8) / 8)]
    var target = runs.count % 2 == 0 ? output : other
    launchEach(
      KernelText(files: ["sort"], macros: macros + [("FORM_BLOCKS", ""), ("RUN", "\(Planner.sortedRun)")]),
      key + target + sizes, count: count, least: 256)
    let merge = KernelText(files: ["sort"], macros: macros + [("FORM_MERGE", "")])
    for run in runs {
      let source = target
      target = source == output ? other : output
      launchEach(merge, key + source + target + sizes + [.long(run)], count: count, least: 256)
    }
  }

  /// Notes the first bad index of the launch before; see gather.cl.
  mutating func report(_ indices: Operand, length: Int, _ operation: FaultingOperation) {
    markFaulting()
    launch(
      KernelText(files: ["gather"], macros: [("FORM_REPORT", "")]),
      [.status] + place(indices) + [.long(length), .int(operation.rawValue)], global: [1], local: [1])
  }
}

/// What can meet a bad index, as the status buffer numbers it.
enum FaultingOperation: Int {
  case gather, takeAlong, scatterAdd, scatterAddAlong, crossEntropy

  /// The name of the public operation.
  var name: String {
    switch self {
    case .gather: "gathered"
    case .takeAlong: "takenAlong"
    case .scatterAdd: "scatterAdd"
    case .scatterAddAlong: "scatterAddAlong"
    case .crossEntropy: "crossEntropy"
    }
  }
}
