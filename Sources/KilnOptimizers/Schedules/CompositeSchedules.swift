/// Several schedules at once: each takes the rate of the one before it for its base. For those that multiply the base by
/// a factor this is the product of the factors, as PyTorch's ChainedScheduler.
public struct ChainedSchedule: Schedule {
  public var schedules: [any Schedule]

  public init(_ schedules: [any Schedule]) { self.schedules = schedules }

  public func learningRate(step: Int, base: Double) -> Double {
    schedules.reduce(base) { $1.learningRate(step: step, base: $0) }
  }
}

/// One schedule after another: from each milestone on the next one, which counts its steps from there. PyTorch's
/// SequentialLR. Schedules without a milestone are never reached; none give the base rate.
public struct SequentialSchedule: Schedule {
  public var schedules: [any Schedule]
  /// Ascending.
  public var milestones: [Int]

  public init(_ schedules: [any Schedule], milestones: [Int]) {
    (self.schedules, self.milestones) = (schedules, milestones)
  }

  public func learningRate(step: Int, base: Double) -> Double {
    let passed = min(milestones.count { $0 <= step }, schedules.count - 1)
    guard passed >= 0 else { return base }
    let start = passed == 0 ? 0 : milestones[passed - 1]
    return schedules[passed].learningRate(step: step - start, base: base)
  }
}
