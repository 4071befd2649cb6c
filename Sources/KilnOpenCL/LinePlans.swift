import KilnEngine

// Scans, sorting and the row-wise operations: families that work along lines of dense tensors.

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

  private static let rowGroupWidth = 128

  mutating func plan(_ step: RowwiseStep) {
    let dtype = step.inputs[0].dtype
    var form: String
    var scale = nothing
    var shift = nothing
    var label = nothing
    var epsilon = 0.0
    var ignore = -1
    var labels: Operand?
    switch step.kind {
    case .softmax: form = "FORM_SOFTMAX"
    case .logSoftmax: form = "FORM_LOG_SOFTMAX"
    case .layerNorm(let value):
      (form, epsilon) = ("FORM_LAYER_NORM", value)
      scale = place(step.inputs[1])
      shift = place(step.inputs[2])
    case .rmsNorm(let value):
      (form, epsilon) = ("FORM_RMS_NORM", value)
      scale = place(step.inputs[1])
    case .crossEntropy(let index):
      (form, ignore, labels) = ("FORM_CROSS_ENTROPY", index, step.inputs[1])
    case .crossEntropyGradient(let index):
      (form, ignore, labels) = ("FORM_CROSS_ENTROPY_GRADIENT", index, step.inputs[1])
      scale = place(step.inputs[2])
    }
    if let labels { label = place(labels) }
    let type = dtype.openCL
    let kernel = KernelText(
      files: ["rowwise"],
      macros: [
        ("T", type), ("VECTOR", "\(type)16"), ("WIDEN(v)", "((\(type)16)((\(type))(v)))"),
        ("WIDTH", "\(Planner.rowGroupWidth)"), (form, ""),
      ])
    let arguments =
      place(step.inputs[0]) + scale + shift + label + place(step.output)
      + [.status, .long(step.rows), .long(step.columns), .float(epsilon, dtype), .long(ignore)]
    switch style {
    case .cpu:
      let chunk = chunk(step.rows, least: max(1, 2048 / max(step.columns, 1)))
      launch(kernel, arguments + [.long(chunk)], global: [(step.rows + chunk - 1) / chunk], local: [1])
    case .gpu:
      launch(
        kernel, arguments + [.long(1)], global: [step.rows * Planner.rowGroupWidth], local: [Planner.rowGroupWidth])
    }
    if let labels { report(labels, length: step.columns, .crossEntropy) }
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
