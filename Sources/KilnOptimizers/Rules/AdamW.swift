import KilnEngine

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019):
///
///     w = w * (1 - learningRate * weightDecay), then `Adam`'s step without decay
///
/// PyTorch's and Keras' AdamW; PyTorch's default decay, 0.01.
public struct AdamW: UpdateRule {
  private var adam: Adam
  public var weightDecay: Double

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0.01, amsgrad: Bool = false
  ) {
    adam = Adam(learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, amsgrad: amsgrad)
    self.weightDecay = weightDecay
  }

  public var learningRate: Double {
    get { adam.learningRate }
    set { adam.learningRate = newValue }
  }
  public var beta1: Double { adam.beta1 }
  public var beta2: Double { adam.beta2 }
  public var epsilon: Double { adam.epsilon }
  public var amsgrad: Bool { adam.amsgrad }

  public var slots: [String] { adam.slots }

  /// `Adam`'s scalars, and what the weights are multiplied by.
  public func scalars(step: Int) -> [Double] { adam.scalars(step: step) + [1 - learningRate * weightDecay] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    adam.update(
      value: weightDecay == 0 ? value : value * scalars[2], gradient: gradient, slots: slots, scalars: scalars)
  }
}
