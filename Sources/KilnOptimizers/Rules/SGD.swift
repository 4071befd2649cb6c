import KilnEngine

/// Stochastic gradient descent, with momentum as PyTorch defines it:
///
///     g = gradient + weightDecay * w
///     b = momentum * b + (1 - dampening) * g        (b = g in the first step)
///     w = w - learningRate * (nesterov ? g + momentum * b : b)
///
/// PyTorch's and Keras' SGD (Keras keeps the velocity multiplied by the learning rate).
public struct SGD: UpdateRule {
  public var learningRate: Double
  public var momentum: Double
  public var dampening: Double
  public var nesterov: Bool
  public var weightDecay: Double

  /// Without momentum it keeps no slot.
  public init(
    learningRate: Double = 0.01, momentum: Double = 0, dampening: Double = 0, nesterov: Bool = false,
    weightDecay: Double = 0
  ) {
    (self.learningRate, self.momentum, self.dampening) = (learningRate, momentum, dampening)
    (self.nesterov, self.weightDecay) = (nesterov, weightDecay)
  }

  public var slots: [String] { momentum == 0 ? [] : ["momentum_buffer"] }

  /// The learning rate and the new gradient's share of the momentum: all of it in the first step.
  public func scalars(step: Int) -> [Double] { [learningRate, step == 1 ? 1 : 1 - dampening] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    guard let previous = slots.first else { return (value - g * scalars[0], []) }
    let buffer = previous * momentum + (dampening == 0 ? g : g * scalars[1])
    return (value - (nesterov ? g + buffer * momentum : buffer) * scalars[0], [buffer])
  }
}

extension Tensor {
  /// This gradient with `weightDecay` times the weights (L2).
  func decayed(_ weights: Tensor, by weightDecay: Double) -> Tensor {
    weightDecay == 0 ? self : self + weights * weightDecay
  }
}
