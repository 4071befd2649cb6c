import Foundation
import KilnEngine

/// Adam with the greatest recent gradient instead of the second moment (Kingma and Ba, 2015), step t = 1, 2, ...:
///
///     g = gradient + weightDecay * w
///     m = m + (1 - beta1) * (g - m)
///     u = max(beta2 * u, |g| + epsilon)
///     w = w - learningRate / (1 - beta1^t) * m / u
///
/// PyTorch's and Keras' Adamax.
public struct Adamax: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var weightDecay: Double

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0
  ) {
    (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
    (self.epsilon, self.weightDecay) = (epsilon, weightDecay)
  }

  public var slots: [String] { ["exp_avg", "exp_inf"] }

  /// The bias-corrected learning rate.
  public func scalars(step: Int) -> [Double] { [learningRate / (1 - Foundation.pow(beta1, Double(step)))] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    let m = slots[0] + (g - slots[0]) * (1 - beta1)
    let greatest = maximum(slots[1] * beta2, abs(g) + epsilon)
    return (value - m / greatest * scalars[0], [m, greatest])
  }
}
