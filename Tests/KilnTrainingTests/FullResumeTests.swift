import Foundation
import Kiln
import Testing

/// Trains the first layer from the second epoch on alone, so that its parameters have taken fewer steps.
private final class Thawing: TrainingCallback {
  func trainingBegan(_ run: TrainingRun) { thaw(run) }
  func epochEnded(_ run: TrainingRun, _ report: EpochReport) { thaw(run) }
  private func thaw(_ run: TrainingRun) {
    for named in run.trainer.model.namedParameters where named.name.hasPrefix("0.") {
      named.parameter.isTrainable = run.state.epoch > 0
    }
  }
}

@Suite("Resume with everything that has state", .serialized)
struct FullResumeTests {
  static let epochs = 5

  /// Dropout, batch normalization, clipping, accumulation, schedule, average, class weights, metrics, plateau, early
  /// stopping.
  static func trainer(_ device: Device) throws -> Trainer {
    setSeed(11)
    let generator = RandomGenerator(seed: 5)
    let model = Sequential {
      Dense(6, 16, generator: generator, on: device)
      BatchNorm1D(16, on: device)
      ReLU()
      Dropout(0.2)
      Dense(16, 6, generator: generator, on: device)
    }
    let options = TrainerOptions(
      schedule: SequentialSchedule([LinearWarmup(steps: 4), CosineSchedule(steps: 20)], milestones: [4]),
      clipping: .globalNorm(0.5), accumulation: 2, averaging: .init(decay: 0.8, correctsBias: true),
      classWeights: [1, 2, 1, 1, 0.5, 1])
    return Trainer(
      model, optimizer: AdamW(learningRate: 0.02), metrics: [.accuracy, .f1, .perplexity], options: options)
  }

  static func callbacks() -> [any TrainingCallback] {
    [
      ReducingOnPlateau(
        monitor: .loss, ReduceOnPlateau(factor: 0.5, patience: 0, threshold: .absolute(0.2), cooldown: 1)),
      EarlyStopping(monitor: .init(.f1), patience: 4), Thawing(),
    ]
  }

  struct Outcome: Equatable {
    var bits: [String: [UInt8]]
    var slots: [String: [UInt8]]
    var averages: [String: [UInt8]]
    var steps: [String: Int]
    var groups: [OptimizerState.Group]
    var losses: [Double]
    var metrics: [[String: Double]]
    var validation: [Evaluation]
    var rates: [Double]

    init(_ trainer: Trainer, _ history: TrainingHistory) throws {
      bits = try Small.bits(trainer)
      let state = trainer.optimizer.state
      slots = try state.slots.mapValues { try $0.hostBytes() }
      averages = try #require(trainer.average).saved().averages.mapValues { try $0.hostBytes() }
      (steps, groups) = (state.steps, state.groups)
      losses = history.stepLosses
      metrics = history.epochs.map(\.metrics)
      validation = history.epochs.compactMap(\.validation)
      rates = history.epochs.map(\.learningRate)
    }
  }

  static func fit(_ trainer: Trainer, _ callbacks: [any TrainingCallback], from state: TrainingState? = nil) throws
    -> TrainingHistory
  {
    let device = trainer.device
    return try trainer.fit(
      Small.dataset(device), epochs: epochs, batchSize: 8, seed: 2, validation: Small.dataset(device, seed: 4),
      callbacks: callbacks, from: state)
  }

  @Test("from every checkpoint weights, slots, averages, metrics and rates end with the same bits")
  func resume() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 100)
    let whole = try Self.trainer(.cpu)
    let history = try Self.fit(whole, Self.callbacks() + [Checkpointing(store, everySteps: 1)])
    let expected = try Outcome(whole, history)
    // The test is about something: the plateau lowered the rate, the frozen layer took fewer steps, metrics moved.
    #expect(expected.groups[0].learningRate < 0.02)
    #expect(Set(expected.steps.values) == [whole.optimizer.stepCount, whole.optimizer.stepCount - 5])
    #expect(Set(expected.metrics.map { $0["f1"] }).count > 1)
    let all = try store.all()
    #expect(all.count == whole.optimizer.stepCount)
    for checkpoint in all {
      let trainer = try Self.trainer(.cpu)
      setSeed(999)
      let callbacks = Self.callbacks()
      let state = try trainer.restore(checkpoint, callbacks: callbacks)
      #expect(try Outcome(trainer, Self.fit(trainer, callbacks, from: state)) == expected, "step \(checkpoint.step)")
    }
  }

  @Test("the averages are part of what is restored, and of what is checked")
  func average() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path)
    let trainer = try Self.trainer(.cpu)
    _ = try Self.fit(trainer, Self.callbacks() + [Checkpointing(store)])
    let checkpoint = try #require(try store.latest().checkpoint)
    let again = try Self.trainer(.cpu)
    _ = try again.restore(checkpoint)
    let data = try Small.dataset(.cpu)
    #expect(try again.predict(data.features).doubles() == trainer.predict(data.features).doubles())
    try FileManager.default.removeItem(atPath: "\(checkpoint.path)/average.safetensors")
    #expect(throws: DataError.self) { try again.restore(checkpoint) }
  }

  @Test("a loader's training resumes in the middle of an epoch with the same bits")
  func loader() throws {
    let data = try Small.dataset(.cpu)
    let samples = try HostDataset(features: HostArray(data.features), labels: HostArray(data.labels))
    let loader = try DataLoader(samples, batchSize: 16, seed: 3, workers: 1)
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 100)
    let whole = Small.trainer(.cpu)
    try whole.fit(loader, epochs: 2, callbacks: [Checkpointing(store, everySteps: 1)])
    for checkpoint in try store.all() {
      let trainer = Small.trainer(.cpu)
      setSeed(999)
      let state = try trainer.restore(checkpoint)
      try trainer.fit(loader, epochs: 2, from: state)
      #expect(try Small.bits(trainer) == Small.bits(whole), "step \(checkpoint.step)")
    }
  }
}
