import KilnData
import KilnEngine

/// Samples to train on or to judge by: in memory, or read as they are needed.
public enum TrainingData: Sendable {
  case array(ArrayDataset)
  case loader(DataLoader)

  /// 0 for a stream, whose length is not known.
  public var count: Int {
    switch self {
    case .array(let dataset): dataset.count
    case .loader(let loader): loader.sampleCount ?? 0
    }
  }

  /// What is in memory; `nil` for what is read.
  public var array: ArrayDataset? { if case .array(let dataset) = self { dataset } else { nil } }

  /// All that is in memory; of a loader's samples at most so many, from all over a data set or the first ones of a stream.
  public func samples(_ limit: Int) throws -> ArrayDataset {
    switch self {
    case .array(let dataset): dataset
    case .loader(let loader): try loader.samples(limit)
    }
  }
}

extension Trainer {
  /// Trains on data of either kind. Batch size, seed and the last batch of a loader are its own; the rest is as for an
  /// `ArrayDataset`.
  @discardableResult
  public func fit(
    _ data: TrainingData, epochs: Int, batchSize: Int = 32, seed: UInt64 = 0, lastBatch: LastBatch = .keep,
    validation: TrainingData? = nil, augmentation: Augmentation? = nil, callbacks: [any TrainingCallback] = [],
    from state: TrainingState? = nil, onProgress: ((TrainingProgress) -> Void)? = nil,
    onEpoch: ((EpochReport) -> Void)? = nil
  ) throws -> TrainingHistory {
    let source =
      switch data {
      case .array(let dataset):
        TrainingSource(
          try dataset.to(device), batchSize: batchSize, seed: seed, lastBatch: lastBatch, augmentation: augmentation)
      case .loader(let loader):
        try TrainingSource(loader, weights: nil, augmentation: augmentation, on: device)
      }
    return try fit(
      source, epochs: epochs, validation: validation.map { try $0.to(device) }, callbacks: callbacks, from: state,
      onProgress: onProgress, onEpoch: onEpoch)
  }

  /// The mean loss and the metrics over data of either kind.
  public func evaluate(_ data: TrainingData) throws -> Evaluation {
    switch data {
    case .array(let dataset): try evaluate(dataset)
    case .loader(let loader): try evaluate(loader)
    }
  }
}

extension TrainingData {
  /// What is in memory on a device; a loader's batches go there by themselves.
  fileprivate func to(_ device: Device) throws -> TrainingData {
    if case .array(let dataset) = self { .array(try dataset.to(device)) } else { self }
  }
}
