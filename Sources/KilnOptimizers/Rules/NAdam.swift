import Foundation
import KilnEngine

/// Adam with Nesterov's momentum (Dozat, 2016), step t = 1, 2, ...:
///
///     mu(t) = beta1 * (1 - 0.96^(t * momentumDecay) / 2),  M(t) = mu(1) * ... * mu(t)
///     g = gradient + weightDecay * w    (decoupled: w = w * (1 - learningRate * weightDecay), g = gradient)
///     m = m + (1 - beta1) * (g - m)
///     v = beta2 * v + (1 - beta2) * g * g
///     r = sqrt(v / (1 - beta2^t)) + epsilon
///     w = w - learningRate * ((1 - mu(t)) / (1 - M(t)) * g + mu(t + 1) / (1 - M(t + 1)) * m) / r
///
/// PyTorch's NAdam, Keras' Nadam (whose momentum decay is fixed at 0.004).
public struct NAdam: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var weightDecay: Double
  public var momentumDecay: Double
  /// Whether the weights decay as in `AdamW`.
  public var decouplesDecay: Bool

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0, momentumDecay: Double = 0.004, decouplesDecay: Bool = false
  ) {
    (self.learningRate, self.beta1, self.beta2, self.epsilon) = (learningRate, beta1, beta2, epsilon)
    (self.weightDecay, self.momentumDecay, self.decouplesDecay) = (weightDecay, momentumDecay, decouplesDecay)
  }

  public var slots: [String] { ["exp_avg", "exp_avg_sq"] }

  /// The factors of the gradient and of the first moment, the second moment's correction, and the weights' factor.
  public func scalars(step: Int) -> [Double] {
    let product = momentumProduct(step)
    let (now, next) = (momentum(step), momentum(step + 1))
    return [
      learningRate * (1 - now) / (1 - product), learningRate * next / (1 - product * next),
      1 - Foundation.pow(beta2, Double(step)), 1 - learningRate * weightDecay,
    ]
  }

  private func momentum(_ step: Int) -> Double {
    beta1 * (1 - 0.5 * Foundation.pow(0.96, Double(step) * momentumDecay))
  }

  /// M(step), and 0 from where it no longer changes 1 - M: a function of the step alone, so that training can be resumed
  /// anywhere.
  private func momentumProduct(_ step: Int) -> Double {
    var product = 1.0
    for t in stride(from: 1, through: step, by: 1) {
      product *= momentum(t)
      if Swift.abs(product) < 1e-17 { return 0 }
    }
    return product
  }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let isDecoupled = decouplesDecay && weightDecay != 0
    let w = isDecoupled ? value * scalars[3] : value
    let g = decouplesDecay ? gradient : gradient.decayed(value, by: weightDecay)
    let m = slots[0] + (g - slots[0]) * (1 - beta1)
    let v = slots[1] * beta2 + g * g * (1 - beta2)
    let root = sqrt(v / scalars[2]) + epsilon
    return (w - g / root * scalars[0] - m / root * scalars[1], [m, v])
  }
}
