import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

/// A `fit` under way: what callbacks see and may steer. It lives on the thread that called `fit`.
public final class TrainingRun {
  public let trainer: Trainer
  /// Epochs asked for.
  public let epochs: Int
  /// Samples of an epoch; 0 for a stream, whose length is not known.
  public let sampleCount: Int
  /// Where it stands. The losses of the latest steps may not be in it yet; `settle()` reads them.
  public private(set) var state: TrainingState
  /// Why it ends early; set by `stop` or `interrupt`.
  public var stopReason: String? { state.stopReason ?? (isInterrupted ? "interrupted" : nil) }
  public var isStopped: Bool { stopReason != nil }
  private var isInterrupted = false
  /// Whether it goes on from a checkpoint.
  public let isResumed: Bool
  /// Whether there is validation data.
  public var hasValidation: Bool { validation != nil }
  /// Set by a callback that changed the weights after the last step: they are to be saved then.
  public var weightsChanged = false

  /// Whether the epoch's last batch is done, but `endEpoch` has not been heard of yet.
  public private(set) var isEpochComplete = false

  /// Its batches, for those who repeat some of them.
  let source: TrainingSource
  private let validation: TrainingData?
  private let callbacks: [any TrainingCallback]
  private let onProgress: ((TrainingProgress) -> Void)?
  private let onEpoch: ((EpochReport) -> Void)?
  /// Losses that are still on the device. Reading each at once would wait for the device at every step; reading none
  /// would let the host run ahead without bound.
  private var pending: [(outputs: [Tensor], weight: Int)] = []
  private var pendingBytes = 0
  private static let interval = 50
  /// What metrics wait for may be large: the logits of a language model.
  private static let byteLimit = 64 << 20
  private var metrics: MetricSums
  private let clock = ContinuousClock()
  private var epochStart: ContinuousClock.Instant
  private var start: ContinuousClock.Instant
  /// Of the run that it goes on from, and of what the trainer did before.
  private let secondsBefore: Double
  private let compileSecondsBefore: Double

  init(
    trainer: Trainer, epochs: Int, source: TrainingSource, from state: TrainingState?, validation: TrainingData?,
    callbacks: [any TrainingCallback], onProgress: ((TrainingProgress) -> Void)?, onEpoch: ((EpochReport) -> Void)?
  ) throws {
    let (sampleCount, batchSize, seed) = (source.sampleCount, source.batchSize, source.seed)
    if let state {
      let given = [UInt64(sampleCount), UInt64(max(batchSize, 0)), seed]
      let saved = [UInt64(state.sampleCount), UInt64(state.batchSize), state.seed]
      guard given == saved else {
        throw TensorError(
          operation: "Trainer.fit",
          rule: "a training goes on with its own data: saved were \(saved[0]) samples, batch size \(saved[1]) and seed "
            + "\(saved[2]), given are \(given[0]), \(given[1]) and \(given[2])",
          fix: "give the same, or start anew without `from`")
      }
    }
    (self.trainer, self.epochs, self.sampleCount) = (trainer, epochs, sampleCount)
    isResumed = state != nil
    self.state = state ?? TrainingState()
    (self.state.seed, self.state.batchSize, self.state.sampleCount) = (seed, batchSize, sampleCount)
    metrics = MetricSums(trainer.measuresTraining ? trainer.metrics : [])
    if let state { try metrics.restore(state.metrics) }
    (self.source, self.validation) = (source, validation)
    // A checkpoint holds what the others have made of the step or epoch.
    self.callbacks = callbacks.filter { !($0 is Checkpointing) } + callbacks.filter { $0 is Checkpointing }
    (self.onProgress, self.onEpoch) = (onProgress, onEpoch)
    secondsBefore = self.state.history.seconds
    compileSecondsBefore = self.state.history.compileSeconds - trainer.compileSeconds
    epochStart = clock.now
    start = epochStart
    updateState()
  }

  /// Ends the training for good after this step or epoch: a resumed run is over too.
  public func stop(_ reason: String) { state.stopReason = state.stopReason ?? reason }

  /// Ends this call of `fit` after this step; a resumed run goes on.
  public func interrupt() { isInterrupted = true }

  /// The best checkpoint so far, for those who judge it.
  public func setBest(_ best: TrainingState.Best?) { state.best = best }

  /// Reads the losses of the latest steps: waits for the device. Throws if one is not finite.
  public func settle() throws { try drain() }

