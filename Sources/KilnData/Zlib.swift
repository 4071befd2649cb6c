import CZlib

/// Deflate and gzip through the system's zlib.
enum Zlib {
  /// Unpacked data beyond this is refused: a small file can claim to hold terabytes.
  static let defaultLimit = 16 << 30

  /// Every member of a gzip file, one after the other. Zero bytes may follow the last.
  static func gunzip(_ bytes: [UInt8], file: String, limit: Int = defaultLimit) throws -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    repeat {
      // 16 + 15: a gzip header and trailer, whose checksum zlib verifies, around the largest window.
      let member = try unpack(
        bytes[position...], windowBits: 31, file: file, start: position, limit: limit - result.count,
        sizeHint: statedSize(bytes))
      if result.isEmpty { result = member.bytes } else { result += member.bytes }
      position += member.consumed
    } while bytes[position...].starts(with: [0x1f, 0x8b])
    if let stray = bytes[position...].firstIndex(where: { $0 != 0 }) {
      throw DataError(
        file: file, place: "byte \(stray)", rule: "bytes that are not gzip follow the compressed data",
        fix: "the file is damaged or was appended to; fetch it again")
    }
    return result
  }

  /// Raw deflate data, as zip archives hold it.
  static func inflate(_ bytes: ArraySlice<UInt8>, size: Int, file: String) throws -> [UInt8] {
    let result = try unpack(bytes, windowBits: -15, file: file, start: bytes.startIndex, limit: size, sizeHint: size)
    return result.bytes
  }

  static func deflate(_ bytes: [UInt8]) throws -> [UInt8] {
    var stream = z_stream()
    guard
      deflateInit2_(
        &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw DataError(file: "zlib", rule: "cannot start to compress", fix: "free some memory") }
    defer { deflateEnd(&stream) }
    var result: [UInt8] = []
    var output = [UInt8](repeating: 0, count: 1 << 18)
    var input = bytes
    var position = 0
    var status = Z_OK
    while status != Z_STREAM_END {
      let part = min(input.count - position, 1 << 30)
      let isLast = position + part == input.count
      let (used, made) = input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target -> (Int, Int) in
          stream.next_in = source.baseAddress.map { $0 + position }
          stream.avail_in = uInt(part)
          stream.next_out = target.baseAddress
          stream.avail_out = uInt(target.count)
          status = CZlib.deflate(&stream, isLast ? Z_FINISH : Z_NO_FLUSH)
          return (part - Int(stream.avail_in), target.count - Int(stream.avail_out))
        }
      }
      guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR && made > 0 else {
        throw DataError(file: "zlib", rule: "compression failed with code \(status)", fix: "free some memory")
      }
      position += used
      result += output[..<made]
    }
    return result
  }

  static func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
    var crc: uLong = 0
    func add(_ buffer: UnsafeBufferPointer<UInt8>) {
      var position = 0
      while position < buffer.count, let base = buffer.baseAddress {
        let part = min(buffer.count - position, 1 << 30)
        crc = crc32(crc, base + position, uInt(part))
        position += part
      }
    }
    if bytes.withContiguousStorageIfAvailable({ add($0) }) == nil { Array(bytes).withUnsafeBufferPointer { add($0) } }
    return UInt32(truncatingIfNeeded: crc)
  }

  /// The bytes that a gzip file says it unpacks to, modulo 2^32, where that is likely: a hint.
  private static func statedSize(_ bytes: [UInt8]) -> Int {
    guard bytes.count >= 18 else { return 0 }
    let size = bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    return size / 64 <= bytes.count ? size : 0
  }

  /// `sizeHint` is how much memory to begin with.
  private static func unpack(
    _ bytes: ArraySlice<UInt8>, windowBits: Int32, file: String, start: Int, limit: Int, sizeHint: Int
  ) throws -> (bytes: [UInt8], consumed: Int) {
    var stream = z_stream()
    guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw DataError(file: file, rule: "zlib cannot start to unpack it", fix: "free some memory")
    }
    defer { inflateEnd(&stream) }
    var result: [UInt8] = []
    var position = 0
    var isDone = false
    // A byte more than fits shows that there is more.
    var capacity = min(max(sizeHint, 1 << 16), limit) + 1
    try bytes.withUnsafeBufferPointer { input in
      while !isDone {
        let before = result
        result = []
        result = try [UInt8](unsafeUninitializedCapacity: capacity) { room, count in
          count = room.update(fromContentsOf: before)
          while !isDone, count < room.count {
            let (part, space) = (min(input.count - position, 1 << 30), min(room.count - count, 1 << 30))
            stream.next_in = input.baseAddress.map { UnsafeMutablePointer(mutating: $0) + position }
            stream.avail_in = uInt(part)
            stream.next_out = room.baseAddress.map { $0 + count }
            stream.avail_out = uInt(space)
            let status = CZlib.inflate(&stream, Z_NO_FLUSH)
            let (used, made) = (part - Int(stream.avail_in), space - Int(stream.avail_out))
            position += used
            count += made
            guard count <= limit else {
              throw DataError(
                file: file, place: "byte \(start + position)", rule: "unpacks to more than the \(limit) bytes allowed",
                fix: "the file is damaged; fetch it again")
            }
            switch status {
            case Z_STREAM_END: isDone = true
            case Z_OK where used > 0 || made > 0: continue
            default: throw failure(status, stream, file: file, place: start + position)
            }
          }
        }
        capacity = min(2 * capacity, limit + 1)
      }
    }
    return (result, position)
  }

  private static func failure(_ status: Int32, _ stream: z_stream, file: String, place: Int) -> DataError {
    switch status {
    case Z_OK, Z_BUF_ERROR:
      return DataError(
        file: file, place: "byte \(place)", rule: "the compressed data ends too early",
        fix: "the file was cut short; fetch it again")
    case Z_MEM_ERROR:
      return DataError(file: file, rule: "not enough memory to unpack it", fix: "free some memory")
    default:
      let words = stream.msg.map { String(cString: $0) } ?? "code \(status)"
      return DataError(
        file: file, place: "byte \(place)", rule: "the compressed data is damaged (\(words))",
        fix: "fetch the file again")
    }
  }
}
