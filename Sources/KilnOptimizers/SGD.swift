import KilnEngine

/// Stochastic gradient descent, with momentum as PyTorch defines it:
///
///     g = gradient + weightDecay * w
///     b = momentum * b + (1 - dampening) * g        (b = g in the first step)
///     w = w - learningRate * (nesterov ? g + momentum * b : b)
public struct SGD: UpdateRule {
  public var learningRate: Double
  public var momentum: Double
  public var dampening: Double
  public var nesterov: Bool
  public var weightDecay: Double

  public init(
    learningRate: Double = 0.01, momentum: Double = 0, dampening: Double = 0, nesterov: Bool = false,
    weightDecay: Double = 0
  ) {
    (self.learningRate, self.momentum, self.dampening) = (learningRate, momentum, dampening)
    (self.nesterov, self.weightDecay) = (nesterov, weightDecay)
  }

  public var slots: [String] { momentum == 0 ? [] : ["momentum_buffer"] }

  public func update(value: Tensor, gradient: Tensor, slots: [Tensor], step: Int) -> (value: Tensor, slots: [Tensor]) {
    var g = gradient
    if weightDecay != 0 { g = g + value * weightDecay }
    guard let previous = slots.first else { return (value - g * learningRate, []) }
    let buffer = step == 1 && dampening != 0 ? g : previous * momentum + (dampening == 0 ? g : g * (1 - dampening))
    return (value - (nesterov ? g + buffer * momentum : buffer) * learningRate, [buffer])
  }
}
