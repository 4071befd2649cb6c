import Glibc
import KilnEngine

/// How a file of records of one size is laid out, and how one becomes a sample.
public struct RecordFormat: Sendable {
  /// Bytes before the first record.
  public var headerSize: Int
  public var recordSize: Int
  /// Given by the header; `nil`: as many as the file holds.
  public var count: Int?
  /// A sample from a record's bytes. `DataError`s get file and place from the reader.
  public var decode: @Sendable (_ bytes: [UInt8], _ index: Int) throws -> Sample

  /// A format of one's own.
  public init(
    headerSize: Int = 0, recordSize: Int, count: Int? = nil,
    decode: @escaping @Sendable (_ bytes: [UInt8], _ index: Int) throws -> Sample
  ) {
    (self.headerSize, self.recordSize, self.count, self.decode) = (headerSize, recordSize, count, decode)
  }

  /// CIFAR's binary records: 1 label byte (CIFAR-100: a coarse one before it, `labelBytes` 2), then 3 x 32 x 32 pixels.
  /// Features uint8 [3, 32, 32]; the label is the last label byte, below `classes`.
  public static func cifar(labelBytes: Int = 1, classes: Int = 10) -> RecordFormat {
    let skipped = max(labelBytes, 1)
    return RecordFormat(recordSize: skipped + 3072) { bytes, _ in
      let label = Int(bytes[skipped - 1])
      guard label < classes else {
        throw DataError(
          file: "", rule: "labels must lie in 0..<\(classes), got \(label)",
          fix: "name a CIFAR file of \(classes) classes; this one is damaged or of another kind")
      }
      return Sample(features: HostArray(unchecked: .uint8, [3, 32, 32], Array(bytes[skipped...])), label: label)
    }
  }

  /// Elements as they lie in memory (little-endian, row-major): features of a shape and dtype, then, if `labelDType` is
  /// given, one label of that dtype, which becomes int64 if it is an integer.
  public static func raw(_ shape: Shape, _ dtype: DType, label labelDType: DType? = nil) throws -> RecordFormat {
    guard let count = Shape.checkedCount(shape.dimensions + [dtype.size]), count > 0, count < 1 << 40 else {
      throw TensorError(
        operation: "RecordFormat.raw", rule: "a record needs at least one element and must fit memory, got \(shape)",
        fix: "give the shape of one sample")
    }
    return RecordFormat(recordSize: count + (labelDType?.size ?? 0)) { bytes, index in
      let features = HostArray(unchecked: dtype, shape, Array(bytes[..<count]))
      guard let labelDType else { return Sample(features: features, label: 0) }
      let label = HostArray(unchecked: labelDType, [], Array(bytes[count...]))
      return Sample(features: features, label: labelDType.isInteger ? label.asInt64 : label)
    }
  }
}

extension HostArray {
  /// Integers of any dtype as int64; others stay as they are.
  var asInt64: HostArray {
    switch dtype {
    case .uint8: HostArray(.int64, shape, bytes.map { Int64($0) })
    case .int32: HostArray(.int64, shape, values(as: Int32.self).map { Int64($0) })
    default: self
    }
  }
}

/// Random access to a file of records of one size that is not compressed: only the records that are asked for are read.
public struct RecordFile: Dataset {
  public let path: String
  public let count: Int
  private let format: RecordFormat
  private let file: Descriptor

  /// Opens the file. Throws `DataError` for a gzip file (use `RecordStream`) and for a size that is no whole number of
  /// records.
  public init(_ path: String, format: RecordFormat) throws {
    (self.path, self.format) = (path, format)
    file = try Descriptor(path)
    let size = file.size
    guard format.recordSize > 0, format.headerSize >= 0 else {
      throw TensorError(
        operation: "RecordFile", rule: "a record has at least 1 byte, got \(format.recordSize)", fix: "mend the format")
    }
    let isWhole = size >= format.headerSize && (size - format.headerSize) % format.recordSize == 0
    // Numbers may begin like gzip by chance.
    if size >= 2, path.hasSuffix(".gz") || !isWhole, try file.read(at: 0, 2) == [0x1f, 0x8b] {
      throw DataError(
        file: path, place: "byte 0", rule: "records of a gzip file cannot be read in any order",
        fix: "unpack it with gunzip, or read it as a RecordStream")
    }
    guard isWhole else {
      throw DataError(
        file: path, place: "byte \(size)",
        rule: "a header of \(format.headerSize) bytes and records of \(format.recordSize) do not make \(size) bytes",
        fix: "the file was cut short or is of another kind; fetch it again")
    }
    count = (size - format.headerSize) / format.recordSize
    if let wanted = format.count, wanted != count {
      throw DataError(
        file: path, place: "byte \(size)", rule: "the header promises \(wanted) records, the file has \(count)",
        fix: "the file was cut short; fetch it again")
    }
  }

