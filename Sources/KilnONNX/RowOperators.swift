import KilnEngine
import KilnProtobuf

extension GraphWriter {
  mutating func reduced(_ reduction: Reduction, _ axes: [Int], _ index: Int) throws -> (Operand, Form) {
    let input = trace.vertices[index].inputs[0]
    var x = try exact(input)
    let isBool = trace.vertices[input].dtype == .bool
    if isBool { x = builder.add("Cast", [x], [.int("to", Int(DType.int32.onnx))]) }
    var name: String
    switch reduction {
    case .sum: name = builder.add("ReduceSum", [x, builder.constant(axes)], [.int("keepdims", 1)])
    case .product: name = builder.add("ReduceProd", [x], [.ints("axes", axes), .int("keepdims", 1)])
    case .max: name = builder.add("ReduceMax", [x], [.ints("axes", axes), .int("keepdims", 1)])
    case .min: name = builder.add("ReduceMin", [x], [.ints("axes", axes), .int("keepdims", 1)])
    case .argmax, .argmin:
      let type = reduction == .argmax ? "ArgMax" : "ArgMin"
      if axes.count == 1 {
        name = builder.add(type, [x], [.int("axis", axes[0]), .int("keepdims", 1)])
        break
      }
      // The position in row-major order over several axes: these last, and as one.
      let sizes = extents(input)
      let kept = sizes.indices.filter { !axes.contains($0) }
      guard let count = axes.map({ sizes[$0] }).constants?.reduce(1, *) else {
        throw unsupported("the position of an extreme over a free size and another axis")
      }
      let turned = builder.add("Transpose", [x], [.ints("perm", kept + axes)])
      let rows = builder.reshape(turned, to: kept.map { sizes[$0] } + [Extent(count)])
      name = builder.add(type, [rows], [.int("axis", kept.count), .int("keepdims", 0)])
      return (Operand(name: name, extents: kept.map { sizes[$0] }), .reshaped)
    }
    if isBool, reduction != .argmax, reduction != .argmin {
      name = builder.add("Cast", [name], [.int("to", Int(DType.bool.onnx))])
    }
    return form(name, extents(index), of: index)
  }

  mutating func scanned(_ scan: Scan, _ axis: Int, _ index: Int) throws -> (Operand, Form) {
    guard case .sum(let reverse) = scan else { throw unsupported("cumulativeProduct") }
    let x = try exact(trace.vertices[index].inputs[0])
    let place = builder.constant(Scalar(axis, .int64))
    return form(builder.add("CumSum", [x, place], [.int("reverse", reverse ? 1 : 0)]), extents(index), of: index)
  }

  mutating func sorted(_ descending: Bool, _ index: Int) throws -> (Operand, Form) {
    let x = try exact(trace.vertices[index].inputs[0])
    let count = builder.vector([extents(index).last ?? Extent(1)])
    let name = builder.add(
      "TopK", [x, count], [.int("axis", -1), .int("largest", descending ? 1 : 0), .int("sorted", 1)], results: 2,
      result: 1)
    return form(name, extents(index), of: index)
  }

  mutating func rowwise(_ kind: Rowwise, _ index: Int) throws -> (Operand, Form) {
    let inputs = trace.vertices[index].inputs
    let x = try rows(inputs[0])
    func result(_ name: String) -> (Operand, Form) {
      x.extents == extents(index)
        ? (Operand(name: name, extents: x.extents), .exact) : (Operand(name: name, extents: x.extents), .reshaped)
    }
    switch kind {
    case .softmax: return result(builder.add("Softmax", [x.name], [.int("axis", -1)]))
    case .logSoftmax: return result(builder.add("LogSoftmax", [x.name], [.int("axis", -1)]))
    case .layerNorm(let epsilon):
      let (scale, shift) = (try exact(inputs[1]), try exact(inputs[2]))
      return result(
        builder.add("LayerNormalization", [x.name, scale, shift], [.int("axis", -1), .float("epsilon", epsilon)]))
    case .rmsNorm(let epsilon):
      let square = builder.add("Mul", [x.name, x.name])
      let mean = builder.add("ReduceMean", [square], [.ints("axes", [-1]), .int("keepdims", 1)])
      let sum = builder.add("Add", [mean, builder.constant(Scalar(epsilon, trace.vertices[index].dtype))])
      let normal = builder.add("Div", [x.name, builder.add("Sqrt", [sum])])
      return result(builder.add("Mul", [normal, try broadcastable(inputs[1]).name]))
    case .crossEntropy, .crossEntropyGradient, .softmaxGradient, .logSoftmaxGradient, .layerNormGradient,
      .rmsNormGradient:
      throw unsupported("a loss or a gradient")
    }
  }

  mutating func matmul(_ index: Int) throws -> (Operand, Form) {
    let inputs = trace.vertices[index].inputs
    let target = extents(index)
    let (right, inner) = (extents(inputs[1]), extents(inputs[0]).suffix(2))
    if right.count == 2 {
      // A dense layer: the leading axes of x may stay as they are.
      let x = try rows(inputs[0])
      let name = builder.add("MatMul", [x.name, try exact(inputs[1])])
      let extents = x.extents.dropLast() + [right[1]]
      return Array(extents) == target
        ? (Operand(name: name, extents: target), .exact) : (Operand(name: name, extents: Array(extents)), .reshaped)
    }
    // Leading axes broadcast in ONNX too, if the matrices themselves are whole.
    var operands: [Operand] = []
    for (input, matrix) in [(inputs[0], Array(inner)), (inputs[1], Array(right.suffix(2)))] {
      let operand = try broadcastable(input)
      operands.append(
        Array(operand.extents.suffix(2)) == matrix && operand.extents.count >= 2
          ? operand : Operand(name: try exact(input), extents: extents(input)))
    }
    let lead = Extents.broadcast(Array(operands[0].extents.dropLast(2)), Array(operands[1].extents.dropLast(2))) ?? []
    return form(builder.add("MatMul", operands.map(\.name)), lead + target.suffix(2), of: index)
  }
}
