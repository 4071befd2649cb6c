import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("npy and npz files")
struct NPYTests {
  static let values: [Double] = [0.5, -1.25, 3, 100, -0.0, 7.75]

  @Test("every type and byte order that numpy writes", arguments: ["f2", "f4", "f4-big"])
  func floats(_ name: String) throws {
    let array = try HostArray(npy: DataFiles.golden("array-\(name).npy"))
    #expect(array.dtype == .float32)
    #expect(array.shape == [2, 3])
    #expect(array.values(as: Float.self).map(\.bitPattern) == Self.values.map { Float($0).bitPattern })
  }

  @Test("float64 in both byte orders", arguments: ["f8", "f8-big"])
  func doubles(_ name: String) throws {
    let array = try HostArray(npy: DataFiles.golden("array-\(name).npy"))
    #expect(array.dtype == .float64)
    #expect(array.values(as: Double.self).map(\.bitPattern) == Self.values.map(\.bitPattern))
  }

  @Test("whole numbers keep or widen their type")
  func integers() throws {
    func read(_ name: String) throws -> HostArray { try HostArray(npy: DataFiles.golden("array-\(name).npy")) }
    for name in ["i1", "i2", "u2", "i4-big"] {
      #expect(try read(name).dtype == .int32)
      #expect(try read(name).values(as: Int32.self) == [0, name.hasPrefix("i") ? -1 : 1, 3, 100, 0, 7])
    }
    for name in ["i8", "u4"] {
      #expect(try read(name).values(as: Int64.self) == [0, name == "i8" ? -1 : 1, 3, 100, 0, 7])
    }
    #expect(try read("u1").bytes == [0, 1, 3, 100, 0, 7])
    #expect(try read("b1") == HostArray(unchecked: .bool, [2, 3], [1, 1, 1, 1, 0, 1]))
  }

  @Test("column-major, scalar and empty arrays")
  func shapes() throws {
    let fortran = try HostArray(npy: DataFiles.golden("array-fortran.npy"))
    #expect(fortran.shape == [2, 3, 4])
    #expect(fortran.values(as: Int32.self) == Array(0..<24))
    #expect(try HostArray(npy: DataFiles.golden("array-scalar.npy")) == HostArray(.float32, [], [Float(2.5)]))
    #expect(try HostArray(npy: DataFiles.golden("array-empty.npy")) == HostArray(unchecked: .float32, [0, 3], []))
  }

  @Test("what is written is byte for byte what numpy writes")
  func writing() throws {
    for name in ["f4", "f8", "i8", "u1", "b1", "scalar", "empty"] {
      let path = DataFiles.golden("array-\(name).npy")
      #expect(try HostArray(npy: path).npyBytes() == Files.read(path), "\(name)")
    }
  }

  @Test("rows of a stored archive are read where they lie")
  func rows() throws {
    let golden = DataFiles.golden("stored.npz")
    let file = try RecordFile.npz(golden, "b")
    #expect(try file.count == 5 && file.sample(at: 3).features.values(as: Int64.self) == [3])
    let arrays = [
      "x": HostArray(.float32, [3, 2, 2], (0..<12).map { Float($0) }),
      "y": HostArray(.uint8, [3], [7, 8, 9] as [UInt8]),
    ]
    try DataFiles.with([]) { path in
      try writeNPZArrays(arrays, to: path)
      let pairs = try PairedDataset(features: RecordFile.npz(path, "x"), labels: RecordFile.npz(path, "y"))
      let sample = try pairs.sample(at: 1)
      #expect(sample.features == HostArray(.float32, [2, 2], [4, 5, 6, 7] as [Float]))
      #expect(sample.label.values(as: Int64.self) == [8])
      #expect(DataFiles.message { _ = try RecordFile.npz(path, "z") }.contains("has no array 'z'; it has x, y"))
      try writeNPZArrays(arrays, to: path, compressed: true)
      #expect(DataFiles.message { _ = try RecordFile.npz(path, "x") }.contains("deflated"))
    }
  }

