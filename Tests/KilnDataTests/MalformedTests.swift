import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

/// A file that is wrong, the reader that must say so, and a part of what it must say.
struct Malformed: Sendable {
  var name: String
  var bytes: [UInt8]
  var suffix: String
  var says: String
  var read: @Sendable (String) throws -> Void

  init(
    _ name: String, _ bytes: [UInt8], suffix: String = "", _ says: String,
    _ read: @escaping @Sendable (String) throws -> Void
  ) {
    (self.name, self.bytes, self.suffix, self.says, self.read) = (name, bytes, suffix, says, read)
  }

  static func drain(_ stream: some DataStream) throws {
    let reader = try stream.makeReader()
    while try reader.next() != nil {}
  }

  static func text(_ text: String) -> [UInt8] { Array(text.utf8) }
  static func golden(_ name: String) -> [UInt8] {
    (try? Data(contentsOf: URL(fileURLWithPath: DataFiles.golden(name)))).map { Array($0) } ?? []
  }

  /// A copy with other bytes at a place.
  static func changed(_ bytes: [UInt8], _ place: Int, _ new: [UInt8]) -> [UInt8] {
    var copy = bytes
    for (i, byte) in new.enumerated() where place + i < copy.count { copy[place + i] = byte }
    return copy
  }

  // MARK: The files

  static var all: [Malformed] {
    idx + gzip + npy + npz + tables + cifar + records + images + sounds + texts + tokenizers + safetensors
  }

  static let idx: [Malformed] = {
    let whole: [UInt8] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
    let read: @Sendable (String) throws -> Void = { _ = try HostArray(idx: $0) }
    let rows: @Sendable (String) throws -> Void = { _ = try RecordFile.idx($0) }
    let labels: @Sendable (String) throws -> Void = { path in
      let images = HostArray(unchecked: .uint8, [2, 28, 28], [UInt8](repeating: 0, count: 2 * 784))
      _ = try MNIST.imageSet(images: images, file: "images", labels: HostArray(idx: path), file: path)
    }
    var cases = [0, 1, 3].map { Malformed("idx of \($0) bytes", Array(whole[..<$0]), "at least 4 bytes", read) }
    cases += [5, 8, 11].map {
      Malformed("idx header of \($0) bytes", Array(whole[..<$0]), "the header of rank 2", read)
    }
    cases += [12, 17].map { Malformed("idx of \($0) bytes", Array(whole[..<$0]), "cut short", read) }
    cases += [
      Malformed("idx too long", whole + [7], "too long", read),
      Malformed("idx magic", changed(whole, 0, [1]), "two zero bytes", read),
      Malformed("idx second magic", changed(whole, 1, [9]), "two zero bytes", read),
      Malformed("idx type", changed(whole, 2, [0x0a]), "type byte", read),
      Malformed("idx type 0", changed(whole, 2, [0]), "type byte", read),
      Malformed("idx int32 promised", changed(whole, 2, [0x0c]), "cut short", read),
      Malformed("idx huge", changed(whole, 4, [255, 255, 255, 255, 255, 255, 255, 255]), "overflow", read),
      Malformed("idx rank 200", changed(whole, 3, [200]), "the header of rank 200", read),
      Malformed("idx rows of int32", changed(whole, 2, [0x0c]), "uint8", rows),
      Malformed("idx rows cut", Array(whole[..<16]), "byte 16", rows),
      Malformed("idx rows header cut", Array(whole[..<7]), "header", rows),
      Malformed("idx rows too many", changed(whole, 7, [3]), "the header promises 3 records, the file has 2", rows),
      Malformed("label 10", [0, 0, 8, 1, 0, 0, 0, 2, 3, 10], "label 1: labels must lie in 0...9, got 10", labels),
      Malformed("label count", [0, 0, 8, 1, 0, 0, 0, 3, 3, 1, 1], "labels must be uint8 [2]", labels),
      Malformed("label type", [0, 0, 9, 1, 0, 0, 0, 2, 3, 1], "labels must be uint8 [2]", labels),
    ]
    return cases
  }()

