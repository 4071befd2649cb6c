import KilnEngine

/// What becomes of a last batch that is not full.
public enum LastBatch: Sendable, Hashable {
  case keep, drop
}

/// The batches of one epoch as lists of sample positions. Their order depends on (seed, epoch) alone.
///
///     for positions in try BatchIterator(count: 60_000, batchSize: 32, seed: 1, epoch: 0) { ... }
public struct BatchIterator: Sequence, IteratorProtocol, Sendable {
  /// All positions of the epoch, in order.
  public let order: [Int]
  public let batchSize: Int
  public let lastBatch: LastBatch
  private var position = 0

  /// `shuffles: false` keeps the order 0, 1, 2, ... Throws `TensorError` for a batch size below 1 or a negative count.
  public init(
    count: Int, batchSize: Int, shuffles: Bool = true, seed: UInt64 = 0, epoch: Int = 0, lastBatch: LastBatch = .keep
  ) throws {
    guard count >= 0 else {
      throw TensorError(
        operation: "BatchIterator", rule: "the count must not be negative, got \(count)",
        fix: "give the number of samples")
    }
    guard batchSize >= 1 else {
      throw TensorError(
        operation: "BatchIterator", rule: "the batch size must be at least 1, got \(batchSize)", fix: "use 32, say")
    }
    var order = Array(0..<count)
    if shuffles {
      var generator = OrderGenerator(seed: seed, epoch: epoch)
      generator.shuffle(&order)
    }
    self.order = order
    self.batchSize = batchSize
    self.lastBatch = lastBatch
  }

  /// The number of batches in the epoch.
  public var batchCount: Int {
    lastBatch == .drop ? order.count / batchSize : order.count / batchSize + (order.count % batchSize == 0 ? 0 : 1)
  }

  public mutating func next() -> ArraySlice<Int>? {
    let left = order.count - position
    guard left > 0, lastBatch == .keep || left >= batchSize else { return nil }
    let size = Swift.min(batchSize, left)
    defer { position += size }
    return order[position..<position + size]
  }
}

/// Positions split in two: training and held-out samples.
public struct Split: Sendable, Hashable {
  public var training: [Int]
  public var heldOut: [Int]

  /// A random part of 0..<count, `fraction` of it held out. The same seed gives the same split.
  public init(count: Int, heldOut fraction: Double, seed: UInt64) throws {
    try self.init(groups: [Array(0..<Swift.max(count, 0))], heldOut: fraction, seed: seed)
  }

  /// The same fraction of every class is held out (rounded to the nearest whole number of samples).
  public init(labels: [Int], heldOut fraction: Double, seed: UInt64) throws {
    var groups: [Int: [Int]] = [:]
    for (position, label) in labels.enumerated() { groups[label, default: []].append(position) }
    try self.init(groups: groups.sorted { $0.key < $1.key }.map(\.value), heldOut: fraction, seed: seed)
  }

  private init(groups: [[Int]], heldOut fraction: Double, seed: UInt64) throws {
    guard fraction >= 0, fraction <= 1 else {
      throw TensorError(
        operation: "Split", rule: "the held-out fraction must lie in 0...1, got \(fraction)", fix: "use 0.2, say")
    }
    var generator = OrderGenerator(seed: seed, epoch: 0)
    training = []
    heldOut = []
    for group in groups {
      var shuffled = group
      generator.shuffle(&shuffled)
      let cut = Int((Double(shuffled.count) * fraction).rounded())
      heldOut += shuffled[..<cut]
      training += shuffled[cut...]
    }
    heldOut.sort()
    training.sort()
  }
}
