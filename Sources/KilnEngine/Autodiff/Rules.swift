/// Asks each family for its rule. The rules themselves stand next to their operations.
enum Rules {
  /// `needs` says whether an input's cotangent is wanted; rules that are one input's alone are skipped without it.
  static func cotangents(
    of op: Op, inputs: [Tensor], output y: Tensor, g: Tensor, needs: (Tensor) -> Bool
  ) -> Cotangents {
    switch op {
    case .leaf, .constant, .position, .random: .zero
    case .unary(let unary):
      switch unary.row.gradient {
      case .rule(let rule): .rule([rule(inputs[0], y, g)])
      case .zero: .zero
      case .undefined(let why): .undefined(why)
      }
    case .binary(let binary):
      switch binary.row.gradient {
      case .rule(let lhs, let rhs):
        .rule([
          needs(inputs[0]) ? lhs(inputs[0], inputs[1], y, g) : nil,
          needs(inputs[1]) ? rhs(inputs[0], inputs[1], y, g) : nil,
        ])
      case .zero: .zero
      case .undefined(let why): .undefined(why)
      }
    case .select: .rule([nil, select(inputs[0], g, 0), select(inputs[0], 0, g)])
    case .cast: inputs[0].dtype.isFloat ? .rule([g.cast(to: inputs[0].dtype)]) : .zero
    case .view(let view): .rule([view.cotangent(of: inputs[0], g: g)])
    case .assemble(let assembly): .rule(assembly.cotangents(inputs: inputs, g: g))
    case .reduce(let reduction, let axes): reduction.cotangents(x: inputs[0], y: y, g: g, axes: axes)
    case .scan(let scan, let axis): scan.cotangents(x: inputs[0], y: y, g: g, axis: axis)
    case .argsort: .zero
    case .rowwise(let rowwise): rowwise.cotangents(inputs: inputs, y: y, g: g)
    case .attention(let attention): attention.cotangents(inputs: inputs, g: g)
    case .matmul: MatmulGradient.cotangents(lhs: inputs[0], rhs: inputs[1], g: g)
    case .convolution(let convolution): convolution.cotangents(inputs: inputs, y: y, g: g)
    case .pool(let pool): pool.cotangents(inputs: inputs, y: y, g: g)
    case .gather(let gather): gather.cotangents(inputs: inputs, y: y, g: g)
    case .transfer: .rule([g.to(inputs[0].device)])
    case .identity(.stopGradient): .zero
    case .identity(.watch): .rule([g])
    case .identity(.custom(let custom)):
      .rule([nil] + custom.rule(Array(inputs.dropFirst()), y, g))
    }
  }
}
