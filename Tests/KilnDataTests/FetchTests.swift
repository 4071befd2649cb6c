import Foundation
import Testing

@testable import KilnData

@Suite("Named sets and fetching", .serialized)
struct FetchTests {
  private let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  private var digest: String {
    var hash = SHA256()
    hash.add(content)
    return hash.finish()
  }

  private func folder(_ body: (DataFolder) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "kiln-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(DataFolder(path))
  }

  private func remote(_ server: Server, _ path: String = "/file", sha256: String? = nil, size: Int? = nil) -> RemoteFile
  {
    RemoteFile(
      path: "set/file.bin", url: "http://127.0.0.1:\(server.port)\(path)", size: size ?? content.count,
      sha256: sha256 ?? digest)
  }

  @Test("SHA-256 of the standard's examples, in pieces too")
  func sha256() {
    func digest(_ text: [UInt8], pieces: Int = 1) -> String {
      var hash = SHA256()
      for start in stride(from: 0, to: text.count, by: max(text.count / pieces, 1)) {
        hash.add(Array(text[start..<min(text.count, start + max(text.count / pieces, 1))]))
      }
      return hash.finish()
    }
    #expect(digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(digest(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    #expect(digest(Array(long.utf8)) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    let million = [UInt8](repeating: 0x61, count: 1_000_000)
    #expect(digest(million, pieces: 13) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("a file is fetched, checked and named")
  func fetched() throws {
    let server = try Server(content)
    defer { server.stop() }
    try folder { folder in
      var last = 0
      try remote(server).fetch(into: folder) { last = $0 }
      #expect(last == content.count)
      #expect(try Files.read("\(folder.path)/set/file.bin") == content)
      #expect(!Files.exists("\(folder.path)/set/file.bin.part"))
      try remote(server).fetch(into: folder)
      #expect(server.requests.count == 1)
    }
  }

  @Test("a broken line is gone on from where it broke")
  func resumed() throws {
    let server = try Server(content, cutAfter: 100_000)
    defer { server.stop() }
    try folder { folder in
      let message = DataFiles.message { try remote(server).fetch(into: folder) }
      #expect(message.contains("100000 bytes are kept"), "\(message)")
      try remote(server).fetch(into: folder)
      #expect(server.requests.last?.contains("bytes=100000-") == true)
      #expect(try Files.read("\(folder.path)/set/file.bin") == content)
    }
  }

  @Test("a server that cannot go on in the middle is asked for the whole")
  func restarted() throws {
    let server = try Server(content, cutAfter: 100_000, ranges: false)
    defer { server.stop() }
    try folder { folder in
      _ = DataFiles.message { try remote(server).fetch(into: folder) }
      try remote(server).fetch(into: folder)
      #expect(try Files.read("\(folder.path)/set/file.bin") == content)
    }
  }

  @Test("a wrong checksum, a missing file and no network are said, with what to do")
  func failures() throws {
    let server = try Server(content)
    try folder { folder in
      let wrong = DataFiles.message {
        try remote(server, sha256: String(repeating: "0", count: 64)).fetch(into: folder)
      }
      #expect(wrong.contains("has the SHA-256 \(digest)") && wrong.contains("removed"))
      #expect(!Files.exists("\(folder.path)/set/file.bin.part") && !Files.exists("\(folder.path)/set/file.bin"))
      #expect(DataFiles.message { try remote(server, "/other").fetch(into: folder) }.contains("the server refuses"))
      server.stop()
      let offline = DataFiles.message { try remote(server).fetch(into: folder) }
      #expect(offline.contains("seems to be offline") && offline.contains("put it at \(folder.path)/set/file.bin"))
    }
  }

  @Test("every set has a place and a source; those that are there are found")
  func catalog() throws {
    #expect(Set(NamedSet.all.map(\.name)).count == 11)
    for set in NamedSet.all {
      #expect(try NamedSet.named(set.name) == set)
      #expect(!set.source.isEmpty && !set.summary.isEmpty)
      for file in set.remote {
        #expect(file.sha256.count == 64 && file.sha256.allSatisfy(\.isHexDigit) && file.size > 0)
        #expect(set.files.contains { file.path == $0 || file.path == $0 + ".gz" })
      }
    }
    #expect(DataFiles.message { _ = try NamedSet.named("mnits") }.contains("mnist"))
    try folder { folder in
      let iris = try NamedSet.named("iris")
      #expect(!iris.isPresent(in: folder))
      #expect(DataFiles.message { try iris.fetch(into: folder) }.contains("get it by hand"))
      #expect(DataFiles.message { _ = try NamedSet.named("names").paths(in: folder) }.contains("kiln data fetch names"))
      try FileManager.default.createDirectory(atPath: folder.path + "/tabular", withIntermediateDirectories: true)
      try Files.write([1], to: folder.path + "/tabular/iris.csv.gz")
      #expect(try iris.paths(in: folder) == [folder.path + "/tabular/iris.csv.gz"])
      #expect(try NamedSet.named("digits").isPresent(in: folder))
    }
  }
}
