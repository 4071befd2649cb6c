import KilnEngine

/// What a simple recurrent network applies to its sums.
public enum RecurrentActivation: Hashable, Sendable, ExpressibleByStringLiteral {
  case tanh, relu
  /// A name that was misspelt: the layer's results carry an error with the near matches.
  case unknown(String)

  /// "tanh" or "relu".
  public init(stringLiteral name: String) { self = (try? Self.named(name)) ?? .unknown(name) }

  private static func named(_ name: String) throws -> RecurrentActivation {
    try Names.find(name, kind: "activation of recurrent layers", in: [(["tanh"], .tanh), (["relu"], .relu)])
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .tanh: KilnEngine.tanh(x)
    case .relu: KilnEngine.relu(x)
    case .unknown(let name): x.refused { _ = try Self.named(name) }
    }
  }
}

/// h' = activation(W_ih x + b_ih + W_hh h + b_hh).
struct SimpleRecurrence: Recurrence {
  let activation: RecurrentActivation
  var gates: Int { 1 }
  var stateCount: Int { 1 }

  func step(projected: Tensor, product: Tensor, state: [Tensor]) -> RecurrentStep {
    RecurrentStep(state: [activation(projected + product)], saved: [])
  }

  func pullBack(_ step: RecurrentStep, from state: [Tensor], cotangents: [Tensor]) -> (delta: Tensor, passed: [Tensor?])
  {
    let (h, g) = (step.state[0], cotangents[0])
    return (activation == .tanh ? g * ((1 - h) * (1 + h)) : select(h .> 0, g, 0), [nil])
  }
}