  @Test("stored and deflated archives, both ways")
  func archives() throws {
    let stored = try readNPZArrays(DataFiles.golden("stored.npz"))
    #expect(stored.keys.sorted() == ["a", "b"])
    #expect(stored["a"]?.values(as: Float.self) == Self.values.map { Float($0) })
    #expect(stored["b"]?.values(as: Int64.self) == [0, 1, 2, 3, 4])
    let deflated = try readNPZArrays(DataFiles.golden("deflated.npz"))
    #expect(deflated["zeros"] == HostArray(.float64, [50, 40], [Double](repeating: 0, count: 2000)))
    for compressed in [false, true] {
      try DataFiles.with([]) { path in
        try writeNPZArrays(stored, to: path, compressed: compressed)
        #expect(try readNPZArrays(path) == stored)
      }
    }
  }

  @Test("damaged and foreign files are refused")
  func damaged() throws {
    func message(_ bytes: [UInt8]) -> String {
      DataFiles.message { _ = try HostArray.parseNPY(bytes, file: "f") }
    }
    func file(_ header: String, _ data: Int) -> [UInt8] {
      [0x93] + Array("NUMPY".utf8) + [1, 0] + DataFiles.little(UInt16(header.utf8.count)) + Array(header.utf8)
        + [UInt8](repeating: 0, count: data)
    }
    #expect(message([1, 2]) == "f, byte 2: a .npy header has at least 10 bytes, got 2; write the file again")
    #expect(message(Array(0..<20)).hasPrefix("f, byte 0: a .npy file begins with 93 'NUMPY', got 00 01 02 03 04 05"))
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
    #expect(try HostArray.parseNPY(file(good, 24), file: "f").shape == [2, 3])
    let cases: [(String, Int, String)] = [
      (good, 23, "[2, 3] of <f4 needs 24 bytes, 23 follow; the file was cut short"),
      (good, 25, "[2, 3] of <f4 needs 24 bytes, 25 follow; the file is damaged"),
      ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 8, "the type '<c8' is not read"),
      ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8, "the type '|O' is not read"),
      ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "structured arrays are not read"),
      ("{'descr': '<f4', 'fortran_order': False}", 4, "are all needed"),
      ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}", 4, "'False' is needed"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "a dimension in 'shape'"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4, "a dimension in 'shape'"),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", 4,
        "the shape [4611686018427387904, 4] overflows"
      ),
      ("{'descr': '<f4', 'extra': 1, 'shape': ()}", 4, "the key 'extra' is not known"),
      ("nonsense", 4, "'{' is needed"),
      ("{'descr': '<f4", 4, "a quoted word is needed"),
    ]
    for (header, data, words) in cases {
      let text = message(file(header, data))
      #expect(text.contains(words), "\(text)")
    }
    #expect(message([0x93] + Array("NUMPY".utf8) + [1, 0, 200, 0]).contains("the header claims 200 bytes, 0 follow"))
    #expect(message([0x93] + Array("NUMPY".utf8) + [9, 0, 0, 0]).contains("versions 1 to 3 are known, got 9"))
  }

  @Test("damaged archives are refused and mutated ones never trap", arguments: ["stored.npz", "deflated.npz"])
  func mutations(_ name: String) throws {
    let bytes = try Files.read(DataFiles.golden(name))
    #expect(DataFiles.message { _ = try Zip.read([], file: "f") }.contains("no zip directory"))
    #expect(DataFiles.message { _ = try Zip.read(Array(bytes.dropLast(30)), file: "f") }.contains("no zip directory"))
    var corrupt = bytes
    corrupt[bytes.count / 4] ^= 0x55
    #expect(DataFiles.message { _ = try Zip.read(corrupt, file: "f") }.hasPrefix("f"))
    var state: UInt64 = 7
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for _ in 0..<10_000 {
      var mutated = bytes
      for _ in 0...random(4) { mutated[random(mutated.count)] = UInt8(random(256)) }
      if random(4) == 0 { mutated.removeFirst(random(mutated.count)) }
      if let members = try? Zip.read(mutated, file: "f") {
        for member in members { _ = try? HostArray.parseNPY(member.bytes, file: "f") }
      }
    }
  }
}