  static let gzip: [Malformed] = {
    let inner: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4]
    let whole = DataFiles.gzip(inner)
    let read: @Sendable (String) throws -> Void = { _ = try HostArray(idx: $0) }
    let stream: @Sendable (String) throws -> Void = {
      try drain(RecordStream([$0], format: RecordFormat.raw([2], .uint8)))
    }
    var cases = [3, 9, 12, 20, whole.count - 1].map {
      Malformed("gzip of \($0) bytes", Array(whole[..<$0]), suffix: ".gz", "too early", read)
    }
    cases += [
      Malformed("gzip method", changed(whole, 2, [3]), suffix: ".gz", "damaged", read),
      Malformed("gzip checksum", changed(whole, whole.count - 8, [1, 2, 3, 4]), suffix: ".gz", "damaged", read),
      Malformed("gzip length", changed(whole, whole.count - 4, [99]), suffix: ".gz", "damaged", read),
      Malformed("gzip block length", changed(whole, 11, [99]), suffix: ".gz", "damaged", read),
      Malformed("gzip data", changed(whole, 20, [77]), suffix: ".gz", "damaged", read),
      Malformed("gzip and more", whole + [5, 6], suffix: ".gz", "not gzip follow", read),
      Malformed("named gz", inner, suffix: ".gz", "begins with the bytes 1f 8b", read),
      Malformed("empty gz", [], suffix: ".gz", "begins with the bytes 1f 8b", read),
      Malformed("stream named gz", inner, suffix: ".gz", "begins with the bytes 1f 8b", stream),
      Malformed("stream gzip cut", Array(whole[..<20]), suffix: ".gz", "too early", stream),
      Malformed(
        "stream gzip checksum", changed(whole, whole.count - 8, [1, 2, 3, 4]), suffix: ".gz", "damaged", stream),
      Malformed(
        "stream gzip of odd records", DataFiles.gzip([1, 2, 3]), suffix: ".gz", "record 1 needs 2 bytes", stream),
    ]
    return cases
  }()

  static let npy: [Malformed] = {
    func file(_ header: String, _ data: [UInt8] = [], version: UInt8 = 1) -> [UInt8] {
      [0x93] + text("NUMPY") + [version, 0] + DataFiles.little(UInt16(header.utf8.count)) + text(header) + data
    }
    let good = HostArray(.float32, [2, 2], [1, 2, 3, 4] as [Float]).npyBytes()
    let read: @Sendable (String) throws -> Void = { _ = try HostArray(npy: $0) }
    let rows: @Sendable (String) throws -> Void = { _ = try RecordFile.npy($0) }
    var cases = [0, 5, 9].map { Malformed("npy of \($0) bytes", Array(good[..<$0]), "at least 10 bytes", read) }
    cases += [20, 100].map { Malformed("npy of \($0) bytes", Array(good[..<$0]), "the header claims", read) }
    cases += [
      Malformed("npy data cut", Array(good.dropLast()), "cut short", read),
      Malformed("npy data too long", good + [0], "damaged", read),
      Malformed("npy magic", changed(good, 1, [0x4f]), "begins with 93 'NUMPY'", read),
      Malformed("npy version", changed(good, 6, [9]), "versions 1 to 3", read),
      Malformed("npy no brace", file("hello"), "'{' is needed", read),
      Malformed("npy no descr", file("{'fortran_order': False, 'shape': (1,)}", [0]), "are all needed", read),
      Malformed("npy unknown key", file("{'x': 1}"), "'x' is not known", read),
      Malformed(
        "npy object", file("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", [0]), "'|O' is not read", read),
      Malformed("npy complex", file("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", [0]), "not read", read),
      Malformed(
        "npy structured", file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), "structured", read),
      Malformed("npy negative", file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "whole number", read),
      Malformed(
        "npy overflow", file("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 9999999999)}"),
        "overflows", read),
      Malformed(
        "npy digits", file("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
        "whole number", read),
      Malformed(
        "npy order", file("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}"), "'False' is needed", read),
      Malformed("npy open quote", file("{'descr"), "quoted word", read),
      Malformed("npy open tuple", file("{'descr': '<f4', 'fortran_order': False, 'shape': (1"), "')' is needed", read),
      Malformed(
        "npy rows of float16", file("{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1)}", [0, 0]), "one by one",
        rows),
      Malformed(
        "npy rows in Fortran order", file("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}", [0, 0, 0, 0]),
        "Fortran", rows),
      Malformed("npy rows of a scalar", HostArray(.float32, [], [Float(1)]).npyBytes(), "scalar", rows),
      Malformed("npy rows cut", Array(good.dropLast(3)), "records of 8", rows),
      Malformed("npy rows too few", Array(good.dropLast(8)), "promises 2 records, the file has 1", rows),
    ]
    return cases
  }()

  static let npz: [Malformed] = {
    let good = golden("deflated.npz")
    let read: @Sendable (String) throws -> Void = { _ = try readNPZArrays($0) }
    let rows: @Sendable (String) throws -> Void = { _ = try RecordFile.npz($0, "b") }
    let end = good.count - 22
    return [
      Malformed("npz empty", [], "no zip directory", read),
      Malformed("npz cut", Array(good.dropLast(5)), "no zip directory", read),
      Malformed("npz text", text(String(repeating: "no zip", count: 20)), "no zip directory", read),
      Malformed("npz directory place", changed(good, end + 16, [255, 255, 0, 0]), "too early", read),
      Malformed("npz directory entry", changed(good, end + 16, [1, 0, 0, 0]), "entry is missing", read),
      Malformed("npz too many", changed(good, end + 10, [200, 0]), "entry is missing", read),
      Malformed("npz data", changed(good, 60, [1, 2, 3, 4, 5, 6, 7, 8]), "npz", read),
      Malformed("npz rows deflated", good, "deflated array", rows),
      Malformed("npz rows cut", Array(golden("stored.npz").dropLast(9)), "no zip directory", rows),
      Malformed(
        "npz rows place", changed(golden("stored.npz"), golden("stored.npz").count - 6, [255, 255]), "too early", rows),
    ]
  }()

  static let tables: [Malformed] = {
    let read: @Sendable (String) throws -> Void = { _ = try Table(contentsOf: $0).numbers() }
    let stream: @Sendable (String) throws -> Void = { try drain(TableStream($0, features: ["a", "b"])) }
    let labelled: @Sendable (String) throws -> Void = {
      try drain(TableStream($0, features: ["a"], label: "b", classes: ["x", "y"]))
    }
    let counted: @Sendable (String) throws -> Void = { try drain(TableStream($0, features: ["a"], label: "b")) }
    let both: [(String, String, String)] = [
      ("ragged", "a,b\n1,2\n3\n", "line 3"), ("too wide", "a,b\n1,2\n3,4,5\n", "line 3"),
      ("no number", "a,b\n1,2\n3,x\n", "line 3, column 2: a number is needed, got 'x'"),
      ("empty field", "a,b\n1,\n", "line 2, column 2"), ("stray quote", "a,b\n1,2\"3\n", "line 2"),
      ("open quote", "a,b\n1,\"2\n3,4\n", "line 2"), ("after a quote", "a,b\n1,\"2\"x\n", "line 2, column 2"),
      ("huge word", "a,b\n1," + String(repeating: "y", count: 5000) + "\n", "got 'yyyy"),
    ]
    var cases = both.flatMap { name, content, says in
      [
        Malformed("table \(name)", text(content), suffix: ".csv", says, read),
        Malformed("table stream \(name)", text(content), suffix: ".csv", says, stream),
      ]
    }
    cases += [
      Malformed("table of other bytes", [97, 44, 98, 10, 0xff, 44, 49, 10], suffix: ".csv", "not UTF-8", read),
      Malformed(
        "table stream of other bytes", [97, 44, 98, 10, 49, 44, 0xc3, 10], suffix: ".csv", "not UTF-8", stream),
      Malformed("table stream without column", text("a,c\n1,2\n"), suffix: ".csv", "no column 'b'", stream),
      Malformed("table stream empty", [], suffix: ".csv", "no column 'a'", stream),
      Malformed(
        "label word", text("a,b\n1,x\n2,z\n"), suffix: ".csv",
        "line 3, column 2: the label must be one of x, y, got 'z'", labelled),
      Malformed(
        "label fraction", text("a,b\n1,2\n2,2.5\n"), suffix: ".csv", "a whole number is needed, got '2.5'", counted),
      Malformed("tab fields", text("a\tb\n1\t2\t3\n"), suffix: ".tsv", "line 2", stream),
      Malformed(
        "schema", text("a,b\n1,2\n"), suffix: ".csv", "'b' must lie in 5.0...9.0",
        { try Schema([.init("b", .number(5...9))]).check(Table(contentsOf: $0)) }),
    ]
    return cases
  }()

  static let cifar: [Malformed] = {
    let good = ReaderTests.cifar([1, 2])
    let file: @Sendable (String) throws -> Void = { path in
      let file = try RecordFile(path, format: .cifar())
      for i in 0..<file.count { _ = try file.sample(at: i) }
    }
    let stream: @Sendable (String) throws -> Void = { _ = try CIFAR.read([$0]) }
    return [("file", file), ("stream", stream)].flatMap { kind, read in
      [
        Malformed("cifar \(kind) cut", Array(good.dropLast()), "byte 6145", read),
        Malformed("cifar \(kind) one byte", [3], "byte 1", read),
        Malformed(
          "cifar \(kind) label", changed(good, 3073, [10]), "record 1, byte 3073: labels must lie in 0..<10, got 10",
          read),
        Malformed("cifar \(kind) label 255", changed(good, 0, [255]), "record 0, byte 0", read),
      ]
    }
  }()

  static let records: [Malformed] = [
    Malformed("records with a header cut", [1, 2], "do not make 2 bytes") {
      _ = try RecordFile(
        $0,
        format: RecordFormat(headerSize: 4, recordSize: 2) { _, _ in
          Sample(features: HostArray(.uint8, [], [UInt8(0)]), label: 0)
        })
    },
    Malformed("stream header cut", [1, 2], "the header needs 4 bytes, 2 are left") {
      try drain(
        RecordStream(
          [$0],
          format: RecordFormat(headerSize: 4, recordSize: 2) { _, _ in
            Sample(features: HostArray(.uint8, [], [UInt8(0)]), label: 0)
          }))
    },
  ]

  static let images: [Malformed] = {
    let png = golden("rgb.png")
    let jpeg = golden("rgb.jpg")
    let frame = jpeg.indices.first { $0 + 1 < jpeg.count && jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 } ?? 0
    let read: @Sendable (String) throws -> Void = { _ = try Picture(contentsOf: $0) }
    /// The width and height in the header, with its checksum made right again.
    func sized(_ width: UInt32, _ height: UInt32) -> [UInt8] {
      let header = changed(png, 16, DataFiles.big(width) + DataFiles.big(height))
      return changed(header, 29, DataFiles.big(Zlib.checksum(header[12..<29])))
    }
    var cases = [8, 20, 40, 100, png.count - 12, png.count - 1].map {
      Malformed("png of \($0) bytes", Array(png[..<$0]), "the PNG is damaged", read)
    }
    cases += [3, 20, 100, 300, jpeg.count / 2, jpeg.count - 20].map {
      Malformed("jpeg of \($0) bytes", Array(jpeg[..<$0]), "the JPEG is damaged", read)
    }
    cases += [
      Malformed("no image", text("GIF89a..."), "a PNG begins with", read),
      Malformed("empty image", [], "got nothing", read),
      Malformed("png taller than its data", sized(17, 13), "the PNG is damaged", read),
      Malformed("png wider than its data", sized(18, 12), "the PNG is damaged", read),
      Malformed("png of 0 width", sized(0, 12), "the PNG is damaged", read),
      Malformed("png that claims terabytes", sized(1 << 20 - 1, 1 << 20 - 1), "PNG", read),
      Malformed("png of 900,000 x 900,000", sized(900_000, 900_000), "at most 268435456 are read", read),
      Malformed("png header checksum", changed(png, 29, [0, 0, 0, 0]), "byte 8", read),
      Malformed("png data checksum", changed(png, png.count - 16, [0, 1, 2, 3]), "byte 33", read),
      Malformed(
        "png depth", changed(changed(png, 24, [7]), 29, DataFiles.big(Zlib.checksum(changed(png, 24, [7])[12..<29]))),
        "the PNG is damaged", read),
      Malformed("png colour type", changed(png, 25, [9]), "the PNG is damaged", read),
      Malformed("jpeg of 12 bits", changed(jpeg, frame + 4, [12]), "the JPEG is damaged", read),
    ]
    return cases
  }()

  static let sounds: [Malformed] = {
    let good = ReaderTests.wave(data: [1, 2, 3, 4, 5, 6, 7, 8])
    let read: @Sendable (String) throws -> Void = { _ = try HostArray.wave($0) }
    return [
      Malformed("wav empty", [], "begins with 'RIFF'", read),
      Malformed("wav head cut", Array(good[..<11]), "begins with 'RIFF'", read),
      Malformed("wav not RIFF", changed(good, 0, text("RIFX")), "begins with 'RIFF'", read),
      Malformed("wav not WAVE", changed(good, 8, text("AVI ")), "begins with 'RIFF'", read),
      Malformed("wav no chunks", Array(good[..<12]), "has no 'fmt ' chunk", read),
      Malformed("wav no data", Array(good[..<36]), "has no 'data' chunk", read),
      Malformed("wav fmt cut", Array(good[..<30]), "'fmt ' chunk needs", read),
      Malformed("wav fmt small", changed(good, 16, [8]), "'fmt ' chunk needs", read),
      Malformed("wav fmt huge", changed(good, 16, [255, 255, 255, 127]), "'fmt ' chunk needs", read),
      Malformed("wav mu-law", changed(good, 20, [7]), "kind 7", read),
      Malformed("wav 12 bits", changed(good, 34, [12]), "12 bits", read),
      Malformed("wav 0 channels", changed(good, 22, [0, 0]), "0 channels", read),
      Malformed("wav rate 0", changed(good, 24, [0, 0, 0, 0]), "at 0 Hz", read),
      Malformed("wav frame size", changed(good, 32, [3]), "frames of 3 bytes", read),
      Malformed("wav data cut", Array(good.dropLast()), "the 'data' chunk claims 8 bytes, 7 follow", read),
      Malformed("wav half a frame", ReaderTests.wave(data: [1, 2, 3, 4, 5, 6]), "no whole number of frames", read),
      Malformed(
        "wav data before fmt", Array(good[..<12]) + text("data") + [0, 0, 0, 0], "before the 'fmt ' chunk", read),
    ]
  }()

  static let texts: [Malformed] = [
    Malformed("text of other bytes", [97, 98, 0xff, 99], "byte 2: is not UTF-8") { _ = try TextFile.read($0) },
    Malformed("text cut in a character", [97, 0xe4, 0xbd], "byte 1: is not UTF-8") { _ = try TextFile.read($0) },
    Malformed("line of other bytes", [97, 10, 0xff, 10], "line 2: is not UTF-8") {
      try drain(LineStream($0) { _, number in Sample(features: HostArray(.int64, [], [Int64(0)]), label: number) })
    },
    Malformed("line refused", text("ok\nbad\n"), "line 2: no such word") {
      try drain(
        LineStream($0) { line, number in
          if line == "bad" { throw DataError(file: "", rule: "no such word", fix: "mend it") }
          return Sample(features: HostArray(.int64, [], [Int64(0)]), label: number)
        })
    },
  ]

  static let tokenizers: [Malformed] = {
    let bpe: @Sendable (String) throws -> Void = { _ = try BPETokenizer(contentsOf: $0) }
    let characters: @Sendable (String) throws -> Void = { _ = try CharacterTokenizer(contentsOf: $0) }
    let bomb =
      (["kiln bpe 1 40"] + (0..<40).map { "\($0 == 0 ? 97 : 255 + $0) \($0 == 0 ? 97 : 255 + $0)" }).joined(
        separator: "\n") + "\n"
    return [
      Malformed("bpe empty", [], "line 1: a BPE file begins", bpe),
      Malformed("bpe magic", text("kiln bqe 1 0\n"), "line 1: a BPE file begins", bpe),
      Malformed("bpe count", text("kiln bpe 1 -2\n"), "line 1", bpe),
      Malformed("bpe version", text("kiln bpe 2 0\n"), "line 1", bpe),
      Malformed("bpe cut at a line", text("kiln bpe 1 2\n97 98\n"), "2 merges and a line end were promised, 1", bpe),
      Malformed("bpe cut in a line", text("kiln bpe 1 2\n97 98\n256 9"), "line 3", bpe),
      Malformed("bpe too long", text("kiln bpe 1 1\n97 98\n97 99\n"), "1 merges", bpe),
      Malformed("bpe one token", text("kiln bpe 1 1\n97\n"), "line 2: needs two tokens", bpe),
      Malformed("bpe words", text("kiln bpe 1 1\na b\n"), "line 2: needs two tokens", bpe),
      Malformed("bpe later token", text("kiln bpe 1 2\n97 257\n97 98\n"), "line 2: may name tokens 0..<256", bpe),
      Malformed("bpe itself", text("kiln bpe 1 1\n256 97\n"), "line 2: may name", bpe),
      Malformed("bpe negative", text("kiln bpe 1 1\n-1 97\n"), "line 2: may name", bpe),
      Malformed("bpe twice", text("kiln bpe 1 2\n97 98\n97 98\n"), "line 3: names the pair 97 98 a second time", bpe),
      Malformed("bpe that doubles 40 times", text(bomb), "65536 are allowed", bpe),
      Malformed("bpe bytes", [0xff, 0xfe], "not UTF-8", bpe),
      Malformed("characters magic", text("61\n62\n"), "line 1", characters),
      Malformed("characters cut", text("kiln characters 1\n61\n6"), "line 3", characters),
      Malformed(
        "characters surrogate", text("kiln characters 1\nd800\n"), "line 2: needs a Unicode scalar", characters),
      Malformed("characters order", text("kiln characters 1\n62\n61\n"), "line 3", characters),
      Malformed("characters word", text("kiln characters 1\nzz\n"), "line 2", characters),
    ]
  }()
}

