import Foundation
import Kiln
import KilnConfiguration

/// A run at work: what `kiln train` and `kiln resume` share.
struct RunSession {
  let folder: RunFolder
  let configuration: RunConfiguration
  let plan: RunPlan
  /// Of a configuration's run alone.
  let preparation: Preparation?
  let device: Device
  let trainer: Trainer
  let model: Sequential

  /// A run that exists. Its model needs no data.
  init(_ folder: RunFolder, _ configuration: RunConfiguration) throws {
    let preparation = try folder.file(RunPlan.preparationFile).map { try Preparation(contentsOf: $0) }
    try self.init(folder, configuration, try RunPlan(folder), preparation)
  }

  init(_ folder: RunFolder, _ configuration: RunConfiguration, _ plan: RunPlan, _ preparation: Preparation?) throws {
    (self.folder, self.configuration, self.plan, self.preparation) = (folder, configuration, plan, preparation)
    device = try Device.named(configuration.device)
    (model, trainer) = try plan.trainer(configuration, preparation, on: device)
  }

  /// What it is tested on.
  func testSet() throws -> TrainingData {
    guard let test = try plan.sets(configuration, on: device).test else {
      throw DataError(
        file: folder.path, rule: "has no test part", fix: "give its configuration a share for data.test")
    }
    return test
  }

  /// What one sample is, without the batch.
  func sample() throws -> (shape: [Int], dtype: DType) {
    if let preparation { return preparation.sample }
    let features = try testSet().samples(1).features
    return (Array(features.shape.dimensions.dropFirst()), features.dtype)
  }

  /// Trains from where the newest whole checkpoint stands, or from the beginning, and reports.
  func train(_ sets: RunSets) throws -> (TrainingHistory, Evaluation) {
    print("Training \(plan.name) on \(device.name) (\(device.driver.summary))")
    let diagnostics = RunDiagnostics(
      try sets.training.samples(Self.probeSize), nonFinite: plan.nonFinite, path: folder.diagnosesPath
    ) { Terminal.complain("kiln: \($0)") }
    let callbacks = try callbacks() + [diagnostics]
    let state = try restored(callbacks)

    Interrupt.listen()
    let bar = ProgressBar()
    var isCompileTimeShown = false
    func showCompileTime() {
      if isCompileTimeShown { return }
      bar.clear()
      print("Training step compiled in \(Terminal.fixed(trainer.compileSeconds, 3)) s")
      isCompileTimeShown = true
    }
    var augmentation: Augmentation?
    var lastBatch = LastBatch.keep
    if case .configured(let own) = plan { (augmentation, lastBatch) = (own.augmentation, own.lastBatch) }
    let history = try trainer.fit(
      sets.training, epochs: configuration.epochs, batchSize: configuration.batchSize, seed: configuration.seed,
      lastBatch: lastBatch, validation: sets.validation, augmentation: augmentation, callbacks: callbacks, from: state,
      onProgress: { progress in
        showCompileTime()
        let rate = Double(progress.samples) / max(progress.seconds, 1e-9)
        let left = Double(progress.sampleCount - progress.samples) / max(rate, 1e-9)
        bar.draw(
          label: "Epoch \(progress.epoch + 1)/\(progress.epochs)", done: progress.samples, of: progress.sampleCount,
          note: "loss \(Terminal.fixed(progress.loss, 4)), \(Int(rate)) samples/s, \(Terminal.fixed(left, 0)) s left")
      },
      onEpoch: { report in
        showCompileTime()
        bar.clear()
        print(line(report))
        // A log file or a pipe is to say where the training is, too.
        fflush(nil)
      })
    if Interrupt.isRequested {
      bar.clear()
      Terminal.complain("kiln: interrupted; go on with: kiln resume \(folder.path)")
      Terminal.exit(130)
    }
    if let reason = trainerStop(history) { print(reason) }
    let tested = try sets.test.map { try trainer.evaluate($0) }
    let result = tested ?? Evaluation(loss: .nan, metrics: [:])
    let hash = try model.weightsHash()
    print("Parameters: \(model.parameterCount)")
    print("Weights: \(hash)")
    print("Training time: \(Terminal.fixed(history.seconds, 2)) s")
    if sets.test != nil { report(result) }
    print("Run: \(folder.path)")
    try folder.finish(
      RunResult(
        weights: hash, test: result, seconds: history.seconds, compileSeconds: history.compileSeconds,
        stopReason: trainerStop(history)))
    try writeReport(history, test: sets.test, result: tested, to: folder.reportPath)
    return (history, result)
  }

