import KilnEngine
import KilnProtobuf

extension GraphWriter {
  mutating func unary(_ op: UnaryOp, _ index: Int) throws -> (Operand, Form) {
    let dtype = trace.vertices[index].dtype
    let (names, extents, isReshaped) = try aligned(index)
    let x = names[0]
    func number(_ value: Double) -> String { builder.constant(Scalar(value, dtype)) }
    let name: String
    switch op {
    case .negate: name = builder.add("Neg", [x])
    case .abs: name = builder.add("Abs", [x])
    case .sign: name = builder.add("Sign", [x])
    case .square: name = builder.add("Mul", [x, x])
    case .reciprocal: name = builder.add("Reciprocal", [x])
    case .sqrt: name = builder.add("Sqrt", [x])
    case .rsqrt: name = builder.add("Reciprocal", [builder.add("Sqrt", [x])])
    case .exp: name = builder.add("Exp", [x])
    case .expm1:
      // tanh(x / 2) (exp(x) + 1): no cancellation near 0.
      let half = builder.add("Tanh", [builder.add("Mul", [x, number(0.5)])])
      name = builder.add("Mul", [half, builder.add("Add", [builder.add("Exp", [x]), number(1)])])
    case .log: name = builder.add("Log", [x])
    case .log1p: name = builder.add("Log", [builder.add("Add", [x, number(1)])])
    case .sin: name = builder.add("Sin", [x])
    case .cos: name = builder.add("Cos", [x])
    case .tan: name = builder.add("Tan", [x])
    case .tanh: name = builder.add("Tanh", [x])
    case .sigmoid: name = builder.add("Sigmoid", [x])
    case .erf: name = builder.add("Erf", [x])
    case .erfInverse: throw unsupported("erfInverse")
    case .relu: name = builder.add("Relu", [x])
    case .softplus: name = builder.add("Softplus", [x])
    case .logSigmoid: name = builder.add("Neg", [builder.add("Softplus", [builder.add("Neg", [x])])])
    case .gelu:
      let normal = builder.add("Erf", [builder.add("Mul", [x, number(0.5.squareRoot())])])
      name = builder.add("Mul", [builder.add("Mul", [x, number(0.5)]), builder.add("Add", [normal, number(1)])])
    case .geluDerivative: throw unsupported("the derivative of gelu")
    case .floor: name = builder.add("Floor", [x])
    case .ceil: name = builder.add("Ceil", [x])
    case .round: name = builder.add("Round", [x])
    case .isNaN: name = builder.add("IsNaN", [x])
    case .isFinite:
      name = builder.add("Not", [builder.add("Or", [builder.add("IsNaN", [x]), builder.add("IsInf", [x])])])
    case .logicalNot: name = builder.add("Not", [x])
    }
    return isReshaped ? (Operand(name: name, extents: extents), .reshaped) : form(name, extents, of: index)
  }

  mutating func binary(_ op: BinaryOp, _ index: Int) throws -> (Operand, Form) {
    let vertex = trace.vertices[index]
    let operandType = trace.vertices[vertex.inputs[0]].dtype
    switch op {
    case .add: return try elementwise("Add", index)
    case .subtract: return try elementwise("Sub", index)
    case .multiply: return try elementwise("Mul", index)
    case .divide: return try elementwise("Div", index)
    case .power: return try elementwise("Pow", index)
    case .maximum: return try elementwise("Max", index)
    case .minimum: return try elementwise("Min", index)
    case .arctangent2: throw unsupported("arctangent2")
    case .equal: return try elementwise("Equal", index)
    case .less: return try elementwise("Less", index)
    case .lessEqual: return try elementwise("LessOrEqual", index)
    case .greater: return try elementwise("Greater", index)
    case .greaterEqual: return try elementwise("GreaterOrEqual", index)
    case .and: return try elementwise("And", index)
    case .or: return try elementwise("Or", index)
    case .xor: return try elementwise("Xor", index)
    case .notEqual:
      let (operand, form) = try elementwise("Equal", index)
      return (Operand(name: builder.add("Not", [operand.name]), extents: operand.extents), form)
    case .remainder:
      // ONNX's own has Python's sign for integers alone.
      guard operandType.isFloat else { return try elementwise("Mod", index) }
      let (names, extents, isReshaped) = try aligned(index)
      let whole = builder.add("Floor", [builder.add("Div", names)])
      let name = builder.add("Sub", [names[0], builder.add("Mul", [whole, names[1]])])
      return isReshaped ? (Operand(name: name, extents: extents), .reshaped) : form(name, extents, of: index)
    }
  }
}
