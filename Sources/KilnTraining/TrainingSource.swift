import KilnData
import KilnEngine

/// One batch as a step takes it.
struct TrainingBatch {
  /// Features, labels and, if there are any, the samples' weights; of the whole data set where it is gathered, with the
  /// batch's indices at the end.
  var inputs: [Tensor]
  var count: Int
  var isWeighted: Bool
  /// Whether the inputs' rows are still to be chosen, inside the step's program.
  var isGathered = false
  /// Where features are still bytes: what makes numbers of the chosen rows.
  var scale: Double?

  /// Features, labels and weights of the batch alone.
  var chosen: [Tensor] {
    isGathered ? Self.chosen(inputs, scale: scale) : inputs
  }

  /// Rows of whole arrays, by the indices behind them.
  static func chosen(_ inputs: [Tensor], scale: Double?) -> [Tensor] {
    guard let indices = inputs.last else { return inputs }
    var rows = inputs.dropLast().map { $0.gathered(indices) }
    if let scale { rows[0] = rows[0].cast(to: .float32) * scale }
    return rows
  }
}

/// Where `fit` takes its batches from.
struct TrainingSource {
  /// 0 where it is not known: a stream.
  var sampleCount: Int
  var batchSize: Int
  var seed: UInt64
  /// The batches of an epoch from one of them on.
  var batches: (_ epoch: Int, _ first: Int) throws -> () throws -> TrainingBatch?
}

extension TrainingSource {
  /// Samples on a device: one upload of an epoch's order, and a batch is a gather by a piece of it.
  init(
    _ dataset: ArrayDataset, batchSize: Int, seed: UInt64, lastBatch: LastBatch, augmentation: Augmentation?
  ) {
    (sampleCount, self.batchSize, self.seed) = (dataset.count, batchSize, seed)
    let arrays = [dataset.pixels?.values ?? dataset.features, dataset.labels] + (dataset.weights.map { [$0] } ?? [])
    batches = { epoch, first in
      // Or every batch would compute the whole again.
      try KilnEngine.evaluate(arrays)
      let gathering = try Gathering(
        arrays, dataset.pixels?.scale, dataset.device, epoch: epoch, augmentation: augmentation,
        batches: BatchIterator(
          count: dataset.count, batchSize: batchSize, seed: seed, epoch: epoch, lastBatch: lastBatch))
      gathering.skip(first)
      return { gathering.next() }
    }
  }

  /// Batches that threads read ahead.
  init(_ loader: DataLoader, weights: [Double]?, augmentation: Augmentation?, on device: Device) throws {
    sampleCount = try loader.isStream ? 0 : loader.plan(epoch: 0).reduce(0) { $0 + $1.count }
    (batchSize, seed) = (loader.batchSize, loader.seed)
    batches = { epoch, first in
      let batches = try loader.batches(from: DataCursor(epoch: epoch, batch: first))
      return {
        guard let batch = try batches.next() else { return nil }
        let (features, labels) = batch.tensors(on: device)
        var inputs = [features, labels]
        if let augmentation { inputs[0] = augmentation(features, samples: batch.positions, epoch: epoch) }
        if let weights {
          let own = try batch.positions.map { position -> Float in
            guard weights.indices.contains(position) else {
              throw TensorError(
                operation: "Trainer.fit", rule: "sample \(position) has no weight: there are \(weights.count)",
                fix: "give one weight for each sample of the data set")
            }
            return Float(weights[position])
          }
          inputs.append(Tensor(own, on: device))
        }
        return TrainingBatch(inputs: inputs, count: batch.count, isWeighted: weights != nil)
      }
    }
  }
}

/// One epoch of samples on a device.
private final class Gathering {
  private let arrays: [Tensor]
  private let scale: Double?
  private let epoch: Int
  private let augmentation: Augmentation?
  private let order: Tensor
  private var batches: BatchIterator
  private var position = 0

  init(
    _ arrays: [Tensor], _ scale: Double?, _ device: Device, epoch: Int, augmentation: Augmentation?,
    batches: BatchIterator
  ) {
    self.scale = scale
    (self.arrays, self.epoch, self.augmentation, self.batches) = (arrays, epoch, augmentation, batches)
    order = Tensor(batches.order, on: device)
  }

  func skip(_ count: Int) {
    for _ in 0..<count { position += batches.next()?.count ?? 0 }
  }

  func next() -> TrainingBatch? {
    guard let batch = batches.next() else { return nil }
    let rows = position..<position + batch.count
    // A piece of what is in memory already; an error of the upload travels on.
    let indices = order.rowsInMemory(rows) ?? order[rows]
    position += batch.count
    let isWeighted = arrays.count > 2
    guard let augmentation else {
      return TrainingBatch(
        inputs: arrays + [indices], count: batch.count, isWeighted: isWeighted, isGathered: true, scale: scale)
    }
    var inputs = TrainingBatch.chosen(arrays + [indices], scale: scale)
    inputs[0] = augmentation(inputs[0], samples: Array(batch), epoch: epoch)
    return TrainingBatch(inputs: inputs, count: batch.count, isWeighted: isWeighted)
  }
}
