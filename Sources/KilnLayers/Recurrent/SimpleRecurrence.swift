import KilnEngine

/// What a simple recurrent network applies to its sums.
public enum RecurrentActivation: Hashable, Sendable {
  case tanh, relu
}

/// h' = activation(W_ih x + b_ih + W_hh h + b_hh).
struct SimpleRecurrence: Recurrence {
  let activation: RecurrentActivation
  var gates: Int { 1 }
  var stateCount: Int { 1 }

  func step(projected: Tensor, product: Tensor, state: [Tensor]) -> RecurrentStep {
    let sum = projected + product
    let h = activation == .tanh ? tanh(sum) : relu(sum)
    return RecurrentStep(state: [h], saved: [])
  }

  func pullBack(_ step: RecurrentStep, from state: [Tensor], cotangents: [Tensor]) -> (delta: Tensor, passed: [Tensor?])
  {
    let (h, g) = (step.state[0], cotangents[0])
    return (activation == .tanh ? g * ((1 - h) * (1 + h)) : select(h .> 0, g, 0), [nil])
  }
}
