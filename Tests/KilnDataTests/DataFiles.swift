import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

/// Files for the readers' tests.
enum DataFiles {
  /// A committed file beside the tests.
  static func golden(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/\(name)").path
  }

  /// Writes bytes to a new file, hands its path to `body` and removes it.
  static func with<R>(_ bytes: [UInt8], suffix: String = "", _ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "kiln-\(UUID().uuidString)\(suffix)"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  /// The message of the `DataError` that `body` throws; any other end is an issue.
  static func message(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> String {
    do {
      try body()
    } catch let error as DataError {
      return error.description
    } catch {
      Issue.record("not a DataError: \(error)", sourceLocation: sourceLocation)
      return ""
    }
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    return ""
  }

  /// gzip with one stored block, made by hand: the unpacker is not tested with its own packer.
  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var crc: UInt32 = 0xffff_ffff
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    crc = ~crc
    let length = UInt16(bytes.count)
    var result: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]
    result += little(length) + little(~length) + bytes + little(crc) + little(UInt32(bytes.count))
    return result
  }

  static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
  static func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}
