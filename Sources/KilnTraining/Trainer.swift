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
  /// `onProgress` hears of every few steps, `onEpoch` of every epoch; both are called on the calling thread.
  @discardableResult
  public func fit(
    _ dataset: ArrayDataset, epochs: Int, batchSize: Int, seed: UInt64 = 0, lastBatch: LastBatch = .keep,
    onProgress: ((TrainingProgress) -> Void)? = nil, onEpoch: ((EpochReport) -> Void)? = nil
  ) throws -> TrainingHistory {
    guard epochs >= 0 else {
      throw TensorError(operation: "Trainer.fit", rule: "epochs must not be negative, got \(epochs)", fix: "use 5, say")
    }
    var history = TrainingHistory()
    let clock = ContinuousClock()
    let start = clock.now
    for epoch in 0..<epochs {
      let epochStart = clock.now
      let batches = try BatchIterator(
        count: dataset.count, batchSize: batchSize, seed: seed, epoch: epoch, lastBatch: lastBatch)
      // One upload an epoch; a batch is a gather by a piece of it.
      let order = Tensor(batches.order, on: dataset.device)
      var losses = LossReader()
      var sum = 0.0
      var position = 0
      for batch in batches {
        let indices = order[position..<position + batch.count]
        position += batch.count
        // A piece of what is in memory already: no work, but equal pieces are then equal programs.
        try KilnEngine.evaluate(indices)
        let loss = try step(dataset.features.gathered(indices), dataset.labels.gathered(indices))
        losses.add(loss, weight: batch.count)
        if let drained = try losses.drain(atLeast: LossReader.interval) {
          sum += drained.weightedSum
          history.stepLosses += drained.values
          onProgress?(
            TrainingProgress(
              epoch: epoch, epochs: epochs, samples: position, sampleCount: dataset.count,
              loss: drained.values.last ?? .nan, seconds: seconds(clock.now - epochStart)))
        }
      }
      if let drained = try losses.drain(atLeast: 1) {
        sum += drained.weightedSum
        history.stepLosses += drained.values
      }
      let report = EpochReport(
        epoch: epoch, epochs: epochs, loss: position > 0 ? sum / Double(position) : .nan,
        seconds: seconds(clock.now - epochStart))
      history.epochLosses.append(report.loss)
      onEpoch?(report)
    }
    history.seconds = seconds(clock.now - start)
    return history
  }

  /// The mean loss and the accuracy over a data set, without an update.
  public func evaluate(_ dataset: ArrayDataset, batchSize: Int = 1000) throws -> Evaluation {
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

  private func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}

/// Losses that are still on the device. Reading each at once would wait for the device at every step; reading none
/// would let the host run ahead without bound.
private struct LossReader {
  static let interval = 50
  private var pending: [(loss: Tensor, weight: Int)] = []

  mutating func add(_ loss: Tensor, weight: Int) { pending.append((loss, weight)) }

  mutating func drain(atLeast count: Int) throws -> (values: [Double], weightedSum: Double)? {
    guard pending.count >= count else { return nil }
    var values: [Double] = []
    var sum = 0.0
    for (loss, weight) in pending {
      let value = try loss.item()
      values.append(value)
      sum += value * Double(weight)
    }
    pending.removeAll()
    return (values, sum)
  }
}
