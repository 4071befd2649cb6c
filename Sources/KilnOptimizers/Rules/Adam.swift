import Foundation
import KilnEngine

/// Adam (Kingma and Ba, 2015), step t = 1, 2, ..., in PyTorch's order of operations:
///
///     g = gradient + weightDecay * w
///     m = m + (1 - beta1) * (g - m)
///     v = beta2 * v + (1 - beta2) * g * g
///     w = w - learningRate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
///
/// With `amsgrad` (Reddi et al., 2018) the greatest v so far stands under the root. PyTorch's and Keras' Adam.
public struct Adam: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  /// Added to the gradient (L2), as PyTorch's Adam; `AdamW` decays the weights themselves.
  public var weightDecay: Double
  public var amsgrad: Bool

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0, amsgrad: Bool = false
  ) {
    (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
    (self.epsilon, self.weightDecay, self.amsgrad) = (epsilon, weightDecay, amsgrad)
  }

  public var slots: [String] { ["exp_avg", "exp_avg_sq"] + (amsgrad ? ["max_exp_avg_sq"] : []) }

  /// The bias-corrected learning rate, and the root of the second moment's correction.
  public func scalars(step: Int) -> [Double] {
    [
      learningRate / (1 - Foundation.pow(beta1, Double(step))),
      (1 - Foundation.pow(beta2, Double(step))).squareRoot(),
    ]
  }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    let m = slots[0] + (g - slots[0]) * (1 - beta1)
    let v = slots[1] * beta2 + g * g * (1 - beta2)
    let greatest = amsgrad ? maximum(slots[2], v) : v
    let new = value - m / (sqrt(greatest) / scalars[1] + epsilon) * scalars[0]
    return (new, amsgrad ? [m, v, greatest] : [m, v])
  }
}
