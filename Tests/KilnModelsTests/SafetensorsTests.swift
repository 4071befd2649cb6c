import Foundation
import Kiln
import Testing

@Suite("Safetensors files")
struct SafetensorsTests {
  static func path(_ name: String = UUID().uuidString) -> String {
    NSTemporaryDirectory() + "kiln-\(name).safetensors"
  }

  /// The message with which a file of this header and so many bytes of data is refused; "" if it is read.
  static func refusal(_ header: String, data: Int = 0, length: UInt64? = nil) throws -> String {
    try refusal(
      bytes: withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Array($0) } + Array(header.utf8)
        + [UInt8](repeating: 1, count: data))
  }

  static func refusal(bytes: [UInt8]) throws -> String {
    let path = path()
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    do {
      let file = try SafetensorsFile(path)
      for name in file.names { _ = try file.array(name) }
      return ""
    } catch let error as DataError { return error.description }
  }

  @Test("what is written is read again, in every dtype and shape")
  func roundTrip() throws {
    let tensors: [String: Tensor] = [
      "a": Tensor([1.5, -2, .infinity] as [Float], on: .cpu),
      "b": Tensor([1, 2, 3, 4] as [Double], shape: [2, 2], on: .cpu),
      "c \"quoted\" \\ é \n": Tensor([1, -7] as [Int32], on: .cpu), "d": Tensor([Int.max, Int.min], on: .cpu),
      "e": Tensor([0, 255] as [UInt8], on: .cpu), "f": Tensor([true, false, true], on: .cpu),
      "scalar": Tensor(3, on: .cpu), "empty": Tensor.zeros([0, 4], on: .cpu),
      "view": Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3], on: .cpu).transposed(),
    ]
    let path = Self.path()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writeSafetensors(tensors, metadata: ["format": "kiln", "note": "a\"b"], to: path)
    let first = try Data(contentsOf: URL(fileURLWithPath: path))
    let read = try readSafetensors(path, on: .cpu)
    #expect(read.keys.sorted() == tensors.keys.sorted())
    for (name, tensor) in tensors {
      let again = try #require(read[name])
      #expect(again.dtype == tensor.dtype && again.shape == tensor.shape)
      #expect(try again.hostBytes() == tensor.hostBytes(), "\(name)")
    }
    #expect(try SafetensorsFile(path).metadata == ["format": "kiln", "note": "a\"b"])
    try writeSafetensors(tensors, metadata: ["format": "kiln", "note": "a\"b"], to: path)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first, "equal tensors give equal files")
  }

  @Test("a file of the safetensors library in every type that is read")
  func types() throws {
    let file = try SafetensorsFile(Golden.path("types.safetensors"))
    func values(_ name: String) throws -> [Double] { try Tensor(file.array(name), on: .cpu).doubles() }
    let numbers: [Double] = [0, 1, 2, 100]
    for name in ["F32", "F64", "F16", "BF16", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"] {
      #expect(try values(name) == numbers, "\(name)")
    }
    #expect(try values("BOOL") == [0, 1, 1, 0])
    #expect(try values("F16.special").map(\.description) == ["inf", "-inf", "nan", "5.960464477539063e-08"])
    #expect(try values("BF16.special").map(\.description) == ["inf", "-inf", "nan", "3.3895313892515355e+38"])
    #expect(try file.array("F16").dtype == .float32 && file.array("U32").dtype == .int64)
    #expect(file.shape(of: "F32") == [2, 2] && file.shape(of: "none") == nil)
    #expect(throws: DataError.self) { try file.array("none") }
  }

  static let entry = "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

  @Test("every malformed file is one clear error")
  func malformed() throws {
    #expect(try Self.refusal("{\(Self.entry)}", data: 8) == "")
    #expect(try Self.refusal(" { \(Self.entry) }  ", data: 8) == "")
    #expect(try Self.refusal("{}") == "")
    let cases: [(String, Int, String)] = [
      ("", 0, "'{' is needed"),
      ("{", 0, "is needed"),
      ("[]", 0, "'{' is needed"),
      ("{\(Self.entry)} x", 8, "goes on after its end"),
      ("{\(Self.entry)", 8, "is needed"),
      ("{\(Self.entry),}", 8, "is needed"),
      ("{\(Self.entry),\(Self.entry)}", 8, "occurs twice"),
      ("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "occurs twice"),
      ("{\"__metadata__\":{\"a\":1}}", 0, "is needed"),
      ("{\(Self.entry)}", 7, "take 8 bytes, 7 follow"),
      ("{\(Self.entry)}", 9, "take 8 bytes, 9 follow"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "neither overlap nor leave gaps"),
      ("{\(Self.entry),\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "neither overlap"),
      ("{\(Self.entry),\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16, "nor leave gaps"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "needs 12 bytes"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "begins at 8 and ends at 0"),
      ("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "'F8_E4M3' is not read"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "is needed"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}", 8, "whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,4],\"data_offsets\":[0,8]}}", 8, "overflows"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8, "whole number"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two data_offsets"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "needs dtype, shape"),
      ("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "occurs twice"),
      ("{\"a\":{\"more\":1,\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "is not known"),
      ("{\"a\\q\":{}}", 0, "unknown escape"),
      ("{\"a\\ud800\":{}}", 0, "surrogate"),
      ("{\"a\\u12g4\":{}}", 0, "hexadecimal"),
      ("{\"a", 0, "no end"),
      ("{\"a\\", 0, "no end"),
    ]
    for (header, data, words) in cases {
      let message = try Self.refusal(header, data: data)
      #expect(message.contains(words), "\(header): \(message)")
    }
    #expect(try Self.refusal("{}", length: 3).contains("claims 3 bytes, 2 follow"))
    #expect(try Self.refusal("{}", length: 100_000_001).contains("at most 100000000"))
    #expect(try Self.refusal("{}", length: .max).contains("claims"))
    #expect(try Self.refusal(bytes: []).contains("8 bytes, got 0"))
    #expect(try Self.refusal(bytes: [1, 2, 3]).contains("got 3"))
    #expect(try Self.refusal(bytes: [2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff]).contains("is needed"))
    #expect(
      try Self.refusal(bytes: [5, 0, 0, 0, 0, 0, 0, 0] + Array("{\"".utf8) + [0xff] + Array("\":".utf8)).contains(
        "UTF-8"))
    #expect(throws: DataError.self) { try SafetensorsFile("/nowhere/at.all") }
    #expect(throws: DataError.self) { try SafetensorsFile(NSTemporaryDirectory()) }
  }

  @Test("any cut or changed byte of a header is read or refused, never a trap")
  func damage() throws {
    let path = Self.path()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writeSafetensors(
      ["a": Tensor([1, 2] as [Float], on: .cpu), "bc": Tensor([3] as [Double], on: .cpu)], metadata: ["x": "y"],
      to: path)
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    for end in bytes.indices { #expect(try Self.refusal(bytes: Array(bytes[..<end])) != "") }
    for position in bytes.indices {
      for value in [0, 0x20, 0x22, 0x39, 0x7d, 0xff, bytes[position] ^ 1] {
        var changed = bytes
        changed[position] = value
        _ = try Self.refusal(bytes: changed)
      }
    }
  }

  @Test("a file that cannot be written leaves nothing behind, and an old one as it was")
  func failures() throws {
    #expect(throws: DataError.self) {
      try writeSafetensors(["a": Tensor(1, on: .cpu)], to: "/nowhere/at/all.safetensors")
    }
    let path = Self.path()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writeSafetensors(["a": Tensor(1, on: .cpu)], to: path)
    let bad = matmul(Tensor.zeros([2, 3], on: .cpu), Tensor.zeros([2, 3], on: .cpu))
    #expect(throws: TensorError.self) { try writeSafetensors(["a": bad], to: path) }
    #expect(throws: DataError.self) { try writeSafetensors(["__metadata__": Tensor(1, on: .cpu)], to: path) }
    #expect(try readSafetensors(path, on: .cpu)["a"]?.item() == 1)
  }
}
