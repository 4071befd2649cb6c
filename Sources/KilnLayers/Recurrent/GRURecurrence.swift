import KilnEngine

/// Gated recurrent unit (Cho et al., 2014) in the form of PyTorch and cuDNN (Keras' `reset_after`), whose reset gate
/// acts on the finished product. Of a = W_ih x + b_ih and b = W_hh h + b_hh in three parts each:
///
///     r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
///     n = tanh(a_n + r b_n)
///     h' = n + z (h - n)
struct GRURecurrence: Recurrence {
  var gates: Int { 3 }
  var stateCount: Int { 1 }
  var keepsRecurrentBias: Bool { true }

  func step(projected: Tensor, product: Tensor, state: [Tensor]) -> RecurrentStep {
    let (a, b) = (projected.split(into: 3, axis: -1), product.split(into: 3, axis: -1))
    let (r, z) = (sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1]))
    let n = tanh(a[2] + r * b[2])
    return RecurrentStep(state: [n + z * (state[0] - n)], saved: [r, z, n, b[2]])
  }

  func pullBack(_ step: RecurrentStep, from state: [Tensor], cotangents: [Tensor]) -> (delta: Tensor, passed: [Tensor?])
  {
    let (r, z, n, product) = (step.saved[0], step.saved[1], step.saved[2], step.saved[3])
    let dh = cotangents[0]
    let dn = dh * (1 - z) * ((1 - n) * (1 + n))
    // a_n, then b_r = a_r, b_z = a_z, then b_n: the first three are the input's part, the last three the product's.
    let delta = concatenate(
      [dn, dn * product * (r * (1 - r)), dh * (state[0] - n) * (z * (1 - z)), dn * r], axis: -1)
    return (delta, [dh * z])
  }

  func projectedPart(_ delta: Tensor) -> Tensor {
    guard delta.rank > 0 else { return delta }
    let hidden = delta.shape[delta.rank - 1] / 4
    return concatenate(
      [delta.sliced(axis: -1, from: hidden, to: 3 * hidden), delta.sliced(axis: -1, to: hidden)], axis: -1)
  }
  func productPart(_ delta: Tensor) -> Tensor {
    delta.rank > 0 ? delta.sliced(axis: -1, from: delta.shape[delta.rank - 1] / 4) : delta
  }
}
