/// The few parts of the zip format that `.npz` files use: stored and deflated members, zip64 sizes when reading.
enum Zip {
  struct Member {
    var name: String
    var bytes: [UInt8]
  }

  static func read(_ bytes: [UInt8], file: String) throws -> [Member] {
    let archive = ZipArchive(file: file, size: bytes.count) { bytes[$0..<$0 + $1] }
    return try archive.entries().map { entry in
      let data = try archive.slice(entry.start, entry.packed)
      let content =
        entry.method == 0
        ? Array(data) : try Zlib.inflate(data, size: entry.size, file: "\(file)(\(entry.name))")
      guard content.count == entry.size, Int(Zlib.checksum(content)) == entry.checksum else {
        throw archive.damaged(entry.start, "the checksum or size of '\(entry.name)' does not match")
      }
      return Member(name: entry.name, bytes: content)
    }
  }

  /// One archive of at most 4 GB; members are deflated where that is asked for.
  static func write(_ members: [Member], compressed: Bool, file: String) throws -> [UInt8] {
    var archive: [UInt8] = []
    var directory: [UInt8] = []
    for member in members {
      let data = compressed ? try Zlib.deflate(member.bytes) : member.bytes
      let name = Array(member.name.utf8)
      guard max(archive.count + data.count, member.bytes.count) < 0xffff_0000, name.count <= 0xffff,
        members.count < 0xffff
      else {
        throw DataError(
          file: file, rule: "an archive holds at most 4 GB and 65,534 arrays, this one would be larger",
          fix: "write several files")
      }
      // Version 2.0; no flags; the method; 1980-01-01, so that equal contents give equal files.
      var fields: [UInt8] = little(20, 2) + little(0x0800, 2) + little(compressed ? 8 : 0, 2)
      fields += little(0, 2) + little(0x21, 2)
      fields += little(Int(Zlib.checksum(member.bytes)), 4) + little(data.count, 4) + little(member.bytes.count, 4)
      fields += little(name.count, 2) + little(0, 2)
      directory += little(0x0201_4b50, 4) + little(20, 2) + fields
      directory += little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(archive.count, 4) + name
      archive += little(0x0403_4b50, 4) + fields + name + data
    }
    let start = archive.count
    archive += directory
    archive += little(0x0605_4b50, 4) + little(0, 4) + little(members.count, 2) + little(members.count, 2)
    archive += little(directory.count, 4) + little(start, 4) + little(0, 2)
    return archive
  }

  private static func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
