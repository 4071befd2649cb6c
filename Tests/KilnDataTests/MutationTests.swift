import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("Mutated files")
struct MutationTests {
  /// By default a few thousand; KILN_FUZZ_FILES=100000 for the long run.
  @Test("a binary reader takes a mutated file or refuses it, and never ends the program")
  func mutations() throws {
    let count = ProcessInfo.processInfo.environment["KILN_FUZZ_FILES"].flatMap { Int($0) } ?? 4000
    let idx: [UInt8] = [0, 0, 12, 2, 0, 0, 0, 2, 0, 0, 0, 3] + (0..<24).map { UInt8($0) }
    let bpe = Malformed.text("kiln bpe 1 3\n97 98\n256 99\n32 257\n")
    let readers: [(String, [UInt8], (String, [UInt8]) throws -> Void)] = [
      ("idx", idx, { _ = try HostArray.parseIDX($1, file: $0) }),
      (
        "gzip", DataFiles.gzip(idx), { _ = try HostArray.parseIDX(Zlib.gunzip($1, file: $0, limit: 1 << 20), file: $0) }
      ),
      ("npy", Malformed.golden("array-f4.npy"), { _ = try HostArray.parseNPY($1, file: $0) }),
      (
        "npz", Malformed.golden("deflated.npz"),
        { path, bytes in
          for member in try Zip.read(bytes, file: path) { _ = try HostArray.parseNPY(member.bytes, file: path) }
        }
      ),
      (
        "npz rows", Malformed.golden("stored.npz"),
        { path, bytes in
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          let file = try RecordFile.npz(path, "b")
          for row in 0..<min(file.count, 10) { _ = try file.sample(at: row) }
        }
      ),
      (
        "png", Malformed.golden("rgb.png"),
        { _ = try Picture(bytes: Self.sealed($1), file: $0, maximumPixels: 1 << 20) }
      ),
      (
        "palette", Malformed.golden("palette.png"),
        { _ = try Picture(bytes: Self.sealed($1), file: $0, maximumPixels: 1 << 20) }
      ),
      (
        "jpeg", Malformed.golden("rgb.jpg"),
        { _ = try Picture(bytes: Self.sealed($1), file: $0, maximumPixels: 1 << 20) }
      ),
      (
        "wav", ReaderTests.wave(data: Array(0..<64)),
        { path, bytes in
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          _ = try HostArray.wave(path)
        }
      ),
      (
        "stream", DataFiles.gzip(ReaderTests.cifar([1])),
        { path, bytes in
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          try Malformed.drain(RecordStream([path], format: .cifar()))
        }
      ),
      (
        "bpe", bpe,
        { path, bytes in
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          _ = try BPETokenizer(contentsOf: path)
        }
      ),
      (
        "safetensors",
        Malformed.safetensors(
          "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[8,12]}}", data: 12),
        { path, bytes in
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          let file = try SafetensorsFile(path)
          for name in file.names { _ = try file.array(name) }
        }
      ),
      (
        "csv", Malformed.text("a,b\n1,\"2\"\n3,4\n"),
        { path, bytes in
          _ = try Table(bytes: bytes, file: path).numbers()
        }
      ),
    ]
    let path = NSTemporaryDirectory() + "kiln-fuzz-\(getpid())"
    defer { unlink(path) }
    var generator = OrderGenerator(seed: 20, epoch: 0)
    var taken: [String: Int] = [:]
    var refused: [String: Int] = [:]
    for number in 0..<count {
      let (name, original, read) = readers[number % readers.count]
      let bytes = Self.mutated(original, &generator)
      do {
        try read(path, bytes)
        taken[name, default: 0] += 1
      } catch let error as DataError {
        refused[name, default: 0] += 1
        #expect(!error.description.contains("\n") && error.description.hasPrefix(path), "\(name): \(error)")
      } catch {
        Issue.record("\(name): not a DataError: \(error)")
      }
    }
    print(
      "\(count) mutated files: refused \(refused.sorted { $0.key < $1.key }), taken \(taken.sorted { $0.key < $1.key })"
    )
    for (name, _, _) in readers where count > 1000 { #expect(refused[name] ?? 0 > 0, "\(name) refused nothing") }
  }

  /// A PNG with its checksums made right again where its chunks can be followed, so that the library sees the mutation;
  /// anything else as it is.
  private static func sealed(_ original: [UInt8]) -> [UInt8] {
    var bytes = original
    guard bytes.starts(with: [0x89, 0x50]), bytes.count % 4 != 0 else { return bytes }
    var at = 8
    while at + 12 <= bytes.count {
      let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - at - 12 else { break }
      let end = at + 8 + length
      bytes.replaceSubrange(end..<end + 4, with: DataFiles.big(Zlib.checksum(bytes[at + 4..<end])))
      at = end + 4
    }
    return bytes
  }

  private static func mutated(_ original: [UInt8], _ generator: inout OrderGenerator) -> [UInt8] {
    var bytes = original
    for _ in 0...generator.below(4) {
      guard !bytes.isEmpty else { break }
      let place = generator.below(bytes.count)
      switch generator.below(7) {
      case 0: bytes[place] ^= 1 << UInt8(generator.below(8))
      case 1: bytes[place] = UInt8(generator.below(256))
      case 2: bytes[place] = [0, 255, 127, 128][generator.below(4)]
      case 3: bytes.removeSubrange(place...)
      case 4: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(8)))
      case 5: bytes.insert(contentsOf: (0...generator.below(8)).map { _ in UInt8(generator.below(256)) }, at: place)
      default:
        let part = Array(bytes[place..<min(bytes.count, place + 16)])
        bytes.insert(contentsOf: part, at: generator.below(bytes.count))
      }
    }
    return bytes
  }
}
