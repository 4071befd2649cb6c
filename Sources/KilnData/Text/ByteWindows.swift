import KilnEngine

/// Windows of a file's bytes for language models, each read when it is asked for: features `length` bytes, labels the same
/// window one later; the tokens of `ByteTokenizer`. For texts larger than memory.
public struct ByteWindows: Dataset {
  public let path: String
  public let length: Int
  public let stride: Int
  public let count: Int
  private let first: Int
  private let file: Descriptor

  /// Windows of a part of the file (by default all of it), which begin `stride` apart (by default their length). Throws
  /// `DataError` for a file that cannot be read, is packed, or has too few bytes.
  public init(_ path: String, bytes range: Range<Int>? = nil, length: Int, stride: Int? = nil) throws {
    file = try Descriptor(path)
    let range = (range ?? 0..<file.size).clamped(to: 0..<file.size)
    let step = stride ?? length
    if file.size >= 2, try file.read(at: 0, 2) == [0x1f, 0x8b] {
      throw DataError(
        file: path, place: "byte 0", rule: "windows of a gzip file cannot be read in any order",
        fix: "unpack it with gunzip")
    }
    guard length >= 1, step >= 1, range.count > length else {
      throw DataError(
        file: path, rule: "a window of \(length) needs more bytes than it has, there are \(range.count)",
        fix: "use a shorter window")
    }
    (self.path, self.length, self.stride, first) = (path, length, step, range.lowerBound)
    count = (range.count - 1 - length) / step + 1
  }

  /// int64 [length] both.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, path)
    let bytes = try file.read(at: first + position * stride, length + 1)
    func window(_ part: ArraySlice<UInt8>) -> HostArray { HostArray(.int64, [length], part.map { Int64($0) }) }
    return Sample(features: window(bytes.dropLast()), label: window(bytes.dropFirst()))
  }

  public func name(of position: Int) -> String { "\(path), window \(position)" }
}
