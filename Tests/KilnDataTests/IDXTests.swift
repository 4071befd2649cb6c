import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("IDX files")
struct IDXTests {
  static let bytes: [UInt8] =
    [0, 0, 8, 2] + DataFiles.big(UInt32(2)) + DataFiles.big(UInt32(3)) + [1, 2, 3, 4, 5, 255]

  @Test("bytes are read with their shape, plain and gzipped")
  func unsignedBytes() throws {
    let expected = try HostArray(dtype: .uint8, shape: [2, 3], bytes: [1, 2, 3, 4, 5, 255])
    try DataFiles.with(Self.bytes) { path in
      let array = try HostArray(idx: path)
      #expect(array == expected)
    }
    try DataFiles.with(DataFiles.gzip(Self.bytes), suffix: ".gz") { path in
      let array = try HostArray(idx: path)
      #expect(array == expected)
    }
  }

  @Test("big-endian words of every type are read")
  func words() throws {
    func read(_ type: UInt8, _ count: Int, _ data: [UInt8]) throws -> HostArray {
      try HostArray.parseIDX([0, 0, type, 1] + DataFiles.big(UInt32(count)) + data, file: "f")
    }
    #expect(try read(0x09, 2, [0xff, 5]).values(as: Int32.self) == [-1, 5])
    #expect(try read(0x0b, 1, DataFiles.big(Int16(-300))).values(as: Int32.self) == [-300])
    #expect(try read(0x0c, 1, DataFiles.big(Int32(-70_000))).values(as: Int32.self) == [-70_000])
    #expect(try read(0x0d, 1, DataFiles.big(Float(1.5).bitPattern)).values(as: Float.self) == [1.5])
    #expect(try read(0x0e, 1, DataFiles.big(Double(-2.25).bitPattern)).values(as: Double.self) == [-2.25])
  }

  @Test("a gzip file of several members is read whole")
  func members() throws {
    let packed = DataFiles.gzip(Array(Self.bytes[..<7])) + DataFiles.gzip(Array(Self.bytes[7...]))
    try DataFiles.with(packed, suffix: ".gz") { path in
      let array = try HostArray(idx: path)
      #expect(array.shape == [2, 3])
    }
  }

  struct Damage: Sendable {
    var bytes: [UInt8]
    var message: String
    init(_ bytes: [UInt8], _ message: String) { (self.bytes, self.message) = (bytes, message) }
  }
  static let huge: [UInt8] = [0, 0, 0x0e, 3] + [UInt8](repeating: 0xff, count: 12)
  static let damages: [Damage] = [
    Damage([], "f, byte 0: an IDX header has at least 4 bytes, got 0; fetch the file again"),
    Damage([1, 0, 8, 1], "f, byte 0: an IDX file begins with two zero bytes, got 01 00 08 01; name an IDX file"),
    Damage([0, 0, 7, 1], "f, byte 2: the type byte must be one of 08 09 0b 0c 0d 0e, got 07; name an IDX file"),
    Damage(
      [0, 0, 8, 2, 0, 0, 0, 1],
      "f, byte 8: the header of rank 2 has 12 bytes, the file 8; the file was cut short; fetch it again"),
    Damage(
      Array(bytes.dropLast()),
      "f, byte 17: [2, 3] of uint8 needs 18 bytes, the file has 17; the file is cut short; fetch it again"),
    Damage(
      bytes + [0], "f, byte 18: [2, 3] of uint8 needs 18 bytes, the file has 19; the file is too long; fetch it again"),
    Damage(
      huge,
      "f, byte 4: the dimensions [4294967295, 4294967295, 4294967295] overflow; the file is damaged; fetch it again"),
  ]

  @Test("damaged files are refused with file, place, rule and fix", arguments: damages.indices)
  func damaged(_ index: Int) {
    let damage = Self.damages[index]
    #expect(DataFiles.message { _ = try HostArray.parseIDX(damage.bytes, file: "f") } == damage.message)
  }

  @Test("damaged gzip files are refused")
  func damagedGzip() throws {
    let packed = DataFiles.gzip(Self.bytes)
    var corrupt = packed
    corrupt[20] ^= 1
    let cases: [([UInt8], String)] = [
      (Array(packed.dropLast(9)), "the compressed data ends too early"),
      (Array(packed.prefix(5)), "the compressed data ends too early"),
      (corrupt, "the compressed data is damaged (incorrect data check)"),
      (packed + [1, 2], "bytes that are not gzip follow the compressed data"),
    ]
    for (bytes, words) in cases {
      try DataFiles.with(bytes, suffix: ".gz") { path in
        let message = DataFiles.message { _ = try HostArray(idx: path) }
        #expect(message.hasPrefix(path + ", byte "))
        #expect(message.contains(words))
      }
    }
    try DataFiles.with(Self.bytes, suffix: ".gz") { path in
      #expect(DataFiles.message { _ = try HostArray(idx: path) }.contains("begins with the bytes 1f 8b, got 00 00"))
    }
    #expect(throws: DataError.self) { try Zlib.gunzip(packed, file: "f", limit: 10) }
  }

  @Test("a missing file and a folder are refused by name")
  func unreadable() {
    #expect(
      DataFiles.message { _ = try HostArray(idx: "/nowhere/x") }
        == "/nowhere/x: cannot be opened: No such file or directory; check the path and its permissions")
    #expect(DataFiles.message { _ = try HostArray(idx: "/") }.hasPrefix("/: is a folder"))
  }

  @Test("mutated files never trap")
  func mutations() {
    var state: UInt64 = 1
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let packed = DataFiles.gzip(Self.bytes)
    for _ in 0..<20_000 {
      var plain = Self.bytes
      var gz = packed
      for _ in 0...random(3) {
        plain[random(plain.count)] = UInt8(random(256))
        gz[random(gz.count)] = UInt8(random(256))
      }
      if random(3) == 0 { plain.removeLast(random(plain.count)) }
      _ = try? HostArray.parseIDX(plain, file: "f")
      _ = try? Zlib.gunzip(gz, file: "f", limit: 1 << 20)
    }
  }
}
