import KilnEngine

/// Where an epoch's batches stand: save it, and the loader goes on from there.
public struct DataCursor: Sendable, Hashable, Codable {
  public var epoch: Int
  /// Batches of the epoch that were handed out.
  public var batch: Int

  public init(epoch: Int = 0, batch: Int = 0) { (self.epoch, self.batch) = (epoch, batch) }
}

/// Batches of a data set, read ahead by background threads.
///
///     let loader = try DataLoader(dataset, batchSize: 32, seed: 1)
///     let batches = try loader.batches(epoch: 0)
///     while let batch = try batches.next() { ... }
///
/// The batches depend on the data set, the sampler, the seed and the epoch alone, not on the number of workers.
/// PyTorch: `DataLoader`.
public struct DataLoader: Sendable {
  /// Samples for each batch.
  public var batchSize = 32
  public var sampler: Sampler = .shuffled
  public var seed: UInt64 = 0
  public var lastBatch: LastBatch = .keep
  /// Threads that read ahead. 0 reads in the thread that calls `next`, which a reader that never returns then holds.
  public var workers = 1
  /// Batches that are read ahead, at most.
  public var prefetch = 2
  /// Seconds that one sample may take before the reading ends with an error that names it.
  public var timeLimit = 60.0
  /// For sequences of different lengths.
  public var padding: Padding?
  /// Samples share a batch only with those between the same two of these lengths, so that little is padded. Needs a
  /// data set that knows its samples' lengths.
  public var bucketBoundaries: [Int] = []
  /// For streams: this many samples are held in memory and drawn from at random; 0 keeps the stream's order.
  public var shuffleBuffer = 0

  enum Source: Sendable {
    case dataset(any Dataset)
    case stream(any DataStream)
  }
  let source: Source

  /// Whether the number of its samples is not known before they were read.
  public var isStream: Bool {
    if case .stream = source { return true }
    return false
  }

  /// The number of the data set's samples; `nil` for a stream.
  public var sampleCount: Int? {
    if case .dataset(let dataset) = source { return dataset.count }
    return nil
  }

  /// At most so many samples in memory, to look at: from all over a data set, or the first ones of a stream. Throws what
  /// their reader does, and `TensorError` where there is none.
  public func samples(_ limit: Int, on device: Device = .default) throws -> ArrayDataset {
    var samples: [Sample] = []
    var names: (Int) -> String = { "sample \($0)" }
    switch source {
    case .dataset(let dataset):
      let count = min(max(limit, 0), dataset.count)
      samples = try (0..<count).map { try dataset.sample(at: $0 * dataset.count / count) }
      names = { dataset.name(of: $0 * dataset.count / count) }
    case .stream(let stream):
      let reader = try stream.makeReader()
      while samples.count < limit, let sample = try reader.next() { samples.append(sample) }
      names = { "\(stream.name), sample \($0)" }
    }
    let batch = try Batch(samples, positions: Array(samples.indices), padding: padding, name: names)
    let (features, labels) = batch.tensors(on: device)
    try evaluate(features, labels)
    return try ArrayDataset(features: features, labels: labels)
  }

  /// A loader of a data set. Throws `TensorError` for a batch size below 1.
  public init(
    _ dataset: any Dataset, batchSize: Int = 32, sampler: Sampler = .shuffled, seed: UInt64 = 0,
    lastBatch: LastBatch = .keep, workers: Int = 1, prefetch: Int = 2, timeLimit: Double = 60,
    padding: Padding? = nil, bucketBoundaries: [Int] = []
  ) throws {
    source = .dataset(dataset)
    (self.batchSize, self.sampler, self.seed, self.lastBatch) = (batchSize, sampler, seed, lastBatch)
    (self.workers, self.prefetch, self.timeLimit) = (workers, prefetch, timeLimit)
    (self.padding, self.bucketBoundaries) = (padding, bucketBoundaries)
    try check()
  }

  /// A loader of a stream, read by one background thread (with `workers` 0 by the caller). With a `shuffleBuffer` the
  /// order is random within a window of that many samples. Memory: the buffer and `prefetch` batches.
  public init(
    stream: any DataStream, batchSize: Int = 32, shuffleBuffer: Int = 0, seed: UInt64 = 0,
    lastBatch: LastBatch = .keep, workers: Int = 1, prefetch: Int = 2, timeLimit: Double = 60, padding: Padding? = nil
  ) throws {
    source = .stream(stream)
    (self.batchSize, self.shuffleBuffer, self.seed) = (batchSize, shuffleBuffer, seed)
    (self.lastBatch, self.workers, self.prefetch) = (lastBatch, workers, prefetch)
    (self.timeLimit, self.padding) = (timeLimit, padding)
    try check()
  }

