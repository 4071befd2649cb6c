import KilnEngine
import KilnOptimizers

/// Where a training stands, apart from the weights and the optimizer's slots: what `fit` needs to go on bit for bit.
public struct TrainingState: Sendable, Hashable, Codable {
  /// The epoch that is under way or comes next, from 0.
  public var epoch = 0
  /// Batches and samples of that epoch that were trained on.
  public var batch = 0
  public var position = 0
  /// The sum over those samples of their losses.
  public var lossSum = 0.0
  /// Samples of that epoch in updates that were undone, as their loss was not finite.
  public var skippedSamples: Int?
  /// What the trainer's metrics have seen of that epoch, as JSON.
  public var metrics: [String: String] = [:]
  /// Updates taken by the optimizer. A schedule goes by these alone.
  public var step = 0
  /// Each parameter's own updates (fewer where it was frozen for a while), and the rates of the groups.
  public var parameterSteps: [String: Int] = [:]
  public var groups: [OptimizerState.Group] = []
  /// Updates taken by the average of the weights, if there is one.
  public var averageUpdates: Int?
  public var learningRate = 0.0
  public var history = TrainingHistory()
  /// Which part of the file of losses belongs to `history`, whose own are then left out of `state.json`.
  var losses: LossLog.Mark?
  /// The states of generators by name; "default" is `RandomGenerator.default`'s.
  public var generators: [String: RandomGenerator.State] = [:]
  /// What decides the order of the samples; a run can only go on with the same.
  public var seed: UInt64 = 0
  public var batchSize = 0
  public var sampleCount = 0
  /// Numbers that callbacks keep, by the callback's name.
  public var callbacks: [String: [String: Double]] = [:]
  /// The best checkpoint so far: its step, and the number that it was judged by.
  public var best: Best?

  /// Why the training ended before its last epoch, if it did for good.
  public var stopReason: String?

  public struct Best: Sendable, Hashable, Codable {
    public var step: Int
    public var value: Double
    public init(step: Int, value: Double) { (self.step, self.value) = (step, value) }
  }

  public init() {}

  /// The epoch's mean loss so far over the samples that counted; NaN before there are any.
  var meanLoss: Double {
    let count = position - (skippedSamples ?? 0)
    return count > 0 ? lossSum / Double(count) : .nan
  }
}
