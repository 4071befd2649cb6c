import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

/// Fits a model to a data set: batches, loss, gradients and updates.
///
///     let trainer = Trainer(model, optimizer: Adam(learningRate: 0.001)) {
///       softmaxCrossEntropy(logits: $0, labels: $1)
///     }
///     try trainer.fit(training, epochs: 5, batchSize: 32, seed: 1)
///     let result = try trainer.evaluate(test)
public final class Trainer: Sendable {
  /// (the model's result, the labels) to a scalar.
  public typealias Loss = @Sendable (_ predictions: Tensor, _ labels: Tensor) -> Tensor

  public let model: any Layer
  public let optimizer: Optimizer
  public let loss: Loss

  public init(
    _ model: any Layer, optimizer rule: any UpdateRule,
    loss: @escaping Loss = { softmaxCrossEntropy(logits: $0, labels: $1) }
  ) {
    self.model = model
    self.loss = loss
    optimizer = Optimizer(rule, for: model)
  }

  /// One update with one batch. The result is the loss before it, evaluated but not read: reading waits for the device.
  @discardableResult
  public func step(_ features: Tensor, _ labels: Tensor) throws -> Tensor {
    let value = loss(model(features), labels)
    let gradients = try gradient(of: value, withRespectTo: optimizer.values)
    // Without its history, or the whole step's graph would live as long as the loss does.
    let result = value.stopGradient()
    try optimizer.step(gradients: gradients, evaluating: [result])
    return result
  }

  /// Trains for some epochs, each in an order of samples that (seed, epoch) decides. Same seed, same weights.
  ///
  /// - Parameters:
  ///   - validation: evaluated after every epoch.
  ///   - state: where `restore` says that the training stood; the epochs before it are not run again.
  ///   - onProgress: hears of every few steps, `onEpoch` of every epoch; both are called on the calling thread.
  /// - Throws: the tensors' or the device's errors, the callbacks', and a `TensorError` with the step if the loss is not
  ///   finite; it is found when losses are read, at the latest 50 steps on or before a checkpoint is written.
  @discardableResult
  public func fit(
    _ dataset: ArrayDataset, epochs: Int, batchSize: Int, seed: UInt64 = 0, lastBatch: LastBatch = .keep,
    validation: ArrayDataset? = nil, callbacks: [any TrainingCallback] = [], from state: TrainingState? = nil,
    onProgress: ((TrainingProgress) -> Void)? = nil, onEpoch: ((EpochReport) -> Void)? = nil
  ) throws -> TrainingHistory {
    guard epochs >= 0 else {
      throw TensorError(operation: "Trainer.fit", rule: "epochs must not be negative, got \(epochs)", fix: "use 5, say")
    }
    let run = try TrainingRun(
      trainer: self, epochs: epochs, batchSize: batchSize, seed: seed, sampleCount: dataset.count, from: state,
      validation: validation, callbacks: callbacks, onProgress: onProgress, onEpoch: onEpoch)
    try run.begin()
    while run.goesOn {
      run.beginEpoch()
      let batches = try BatchIterator(
        count: dataset.count, batchSize: batchSize, seed: seed, epoch: run.state.epoch, lastBatch: lastBatch)
      // One upload an epoch; a batch is a gather by a piece of it.
      let order = Tensor(batches.order, on: dataset.device)
      var position = 0
      for batch in batches where !run.isStopped {
        let start = position
        position += batch.count
        // Before a resume.
        if start < run.state.position { continue }
        let indices = order[start..<position]
        // A piece of what is in memory already: no work, but equal pieces are then equal programs.
        try KilnEngine.evaluate(indices)
        let loss = try step(dataset.features.gathered(indices), dataset.labels.gathered(indices))
        try run.add(loss, samples: batch.count)
      }
      if !run.isStopped || run.state.position == dataset.count { try run.endEpoch() }
    }
    return try run.end()
  }

  /// The mean loss and the accuracy over a data set, without an update, the model in evaluation mode.
  public func evaluate(_ dataset: ArrayDataset, batchSize: Int = 1000) throws -> Evaluation {
    try model.evaluating { try evaluateNow(dataset, batchSize: batchSize) }
  }

  private func evaluateNow(_ dataset: ArrayDataset, batchSize: Int) throws -> Evaluation {
    var loss = 0.0
    var correct = 0.0
    for batch in try BatchIterator(count: dataset.count, batchSize: batchSize, shuffles: false) {
      let (features, labels) = dataset.batch(batch)
      let logits = model(features)
      let part = self.loss(logits, labels).stopGradient()
      let hits = isCorrect(logits: logits, labels: labels).sum().stopGradient()
      try KilnEngine.evaluate(part, hits)
      loss += try part.item() * Double(batch.count)
      correct += try hits.item()
    }
    let count = Double(dataset.count)
    return Evaluation(loss: loss / count, accuracy: correct / count)
  }
}