  /// An IDX file's elements along axis 0, without labels (the label is 0); see `HostArray(idx:)`. Only uint8.
  public static func idx(_ path: String) throws -> RecordFile {
    let file = try Descriptor(path)
    let head = try file.read(at: 0, min(file.size, 4 + 4 * 255))
    guard head.count >= 4, head[0] == 0, head[1] == 0, head[2] == 8, head[3] >= 1, head.count >= 4 + 4 * Int(head[3])
    else {
      throw DataError(
        file: path, place: "byte 0",
        rule: "needs an uncompressed IDX header of uint8, got \(Files.hex(head.prefix(4)))",
        fix: "unpack the file, or read it whole with HostArray(idx:)")
    }
    let rank = Int(head[3])
    let sizes = (0..<rank).map { axis in head[(4 + 4 * axis)..<(8 + 4 * axis)].reduce(0) { $0 << 8 | Int($1) } }
    var format = try RecordFormat.raw(Shape(Array(sizes.dropFirst())), .uint8)
    (format.headerSize, format.count) = (4 + 4 * rank, sizes[0])
    return try RecordFile(path, format: format)
  }

  /// A `.npy` file's rows of axis 0, without labels (the label is 0). Little-endian and row-major files of dtypes that
  /// Kiln has.
  public static func npy(_ path: String) throws -> RecordFile {
    let file = try Descriptor(path)
    let head = try file.read(at: 0, min(file.size, 1 << 16))
    let (dtype, shape, start) = try HostArray.npyLayout(head, file: path)
    guard shape.rank >= 1 else {
      throw DataError(file: path, rule: "is a scalar, it has no rows", fix: "read it with HostArray(npy:)")
    }
    var format = try RecordFormat.raw(Shape(Array(shape.dimensions.dropFirst())), dtype)
    (format.headerSize, format.count) = (start, shape[0])
    return try RecordFile(path, format: format)
  }

  /// The rows of axis 0 of one array of a `.npz` archive, without labels (the label is 0), read where they lie: an archive
  /// that is larger than memory is one of numpy's `savez`. Throws `DataError` for one that is deflated.
  public static func npz(_ path: String, _ name: String) throws -> RecordFile {
    let file = try Descriptor(path)
    let entries = try ZipArchive(file).entries()
    guard let entry = entries.first(where: { $0.name == name + ".npy" }) else {
      throw DataError(
        file: path, rule: "has no array '\(name)'",
        fix:
          "it has \(entries.map { String($0.name.hasSuffix(".npy") ? $0.name.dropLast(4) : $0.name[...]) }.joined(separator: ", "))"
      )
    }
    guard entry.method == 0 else {
      throw DataError(
        file: "\(path)(\(entry.name))", rule: "rows of a deflated array cannot be read in any order",
        fix: "write it with numpy.savez, or read it whole with readNPZArrays")
    }
    guard entry.packed == entry.size, entry.start <= file.size, entry.size <= file.size - entry.start else {
      throw ZipArchive(file).damaged(entry.start, "the archive ends too early")
    }
    let head = try file.read(at: entry.start, min(entry.size, 1 << 16))
    let (dtype, shape, start) = try HostArray.npyLayout(head, file: "\(path)(\(entry.name))")
    guard shape.rank >= 1 else {
      throw DataError(
        file: "\(path)(\(entry.name))", rule: "is a scalar, it has no rows", fix: "read it with readNPZArrays")
    }
    var format = try RecordFormat.raw(Shape(Array(shape.dimensions.dropFirst())), dtype)
    (format.headerSize, format.count) = (entry.start + start, shape[0])
    guard shape[0] == 0 || (entry.size - start) / format.recordSize == shape[0],
      (entry.size - start) % format.recordSize == 0
    else {
      throw DataError(
        file: "\(path)(\(entry.name))", place: "byte \(entry.start + start)",
        rule:
          "\(shape) \(dtype) needs \(shape[0]) records of \(format.recordSize) bytes, \(entry.size - start) are there",
        fix: "the archive is damaged; write it again")
    }
    return RecordFile(path, file, format, count: shape[0])
  }