  /// Of samples that are read as they are needed: to look at gradients with, and to show in a report.
  private static let probeSize = 256
  static let shownSize = 2000

  /// Why the training ended before its last epoch.
  private func trainerStop(_ history: TrainingHistory) -> String? {
    history.epochs.count < configuration.epochs ? "Stopped after epoch \(history.epochs.count)" : nil
  }

  /// The test's numbers, a line each.
  func report(_ result: Evaluation) {
    print("Test loss: \(Terminal.fixed(result.loss, 4))")
    for metric in trainer.metrics {
      print("Test \(metric.name): \(Terminal.fixed(result.metrics[metric.name] ?? .nan, 4))")
    }
  }

  private func line(_ report: EpochReport) -> String {
    var parts = ["loss \(Terminal.fixed(report.loss, 4))"]
    for metric in trainer.metrics {
      if let value = report.metrics[metric.name] { parts.append("\(metric.name) \(Terminal.fixed(value, 4))") }
    }
    if let validation = report.validation {
      parts.append("validation loss \(Terminal.fixed(validation.loss, 4))")
      for metric in trainer.metrics {
        if let value = validation.metrics[metric.name] {
          parts.append("validation \(metric.name) \(Terminal.fixed(value, 4))")
        }
      }
    }
    parts.append("\(Terminal.fixed(report.seconds, 2)) s")
    return "Epoch \(report.epoch + 1)/\(report.epochs): " + parts.joined(separator: ", ")
  }

  private func callbacks() throws -> [any TrainingCallback] {
    var store = folder.checkpoints
    var monitor: MonitoredValue?
    if case .configured(let own) = plan {
      store = CheckpointStore(store.path, keep: own.checkpointsKept)
      monitor = try own.checkpointMonitor()
    }
    // Small runs need not flush the disk at every epoch.
    let checkpointing = Checkpointing(
      store, everySteps: configuration.checkpointEvery, minimumSeconds: configuration.checkpointEvery == nil ? 5 : 0,
      monitor: monitor, interrupted: { Interrupt.isRequested })
    return try plan.callbacks() + [
      HistoryFile(folder.historyPath, minimumSeconds: 1), EventLog(folder.logPath),
      TensorBoardLog("\(folder.path)/tensorboard"), checkpointing,
    ]
  }

  /// Sets damaged checkpoints aside, says so, and takes up the newest whole one.
  private func restored(_ callbacks: [any TrainingCallback]) throws -> TrainingState? {
    let store = folder.checkpoints
    let (checkpoint, damaged) = try store.latest()
    for damage in damaged {
      let place = try store.setAside(damage.checkpoint)
      Terminal.complain("kiln: \(damage); it is now \(place)")
    }
    guard let checkpoint else {
      if !damaged.isEmpty { Terminal.complain("kiln: no whole checkpoint is left; training from the beginning") }
      return nil
    }
    if !damaged.isEmpty { Terminal.complain("kiln: going on from the checkpoint before, step \(checkpoint.step)") }
    if let damage = try checkpoint.lossDamage() { Terminal.complain("kiln: \(damage)") }
    let state = try trainer.restore(checkpoint, callbacks: callbacks)
    print("Resuming at step \(state.step), epoch \(state.epoch + 1)")
    return state
  }

  /// Loads the newest whole checkpoint's weights, or the best's, and their average if there is one.
  func loadWeights(best: Bool) throws -> Checkpoint {
    let checkpoint = try RunSession.checkpoint(of: folder, best: best)
    if trainer.options.averaging != nil {
      _ = try trainer.restore(checkpoint)
    } else {
      try checkpoint.loadWeights(into: model)
    }
    return checkpoint
  }

  static func checkpoint(of folder: RunFolder, best: Bool) throws -> Checkpoint {
    _ = try folder.configuration()
    let (latest, damaged) = try folder.checkpoints.latest()
    for damage in damaged { Terminal.complain("kiln: \(damage)") }
    guard let found = best ? try folder.checkpoints.best() : latest else {
      throw DataError(
        file: folder.path, rule: "has no whole checkpoint", fix: "train on with `kiln resume \(folder.path)`")
    }
    return found
  }
}
