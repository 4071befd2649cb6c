/// The few parts of the zip format that `.npz` files use: stored and deflated members, zip64 sizes when reading.
enum Zip {
  struct Member {
    var name: String
    var bytes: [UInt8]
  }

  static func read(_ bytes: [UInt8], file: String) throws -> [Member] {
    try Reader(bytes: bytes, file: file).members()
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

  private struct Reader {
    let bytes: [UInt8]
    let file: String

    func members() throws -> [Member] {
      guard let end = findEnd() else {
        throw DataError(
          file: file, rule: "has no zip directory at its end, so it is not a whole .npz file",
          fix: "name a .npz file, or write it again")
      }
      var count = try number(end + 10, 2)
      var position = try number(end + 16, 4)
      if end >= 20, try number(end - 20, 4) == 0x0706_4b50 {
        let wide = try number(end - 12, 8)
        guard try number(wide, 4) == 0x0606_4b50 else { throw damaged(end - 12, "the zip64 directory is missing") }
        count = try number(wide + 32, 8)
        position = try number(wide + 48, 8)
      }
      var members: [Member] = []
      for _ in 0..<count {
        let (member, next) = try entry(position)
        members.append(member)
        position = next
      }
      return members
    }

    /// The end record, searched from the back past a comment.
    private func findEnd() -> Int? {
      var position = bytes.count - 22
      let last = max(0, position - 0xffff)
      while position >= last {
        if bytes[position] == 0x50, bytes[position + 1] == 0x4b, bytes[position + 2] == 5, bytes[position + 3] == 6 {
          return position
        }
        position -= 1
      }
      return nil
    }

    private func entry(_ at: Int) throws -> (Member, Int) {
      guard try number(at, 4) == 0x0201_4b50 else { throw damaged(at, "a directory entry is missing") }
      let flags = try number(at + 8, 2)
      let method = try number(at + 10, 2)
      let crc = try number(at + 16, 4)
      var packed = try number(at + 20, 4)
      var size = try number(at + 24, 4)
      let nameLength = try number(at + 28, 2)
      let extraLength = try number(at + 30, 2)
      let commentLength = try number(at + 32, 2)
      var local = try number(at + 42, 4)
      let name = String(decoding: try slice(at + 46, nameLength), as: UTF8.self)
      // zip64 values stand in the order size, packed size, offset, for those that did not fit.
      var extra = at + 46 + nameLength
      let extraEnd = extra + extraLength
      while extra + 4 <= extraEnd {
        let length = try number(extra + 2, 2)
        if try number(extra, 2) == 1 {
          var field = extra + 4
          if size == 0xffff_ffff {
            size = try number(field, 8)
            field += 8
          }
          if packed == 0xffff_ffff {
            packed = try number(field, 8)
            field += 8
          }
          if local == 0xffff_ffff { local = try number(field, 8) }
        }
        extra += 4 + length
      }
      if flags & 1 != 0 { throw damaged(at, "'\(name)' is encrypted") }
      guard try number(local, 4) == 0x0403_4b50 else { throw damaged(local, "'\(name)' has no header of its own") }
      let start = try local + 30 + number(local + 26, 2) + number(local + 28, 2)
      let data = try slice(start, packed)
      let content: [UInt8]
      switch method {
      case 0: content = Array(data)
      case 8: content = try Zlib.inflate(data, size: size, file: "\(file)(\(name))")
      default: throw damaged(at, "'\(name)' uses compression method \(method), 0 and 8 are read")
      }
      guard content.count == size, Int(Zlib.checksum(content)) == crc else {
        throw damaged(start, "the checksum or size of '\(name)' does not match")
      }
      return (Member(name: name, bytes: content), at + 46 + nameLength + extraLength + commentLength)
    }

    private func number(_ at: Int, _ count: Int) throws -> Int {
      let value = try slice(at, count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      // Such a position lies in no file; clamped, so that sums of a few stay in range.
      return Int(min(value, 1 << 60))
    }

    private func slice(_ at: Int, _ count: Int) throws -> ArraySlice<UInt8> {
      guard at >= 0, count >= 0, at <= bytes.count, count <= bytes.count - at else {
        throw damaged(min(max(at, 0), bytes.count), "the archive ends too early")
      }
      return bytes[at..<at + count]
    }

    private func damaged(_ at: Int, _ rule: String) -> DataError {
      DataError(file: file, place: "byte \(at)", rule: rule, fix: "the archive is damaged; write it again")
    }
  }
}
