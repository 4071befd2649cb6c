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

/// A configuration's samples, ready to train on, in the CPU's memory; a trainer moves them to its device.
public struct PreparedData: Sendable {
  public var training: ArrayDataset
  /// `nil` where none is held out.
  public var validation: ArrayDataset?
  public var test: ArrayDataset?
  public var preparation: Preparation

  /// Reads and prepares. Throws `DataError` for files that cannot be used, `ConfigError` for fields that do not fit them.
  public init(_ configuration: Configuration, folder: DataFolder) throws {
    switch configuration.task {
    case .image: self = try configuration.images(folder)
    case .tabular: self = try configuration.rows(folder)
    case .text: self = try configuration.tokens(folder)
    case .series: self = try configuration.windows(folder)
    }
    guard training.count > 0 else { throw configuration.fault(0, "data", "no sample is left for training") }
    preparation.trainingCount = training.count
  }

  init(training: ArrayDataset, validation: ArrayDataset?, test: ArrayDataset?, preparation: Preparation) {
    (self.training, self.validation, self.test) = (training, validation, test)
    self.preparation = preparation
  }
}

extension Configuration {
  var validationShare: Double { root["data"]?["validation"]?.number ?? 0.1 }
  var testShare: Double { root["data"]?["test"]?.number ?? 0.2 }
  var limit: Int? { root["data"]?["limit"]?.integer }

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
    guard root["preparation"]?["balance"]?.text == "weights" else { return nil }
    return (0..<classes).map { label in
      let count = labels.count { $0 == label }
      return count == 0 ? 0 : Double(labels.count) / Double(classes * count)
    }
  }
}

extension ArrayDataset {
  /// In memory, not yet to be computed by every batch.
  init(computing features: Tensor, _ labels: Tensor) throws {
    try evaluate(features, labels)
    try self.init(features: features, labels: labels)
  }

  /// `nil` for no positions.
  func part(_ positions: [Int]) throws -> ArrayDataset? { positions.isEmpty ? nil : try subset(positions) }
}

/// Where data is before it goes to a device.
func onHost<Result>(_ body: (Device) throws -> Result) throws -> Result {
  let host = try Device.named("cpu")
  return try withDevice(host) { try body(host) }
}
