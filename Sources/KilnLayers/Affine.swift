import KilnEngine

/// activation(x weight^T + bias): x [..., inputs], weight [outputs, inputs], bias [outputs] to [..., outputs].
///
/// Computed in two axes, whatever x has: there the bias and the activation finish the product's own kernel.
func affine(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ activation: Activation = .identity) -> Tensor {
  func mapped(_ x: Tensor) -> Tensor {
    let product = matmul(x, weight.transposed())
    return activation(bias.map { product + $0 } ?? product)
  }
  guard x.error == nil, weight.error == nil, x.rank > 2, weight.rank == 2, x.shape[x.rank - 1] == weight.shape[1] else {
    return mapped(x)
  }
  let lead = x.shape.dimensions.dropLast()
  let rows = mapped(x.reshaped(to: [lead.reduce(1, *), weight.shape[1]]))
  return rows.reshaped(to: Shape(lead + [weight.shape[0]]))
}