@Suite("Malformed files")
struct MalformedTests {
  @Test("each gives one line that names the file, the place and the rule")
  func oneLine() throws {
    let all = Malformed.all
    #expect(all.count >= 200)
    print("\(all.count) malformed files")
    #expect(Set(all.map(\.name)).count == all.count)
    for file in all {
      try DataFiles.with(file.bytes, suffix: file.suffix.isEmpty ? "-npz" : file.suffix) { path in
        let message = DataFiles.message { try file.read(path) }
        #expect(message.hasPrefix(path), "\(file.name): \(message)")
        #expect(message.contains(file.says), "\(file.name): \(message)")
        #expect(message.contains("; "), "\(file.name): no mend in \(message)")
        #expect(!message.contains("\n") && message.utf8.count < 1000, "\(file.name): \(message)")
      }
    }
  }

  /// What a reader says; nothing where it takes the file.
  private static func refusal(_ read: () throws -> Void) -> String {
    do {
      try read()
      return ""
    } catch { return "\(error)" }
  }

  @Test("the command says the same of them, and exits with 1")
  func command() throws {
    let kiln = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: "kiln")
    let kinds: [([Malformed], String, (String) throws -> Void)] = [
      (Malformed.idx, ".idx", { _ = try HostArray(idx: $0) }),
      (Malformed.gzip, ".idx.gz", { _ = try HostArray(idx: $0) }),
      (Malformed.npy, ".npy", { _ = try HostArray(npy: $0) }), (Malformed.npz, ".npz", { _ = try readNPZArrays($0) }),
      (Malformed.tables, ".csv", { _ = try Table(contentsOf: $0) }),
      (Malformed.images, ".png", { _ = try Picture(contentsOf: $0) }),
      (Malformed.sounds, ".wav", { _ = try HostArray.wave($0) }),
      (Malformed.texts, ".txt", { _ = try TextFile.read($0) }),
      (Malformed.tokenizers, ".bpe", { _ = try BPETokenizer(contentsOf: $0) }),
      (
        Malformed.safetensors, ".safetensors",
        { path in
          let file = try SafetensorsFile(path)
          for name in file.names { _ = try file.array(name) }
        }
      ),
    ]
    var refused = 0
    for (files, suffix, read) in kinds {
      for file in files {
        try DataFiles.with(file.bytes, suffix: suffix) { path in
          let expected = Self.refusal { try read(path) }
          let process = Process()
          process.executableURL = kiln
          process.arguments = ["inspect", path]
          let errors = Pipe()
          process.standardOutput = FileHandle.nullDevice
          process.standardError = errors
          try process.run()
          let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
          process.waitUntilExit()
          #expect(process.terminationReason == .exit, "\(file.name)")
          // What only a certain use of the file refuses, such as its rows in any order, is fine as a whole.
          #expect(process.terminationStatus == (expected.isEmpty ? 0 : 1), "\(file.name): \(said)")
          #expect(said == (expected.isEmpty ? "" : "kiln: \(expected)\n"), "\(file.name): \(said)")
          if !expected.isEmpty { refused += 1 }
        }
      }
    }
    print("\(refused) malformed files refused by the command")
    #expect(refused >= 150)
  }

  @Test("files and folders that are not there are named by every reader")
  func missing() {
    let readers: [@Sendable (String) throws -> Void] = [
      { _ = try HostArray(idx: $0) }, { _ = try HostArray(npy: $0) }, { _ = try readNPZArrays($0) },
      { _ = try Table(contentsOf: $0) }, { _ = try TableStream($0, features: []) }, { _ = try CIFAR.read([$0]) },
      { _ = try RecordFile($0, format: .cifar()) }, { _ = try Picture(contentsOf: $0) }, { _ = try HostArray.wave($0) },
      { _ = try TextFile.read($0) }, { _ = try BPETokenizer(contentsOf: $0) },
    ]
    for read in readers {
      #expect(DataFiles.message { try read("/nowhere/file") }.hasPrefix("/nowhere/file"))
      #expect(DataFiles.message { try read("/tmp") }.hasPrefix("/tmp"))
    }
    #expect(DataFiles.message { _ = try ImageFolder("/nowhere") }.hasPrefix("/nowhere"))
  }
}
