import KilnEngine
import KilnOptimizers

/// Writes a checkpoint every so many steps, after every so many epochs, when asked to, and at the end. Runs after all
/// other callbacks.
public final class Checkpointing: TrainingCallback {
  public let store: CheckpointStore
  /// `nil`: not within epochs.
  public let everySteps: Int?
  public let everyEpochs: Int
  /// An epoch's checkpoint is left out when the one before it is not so old; the last epoch's never is.
  public let minimumSeconds: Double
  /// Every epoch that is best by this is written, and the best kept. By default the best by validation loss, else by
  /// loss, of those that are written.
  public let monitor: MonitoredValue?
  /// Asked after every step: `true` writes a checkpoint and stops the training. For signals.
  public let interrupted: () -> Bool
  /// Heard of every checkpoint that was written.
  public let onSave: (Checkpoint) -> Void
  private let generators: [String: RandomGenerator]
  private var written: Int?
  private var losses: LossLog
  private let clock = ContinuousClock()
  private var savedAt: ContinuousClock.Instant

  /// `generators` are those that the model draws from beside the default one, by names of one's own.
  public init(
    _ store: CheckpointStore, everySteps: Int? = nil, everyEpochs: Int = 1, minimumSeconds: Double = 0,
    monitor: MonitoredValue? = nil, generators: [String: RandomGenerator] = [:],
    interrupted: @escaping () -> Bool = { false },
    onSave: @escaping (Checkpoint) -> Void = { _ in }
  ) {
    (self.store, self.everySteps, self.everyEpochs) = (store, everySteps.map { max($0, 1) }, max(everyEpochs, 1))
    (self.monitor, self.generators, self.minimumSeconds) = (monitor, generators, minimumSeconds)
    (self.interrupted, self.onSave) = (interrupted, onSave)
    savedAt = clock.now
    losses = LossLog(store.path)
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    try store.clean()
    losses = LossLog(store.path)
    (written, savedAt) = (run.state.step > 0 ? run.state.step : nil, clock.now)
  }

  public func stepEnded(_ run: TrainingRun) throws {
    let isInterrupted = interrupted()
    if isInterrupted { run.interrupt() }
    // The last step's checkpoint is the epoch's: one in between would lack the epoch's report.
    guard !run.isEpochComplete, isInterrupted || everySteps.map({ run.state.step % $0 == 0 }) == true
    else { return }
    try save(run)
  }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    let kind = monitor ?? (report.validation == nil ? .loss : .validationLoss)
    let value = report.value(kind) ?? .nan
    let isBest = run.state.best.map { kind.isBetter(value, than: $0.value) } ?? !value.isNaN
    let isDue = run.state.epoch % everyEpochs == 0 && seconds(clock.now - savedAt) >= minimumSeconds
    guard isDue || (isBest && monitor != nil) || run.state.epoch == run.epochs || run.isStopped else { return }
    if isBest { run.setBest(.init(step: run.state.step, value: value)) }
    try save(run)
  }

  public func trainingEnded(_ run: TrainingRun) throws {
    // Also after 0 steps, so that there is something to load.
    if written != run.state.step || run.weightsChanged { try save(run) }
  }

  private func save(_ run: TrainingRun) throws {
    var (state, arrays) = try run.snapshot()
    for (name, generator) in generators { state.generators[name] = generator.state }
    let checkpoint = try store.save(
      state, model: run.trainer.model, optimizer: run.trainer.optimizer, average: run.trainer.average, arrays: arrays,
      losses: losses)
    (written, savedAt) = (state.step, clock.now)
    onSave(checkpoint)
  }
}

extension Trainer {
  /// Takes up a checkpoint: weights, buffers, optimizer, generators and callbacks. Give the result to `fit` as `from`
  /// with the same data, batch size and seed: the training then goes on bit for bit.
  ///
  /// Throws, naming the file and what is wrong, before anything is changed if the checkpoint is damaged.
  public func restore(
    _ checkpoint: Checkpoint, callbacks: [any TrainingCallback] = [], generators: [String: RandomGenerator] = [:]
  ) throws -> TrainingState {
    try checkpoint.verify()
    let state = try checkpoint.state()
    let device = model.namedParameters.first?.parameter.value.device ?? .default
    let slots = try checkpoint.slots(on: device)
    let arrays = try checkpoint.callbackArrays()
    let averages = try checkpoint.averages(on: device)
    try checkpoint.loadWeights(into: model)
    try optimizer.restore(
      OptimizerState(stepCount: state.step, steps: state.parameterSteps, slots: slots, groups: state.groups))
    if options.averaging != nil, let updates = state.averageUpdates {
      try restoreAverage((averages, updates))
    }
    for callback in callbacks {
      let prefix = "\(callback.name)/"
      var own = CallbackState(numbers: state.callbacks[callback.name] ?? [:])
      for (name, array) in arrays where name.hasPrefix(prefix) {
        own.arrays[String(name.dropFirst(prefix.count))] = array
      }
      try callback.restore(own)
    }
    for (name, saved) in state.generators {
      if name == "default" { RandomGenerator.default.state = saved } else { generators[name]?.state = saved }
    }
    return state
  }
}
