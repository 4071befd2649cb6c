/// Lowers the learning rate when a figure has stopped getting better. A value, so that it can be kept and taken up again;
/// it depends on what was measured, and so is no `Schedule`. PyTorch's and Keras' ReduceLROnPlateau.
///
///     var plateau = ReduceOnPlateau(patience: 5)
///     optimizer.learningRate = plateau.update(validationLoss, learningRate: optimizer.learningRate)
///
/// A figure that is NaN is no improvement.
public struct ReduceOnPlateau: Sendable, Hashable, Codable {
  public enum Goal: Sendable, Hashable, Codable { case minimum, maximum }
  /// Whether the threshold is a share of the best figure or a difference.
  public enum Threshold: Sendable, Hashable, Codable { case relative(Double), absolute(Double) }

  public var goal: Goal
  public var factor: Double
  /// So many figures without improvement are borne; the next one lowers the rate.
  public var patience: Int
  public var threshold: Threshold
  /// After a reduction so many figures do not count as bad.
  public var cooldown: Int
  public var minimum: Double
  /// A reduction by no more than this is left out.
  public var epsilon: Double

  public private(set) var best: Double?
  public private(set) var badCount = 0
  public private(set) var cooldownLeft = 0

  /// PyTorch's defaults.
  public init(
    goal: Goal = .minimum, factor: Double = 0.1, patience: Int = 10, threshold: Threshold = .relative(1e-4),
    cooldown: Int = 0, minimum: Double = 0, epsilon: Double = 1e-8
  ) {
    (self.goal, self.factor, self.patience, self.threshold) = (goal, factor, patience, threshold)
    (self.cooldown, self.minimum, self.epsilon) = (cooldown, minimum, epsilon)
  }

  /// Takes up what another had seen: its `best`, `badCount` and `cooldownLeft`.
  public mutating func restore(best: Double?, badCount: Int, cooldownLeft: Int) {
    (self.best, self.badCount, self.cooldownLeft) = (best, badCount, cooldownLeft)
  }

  /// The learning rate that follows from the newest figure.
  public mutating func update(_ figure: Double, learningRate: Double) -> Double {
    if isBetter(figure) {
      best = figure
      badCount = 0
    } else {
      badCount += 1
    }
    if cooldownLeft > 0 {
      cooldownLeft -= 1
      badCount = 0
    }
    guard badCount > patience else { return learningRate }
    cooldownLeft = cooldown
    badCount = 0
    let lower = max(learningRate * factor, minimum)
    return learningRate - lower > epsilon ? lower : learningRate
  }

  private func isBetter(_ figure: Double) -> Bool {
    guard let best else { return !figure.isNaN }
    return switch (goal, threshold) {
    case (.minimum, .relative(let share)): figure < best * (1 - share)
    case (.minimum, .absolute(let difference)): figure < best - difference
    case (.maximum, .relative(let share)): figure > best * (1 + share)
    case (.maximum, .absolute(let difference)): figure > best + difference
    }
  }
}
