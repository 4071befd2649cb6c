import Foundation
import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

/// A checkpoint on disk: a folder of
///
///     model.safetensors      weights and persistent buffers, by the model's names
///     optimizer.safetensors  the optimizer's slots
///     average.safetensors    the average of the weights, if there is one
///     callbacks.safetensors  what callbacks keep, if they keep tensors
///     state.json             a `TrainingState`
///     manifest.json          size and checksum of each of these
///
/// The losses of single batches lie in one file for all checkpoints of a run, `losses.f64` beside them.
public struct Checkpoint: Sendable, Hashable {
  /// The folder.
  public var path: String
  /// Updates taken before it.
  public var step: Int

  /// A folder that is said to be a checkpoint; nothing is read yet.
  public init(path: String, step: Int) { (self.path, self.step) = (path, step) }

  static let files = (
    model: "model.safetensors", optimizer: "optimizer.safetensors", average: "average.safetensors",
    callbacks: "callbacks.safetensors",
    state: "state.json", manifest: "manifest.json"
  )

  struct Manifest: Codable {
    struct Entry: Codable {
      var bytes: Int
      var fnv1a64: String
    }
    var format = 1
    var files: [String: Entry]
  }

  /// Compares every file with the manifest. Throws a `DataError` that names the first file at fault and its damage.
  public func verify() throws {
    let manifestPath = "\(path)/\(Self.files.manifest)"
    let manifest = try decode(Manifest.self, from: manifestPath)
    guard manifest.format == 1 else {
      throw DataError(
        file: manifestPath, rule: "format 1 is known, got \(manifest.format)", fix: "read it with a newer Kiln")
    }
    for name in [Self.files.model, Self.files.optimizer, Self.files.state] where manifest.files[name] == nil {
      throw DataError(file: manifestPath, rule: "does not name '\(name)'", fix: Self.advice)
    }
    for (name, entry) in manifest.files.sorted(by: { $0.key < $1.key }) {
      let file = "\(path)/\(name)"
      guard Folders.exists(file) else { throw DataError(file: file, rule: "is missing", fix: Self.advice) }
      let data = try Folders.read(file)
      guard data.count == entry.bytes else {
        throw DataError(
          file: file, place: "byte \(min(data.count, entry.bytes))",
          rule: "the file has \(data.count) bytes, the checkpoint was written with \(entry.bytes)", fix: Self.advice)
      }
      let sum = Checksum.of(data)
      guard sum == entry.fnv1a64 else {
        throw DataError(
          file: file, rule: "its checksum is \(sum), the checkpoint was written with \(entry.fnv1a64)",
          fix: Self.advice)
      }
    }
  }

  static let advice = "the checkpoint is damaged; use an earlier one"

  /// Where the training stood. Throws `DataError`. Of batches whose losses cannot be read any more (see `lossDamage`)
  /// they are NaN: what is to come does not depend on them.
  public func state() throws -> TrainingState {
    var state = try savedState()
    if let mark = state.losses {
      state.history.stepLosses =
        (try? LossLog.read(mark, in: folder)) ?? Array(repeating: .nan, count: max(mark.count, 0))
    }
    return state
  }

  /// What is wrong with the file of losses as far as this checkpoint needs it. Throws `DataError` for a checkpoint that is
  /// damaged itself.
  public func lossDamage() throws -> DataError? {
    guard let mark = try savedState().losses else { return nil }
    do {
      _ = try LossLog.read(mark, in: folder)
      return nil
    } catch let error as DataError {
      return error
    }
  }

  private func savedState() throws -> TrainingState {
    try decode(TrainingState.self, from: "\(path)/\(Self.files.state)")
  }

  /// The folder of the run's checkpoints.
  private var folder: String {
    let above = (path as NSString).deletingLastPathComponent
    return above.isEmpty ? "." : above
  }

  /// Loads the weights and buffers alone into a model. Throws `LoadError` if they do not fit.
  public func loadWeights(into model: any Module) throws {
    try model.load(from: "\(path)/\(Self.files.model)")
  }

  /// The optimizer's slots. Throws `DataError`.
  func slots(on device: Device) throws -> [String: Tensor] {
    try readSafetensors("\(path)/\(Self.files.optimizer)", on: device)
  }

  /// The average of the weights; empty without one. Throws `DataError`.
  func averages(on device: Device) throws -> [String: Tensor] {
    let file = "\(path)/\(Self.files.average)"
    return Folders.exists(file) ? try readSafetensors(file, on: device) : [:]
  }

  /// The arrays that callbacks kept, as "<callback>/<name>".
  func callbackArrays() throws -> [String: HostArray] {
    let file = "\(path)/\(Self.files.callbacks)"
    guard Folders.exists(file) else { return [:] }
    let tensors = try SafetensorsFile(file)
    return try Dictionary(uniqueKeysWithValues: tensors.names.map { ($0, try tensors.array($0)) })
  }

  private func decode<Value: Decodable>(_ type: Value.Type, from file: String) throws -> Value {
    guard Folders.exists(file) else { throw DataError(file: file, rule: "is missing", fix: Self.advice) }
    return try JSONFile.decode(type, from: file, fix: Self.advice)
  }
}

/// Values as JSON files, without a line end: every byte counts, so that a file cut short is not read. Doubles are written
/// with as many digits as give the same bits again.
enum JSONFile {
  static func encode(_ value: some Encodable, file: String) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
      throw DataError(file: file, rule: "cannot be written as JSON: \(error)", fix: "report this")
    }
  }

  /// What `encode` made.
  static func decode<Value: Decodable>(_ type: Value.Type, text: String) throws -> Value {
    try decode(type, Data(text.utf8), file: "state.json", fix: "the checkpoint is damaged; use an earlier one")
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from file: String, fix: String) throws -> Value {
    try decode(type, try Folders.read(file), file: file, fix: fix)
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data, file: String, fix: String) throws
    -> Value
  {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(type, from: data)
    } catch let error as DecodingError {
      throw DataError(file: file, place: place(error), rule: reason(error), fix: fix)
    } catch {
      throw DataError(file: file, rule: "is no JSON of the kind that belongs here", fix: fix)
    }
  }

  private static func reason(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "the key '\(key.stringValue)' is missing"
    case .typeMismatch(let type, _): "a value of type \(type) is needed"
    case .valueNotFound(let type, _): "a value of type \(type) is needed, got null"
    default: "is no valid JSON"
    }
  }

  private static func place(_ error: DecodingError) -> String? {
    let path: [any CodingKey] =
      switch error {
      case .keyNotFound(_, let context), .typeMismatch(_, let context), .valueNotFound(_, let context),
        .dataCorrupted(let context):
        context.codingPath
      @unknown default: []
      }
    return path.isEmpty ? nil : "key " + path.map(\.stringValue).joined(separator: ".")
  }
}
