import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

extension Trainer {
  /// Trains for some epochs, each in an order of samples that (seed, epoch) decides. Same seed, same weights.
  ///
  /// - Parameters:
  ///   - dataset: moved to the model's device if it is elsewhere.
  ///   - validation: evaluated after every epoch.
  ///   - validationSplit: this share of the data set is held out for that instead, chosen by the seed; of every class
  ///     alike where labels are integers [count].
  ///   - augmentation: changes every training batch, as a function of (its seed, epoch, sample).
  ///   - state: where `restore` says that the training stood; the epochs before it are not run again.
  ///   - onProgress: hears of every few steps, `onEpoch` of every epoch; both are called on the calling thread.
  /// - Throws: the tensors' or the device's errors, the callbacks', one where the loss does not fit the model's last
  ///   activation, and a `TensorError` with the step if the loss is not finite; that is found when losses are read, at the
  ///   latest 50 steps on or before a checkpoint is written.
  @discardableResult
  public func fit(
    _ dataset: ArrayDataset, epochs: Int, batchSize: Int = 32, seed: UInt64 = 0, lastBatch: LastBatch = .keep,
    validation: ArrayDataset? = nil, validationSplit: Double = 0, augmentation: Augmentation? = nil,
    callbacks: [any TrainingCallback] = [], from state: TrainingState? = nil,
    onProgress: ((TrainingProgress) -> Void)? = nil, onEpoch: ((EpochReport) -> Void)? = nil
  ) throws -> TrainingHistory {
    var (training, heldOut) = (dataset, validation)
    if validationSplit != 0 {
      guard validation == nil, validationSplit > 0, validationSplit < 1 else {
        throw TensorError(
          operation: "Trainer.fit", rule: "validationSplit must lie in 0..<1 and stand alone, got \(validationSplit)",
          fix: "give either validation data or a share such as 0.2")
      }
      (training, heldOut) = try dataset.split(heldOut: validationSplit, seed: seed)
    }
    let source = TrainingSource(
      try training.to(device), batchSize: batchSize, seed: seed, lastBatch: lastBatch, augmentation: augmentation)
    return try fit(
      source, epochs: epochs, validation: heldOut.map { .array(try $0.to(device)) }, callbacks: callbacks, from: state,
      onProgress: onProgress, onEpoch: onEpoch)
  }

  /// Trains on the batches of a loader, in its order: for data that is read as it is needed.
  ///
  /// `weights` say how much each sample of the loader's data set counts, by its position. The rest is as above; batch size,
  /// seed, order and the last batch are the loader's.
  @discardableResult
  public func fit(
    _ loader: DataLoader, epochs: Int, validation: DataLoader? = nil, weights: [Double]? = nil,
    augmentation: Augmentation? = nil, callbacks: [any TrainingCallback] = [], from state: TrainingState? = nil,
    onProgress: ((TrainingProgress) -> Void)? = nil, onEpoch: ((EpochReport) -> Void)? = nil
  ) throws -> TrainingHistory {
    try fit(
      TrainingSource(loader, weights: weights, augmentation: augmentation, on: device), epochs: epochs,
      validation: validation.map { .loader($0) }, callbacks: callbacks, from: state, onProgress: onProgress,
      onEpoch: onEpoch)
  }

  func fit(
    _ source: TrainingSource, epochs: Int, validation: TrainingData?, callbacks: [any TrainingCallback],
    from state: TrainingState?, onProgress: ((TrainingProgress) -> Void)?, onEpoch: ((EpochReport) -> Void)?
  ) throws -> TrainingHistory {
    guard epochs >= 0 else {
      throw TensorError(operation: "Trainer.fit", rule: "epochs must not be negative, got \(epochs)", fix: "use 5, say")
    }
    try check()
    let run = try TrainingRun(
      trainer: self, epochs: epochs, source: source, from: state, validation: validation, callbacks: callbacks,
      onProgress: onProgress, onEpoch: onEpoch)
    try run.begin()
    while run.goesOn {
      run.beginEpoch()
      recheck()
      let batches = try source.batches(run.state.epoch, run.state.batch)
      var next = try batches()
      while let batch = next, !run.isStopped {
        // The one after it, so that an epoch's last is known.
        next = try batches()
        let (outputs, isUpdate) = try step(batch, isLast: next == nil, measures: measuresTraining)
        try run.add(outputs, samples: batch.count, isUpdate: isUpdate, isLast: next == nil)
      }
      if !run.isStopped || run.isEpochComplete { try run.endEpoch() }
    }
    return try run.end()
  }
}

extension ArrayDataset {
  /// Two parts, the second a share of the whole: of every class alike where labels are integers [count].
  func split(heldOut share: Double, seed: UInt64) throws -> (ArrayDataset, ArrayDataset) {
    let isOfClasses = labels.rank == 1 && !labels.dtype.isFloat
    let split =
      isOfClasses
      ? try Split(labels: labels.cast(to: .int64).scalars(as: Int.self), heldOut: share, seed: seed)
      : try Split(count: count, heldOut: share, seed: seed)
    return (try subset(split.training), try subset(split.heldOut))
  }
}
