import KilnEngine

extension Planner {
  private static let rowGroupWidth = 128
  /// Sizes of local memory for a staged row, in elements.
  private static let stagedSizes = [256, 1024, 2048]

  mutating func plan(_ step: RowwiseStep) {
    let dtype = step.prologue.dtypes[step.prologue.outputs[0]]
    let type = dtype.openCL
    let inputs = (0..<step.kind.rowInputCount).map { step.plainInput($0) }
    let isStaged = inputs.contains { $0 == nil }
    let output = step.plainOutput
    let form = RowForm(step)
    var macros = [
      ("T", type), ("VECTOR", "\(type)16"), ("WIDEN(v)", "((\(type)16)((\(type))(v)))"),
      ("WIDTH", "\(Planner.rowGroupWidth)"), (form.name, ""),
    ]
    if step.hasOneScale { macros.append(("ONE_SCALE", "")) }
    var fused: [Argument] = []
    if isStaged || output == nil {
      // The row's own dims are never empty in the text.
      let dims = step.outer.isEmpty ? [1] : step.outer
      func padded(_ operand: Operand) -> Operand {
        var operand = operand
        if step.outer.isEmpty { operand.strides.insert(0, at: 0) }
        return operand
      }
      let point = PointText(
        outer: dims + [step.columns], inner: [], operands: step.operands.map(padded),
        outputs: output == nil ? step.outputs.map(padded) : [],
        expressions: (isStaged ? [step.prologue] : []) + (output == nil ? [step.epilogue] : []),
        scalarTypes: scalarTypes)
      macros += [
        ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"), ("PARAMETERS", point.parameters),
        ("PREPARE", point.prepare), ("ROW(row)", point.outerAddresses(row: "row", x: nil)),
      ]
      if isStaged {
        let values = point.evaluate(step.prologue, register: "r", base: "b", k: nil, l: "k")
        let stores = zip(["staged[k]", "staged_second[k]"], values.outputs).map { "\($0) = \($1);" }
        macros.append(("STAGE(k)", (values.statements + stores).joined(separator: " ")))
      }
      if output == nil {
        let values = point.evaluate(step.epilogue, register: "e", base: "b", k: nil, l: "k")
        macros.append(
          ("FINISH(k)", values.statements.joined(separator: " ") + " " + point.stores(values.outputs, l: "k")))
      }
      fused = point.arguments(tableAt: enter(point.table))
    }

    let chunk = style == .cpu ? chunk(step.rows, least: max(1, 2048 / max(step.columns, 1))) : 1
    var stage = nothing
    switch style {
    case .cpu where isStaged || output == nil:
      let items = (step.rows + chunk - 1) / chunk
      stage = [.scratch, .long(scratch(items * 3 * step.columns * dtype.size) / dtype.size)]
    case .gpu where isStaged:
      if let size = Planner.stagedSizes.first(where: { $0 >= step.columns }) {
        macros.append(("STAGED", "\(size)"))
      } else {
        stage = [.scratch, .long(scratch(step.rows * 2 * step.columns * dtype.size) / dtype.size)]
      }
    case .cpu, .gpu: break
    }
    func row(_ i: Int) -> [Argument] {
      !isStaged && i < inputs.count ? inputs[i].map { place($0) } ?? nothing : nothing
    }
    func vector(_ operand: Operand?) -> [Argument] { operand.map { place($0) } ?? nothing }
    let arguments =
      fused + row(0) + row(1) + vector(form.scale) + vector(form.shift) + vector(form.labels)
      + (output.map { place($0) } ?? nothing) + stage
      + [.status, .long(step.rows), .long(step.columns), .float(form.epsilon, dtype), .long(form.ignore), .long(chunk)]
    let kernel = KernelText(files: ["rowwise"], macros: macros)
    switch style {
    case .cpu: launch(kernel, arguments, global: [(step.rows + chunk - 1) / chunk], local: [1])
    case .gpu:
      launch(kernel, arguments, global: [step.rows * Planner.rowGroupWidth], local: [Planner.rowGroupWidth])
    }
    if let labels = form.labels { report(labels, length: step.columns, .crossEntropy) }
  }
}

/// A kind's form in rowwise.cl and what it takes beside its rows.
private struct RowForm {
  let name: String
  var scale, shift, labels: Operand?
  var epsilon = 0.0
  var ignore = -1

  init(_ step: RowwiseStep) {
    switch step.kind {
    case .softmax: name = "FORM_SOFTMAX"
    case .logSoftmax: name = "FORM_LOG_SOFTMAX"
    case .softmaxGradient: name = "FORM_SOFTMAX_GRADIENT"
    case .logSoftmaxGradient: name = "FORM_LOG_SOFTMAX_GRADIENT"
    case .layerNorm(let value): (name, epsilon) = ("FORM_LAYER_NORM", value)
    case .rmsNorm(let value): (name, epsilon) = ("FORM_RMS_NORM", value)
    case .layerNormGradient(let value): (name, epsilon) = ("FORM_LAYER_NORM_GRADIENT", value)
    case .rmsNormGradient(let value): (name, epsilon) = ("FORM_RMS_NORM_GRADIENT", value)
    case .crossEntropy(let index): (name, ignore) = ("FORM_CROSS_ENTROPY", index)
    case .crossEntropyGradient(let index): (name, ignore) = ("FORM_CROSS_ENTROPY_GRADIENT", index)
    }
    switch step.kind {
    case .softmax, .logSoftmax, .softmaxGradient, .logSoftmaxGradient: break
    case .layerNorm: (scale, shift) = (step.vectors[0], step.vectors[1])
    case .rmsNorm, .layerNormGradient, .rmsNormGradient: scale = step.vectors[0]
    case .crossEntropy: labels = step.vectors[0]
    case .crossEntropyGradient: (labels, scale) = (step.vectors[0], step.vectors[1])
    }
  }
}
