import KilnEngine

extension Planner {
  mutating func plan(_ step: ElementwiseStep) {
    // A single element is a row of one.
    let dims = step.dims.isEmpty ? [1] : step.dims
    func padded(_ operand: Operand) -> Operand {
      var operand = operand
      if step.dims.isEmpty { operand.strides = [0] }
      return operand
    }
    let point = PointText(
      outer: dims, inner: [], operands: step.operands.map(padded), outputs: step.outputs.map(padded),
      expressions: [step.expression], scalarTypes: scalarTypes)
    let values = point.evaluate(step.expression, register: "r", base: "b", k: nil, l: "k")
    var macros = [
      ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"), ("PARAMETERS", point.parameters),
      ("PREPARE", point.prepare), ("LAST", point.outerLast), ("ROW(row)", point.outerAddresses(row: "row", x: nil)),
      ("EVALUATE(k)", values.statements.joined(separator: " ") + " " + point.stores(values.outputs, l: "k")),
    ]
    if style == .cpu, let text = point.storeVector(step.expression, register: "r", l: "k") {
      macros.append(("EVALUATE_VECTOR(k)", text))
    }
    let kernel = KernelText(files: ["elementwise"], macros: macros)
    let count = dims.reduce(1, *)
    let arguments = point.arguments(tableAt: enter(point.table)) + [.long(count)]
    switch style {
    case .cpu:
      let chunk = chunk(count, least: 4096)
      launch(kernel, arguments + [.long(chunk)], global: [(count + chunk - 1) / chunk], local: [1])
    case .gpu:
      launch(kernel, arguments + [.long(1)], global: [roundUp(count, 64)], local: [64])
    }
  }
}