  private func check() throws {
    func refuse(_ rule: String, _ fix: String) -> TensorError {
      TensorError(operation: "DataLoader", rule: rule, fix: fix)
    }
    guard batchSize >= 1 else { throw refuse("the batch size must be at least 1, got \(batchSize)", "use 32, say") }
    guard (0...256).contains(workers) else {
      throw refuse("workers must lie in 0...256, got \(workers)", "use the number of cores at most")
    }
    guard prefetch >= 1 else { throw refuse("prefetch must be at least 1, got \(prefetch)", "use 2") }
    guard timeLimit > 0 else {
      throw refuse("the time limit must be positive, got \(timeLimit)", "use .infinity for none")
    }
    guard shuffleBuffer >= 0 else {
      throw refuse("the shuffle buffer must not be negative, got \(shuffleBuffer)", "use 0 to keep the order")
    }
    guard zip(bucketBoundaries, bucketBoundaries.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw refuse("bucket boundaries must rise, got \(bucketBoundaries)", "sort them and remove doubles")
    }
    if let padding, padding.multiple < 1 || (padding.maximum ?? 1) < 1 {
      throw refuse(
        "padding's multiple and maximum must be at least 1, got \(padding.multiple) and \(padding.maximum ?? 1)",
        "use 1 for no rounding, nil for no maximum")
    }
  }

  /// The positions of each batch of an epoch. Throws for streams, whose number of samples is not known.
  public func plan(epoch: Int) throws -> [[Int]] {
    guard case .dataset(let dataset) = source else {
      throw TensorError(
        operation: "DataLoader.plan", rule: "a stream has no plan", fix: "read its batches, or collect it first")
    }
    let order = try sampler.order(count: dataset.count, seed: seed, epoch: epoch)
    guard !bucketBoundaries.isEmpty else { return cut(order) }
    var open = [[Int]](repeating: [], count: bucketBoundaries.count + 1)
    var batches: [[Int]] = []
    for position in order {
      guard let length = dataset.length(at: position) else {
        throw TensorError(
          operation: "DataLoader", rule: "buckets need lengths, \(dataset.name(of: position)) has none",
          fix: "implement `length(at:)`, or leave the boundaries out")
      }
      let bucket = bucketBoundaries.firstIndex { length < $0 } ?? bucketBoundaries.count
      open[bucket].append(position)
      if open[bucket].count == batchSize {
        batches.append(open[bucket])
        open[bucket] = []
      }
    }
    if lastBatch == .keep { batches += open.filter { !$0.isEmpty } }
    return batches
  }

  private func cut(_ order: [Int]) -> [[Int]] {
    var batches: [[Int]] = []
    var start = 0
    while order.count - start >= (lastBatch == .drop ? batchSize : 1) {
      let end = order.count - start > batchSize ? start + batchSize : order.count
      batches.append(Array(order[start..<end]))
      start = end
    }
    return batches
  }

  /// The batches of an epoch, from the first. Throws `TensorError` where options do not fit the data set.
  public func batches(epoch: Int) throws -> LoadedBatches { try batches(from: DataCursor(epoch: epoch)) }

  /// The batches of an epoch from where a cursor stands. Of a stream, the batches before are read and dropped.
  public func batches(from cursor: DataCursor) throws -> LoadedBatches {
    guard cursor.batch >= 0 else {
      throw TensorError(
        operation: "DataLoader", rule: "a cursor's batch must not be negative, got \(cursor.batch)",
        fix: "start at 0")
    }
    try check()
    let work: any BatchWork
    switch source {
    case .dataset(let dataset): work = DatasetWork(dataset, try plan(epoch: cursor.epoch), padding)
    case .stream(let stream):
      work = StreamWork(
        stream, self, order: OrderGenerator(seed: seed, epoch: cursor.epoch), skipping: cursor.batch)
    }
    return LoadedBatches(work, loader: self, cursor: cursor)
  }
}
