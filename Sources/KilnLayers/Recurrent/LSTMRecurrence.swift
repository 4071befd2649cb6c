import KilnEngine

/// Long short-term memory (Hochreiter and Schmidhuber, 1997; with forget gates: Gers et al., 2000). Of the sums
/// W_ih x + b_ih + W_hh h + b_hh in four parts, in PyTorch's order:
///
///     i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the parts
///     c' = f c + i g
///     h' = o tanh(c')
struct LSTMRecurrence: Recurrence {
  var gates: Int { 4 }
  var stateCount: Int { 2 }

  func step(projected: Tensor, product: Tensor, state: [Tensor]) -> RecurrentStep {
    let sums = (projected + product).split(into: 4, axis: -1)
    let (i, f, g, o) = (sigmoid(sums[0]), sigmoid(sums[1]), tanh(sums[2]), sigmoid(sums[3]))
    let c = f * state[1] + i * g
    let squashed = tanh(c)
    return RecurrentStep(state: [o * squashed, c], saved: [i, f, g, o, squashed])
  }

  func pullBack(_ step: RecurrentStep, from state: [Tensor], cotangents: [Tensor]) -> (delta: Tensor, passed: [Tensor?])
  {
    let (i, f, g, o, squashed) = (step.saved[0], step.saved[1], step.saved[2], step.saved[3], step.saved[4])
    let dh = cotangents[0]
    let dc = cotangents[1] + dh * o * ((1 - squashed) * (1 + squashed))
    let delta = concatenate(
      [
        dc * g * (i * (1 - i)), dc * state[1] * (f * (1 - f)), dc * i * ((1 - g) * (1 + g)),
        dh * squashed * (o * (1 - o)),
      ], axis: -1)
    return (delta, [nil, dc * f])
  }
}
