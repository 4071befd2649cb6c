import KilnEngine

extension Planner {
  private static let columnsOfItem = 16
  private static let groupWidth = 128

  mutating func plan(_ step: ReduceStep) {
    // Both spaces have at least one axis.
    let outer = step.outer.isEmpty ? [1] : step.outer
    let inner = step.inner.isEmpty ? [1] : step.inner
    func padded(_ operand: Operand) -> Operand {
      var operand = operand
      if step.outer.isEmpty { operand.strides.insert(0, at: 0) }
      if step.inner.isEmpty { operand.strides.append(0) }
      return operand
    }
    // An output has no strides along inner; they are never used.
    func paddedOutput(_ operand: Operand) -> Operand {
      var operand = operand
      operand.strides = (step.outer.isEmpty ? [0] : operand.strides) + [Int](repeating: 0, count: inner.count)
      return operand
    }
    let operands = step.operands.map(padded)
    let point = PointText(
      outer: outer, inner: inner, operands: operands, outputs: step.outputs.map(paddedOutput),
      expressions: [step.prologue, step.epilogue], scalarTypes: scalarTypes)
    let (outerCount, innerCount) = (outer.reduce(1, *), inner.reduce(1, *))
    let form = ReduceForm(style: style, operands: operands, prologue: step.prologue, outer: outer, inner: inner)
    let value = point.evaluate(step.prologue, register: "r", base: "c", k: "k", l: "l")
    var macros =
      Planner.combination(step.kind, step.dtype) + [
        ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"),
        ("PREPARE", point.prepare), ("OUTER_LAST", point.outerLast), ("INNER_LAST", point.innerLast),
        ("OUTER(o, x)", point.outerAddresses(row: "o", x: "x")), ("INNER(row)", point.innerAddresses(row: "row")),
        (
          "VALUE(k, l)",
          (value.statements + ["const \(step.dtype.openCL) value = \(value.outputs[0]);"]).joined(separator: " ")
        ),
        ("FINISH(l)", finish(step.epilogue, point)), ("PARAMETERS", point.parameters),
        ("COLUMNS", style == .cpu ? "\(Planner.columnsOfItem)" : "1"), ("WIDTH", "\(Planner.groupWidth)"),
      ]
    let tableAt = enter(point.table)
    let common = point.arguments(tableAt: tableAt)
    let finalMacros = macros + [("FORM_FINAL", "")]
    macros.append((form.isColumns ? "FORM_COLUMNS" : "FORM_ROWS", ""))

    var part: [Argument] = []
    var partPosition: [Argument] = nothing
    let isPartial = form.segments > 1
    if isPartial {
      macros.append(("PARTIAL", ""))
      part = [.scratch, .long(scratch(form.segments * outerCount * step.dtype.size) / step.dtype.size)]
      if step.kind == .argmax || step.kind == .argmin {
        partPosition = [.scratch, .long(scratch(form.segments * outerCount * 8) / 8)]
      }
    }
    if style == .cpu && form.isColumns && step.kind == .sum && step.dtype == .float32,
      let value = point.evaluateVector(step.prologue, register: "r", base: "c", k: "k", l: "0")
    {
      let text = value.statements + ["const float16 value = \(value.outputs[0]);"]
      macros.append(("VALUE_VECTOR(k)", text.joined(separator: " ")))
    }
    let kernel = KernelText(files: ["reduce"], macros: macros)
    let arguments =
      common + (isPartial ? part + partPosition : [])
      + [.long(outerCount), .long(innerCount), .long(form.segmentLength)]
    if form.isColumns {
      let width = style == .cpu ? Planner.columnsOfItem : 1
      let last = outer[outer.count - 1]
      let blocks = outerCount / max(last, 1) * ((last + width - 1) / width)
      let local = style == .cpu ? 1 : 64
      launch(
        kernel, arguments + [.long(blocks)], global: [roundUp(blocks, local), form.segments], local: [local, 1])
    } else if style == .cpu {
      let chunk = chunk(outerCount, least: max(1, 4096 / max(innerCount, 1)))
      launch(
        kernel, arguments + [.long(chunk)], global: [(outerCount + chunk - 1) / chunk, form.segments], local: [1, 1])
    } else {
      launch(
        kernel, arguments + [.long(1)], global: [outerCount * Planner.groupWidth, form.segments],
        local: [Planner.groupWidth, 1])
    }
    if isPartial {
      launchEach(
        KernelText(files: ["reduce"], macros: finalMacros),
        common + part + partPosition + [.long(outerCount), .long(form.segments)], count: outerCount, least: 512)
    }
  }

