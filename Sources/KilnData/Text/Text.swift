import KilnEngine

/// The lines of a text file, one after the other, gzipped or not; each becomes a sample.
public struct LineStream: DataStream {
  public let path: String
  public var name: String { path }
  private let decode: @Sendable (_ line: String, _ number: Int) throws -> Sample

  /// `decode` gets each line without its end, and its number from 1. Its `DataError`s without a file get the line's place.
  public init(_ path: String, decode: @escaping @Sendable (_ line: String, _ number: Int) throws -> Sample) {
    (self.path, self.decode) = (path, decode)
  }

  /// A reader at the first line. Lines that are not UTF-8 are an error with their number.
  public func makeReader() throws -> any SampleReader {
    let stream = try ByteStream(path)
    var number = 0
    return ClosureReader {
      guard var bytes = try stream.line() else { return nil }
      number += 1
      if bytes.last == 10 { bytes.removeLast() }
      if bytes.last == 13 { bytes.removeLast() }
      guard let line = String(validating: bytes, as: UTF8.self) else {
        throw DataError(
          file: path, place: "line \(number)", rule: "is not UTF-8 text", fix: "convert the file to UTF-8")
      }
      do {
        return try decode(line, number)
      } catch let error as DataError where error.file.isEmpty {
        throw DataError(file: path, place: "line \(number)", rule: error.rule, fix: error.fix)
      }
    }
  }
}

extension TextFile {
  /// A whole UTF-8 text file, unpacked if it is gzip. Throws `DataError` that names the first byte that is not UTF-8.
  public static func read(_ path: String) throws -> String {
    let bytes = try Files.readUnpacked(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let repaired = Array(String(decoding: bytes, as: UTF8.self).utf8)
      let place = zip(bytes, repaired).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      throw DataError(
        file: path, place: "byte \(place ?? min(bytes.count, repaired.count))", rule: "is not UTF-8 text",
        fix: "convert the file to UTF-8")
    }
    return text
  }
}

/// Windows of a long list of tokens, for language models: features `length` tokens, labels the same window one later.
public struct TokenWindows: Dataset {
  public let tokens: [Int32]
  public let length: Int
  public let stride: Int
  public let count: Int

  /// Windows begin `stride` apart (by default their length). Throws `TensorError` for lengths below 1 and too few tokens.
  public init(_ tokens: [Int], length: Int, stride: Int? = nil) throws {
    let step = stride ?? length
    guard length >= 1, step >= 1, tokens.count > length else {
      throw TensorError(
        operation: "TokenWindows",
        rule: "length and stride must be at least 1 and tokens more than length, got \(length), \(step) and "
          + "\(tokens.count)", fix: "use a shorter window")
    }
    guard let small = Optional(tokens.compactMap { Int32(exactly: $0) }), small.count == tokens.count else {
      throw TensorError(operation: "TokenWindows", rule: "tokens must fit int32", fix: "check the tokenizer")
    }
    (self.tokens, self.length, self.stride) = (small, length, step)
    count = (tokens.count - 1 - length) / step + 1
  }

  /// int64 [length] both.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "windows")
    let start = position * stride
    func window(_ first: Int) -> HostArray {
      HostArray(.int64, [length], tokens[first..<first + length].map { Int64($0) })
    }
    return Sample(features: window(start), label: window(start + 1))
  }
}

/// Windows of a time series: features `history` rows of all columns, labels the `horizon` rows after them.
///
/// Split a series before it is cut, with a gap of none: windows of one part never reach into another.
public struct SeriesWindows: Dataset {
  public let values: HostArray
  public let history: Int
  public let horizon: Int
  public let stride: Int
  public let count: Int
  private let targets: [Int]

  /// values [time, columns] float32 or float64; labels hold the `targets` columns alone (by default all).
  /// Throws `TensorError` for other shapes, lengths below 1, columns that do not exist, and too short a series.
  public init(_ values: HostArray, history: Int, horizon: Int, stride: Int = 1, targets: [Int]? = nil) throws {
    func refuse(_ rule: String, _ fix: String) -> TensorError {
      TensorError(operation: "SeriesWindows", rule: rule, operands: "\(values.shape) \(values.dtype)", fix: fix)
    }
    guard values.shape.rank == 2, values.dtype.isFloat else {
      throw refuse("needs float32 or float64 [time, columns]", "read the table with `numbers()`")
    }
    guard history >= 1, horizon >= 1, stride >= 1, history <= values.shape[0], horizon <= values.shape[0] - history
    else {
      throw refuse(
        "history, horizon and stride must be at least 1 and fit the series, got \(history), \(horizon), \(stride)",
        "use shorter windows")
    }
    let chosen = targets ?? Array(0..<values.shape[1])
    if let bad = chosen.first(where: { $0 < 0 || $0 >= values.shape[1] }) {
      throw refuse("has columns 0..<\(values.shape[1]), got target \(bad)", "choose columns that exist")
    }
    (self.values, self.history, self.horizon, self.stride) = (values, history, horizon, stride)
    self.targets = chosen
    count = (values.shape[0] - history - horizon) / stride + 1
  }

  /// [history, columns] and [horizon, targets], of the series' dtype.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "windows")
    let size = values.dtype.size
    let row = values.shape[1] * size
    let start = position * stride
    let features = HostArray(
      unchecked: values.dtype, [history, values.shape[1]],
      Array(values.bytes[(start * row)..<((start + history) * row)]))
    var bytes: [UInt8] = []
    for time in start + history..<start + history + horizon {
      for column in targets { bytes += values.bytes[(time * row + column * size)..<(time * row + (column + 1) * size)] }
    }
    return Sample(
      features: features, label: HostArray(unchecked: values.dtype, [horizon, targets.count], bytes))
  }
}
