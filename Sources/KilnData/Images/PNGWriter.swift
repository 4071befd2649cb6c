/// Pictures as PNG files in memory.
package enum PNG {
  /// `pixels` [height, width, channels] in row-major order, with 1 (gray), 3 (RGB) or 4 (RGBA) channels of 8 bits.
  package static func encode(_ pixels: [UInt8], height: Int, width: Int, channels: Int) throws -> [UInt8] {
    let colors: [Int: UInt8] = [1: 0, 3: 2, 4: 6]
    guard let color = colors[channels], height > 0, width > 0, pixels.count == height * width * channels else {
      throw DataError(
        file: "PNG", rule: "\(pixels.count) bytes are no picture of \(height) x \(width) with \(channels) channels",
        fix: "give 1, 3 or 4 bytes for each pixel")
    }
    // Each row begins with its filter: none.
    var rows: [UInt8] = []
    rows.reserveCapacity(pixels.count + height)
    for row in 0..<height {
      rows.append(0)
      rows += pixels[row * width * channels..<(row + 1) * width * channels]
    }
    // The zlib frame around deflate: two bytes before, Adler-32 after.
    let packed = try [0x78, 0x9c] + Zlib.deflate(rows) + bigEndian(adler(rows))
    return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
      + chunk("IHDR", bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, color, 0, 0, 0])
      + chunk("IDAT", packed) + chunk("IEND", [])
  }

  private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + data
    return bigEndian(UInt32(data.count)) + body + bigEndian(Zlib.checksum(body))
  }

  private static func bigEndian(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }

  private static func adler(_ bytes: [UInt8]) -> UInt32 {
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      low = (low + UInt32(byte)) % 65521
      high = (high + low) % 65521
    }
    return high << 16 | low
  }
}