  /// The text that evaluates an epilogue of `result` at `<place>_b` + l and stores.
  func finish(_ epilogue: Expression, _ point: PointText) -> String {
    let values = point.evaluate(epilogue, register: "e", base: "b", k: nil, l: "l")
    return values.statements.joined(separator: " ") + " " + point.stores(values.outputs, l: "l")
  }

  /// The macros by which reduce.cl combines values of one kind and dtype.
  static func combination(_ kind: Reduction, _ dtype: DType) -> [(String, String)] {
    let type = dtype.openCL
    let wrapping = dtype.openCLWrapping
    func extreme(_ sign: String, _ name: String) -> String {
      dtype.isFloat ? "kiln_\(name)_\(type)(a, b)" : "((a) \(sign) (b) ? (a) : (b))"
    }
    func better(_ sign: String) -> String {
      dtype.isFloat ? "((x) \(sign) (v) || ((x) != (x) && (v) == (v)))" : "((x) \(sign) (v))"
    }
    let (least, most) =
      switch dtype {
      case .float32, .float64: ("-(T)INFINITY", "(T)INFINITY")
      case .int32: ("INT_MIN", "INT_MAX")
      case .int64: ("LONG_MIN", "LONG_MAX")
      case .uint8, .bool: ("0", "255")
      }
    switch kind {
    case .sum:
      return [("T", type), ("COMBINE(a, b)", "((T)((\(wrapping))(a) + (\(wrapping))(b)))"), ("START", "(T)0")]
    case .product:
      return [("T", type), ("COMBINE(a, b)", "((T)((\(wrapping))(a) * (\(wrapping))(b)))"), ("START", "(T)1")]
    case .max: return [("T", type), ("COMBINE(a, b)", extreme(">", "maximum")), ("START", "(\(least))")]
    case .min: return [("T", type), ("COMBINE(a, b)", extreme("<", "minimum")), ("START", "(\(most))")]
    case .argmax: return [("T", type), ("BETTER(x, v)", better(">"))]
    case .argmin: return [("T", type), ("BETTER(x, v)", better("<"))]
    }
  }
}

/// How a reduction is spread over work-items, by shape, strides and style alone, so that sums keep their order.
struct ReduceForm {
  let isColumns: Bool
  let segments: Int
  let segmentLength: Int

  init(style: KernelStyle, operands: [Operand], prologue: Expression, outer: [Int], inner: [Int]) {
    let loads = prologue.instructions.compactMap { instruction -> Int? in
      if case .load(let i) = instruction { return i }
      return nil
    }
    // What is the same for all outer points is small, and lies in the cache however it is read.
    let innerFast = loads.contains { load in
      let strides = operands[load].strides
      return strides[outer.count + inner.count - 1] == 1 && strides[..<outer.count].contains { $0 != 0 }
    }
    let outerFast = loads.contains { operands[$0].strides[outer.count - 1] == 1 }
    let (outerCount, innerCount) = (outer.reduce(1, *), inner.reduce(1, *))
    let units: Int
    let wanted: Int
    let least: Int
    switch style {
    case .cpu:
      isColumns = outerFast && !innerFast && outerCount > 1
      units = isColumns ? (outerCount + 15) / 16 : outerCount
      wanted = 16
      least = isColumns ? 1024 : 8192
    case .gpu:
      isColumns = (outerFast && !innerFast && outerCount > 1) || innerCount <= 32
      units = isColumns ? (outerCount + 63) / 64 : outerCount
      wanted = 128
      least = isColumns ? 64 : 1024
    }
    var count = 1
    if units < wanted && innerCount >= 2 * least { count = min(wanted / units, innerCount / least) }
    segmentLength = max(1, ((innerCount + count - 1) / count + 15) / 16 * 16)
    segments = max(1, (innerCount + segmentLength - 1) / segmentLength)
  }
}
