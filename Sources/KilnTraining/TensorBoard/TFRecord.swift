/// The framing of TensorFlow's record files: for each record its length (8 bytes), the masked CRC-32C of those, the
/// data, and the masked CRC-32C of the data; all numbers little-endian.
enum TFRecord {
  static func framed(_ data: [UInt8]) -> [UInt8] {
    let length = withUnsafeBytes(of: UInt64(data.count).littleEndian) { Array($0) }
    return length + bytes(masked(CRC32C.checksum(length))) + data + bytes(masked(CRC32C.checksum(data)))
  }

  /// A CRC of data that holds CRCs is weak, so those that are stored are turned and shifted.
  static func masked(_ crc: UInt32) -> UInt32 { (crc >> 15 | crc << 17) &+ 0xa282_ead8 }

  private static func bytes(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
}

/// The CRC of iSCSI (Castagnoli's polynomial, RFC 3720), table by table.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
  }

  static func checksum(_ bytes: [UInt8]) -> UInt32 {
    let table = table
    return ~bytes.reduce(UInt32.max) { crc, byte in crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
  }
}
