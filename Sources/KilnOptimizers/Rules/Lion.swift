import KilnEngine

/// Steps of one size in the sign of the momentum (Chen et al., 2023):
///
///     w = w * (1 - learningRate * weightDecay)
///     w = w - learningRate * sign(beta1 * m + (1 - beta1) * gradient)
///     m = beta2 * m + (1 - beta2) * gradient
///
/// Keras' Lion; PyTorch has none. It wants a learning rate 3 to 10 times smaller than `AdamW`'s.
public struct Lion: UpdateRule {
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double
  public var weightDecay: Double

  /// The paper's defaults.
  public init(learningRate: Double = 1e-4, beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0) {
    (self.learningRate, self.beta1, self.beta2, self.weightDecay) = (learningRate, beta1, beta2, weightDecay)
  }

  public var slots: [String] { ["exp_avg"] }

  /// The learning rate, and what the weights are multiplied by.
  public func scalars(step: Int) -> [Double] { [learningRate, 1 - learningRate * weightDecay] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let w = weightDecay == 0 ? value : value * scalars[1]
    let direction = sign(slots[0] * beta1 + gradient * (1 - beta1))
    return (w - direction * scalars[0], [slots[0] * beta2 + gradient * (1 - beta2)])
  }
}
