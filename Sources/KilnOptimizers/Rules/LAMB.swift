import Foundation
import KilnEngine

/// Adam's direction with a length in proportion to each parameter's own (You et al., 2020), step t = 1, 2, ...:
///
///     m = beta1 * m + (1 - beta1) * gradient
///     v = beta2 * v + (1 - beta2) * gradient * gradient
///     r = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weightDecay * w
///     w = w - learningRate * |w| / |r| * r      (the quotient of the L2 norms is 1 where either is 0)
///
/// The norms are those of a whole parameter. Keras' Lamb; PyTorch has none.
public struct LAMB: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var weightDecay: Double

  /// The paper's defaults, without weight decay.
  public init(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-6,
    weightDecay: Double = 0
  ) {
    (self.learningRate, self.beta1, self.beta2) = (learningRate, beta1, beta2)
    (self.epsilon, self.weightDecay) = (epsilon, weightDecay)
  }

  public var slots: [String] { ["exp_avg", "exp_avg_sq"] }
  public var isElementwise: Bool { false }

  /// The learning rate and the corrections of both moments.
  public func scalars(step: Int) -> [Double] {
    [learningRate, 1 - Foundation.pow(beta1, Double(step)), 1 - Foundation.pow(beta2, Double(step))]
  }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let m = slots[0] * beta1 + gradient * (1 - beta1)
    let v = slots[1] * beta2 + gradient * gradient * (1 - beta2)
    let r = (m / scalars[1] / (sqrt(v / scalars[2]) + epsilon)).decayed(value, by: weightDecay)
    let (length, norm) = (sqrt(square(value).sum()), sqrt(square(r).sum()))
    let trust = select((length .> 0) .&& (norm .> 0), length / norm, length.ones())
    return (value - r * (trust * scalars[0]), [m, v])
  }
}

extension Tensor {
  fileprivate func ones() -> Tensor { .full(shape, 1, dtype: dtype, on: device) }
}