  /// For those who have looked at the file.
  private init(_ path: String, _ file: Descriptor, _ format: RecordFormat, count: Int) {
    (self.path, self.file, self.format, self.count) = (path, file, format, count)
  }

  /// Reads one record.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, path)
    let place = format.headerSize + position * format.recordSize
    let bytes = try file.read(at: place, format.recordSize)
    return try decoded(bytes, position, path, place, format)
  }

  /// "path, record n".
  public func name(of position: Int) -> String { "\(path), record \(position)" }
}

/// A record as a sample; errors get the file's name and the record's place.
private func decoded(_ bytes: [UInt8], _ index: Int, _ path: String, _ place: Int, _ format: RecordFormat) throws
  -> Sample
{
  do {
    return try format.decode(bytes, index)
  } catch let error as DataError where error.file.isEmpty {
    throw DataError(file: path, place: "record \(index), byte \(place)", rule: error.rule, fix: error.fix)
  }
}

/// The records of one file or of several, one after the other, gzipped or not.
public struct RecordStream: DataStream {
  public let paths: [String]
  private let format: RecordFormat
  public var name: String { paths.first ?? "no file" }

  /// Opens nothing yet.
  public init(_ paths: [String], format: RecordFormat) { (self.paths, self.format) = (paths, format) }

  /// A reader at the first record of the first file.
  public func makeReader() throws -> any SampleReader {
    guard format.recordSize > 0, format.headerSize >= 0 else {
      throw TensorError(
        operation: "RecordStream", rule: "a record has at least 1 byte, got \(format.recordSize)",
        fix: "mend the format")
    }
    var waiting = paths[...]
    var current: ByteStream?
    var index = 0
    return ClosureReader {
      while true {
        if let stream = current {
          let place = stream.position
          if let bytes = try stream.read(format.recordSize, "record \(index)") {
            defer { index += 1 }
            return try decoded(bytes, index, stream.path, place, format)
          }
          current = nil
        }
        guard let path = waiting.popFirst() else { return nil }
        let stream = try ByteStream(path)
        if format.headerSize > 0 { _ = try stream.read(format.headerSize, "the header") }
        (current, index) = (stream, 0)
      }
    }
  }
}

/// Two data sets side by side: the features of one, the features of the other as labels (an image file and a label file).
public struct PairedDataset: Dataset {
  private let features: any Dataset
  private let labels: any Dataset
  public var count: Int { features.count }

  /// Throws `TensorError` for different counts.
  public init(features: any Dataset, labels: any Dataset) throws {
    guard features.count == labels.count else {
      throw TensorError(
        operation: "PairedDataset", rule: "both need the same count, got \(features.count) and \(labels.count)",
        fix: "name the label file that belongs to the features")
    }
    (self.features, self.labels) = (features, labels)
  }

  /// Integer labels become int64.
  public func sample(at position: Int) throws -> Sample {
    Sample(
      features: try features.sample(at: position).features, label: try labels.sample(at: position).features.asInt64)
  }

  /// The features' name.
  public func name(of position: Int) -> String { features.name(of: position) }
}

/// An open file that is read at positions, by any number of threads.
final class Descriptor: Sendable {
  let path: String
  let size: Int
  private let number: Int32

  init(_ path: String) throws {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw Files.failure(path, "cannot be opened", "check the path and its permissions") }
    var info = stat()
    guard fstat(number, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      close(number)
      throw DataError(file: path, rule: "is no regular file", fix: "name a file; pipes and folders have no positions")
    }
    (self.path, self.number, size) = (path, number, Int(info.st_size))
  }

  deinit { close(number) }

  func read(at place: Int, _ count: Int) throws -> [UInt8] {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { target, made in
      made = 0
      while made < count, let base = target.baseAddress {
        let got = pread(number, base + made, count - made, place + made)
        if got < 0, errno == EINTR { continue }
        if got <= 0 {
          failed = got < 0
          break
        }
        made += got
      }
    }
    if failed { throw Files.failure(path, "cannot be read", "check the disk") }
    guard bytes.count == count else {
      throw DataError(
        file: path, place: "byte \(place + bytes.count)", rule: "the file became shorter while it was read",
        fix: "do not write to it during training")
    }
    return bytes
  }
}
