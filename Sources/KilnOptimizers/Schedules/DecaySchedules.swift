import Foundation

/// base * factor^floor(step / interval). PyTorch's StepLR.
public struct StepSchedule: Schedule {
  public var interval: Int
  public var factor: Double

  /// An interval below 1 counts as 1.
  public init(every interval: Int, factor: Double = 0.1) { (self.interval, self.factor) = (max(interval, 1), factor) }

  public func learningRate(step: Int, base: Double) -> Double {
    base * Foundation.pow(factor, Double(step / interval))
  }
}

/// base * factor^(milestones that are not above the step). PyTorch's MultiStepLR, Keras' PiecewiseConstantDecay.
public struct MultiStepSchedule: Schedule {
  public var milestones: [Int]
  public var factor: Double

  /// In any order; a milestone that is named twice counts twice.
  public init(milestones: [Int], factor: Double = 0.1) { (self.milestones, self.factor) = (milestones, factor) }

  public func learningRate(step: Int, base: Double) -> Double {
    base * Foundation.pow(factor, Double(milestones.count { $0 <= step }))
  }
}

/// base * factor^step. PyTorch's ExponentialLR, Keras' ExponentialDecay.
public struct ExponentialSchedule: Schedule {
  public var factor: Double

  public init(factor: Double) { self.factor = factor }

  public func learningRate(step: Int, base: Double) -> Double { base * Foundation.pow(factor, Double(step)) }
}

/// base * (1 - min(step, steps) / steps)^power. PyTorch's PolynomialLR, Keras' PolynomialDecay.
public struct PolynomialSchedule: Schedule {
  public var steps: Int
  public var power: Double

  /// Fewer than 1 step counts as 1.
  public init(steps: Int, power: Double = 1) { (self.steps, self.power) = (max(steps, 1), power) }

  public func learningRate(step: Int, base: Double) -> Double {
    base * Foundation.pow(1 - Double(min(step, steps)) / Double(steps), power)
  }
}

/// From base * start to base * end in a straight line, then base * end. PyTorch's LinearLR (whose defaults these are).
public struct LinearWarmup: Schedule {
  public var steps: Int
  public var start: Double
  public var end: Double

  /// Fewer than 1 step counts as 1.
  public init(steps: Int, from start: Double = 1.0 / 3, to end: Double = 1) {
    (self.steps, self.start, self.end) = (max(steps, 1), start, end)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    base * (start + (end - start) * Double(min(step, steps)) / Double(steps))
  }
}
