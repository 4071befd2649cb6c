/// What is in a zip archive, and where: in memory, or in a file of which only the directory is read.
struct ZipArchive {
  struct Entry {
    var name: String
    /// 0: as it is; 8: deflated.
    var method: Int
    var checksum: Int
    /// Bytes from `start` on, and bytes that they stand for.
    var packed: Int
    var size: Int
    var start: Int
  }
  let file: String
  let size: Int
  /// So many bytes from a place on; both are within the archive.
  let read: (_ at: Int, _ count: Int) throws -> ArraySlice<UInt8>

  init(file: String, size: Int, read: @escaping (_ at: Int, _ count: Int) throws -> ArraySlice<UInt8>) {
    (self.file, self.size, self.read) = (file, size, read)
  }

  init(_ file: Descriptor) {
    self.init(file: file.path, size: file.size) { try file.read(at: $0, $1)[...] }
  }

  /// All members. Throws `DataError` for a directory that is damaged.
  func entries() throws -> [Entry] {
    guard let end = try findEnd() else {
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
    var entries: [Entry] = []
    for _ in 0..<count {
      let (entry, next) = try entry(position)
      entries.append(entry)
      position = next
    }
    return entries
  }

  /// The end record, searched from the back past a comment.
  private func findEnd() throws -> Int? {
    let first = max(0, size - 22 - 0xffff)
    let tail = Array(try slice(first, size - first))
    return stride(from: tail.count - 22, through: 0, by: -1)
      .first { tail[$0] == 0x50 && tail[$0 + 1] == 0x4b && tail[$0 + 2] == 5 && tail[$0 + 3] == 6 }
      .map { first + $0 }
  }

  private func entry(_ at: Int) throws -> (Entry, next: Int) {
    guard try number(at, 4) == 0x0201_4b50 else { throw damaged(at, "a directory entry is missing") }
    let flags = try number(at + 8, 2)
    let method = try number(at + 10, 2)
    let checksum = try number(at + 16, 4)
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
    guard method == 0 || method == 8 else {
      throw damaged(at, "'\(name)' uses compression method \(method), 0 and 8 are read")
    }
    let start = try local + 30 + number(local + 26, 2) + number(local + 28, 2)
    let entry = Entry(name: name, method: method, checksum: checksum, packed: packed, size: size, start: start)
    return (entry, at + 46 + nameLength + extraLength + commentLength)
  }

  private func number(_ at: Int, _ count: Int) throws -> Int {
    let value = try slice(at, count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    // Such a position lies in no file; clamped, so that sums of a few stay in range.
    return Int(min(value, 1 << 60))
  }

  func slice(_ at: Int, _ count: Int) throws -> ArraySlice<UInt8> {
    guard at >= 0, count >= 0, at <= size, count <= size - at else {
      throw damaged(min(max(at, 0), size), "the archive ends too early")
    }
    return try read(at, count)
  }

  func damaged(_ at: Int, _ rule: String) -> DataError {
    DataError(file: file, place: "byte \(at)", rule: rule, fix: "the archive is damaged; write it again")
  }
}
