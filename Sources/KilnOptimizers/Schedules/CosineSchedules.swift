import Foundation

/// Half a cosine from base to `minimum` within `steps` steps:
///
///     minimum + (base - minimum) * (1 + cos(pi * step / steps)) / 2
///
/// Beyond them the rate stays at `minimum`, as in Keras' CosineDecay; PyTorch's CosineAnnealingLR, which is the same up to
/// there, goes on along the cosine, as this does with `continues`.
public struct CosineSchedule: Schedule {
  public var steps: Int
  public var minimum: Double
  public var continues: Bool

  /// Fewer than 1 step counts as 1.
  public init(steps: Int, minimum: Double = 0, continues: Bool = false) {
    (self.steps, self.minimum, self.continues) = (max(steps, 1), minimum, continues)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    let position = continues ? step : min(step, steps)
    return cosine(from: base, to: minimum, Double(position) / Double(steps))
  }
}

/// Half cosines that start again (Loshchilov and Hutter, 2017): the first lasts `firstSteps`, each further one `growth`
/// times as long as the one before. PyTorch's CosineAnnealingWarmRestarts, Keras' CosineDecayRestarts.
public struct CosineRestartsSchedule: Schedule {
  public var firstSteps: Int
  public var growth: Int
  public var minimum: Double

  /// Numbers below 1 count as 1.
  public init(firstSteps: Int, growth: Int = 1, minimum: Double = 0) {
    (self.firstSteps, self.growth, self.minimum) = (max(firstSteps, 1), max(growth, 1), minimum)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    var (position, length) = (step, firstSteps)
    if growth == 1 {
      position %= length
    } else {
      while position >= length {
        position -= length
        let (longer, overflows) = length.multipliedReportingOverflow(by: growth)
        length = overflows ? .max : longer
      }
    }
    return cosine(from: base, to: minimum, Double(position) / Double(length))
  }
}

/// Half a cosine: `start` at 0, `end` at 1.
func cosine(from start: Double, to end: Double, _ position: Double) -> Double {
  end + (start - end) * (1 + Foundation.cos(.pi * position)) / 2
}
