import Foundation
import KilnEngine

/// Adam (Kingma and Ba, 2015), step t = 1, 2, ..., in PyTorch's order of operations:
///
///     g = gradient + weightDecay * w
///     m = m + (1 - beta1) * (g - m)
///     v = beta2 * v + (1 - beta2) * g * g
///     w = w - learningRate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
public struct Adam: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  /// Added to the gradient (L2), as PyTorch's Adam; AdamW decays the weights themselves.
  public var weightDecay: Double

  public init(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0
  ) {
    (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
    (self.epsilon, self.weightDecay) = (epsilon, weightDecay)
  }

  public var slots: [String] { ["exp_avg", "exp_avg_sq"] }

  public func update(value: Tensor, gradient: Tensor, slots: [Tensor], step: Int) -> (value: Tensor, slots: [Tensor]) {
    let g = weightDecay == 0 ? gradient : gradient + value * weightDecay
    let m = slots[0] + (g - slots[0]) * (1 - beta1)
    let v = slots[1] * beta2 + g * g * (1 - beta2)
    let stepSize = learningRate / (1 - Foundation.pow(beta1, Double(step)))
    let correction = (1 - Foundation.pow(beta2, Double(step))).squareRoot()
    return (value - m / (sqrt(v) / correction + epsilon) * stepSize, [m, v])
  }
}
