import Glibc
import KilnEngine

/// A safetensors file, read by memory map: opening it reads the header alone, and each tensor is copied when it is asked
/// for. The format is Hugging Face's.
///
/// F32, F64, I32, I64, U8 and BOOL keep their dtype; F16 and BF16 become float32; I8, I16 and U16 int32; U32 and U64
/// int64. Every malformed file is refused with one `DataError`: the header's length and form, unknown types, duplicate
/// names, offsets that overlap, leave gaps, disagree with the shape or lie outside the file.
public final class SafetensorsFile: Sendable {
  /// The longest header that is read, as in the reference implementation.
  public static let maximumHeader = 100_000_000

  public let path: String
  /// The file's `__metadata__`.
  public let metadata: [String: String]
  private let entries: [String: SafetensorsHeader.Entry]
  private let map: FileMap
  private let dataStart: Int

  /// Maps the file and checks its header. Throws `DataError`.
  public init(_ path: String) throws {
    self.path = path
    map = try FileMap(path)
    let bytes = map.bytes
    guard bytes.count >= 8 else {
      throw DataError(
        file: path, place: "byte \(bytes.count)", rule: "a safetensors file begins with 8 bytes, got \(bytes.count)",
        fix: "the file was cut short; fetch it again")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(Self.maximumHeader) else {
      throw DataError(
        file: path, place: "byte 0", rule: "the header claims \(length) bytes, at most \(Self.maximumHeader) are read",
        fix: "name a safetensors file; this one is damaged or of another kind")
    }
    guard Int(length) <= bytes.count - 8 else {
      throw DataError(
        file: path, place: "byte 0", rule: "the header claims \(length) bytes, \(bytes.count - 8) follow",
        fix: "the file was cut short; fetch it again")
    }
    dataStart = 8 + Int(length)
    let header = try SafetensorsHeader(
      Array(bytes[8..<dataStart]), dataBytes: bytes.count - dataStart, file: path)
    entries = header.entries
    metadata = header.metadata
  }

  /// All tensors' names, sorted.
  public var names: [String] { entries.keys.sorted() }

  /// A tensor's shape; `nil` if there is none of this name.
  public func shape(of name: String) -> Shape? { entries[name].map { Shape($0.shape) } }

  /// A copy of a tensor. Throws when there is none of this name, or an unsigned number does not fit.
  public func array(_ name: String) throws -> HostArray {
    guard let entry = entries[name] else {
      throw DataError(
        file: path, rule: "there is no tensor '\(name.prefix(80))'",
        fix: entries.isEmpty ? "the file holds none" : "it holds " + names.prefix(20).joined(separator: ", "))
    }
    let start = dataStart + entry.range.lowerBound
    let bytes = Array(map.bytes[start..<dataStart + entry.range.upperBound])
    let shape = Shape(entry.shape)
    let raw = HostArray(unchecked: .uint8, shape, bytes)
    switch entry.type {
    case "F32": return HostArray(unchecked: .float32, shape, bytes)
    case "F64": return HostArray(unchecked: .float64, shape, bytes)
    case "I32": return HostArray(unchecked: .int32, shape, bytes)
    case "I64": return HostArray(unchecked: .int64, shape, bytes)
    case "U8": return raw
    case "BOOL": return HostArray(unchecked: .bool, shape, bytes.map { $0 == 0 ? 0 : 1 })
    case "F16": return HostArray(.float32, shape, raw.values(as: UInt16.self).map(HostArray.float(half:)))
    case "BF16":
      return HostArray(
        .float32, shape, raw.values(as: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) })
    case "I8": return HostArray(.int32, shape, raw.values(as: Int8.self).map { Int32($0) })
    case "I16": return HostArray(.int32, shape, raw.values(as: Int16.self).map { Int32($0) })
    case "U16": return HostArray(.int32, shape, raw.values(as: UInt16.self).map { Int32($0) })
    case "U32": return HostArray(.int64, shape, raw.values(as: UInt32.self).map { Int64($0) })
    default:
      let values = raw.values(as: UInt64.self)
      guard values.allSatisfy({ $0 <= UInt64(Int64.max) }) else {
        throw DataError(
          file: path, place: "tensor '\(name.prefix(80))'", rule: "a U64 number exceeds int64",
          fix: "save it as I64 or F64")
      }
      return HostArray(.int64, shape, values.map { Int64($0) })
    }
  }
}

/// Every tensor of a safetensors file, by name; see `SafetensorsFile`. Throws `DataError`.
public func readSafetensors(_ path: String, on device: Device = .default) throws -> [String: Tensor] {
  let file = try SafetensorsFile(path)
  return try Dictionary(
    uniqueKeysWithValues: file.names.map { ($0, Tensor(try file.array($0), on: device)) })
}

/// Writes tensors as a safetensors file that the `safetensors` library reads. Equal tensors give equal files. The file
/// appears whole or not at all: it is written under another name, flushed to disk and renamed.
public func writeSafetensors(_ tensors: [String: Tensor], metadata: [String: String] = [:], to path: String) throws {
  for tensor in tensors.values { if let error = tensor.error { throw error } }
  try evaluate(Array(tensors.values))
  // Larger elements first, so that each tensor is aligned to its elements.
  let order = tensors.sorted { ($1.value.dtype.size, $0.key) < ($0.value.dtype.size, $1.key) }
  var members: [String] = []
  if !metadata.isEmpty {
    let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
    members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
  }
  var start = 0
  for (name, tensor) in order {
    guard name != "__metadata__" else {
      throw DataError(file: path, rule: "no tensor can be named '__metadata__'", fix: "give it another name")
    }
    let end = start + tensor.count * tensor.dtype.size
    let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
    members.append(
      "\(quoted(name)):{\"dtype\":\"\(safetensorsType(tensor.dtype))\",\"shape\":[\(shape)],\"data_offsets\":[\(start),\(end)]}"
    )
    start = end
  }
  var header = Array("{\(members.joined(separator: ","))}".utf8)
  while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
  guard header.count <= SafetensorsFile.maximumHeader else {
    throw DataError(
      file: path, rule: "the header would take \(header.count) bytes", fix: "write fewer tensors to one file")
  }
  try Files.write(to: path) { put in
    try put(withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header)
    for (_, tensor) in order { try put(try tensor.hostBytes()) }
  }
}

private func safetensorsType(_ dtype: DType) -> String {
  switch dtype {
  case .float32: "F32"
  case .float64: "F64"
  case .int32: "I32"
  case .int64: "I64"
  case .uint8: "U8"
  case .bool: "BOOL"
  }
}

/// A JSON string.
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": result += "\\" + String(scalar)
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

/// A file's bytes, mapped into memory for as long as this lives.
private final class FileMap: @unchecked Sendable {  // the memory is read only
  let bytes: UnsafeRawBufferPointer

  init(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Files.failure(path, "cannot be opened", "check the path and its permissions") }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else {
      throw Files.failure(path, "cannot be examined", "check the file system")
    }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw DataError(file: path, rule: "is no regular file", fix: "name a file; pipes and folders cannot be mapped")
    }
    let size = Int(info.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
      throw Files.failure(path, "cannot be mapped into memory", "check the limits of the process")
    }
    bytes = UnsafeRawBufferPointer(start: memory, count: size)
  }

  deinit {
    if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
  }
}
