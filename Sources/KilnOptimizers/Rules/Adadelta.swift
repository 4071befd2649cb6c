import KilnEngine

/// Steps whose size follows the running mean of their own squares (Zeiler, 2012):
///
///     g = gradient + weightDecay * w
///     s = rho * s + (1 - rho) * g * g
///     d = sqrt(a + epsilon) / sqrt(s + epsilon) * g
///     a = rho * a + (1 - rho) * d * d
///     w = w - learningRate * d
///
/// PyTorch's and Keras' Adadelta (in Keras the learning rate is 0.001, rho 0.95 and epsilon 1e-7 by default).
public struct Adadelta: UpdateRule {
  public var learningRate: Double
  public var rho: Double
  public var epsilon: Double
  public var weightDecay: Double

  /// PyTorch's defaults.
  public init(learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6, weightDecay: Double = 0) {
    (self.learningRate, self.rho, self.epsilon, self.weightDecay) = (learningRate, rho, epsilon, weightDecay)
  }

  public var slots: [String] { ["square_avg", "acc_delta"] }

  /// The learning rate.
  public func scalars(step: Int) -> [Double] { [learningRate] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    let s = slots[0] * rho + g * g * (1 - rho)
    let delta = sqrt(slots[1] + epsilon) / sqrt(s + epsilon) * g
    return (value - delta * scalars[0], [s, slots[1] * rho + delta * delta * (1 - rho)])
  }
}
