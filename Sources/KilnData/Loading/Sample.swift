import KilnEngine

/// One sample in host memory: features of any shape, and a label of any shape (rank 0 for a class).
public struct Sample: Sendable, Hashable {
  public var features: HostArray
  public var label: HostArray

  public init(features: HostArray, label: HostArray) { (self.features, self.label) = (features, label) }

  /// A sample of a class.
  public init(features: HostArray, label: Int) {
    self.init(features: features, label: HostArray(.int64, [], [Int64(label)]))
  }
}

/// Samples that can be read in any order. Several threads read at once.
///
/// PyTorch: `Dataset`; Keras: `PyDataset`.
public protocol Dataset: Sendable {
  var count: Int { get }
  /// The sample at 0..<count. What it throws is reported with the sample's name.
  func sample(at position: Int) throws -> Sample
  /// How errors name a sample.
  func name(of position: Int) -> String
  /// The size of a sample's axis 0, for bucketing; `nil` where it is not known without reading.
  func length(at position: Int) -> Int?
}

extension Dataset {
  public func name(of position: Int) -> String { "sample \(position)" }
  public func length(at position: Int) -> Int? { nil }

  /// The samples at these positions alone. A position that does not exist is an error of the reading.
  public func subset(_ positions: [Int]) -> SubsetDataset { SubsetDataset(base: self, positions: positions) }

  /// Each sample changed by `transform`, which runs on the loader's threads.
  public func mapped(_ transform: @escaping @Sendable (Sample) throws -> Sample) -> MappedDataset {
    MappedDataset(base: self, transform: transform)
  }
}

/// Some samples of another data set, in an order of their own.
public struct SubsetDataset: Dataset {
  let base: any Dataset
  let positions: [Int]

  public var count: Int { positions.count }

  /// The base's sample at `positions[position]`.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "subset")
    try checkPosition(positions[position], base.count, "the data set under this subset")
    return try base.sample(at: positions[position])
  }

  /// The base's name.
  public func name(of position: Int) -> String {
    positions.indices.contains(position) ? base.name(of: positions[position]) : "sample \(position)"
  }

  /// The base's length.
  public func length(at position: Int) -> Int? {
    positions.indices.contains(position) ? base.length(at: positions[position]) : nil
  }
}

/// The samples of another data set, each changed.
public struct MappedDataset: Dataset {
  let base: any Dataset
  let transform: @Sendable (Sample) throws -> Sample

  public var count: Int { base.count }

  /// The changed sample.
  public func sample(at position: Int) throws -> Sample { try transform(base.sample(at: position)) }

  /// The base's name.
  public func name(of position: Int) -> String { base.name(of: position) }
}

/// Samples in memory, in one array with its labels; the rows of axis 0.
public struct HostDataset: Dataset {
  public let features: HostArray
  public let labels: HostArray
  public var count: Int { features.shape[0] }

  /// Throws `TensorError` unless both have the same first dimension.
  public init(features: HostArray, labels: HostArray) throws {
    guard features.shape.rank >= 1, labels.shape.rank >= 1, features.shape[0] == labels.shape[0] else {
      throw TensorError(
        operation: "HostDataset", rule: "features and labels must have the same first dimension",
        operands: "features \(features.shape) \(features.dtype), labels \(labels.shape) \(labels.dtype)",
        fix: "give one label for each sample")
    }
    (self.features, self.labels) = (features, labels)
  }

  /// Images with their classes.
  public init(_ set: ImageSet) throws { try self.init(features: set.images, labels: set.labels) }

  /// Row `position` of both.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "data set")
    return Sample(features: features.row(position), label: labels.row(position))
  }
}

/// Samples of different lengths in memory, such as sentences of tokens; axis 0 of each is its length.
public struct SequenceDataset: Dataset {
  public let samples: [Sample]
  public var count: Int { samples.count }

  /// Samples as they are; the loader pads or buckets them.
  public init(_ samples: [Sample]) { self.samples = samples }

  /// Sequences of token numbers, and a class for each. Throws `TensorError` for different counts.
  public init(tokens: [[Int]], labels: [Int]) throws {
    guard tokens.count == labels.count else {
      throw TensorError(
        operation: "SequenceDataset",
        rule: "needs one label for each sequence, got \(labels.count) for \(tokens.count)",
        fix: "check how the two were made")
    }
    samples = zip(tokens, labels).map {
      Sample(features: HostArray(.int64, [$0.count], $0.map { Int64($0) }), label: $1)
    }
  }

  /// The sample.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "data set")
    return samples[position]
  }

  /// The size of axis 0, 0 for scalars.
  public func length(at position: Int) -> Int? {
    guard samples.indices.contains(position) else { return nil }
    return samples[position].features.shape.dimensions.first ?? 0
  }
}

func checkPosition(_ position: Int, _ count: Int, _ what: String) throws {
  guard position >= 0, position < count else {
    throw TensorError(
      operation: "sample(at:)", rule: "\(what) has positions 0..<\(count), got \(position)",
      fix: "use a position that exists")
  }
}

extension HostArray {
  /// Row `index` of axis 0, which exists.
  func row(_ index: Int) -> HostArray {
    let rest = Shape(Array(shape.dimensions.dropFirst()))
    let size = rest.count * dtype.size
    return HostArray(unchecked: dtype, rest, Array(bytes[index * size..<(index + 1) * size]))
  }
}

/// Samples that can only be read one after the other: what is too large, too slow or too compressed for random access.
/// Every pass has a reader of its own.
///
/// PyTorch: `IterableDataset`.
public protocol DataStream: Sendable {
  /// A reader at the first sample.
  func makeReader() throws -> any SampleReader
  /// How errors name the stream.
  var name: String { get }
}

/// One pass over a stream. One thread uses it.
public protocol SampleReader: AnyObject {
  /// The next sample, `nil` after the last.
  func next() throws -> Sample?
}

extension DataStream {
  /// Each sample changed by `transform`, which runs on the loader's thread.
  public func mapped(_ transform: @escaping @Sendable (Sample) throws -> Sample) -> MappedStream {
    MappedStream(base: self, transform: transform)
  }

  /// Every sample in memory; for streams that fit.
  public func collected() throws -> SequenceDataset {
    let reader = try makeReader()
    var samples: [Sample] = []
    while let sample = try reader.next() { samples.append(sample) }
    return SequenceDataset(samples)
  }
}

/// The samples of another stream, each changed.
public struct MappedStream: DataStream {
  let base: any DataStream
  let transform: @Sendable (Sample) throws -> Sample
  public var name: String { base.name }

  /// A reader of changed samples.
  public func makeReader() throws -> any SampleReader {
    let reader = try base.makeReader()
    return ClosureReader { try reader.next().map(transform) }
  }
}

/// A reader made of a function.
public final class ClosureReader: SampleReader {
  private let read: () throws -> Sample?
  /// `read` gives the next sample, `nil` after the last.
  public init(_ read: @escaping () throws -> Sample?) { self.read = read }
  /// Calls the function.
  public func next() throws -> Sample? { try read() }
}
