import KilnEngine

extension HostArray {
  /// Reads an IDX file (the format of MNIST), gzipped or not.
  ///
  /// Layout: two zero bytes, a type byte, the rank, then each dimension and the elements, all big-endian.
  /// uint8, int32, float32 and float64 keep their dtype; int8 and int16 become int32.
  /// Throws `DataError` for a wrong magic number, an unknown type, or a length that does not match the dimensions.
  public init(idx path: String) throws {
    self = try HostArray.parseIDX(try Files.readUnpacked(path), file: path)
  }

  static func parseIDX(_ bytes: consuming [UInt8], file: String) throws -> HostArray {
    func wrong(_ place: String?, _ rule: String, _ fix: String) -> DataError {
      DataError(file: file, place: place, rule: rule, fix: fix)
    }
    guard bytes.count >= 4 else {
      throw wrong(
        "byte \(bytes.count)", "an IDX header has at least 4 bytes, got \(bytes.count)", "fetch the file again")
    }
    guard bytes[0] == 0, bytes[1] == 0 else {
      throw wrong(
        "byte 0", "an IDX file begins with two zero bytes, got \(Files.hex(bytes[..<4]))", "name an IDX file")
    }
    let kinds: [UInt8: (size: Int, name: String)] = [
      0x08: (1, "uint8"), 0x09: (1, "int8"), 0x0b: (2, "int16"), 0x0c: (4, "int32"), 0x0d: (4, "float32"),
      0x0e: (8, "float64"),
    ]
    guard let kind = kinds[bytes[2]] else {
      throw wrong(
        "byte 2", "the type byte must be one of 08 09 0b 0c 0d 0e, got \(Files.hex([bytes[2]]))", "name an IDX file")
    }
    let rank = Int(bytes[3])
    let header = 4 + 4 * rank
    guard bytes.count >= header else {
      throw wrong(
        "byte \(bytes.count)", "the header of rank \(rank) has \(header) bytes, the file \(bytes.count)",
        "the file was cut short; fetch it again")
    }
    let dimensions = (0..<rank).map { axis in
      bytes[(4 + 4 * axis)..<(8 + 4 * axis)].reduce(0) { $0 << 8 | Int($1) }
    }
    let shape = Shape(dimensions)
    guard let need = Shape.checkedCount(dimensions + [kind.size]), need <= Int.max - header else {
      throw wrong("byte 4", "the dimensions \(shape) overflow", "the file is damaged; fetch it again")
    }
    guard bytes.count == header + need else {
      let what = bytes.count < header + need ? "cut short" : "too long"
      throw wrong(
        "byte \(min(bytes.count, header + need))",
        "\(shape) of \(kind.name) needs \(header + need) bytes, the file has \(bytes.count)",
        "the file is \(what); fetch it again")
    }
    let type = bytes[2]
    if type == 0x08 {
      // In place: there may be many.
      bytes.removeSubrange(..<header)
      return HostArray(unchecked: .uint8, shape, bytes)
    }
    let data = bytes[header...]
    switch type {
    case 0x09: return HostArray(.int32, shape, data.map { Int32(Int8(bitPattern: $0)) })
    case 0x0b: return HostArray(.int32, shape, wide(data, as: UInt16.self).map { Int32(Int16(bitPattern: $0)) })
    case 0x0c: return HostArray(.int32, shape, wide(data, as: UInt32.self))
    case 0x0d: return HostArray(.float32, shape, wide(data, as: UInt32.self))
    default: return HostArray(.float64, shape, wide(data, as: UInt64.self))
    }
  }

  /// Big-endian words of the machine's order.
  static func wide<T: FixedWidthInteger & BitwiseCopyable>(_ data: ArraySlice<UInt8>, as type: T.Type) -> [T] {
    data.withUnsafeBytes { raw in
      (0..<raw.count / MemoryLayout<T>.size).map {
        T(bigEndian: raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self))
      }
    }
  }
}
