import Foundation
import Kiln

/// What was learned from the training part, and the model's sizes: all that a run needs to predict without its data.
public struct Preparation: Sendable, Codable {
  /// Of one sample.
  var inputShape: [Int]
  /// Classes, tokens, or numbers that are forecast.
  var outputs: Int
  /// The shape of a sample's answer where that is no class and no single number.
  var outputShape: [Int]?
  var trainingCount: Int
  var vocabulary: Int?
  /// Names of classes in their order; empty where they are numbers.
  var classes: [String] = []
  var classWeights: [Double]?
  var scale: Double?
  var table: TablePreparation?
  var tokenizer: SavedTokenizer?
  var series: SeriesPreparation?

  /// What the model takes, without the batch: text as tokens.
  public var sample: (shape: [Int], dtype: DType) { (inputShape, vocabulary == nil ? .float32 : .int64) }

  /// Writes it as JSON. Throws `DataError`.
  public func save(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let data: Data
    do { data = try encoder.encode(self) } catch {
      throw DataError(file: path, rule: "cannot be written as JSON: \(error)", fix: "report this")
    }
    try TextFile.write(String(decoding: data, as: UTF8.self) + "\n", to: path)
  }

  /// Reads what `save` wrote. Throws `DataError`.
  public init(contentsOf path: String) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let text = try TextFile.read(path)
    do { self = try decoder.decode(Preparation.self, from: Data(text.utf8)) } catch {
      throw DataError(
        file: path, rule: "is no preparation that a training wrote", fix: "restore it, or train again")
    }
  }

  init(inputShape: [Int], outputs: Int, trainingCount: Int) {
    (self.inputShape, self.outputs, self.trainingCount) = (inputShape, outputs, trainingCount)
  }
}

/// Tokenizers in one type.
enum SavedTokenizer: Sendable, Codable {
  case character(CharacterTokenizer), byte, bpe(BPETokenizer)

  var tokenizer: any Tokenizer {
    switch self {
    case .character(let own): own
    case .byte: ByteTokenizer()
    case .bpe(let own): own
    }
  }
}

/// A configuration's samples, ready to train on: in the CPU's memory, from where a trainer moves them to its device, or
/// read as they are needed.
public struct PreparedData: Sendable {
  public var training: TrainingData
  /// `nil` where none is held out.
  public var validation: TrainingData?
  public var test: TrainingData?
  public var preparation: Preparation

  /// Reads and prepares. Throws `DataError` for files that cannot be used, `ConfigError` for fields that do not fit them.
  public init(_ configuration: Configuration, folder: DataFolder) throws {
    switch configuration.task {
    case .image: self = try configuration.images(folder)
    case .tabular: self = try configuration.rows(folder)
    case .text:
      self = try configuration.isClassifyingText ? configuration.sentences(folder) : configuration.tokens(folder)
    case .series: self = try configuration.windows(folder)
    }
    // A stream's samples were counted before.
    if training.count > 0 { preparation.trainingCount = training.count }
    guard preparation.trainingCount > 0 else {
      throw configuration.fault(0, "data", "no sample is left for training")
    }
  }

  init(training: TrainingData, validation: TrainingData?, test: TrainingData?, preparation: Preparation) {
    (self.training, self.validation, self.test) = (training, validation, test)
    self.preparation = preparation
  }

  init(training: ArrayDataset, validation: ArrayDataset?, test: ArrayDataset?, preparation: Preparation) {
    self.init(
      training: .array(training), validation: validation.map { .array($0) }, test: test.map { .array($0) },
      preparation: preparation)
  }
}

extension Configuration {
  var validationShare: Double { root["data"]?["validation"]?.number ?? 0.1 }
  var testShare: Double { root["data"]?["test"]?.number ?? 0.2 }
  var limit: Int? { root["data"]?["limit"]?.integer }

  /// Whether samples of so many bytes are read as they are needed: where that is asked for, or they are many.
  func streams(bytes: Int) -> Bool { root["data"]?["stream"]?.flag ?? (bytes > 256 << 20) }

  /// The loader of some of a data set's samples: shuffled ones to train on, else in order to be judged by. The batches are
  /// those that samples in memory would make.
  func loader(_ dataset: any Dataset, _ positions: [Int], sampleBytes: Int, trains: Bool) throws -> TrainingData? {
    guard !positions.isEmpty else { return nil }
    // As `Trainer.evaluate` does it, but for large samples.
    let size = trains ? batchSize : max(1, min(1000, (16 << 20) / max(sampleBytes, 1)))
    return .loader(
      try DataLoader(
        dataset.subset(positions), batchSize: size, sampler: trains ? .shuffled : .sequential, seed: seed,
        lastBatch: trains ? lastBatch : .keep, workers: root["data"]?["workers"]?.integer ?? 2))
  }

  /// Positions 0..<count in three parts; stratified where there are labels.
  func parts(_ labels: [Int]?, count: Int, test share: Double) throws -> (
    training: [Int], validation: [Int], test: [Int]
  ) {
    let outer =
      try labels.map { try Split(labels: $0, heldOut: share, seed: seed) }
      ?? Split(count: count, heldOut: share, seed: seed)
    let rest = outer.training
    let inner = share < 1 ? min(validationShare / (1 - share), 1) : 0
    let split =
      try labels.map { all in try Split(labels: rest.map { all[$0] }, heldOut: inner, seed: seed + 1) }
      ?? Split(count: rest.count, heldOut: inner, seed: seed + 1)
    var training = split.training.map { rest[$0] }
    if let limit, limit < training.count {
      let order = try BatchIterator(count: training.count, batchSize: 1, seed: seed).order
      training = order.prefix(limit).sorted().map { training[$0] }
    }
    return (training, split.heldOut.map { rest[$0] }, outer.heldOut)
  }

  /// n / (classes * count of the class), scikit-learn's "balanced", if that is asked for.
  func balancedWeights(_ labels: [Int], classes: Int) -> [Double]? {
    var counts = [Int](repeating: 0, count: classes)
    for label in labels where counts.indices.contains(label) { counts[label] += 1 }
    return balancedWeights(counts: counts)
  }

  func balancedWeights(counts: [Int]) -> [Double]? {
    guard root["preparation"]?["balance"]?.text == "weights" else { return nil }
    let total = Double(counts.reduce(0, +))
    return counts.map { $0 == 0 ? 0 : total / Double(counts.count * $0) }
  }

  /// Bytes of a file; 0 where it cannot be examined, which its reader will say.
  static func size(of path: String) -> Int {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    // Packed text is several times as long.
    return (attributes?[.size] as? Int ?? 0) * (path.hasSuffix(".gz") ? 4 : 1)
  }
}

extension ArrayDataset {
  /// In memory, not yet to be computed by every batch.
  init(computing features: Tensor, _ labels: Tensor, weights: Tensor? = nil) throws {
    try evaluate([features, labels] + (weights.map { [$0] } ?? []))
    try self.init(features: features, labels: labels, weights: weights)
  }

  /// `nil` for no positions.
  func part(_ positions: [Int]) throws -> ArrayDataset? { positions.isEmpty ? nil : try subset(positions) }
}

/// Where data is before it goes to a device.
func onHost<Result>(_ body: (Device) throws -> Result) throws -> Result {
  let host = try Device.named("cpu")
  return try withDevice(host) { try body(host) }
}
