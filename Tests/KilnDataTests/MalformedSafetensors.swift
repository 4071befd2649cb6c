import Foundation

@testable import KilnData

extension Malformed {
  /// Bytes of a safetensors file: the header's length, the header, so many bytes of data.
  static func safetensors(_ header: String, data: Int = 8, length: UInt64? = nil) -> [UInt8] {
    let size = length ?? UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: size >> UInt64(8 * $0)) } + text(header)
      + [UInt8](repeating: 0, count: data)
  }

  static let safetensors: [Malformed] = {
    let read: @Sendable (String) throws -> Void = { path in
      let file = try SafetensorsFile(path)
      for name in file.names { _ = try file.array(name) }
    }
    func tensor(_ name: String, _ dtype: String, _ shape: String, _ from: String, _ to: String) -> String {
      "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(from),\(to)]}"
    }
    let good = tensor("a", "F32", "[2]", "0", "8")
    let cases: [(String, String, Int, String)] = [
      ("no header", "", 0, "'{' is needed"), ("list", "[]", 0, "'{' is needed"),
      ("open", "{\(good)", 8, "is needed"), ("comma", "{\(good),}", 8, "is needed"),
      ("twice", "{\(good),\(good)}", 8, "occurs twice"), ("more", "{\(good)} x", 8, "goes on after its end"),
      ("short data", "{\(good)}", 7, "take 8 bytes, 7 follow"), ("long data", "{\(good)}", 9, "take 8 bytes, 9 follow"),
      ("first gap", "{\(tensor("a", "F32", "[2]", "4", "12"))}", 12, "neither overlap nor leave gaps"),
      ("overlap", "{\(good),\(tensor("b", "F32", "[1]", "4", "8"))}", 8, "neither overlap"),
      ("gap", "{\(good),\(tensor("b", "F32", "[1]", "12", "16"))}", 16, "nor leave gaps"),
      ("beyond the end", "{\(tensor("a", "F32", "[4]", "0", "16"))}", 8, "take 16 bytes, 8 follow"),
      ("backwards", "{\(tensor("a", "F32", "[2]", "8", "0"))}", 8, "begins at 8 and ends at 0"),
      ("shape", "{\(tensor("a", "F32", "[3]", "0", "8"))}", 8, "needs 12 bytes"),
      ("negative shape", "{\(tensor("a", "F32", "[-2]", "0", "8"))}", 8, "whole number"),
      ("huge shape", "{\(tensor("a", "F32", "[9223372036854775807,4]", "0", "8"))}", 8, "overflows"),
      ("huge number", "{\(tensor("a", "F32", "[99999999999999999999]", "0", "8"))}", 8, "whole number"),
      ("negative offset", "{\(tensor("a", "F32", "[2]", "-8", "0"))}", 8, "whole number"),
      ("huge offset", "{\(tensor("a", "F32", "[2]", "0", "18446744073709551615"))}", 8, "whole number"),
      ("fraction", "{\(tensor("a", "F32", "[2.5]", "0", "8"))}", 8, "is needed"),
      ("dtype", "{\(tensor("a", "F8_E4M3", "[2]", "0", "2"))}", 2, "'F8_E4M3' is not read"),
      ("empty dtype", "{\(tensor("a", "", "[2]", "0", "2"))}", 2, "is not read"),
      ("no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "needs dtype, shape"),
      ("one offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two data_offsets"),
      (
        "unknown member", "{\"a\":{\"more\":1,\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
        "is not known"
      ),
      ("metadata number", "{\"__metadata__\":{\"a\":1}}", 0, "is needed"),
      ("metadata twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "occurs twice"),
      ("escape", "{\"a\\q\":{}}", 0, "unknown escape"), ("surrogate", "{\"a\\ud800\":{}}", 0, "surrogate"),
      ("open string", "{\"a", 0, "no end"),
    ]
    return cases.map { Malformed("safetensors \($0.0)", safetensors($0.1, data: $0.2), $0.3, read) } + [
      Malformed("safetensors of no bytes", [], "8 bytes, got 0", read),
      Malformed("safetensors of 7 bytes", [1, 2, 3, 4, 5, 6, 7], "got 7", read),
      Malformed("safetensors header cut", safetensors("{\(good)}", length: 400), "claims 400 bytes", read),
      Malformed("safetensors header huge", safetensors("{}", length: .max), "claims", read),
      Malformed("safetensors header too large", safetensors("{}", length: 100_000_001), "at most 100000000", read),
    ]
  }()
}
