import Kiln

/// A run at work: what `kiln train` and `kiln resume` share.
struct RunSession {
  let folder: RunFolder
  let configuration: RunConfiguration
  let recipe: Recipe
  let device: Device
  let trainer: Trainer
  let model: Sequential

  init(_ folder: RunFolder, _ configuration: RunConfiguration) throws {
    (self.folder, self.configuration) = (folder, configuration)
    recipe = try Recipe.named(configuration.recipe)
    device = try Device.named(configuration.device)
    model = recipe.model(RandomGenerator(seed: configuration.seed), device)
    trainer = Trainer(model, optimizer: recipe.rule(configuration.learningRate))
  }

  func data() throws -> (training: ArrayDataset, test: ArrayDataset) {
    try recipe.data(DataFolder(configuration.data), configuration.seed, device)
  }

  /// Trains from where the newest whole checkpoint stands, or from the beginning, and reports.
  func train(_ data: (training: ArrayDataset, test: ArrayDataset)) throws -> (TrainingHistory, Evaluation) {
    print("Training \(recipe.name) on \(device.name) (\(device.driver.summary))")
    // Small runs need not flush the disk at every epoch.
    let checkpointing = Checkpointing(
      folder.checkpoints, everySteps: configuration.checkpointEvery,
      minimumSeconds: configuration.checkpointEvery == nil ? 5 : 0, interrupted: { Interrupt.isRequested })
    let callbacks: [any TrainingCallback] = [
      HistoryFile(folder.historyPath, minimumSeconds: 1), EventLog(folder.logPath),
      TensorBoardLog("\(folder.path)/tensorboard"), checkpointing,
    ]
    let state = try restored(callbacks)

    Interrupt.listen()
    let bar = ProgressBar()
    let history = try trainer.fit(
      data.training, epochs: configuration.epochs, batchSize: configuration.batchSize, seed: configuration.seed,
      callbacks: callbacks, from: state,
      onProgress: { progress in
        let rate = Double(progress.samples) / max(progress.seconds, 1e-9)
        let left = Double(progress.sampleCount - progress.samples) / max(rate, 1e-9)
        bar.draw(
          label: "Epoch \(progress.epoch + 1)/\(progress.epochs)", done: progress.samples, of: progress.sampleCount,
          note: "loss \(Terminal.fixed(progress.loss, 4)), \(Int(rate)) samples/s, \(Terminal.fixed(left, 0)) s left")
      },
      onEpoch: { report in
        bar.clear()
        let (loss, seconds) = (Terminal.fixed(report.loss, 4), Terminal.fixed(report.seconds, 2))
        print("Epoch \(report.epoch + 1)/\(report.epochs): loss \(loss), \(seconds) s")
      })
    if Interrupt.isRequested {
      bar.clear()
      Terminal.complain("kiln: interrupted; go on with: kiln resume \(folder.path)")
      Terminal.exit(130)
    }
    let result = try trainer.evaluate(data.test)
    let hash = try model.weightsHash()
    print("Parameters: \(model.parameterCount)")
    print("Weights: \(hash)")
    print("Training time: \(Terminal.fixed(history.seconds, 2)) s")
    print("Test loss: \(Terminal.fixed(result.loss, 4))")
    print("Test accuracy: \(Terminal.fixed(result.accuracy, 4))")
    print("Run: \(folder.path)")
    try folder.finish(RunResult(weights: hash, test: result, seconds: history.seconds, stopReason: nil))
    return (history, result)
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
    let state = try trainer.restore(checkpoint, callbacks: callbacks)
    print("Resuming at step \(state.step), epoch \(state.epoch + 1)")
    return state
  }

  /// Loads the newest whole checkpoint's weights, or the best's.
  func loadWeights(best: Bool) throws {
    try RunSession.checkpoint(of: folder, best: best).loadWeights(into: model)
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