  /// The state of everything, settled: what a checkpoint holds beside weights and slots.
  public func snapshot() throws -> (state: TrainingState, arrays: [String: HostArray]) {
    try settle()
    updateState()
    state.metrics = try metrics.saved()
    var arrays: [String: HostArray] = [:]
    for callback in callbacks {
      let own = callback.saved
      if !own.numbers.isEmpty { state.callbacks[callback.name] = own.numbers }
      for (name, array) in own.arrays { arrays["\(callback.name)/\(name)"] = array }
    }
    return (state, arrays)
  }

  /// The first samples of the training's first batch, as the model takes them.
  func firstSamples(_ limit: Int) throws -> (features: Tensor, labels: Tensor)? {
    guard var inputs = try source.batches(0, 0)()?.chosen else { return nil }
    inputs = inputs.map { $0.shape[0] > limit ? $0[..<limit].stopGradient() : $0 }
    try evaluate(inputs)
    return (inputs[0], inputs[1])
  }

  // MARK: - What `fit` calls

  func begin() throws { for callback in callbacks { try callback.trainingBegan(self) } }

  var goesOn: Bool { state.epoch < epochs && !isStopped }

  func beginEpoch() { epochStart = clock.now }

  /// One batch is done; callbacks hear of updates.
  func add(_ outputs: [Tensor], samples: Int, isUpdate: Bool, isLast: Bool) throws {
    pending.append((outputs, samples))
    pendingBytes += outputs.reduce(0) { $0 + $1.count * $1.dtype.size }
    state.position += samples
    state.batch += 1
    isEpochComplete = isLast
    if pending.count >= Self.interval || pendingBytes > Self.byteLimit {
      try drain()
      onProgress?(
        TrainingProgress(
          epoch: state.epoch, epochs: epochs, samples: state.position, sampleCount: sampleCount,
          loss: state.history.stepLosses.last ?? .nan, seconds: seconds(clock.now - epochStart)))
    }
    guard isUpdate else { return }
    guard !callbacks.isEmpty else { return }
    updateState()
    for callback in callbacks { try callback.stepEnded(self) }
  }

  /// The epoch's last step is done, and the run was not stopped before it.
  func endEpoch() throws {
    try drain()
    var report = EpochReport(
      epoch: state.epoch, epochs: epochs, loss: state.meanLoss, seconds: seconds(clock.now - epochStart))
    report.validation = try validation.map { try trainer.evaluate($0) }
    report.metrics = metrics.values
    report.learningRate = trainer.optimizer.scheduledLearningRates[0]
    state.history.epochs.append(report)
    (state.epoch, state.position, state.batch, state.lossSum) = (state.epoch + 1, 0, 0, 0)
    state.skippedSamples = nil
    metrics = MetricSums(trainer.measuresTraining ? trainer.metrics : [])
    isEpochComplete = false
    onEpoch?(report)
    updateState()
    for callback in callbacks { try callback.epochEnded(self, report) }
  }

  func end() throws -> TrainingHistory {
    try drain()
    updateState()
    for callback in callbacks { try callback.trainingEnded(self) }
    return state.history
  }

  private func updateState() {
    state.step = trainer.optimizer.stepCount
    state.learningRate = trainer.optimizer.learningRate
    state.generators["default"] = RandomGenerator.default.state
    state.history.seconds = secondsBefore + seconds(clock.now - start)
    state.history.compileSeconds = max(compileSecondsBefore + trainer.compileSeconds, 0)
  }

  /// One after the other, so that the sum does not depend on when they were read.
  private func drain() throws {
    for (outputs, weight) in pending {
      let value = try outputs[0].item()
      guard value.isFinite else {
        // Batches, and so updates unless gradients are accumulated.
        let step = state.history.stepLosses.count + 1
        if try callbacks.contains(where: { try $0.lossNotFinite(self, step: step, loss: value) }) {
          state.skippedSamples = (state.skippedSamples ?? 0) + weight
          continue
        }
        throw TensorError(
          operation: "Trainer.fit",
          rule: "the loss must be finite, got \(value) at step \(step) (epoch \(state.epoch + 1))",
          fix: "use a smaller learning rate, clip gradients, and look for NaN in the data")
      }
      state.history.stepLosses.append(value)
      state.lossSum += value * Double(weight)
      try metrics.add(Array(outputs.dropFirst()))
    }
    pending.removeAll(keepingCapacity: true)
    pendingBytes = 0
  }
}

func seconds(_ duration: Duration) -> Double {
  Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}
