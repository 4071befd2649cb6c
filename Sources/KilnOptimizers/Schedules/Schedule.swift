/// A learning rate for each step, as a function of the step alone: it has no state, so training resumes anywhere.
///
/// Attached to an `Optimizer` it gives the rate of each update; `base` is then each parameter group's own learning rate.
///
///     optimizer.schedule = SequentialSchedule([LinearWarmup(steps: 100), CosineSchedule(steps: 900)], milestones: [100])
///
/// Steps count from 0, as PyTorch's `last_epoch` does: `learningRate(step: n, base:)` is what a PyTorch scheduler shows
/// after n calls of its `step()`. A schedule that is to count epochs is given its numbers in steps.
public protocol Schedule: Sendable {
  func learningRate(step: Int, base: Double) -> Double
}

/// The base rate times a factor, forever or, as PyTorch's ConstantLR, for the first `steps` steps.
public struct ConstantSchedule: Schedule {
  public var factor: Double
  public var steps: Int

  /// PyTorch's ConstantLR with `factor` and `steps` (1/3 and 5 there); by default the base rate itself.
  public init(factor: Double = 1, steps: Int = .max) { (self.factor, self.steps) = (factor, steps) }

  public func learningRate(step: Int, base: Double) -> Double { step < steps ? base * factor : base }
}

/// The base rate times any function of the step. PyTorch's LambdaLR, Keras' LearningRateScheduler.
public struct FunctionSchedule: Schedule {
  public var factor: @Sendable (_ step: Int) -> Double

  public init(_ factor: @escaping @Sendable (_ step: Int) -> Double) { self.factor = factor }

  public func learningRate(step: Int, base: Double) -> Double { base * factor(step) }
}
