import KilnEngine

/// The gradient divided by the root of the sum of all squares so far (Duchi et al., 2011), step t = 1, 2, ...:
///
///     g = gradient + weightDecay * w
///     s = s + g * g
///     w = w - learningRate / (1 + (t - 1) * learningRateDecay) * g / (sqrt(s) + epsilon)
///
/// PyTorch's and Keras' Adagrad (in Keras s starts at 0.1 and epsilon is 1e-7, under the root).
public struct Adagrad: UpdateRule {
  public var learningRate: Double
  public var learningRateDecay: Double
  public var weightDecay: Double
  /// What s starts at.
  public var initialAccumulator: Double
  public var epsilon: Double

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.01, learningRateDecay: Double = 0, weightDecay: Double = 0, initialAccumulator: Double = 0,
    epsilon: Double = 1e-10
  ) {
    (self.learningRate, self.learningRateDecay, self.weightDecay) = (learningRate, learningRateDecay, weightDecay)
    (self.initialAccumulator, self.epsilon) = (initialAccumulator, epsilon)
  }

  public var slots: [String] { ["sum"] }
  public func initialValue(ofSlot slot: String) -> Double { initialAccumulator }

  /// The decayed learning rate.
  public func scalars(step: Int) -> [Double] { [learningRate / (1 + Double(step - 1) * learningRateDecay)] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    let sum = slots[0] + g * g
    return (value - g / (sqrt(sum) + epsilon) * scalars[0], [sum])
  }
}
