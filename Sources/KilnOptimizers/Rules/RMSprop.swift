import KilnEngine

/// The gradient divided by a running root mean square (Tieleman and Hinton, 2012), in PyTorch's order of operations:
///
///     g = gradient + weightDecay * w
///     s = alpha * s + (1 - alpha) * g * g
///     r = sqrt(s - a * a) + epsilon  with the running mean a of g if centered, else sqrt(s) + epsilon
///     w = w - learningRate * g / r   or, with momentum: b = momentum * b + g / r; w = w - learningRate * b
///
/// PyTorch's and Keras' RMSprop (Keras' rho is alpha, 0.9 there, and its epsilon stands under the root).
public struct RMSprop: UpdateRule {
  public var learningRate: Double
  public var alpha: Double
  public var epsilon: Double
  public var weightDecay: Double
  public var momentum: Double
  public var centered: Bool

  /// PyTorch's defaults.
  public init(
    learningRate: Double = 0.01, alpha: Double = 0.99, epsilon: Double = 1e-8, weightDecay: Double = 0,
    momentum: Double = 0, centered: Bool = false
  ) {
    (self.learningRate, self.alpha, self.epsilon) = (learningRate, alpha, epsilon)
    (self.weightDecay, self.momentum, self.centered) = (weightDecay, momentum, centered)
  }

  public var slots: [String] {
    ["square_avg"] + (momentum == 0 ? [] : ["momentum_buffer"]) + (centered ? ["grad_avg"] : [])
  }

  /// The learning rate.
  public func scalars(step: Int) -> [Double] { [learningRate] }

  public func update(
    value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]
  ) -> (value: Tensor, slots: [Tensor]) {
    let g = gradient.decayed(value, by: weightDecay)
    let s = slots[0] * alpha + g * g * (1 - alpha)
    var new = [s]
    var variance = s
    var mean: [Tensor] = []
    if centered, let old = slots.last {
      let average = old + (g - old) * (1 - alpha)
      variance = s - average * average
      mean = [average]
    }
    var direction = g / (sqrt(variance) + epsilon)
    if momentum != 0 {
      direction = slots[1] * momentum + direction
      new.append(direction)
    }
    return (value - direction * scalars[0], new + mean)
  }
}
