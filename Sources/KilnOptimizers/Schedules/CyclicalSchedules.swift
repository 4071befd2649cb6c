import Foundation

/// Up from base to `maximum` and down again, over and over (Smith, 2017). PyTorch's CyclicLR, without its cycling of the
/// momentum.
public struct CyclicalSchedule: Schedule {
  /// How high the peaks are above base, of the whole height.
  public enum Shape: Sendable, Hashable {
    case triangular
    /// Half as high in each further cycle.
    case triangular2
    /// factor^step as high.
    case expRange(factor: Double)
  }
  public var maximum: Double
  public var stepsUp: Int
  public var stepsDown: Int
  public var shape: Shape

  /// `stepsDown` is `stepsUp` if not given. Numbers below 1 count as 1.
  public init(maximum: Double, stepsUp: Int = 2000, stepsDown: Int? = nil, shape: Shape = .triangular) {
    (self.maximum, self.shape) = (maximum, shape)
    self.stepsUp = max(stepsUp, 1)
    self.stepsDown = max(stepsDown ?? stepsUp, 1)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    let (cycle, position) = step.quotientAndRemainder(dividingBy: stepsUp + stepsDown)
    let height =
      position <= stepsUp
      ? Double(position) / Double(stepsUp) : 1 - Double(position - stepsUp) / Double(stepsDown)
    let scale =
      switch shape {
      case .triangular: 1.0
      case .triangular2: Foundation.pow(0.5, Double(cycle))
      case .expRange(let factor): Foundation.pow(factor, Double(step))
      }
    return base + (maximum - base) * height * scale
  }
}

/// One rise and a long fall (Smith and Topin, 2018): from base / startDivisor to base within the first `rise` of the
/// steps, then down to base / startDivisor / endDivisor, where it stays. Base is the greatest rate, `max_lr` in PyTorch's
/// OneCycleLR; its cycling of the momentum is left out.
public struct OneCycleSchedule: Schedule {
  public enum Annealing: Sendable, Hashable { case cosine, linear }

  public var steps: Int
  public var rise: Double
  public var startDivisor: Double
  public var endDivisor: Double
  public var annealing: Annealing
  /// First down to where it started, as steep as it rose, and then to the end.
  public var hasThreePhases: Bool

  /// Fewer than 1 step counts as 1.
  public init(
    steps: Int, rise: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4,
    annealing: Annealing = .cosine, hasThreePhases: Bool = false
  ) {
    (self.steps, self.rise, self.annealing) = (max(steps, 1), rise, annealing)
    (self.startDivisor, self.endDivisor, self.hasThreePhases) = (startDivisor, endDivisor, hasThreePhases)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    let start = base / startDivisor
    let end = start / endDivisor
    let peak = rise * Double(steps) - 1
    let last = Double(steps - 1)
    var phases = [(end: peak, from: start, to: base)]
    if hasThreePhases { phases.append((end: 2 * rise * Double(steps) - 2, from: base, to: start)) }
    phases.append((end: last, from: hasThreePhases ? start : base, to: end))
    let position = min(Double(step), last)
    var begin = 0.0
    for phase in phases {
      if position <= phase.end {
        let length = phase.end - begin
        return between(phase.from, phase.to, length > 0 ? (position - begin) / length : 1)
      }
      begin = phase.end
    }
    return end
  }

  private func between(_ start: Double, _ end: Double, _ position: Double) -> Double {
    annealing == .cosine ? cosine(from: start, to: end, position) : start + (end - start) * position
  }
}
