import Glibc

/// Whole files in and out, with errors that name the file.
enum Files {
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The file's bytes. A gzip file (by its first bytes) is unpacked; one that is only named `.gz` is refused.
  static func readUnpacked(_ path: String) throws -> [UInt8] {
    let bytes = try read(path)
    if bytes.starts(with: [0x1f, 0x8b]) { return try Zlib.gunzip(bytes, file: path) }
    if path.hasSuffix(".gz") {
      throw DataError(
        file: path, place: "byte 0", rule: "a gzip file begins with the bytes 1f 8b, got \(hex(bytes.prefix(2)))",
        fix: "if it is not compressed, remove .gz from its name; else fetch it again")
    }
    return bytes
  }

  static func read(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "cannot be opened", "check the path and its permissions") }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw failure(path, "cannot be examined", "check the file system") }
    if info.st_mode & S_IFMT == S_IFDIR {
      throw DataError(file: path, rule: "is a folder, a file is needed", fix: "name a file in it")
    }
    var bytes: [UInt8] = []
    // The size is a hint only: pipes have none, and a file may grow while it is read.
    var chunk = max(Int(clamping: info.st_size) + 1, 1 << 16)
    while true {
      var got = 0
      let part = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
        got = Glibc.read(descriptor, buffer.baseAddress, chunk)
        count = Swift.max(got, 0)
      }
      if got == 0 { return bytes }
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(path, "cannot be read", "check the disk")
      }
      if bytes.isEmpty { bytes = part } else { bytes += part }
      chunk = 1 << 20
    }
  }

  /// Writes to a temporary neighbour, flushes it to disk and renames it, so that no reader ever sees half a file, not
  /// even after a crash.
  static func write(_ bytes: [UInt8], to path: String) throws {
    try write(to: path) { put in try put(bytes) }
  }

  /// `write` in parts: `body` calls its argument with one after the other.
  static func write(to path: String, _ body: (_ put: ([UInt8]) throws -> Void) throws -> Void) throws {
    let temporary = "\(path).\(getpid()).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw failure(path, "cannot be created", "check that the folder exists and may be written to")
    }
    var isOpen = true
    var isDone = false
    defer {
      if isOpen { close(descriptor) }
      if !isDone { unlink(temporary) }
    }
    try body { bytes in
      var written = 0
      while written < bytes.count {
        let n = bytes.withUnsafeBytes { raw -> Int in
          guard let base = raw.baseAddress else { return 0 }
          return Glibc.write(descriptor, base + written, raw.count - written)
        }
        if n < 0 {
          if errno == EINTR { continue }
          throw failure(path, "cannot be written", "check the free space of the disk")
        }
        written += n
      }
    }
    guard fsync(descriptor) == 0 else { throw failure(path, "cannot be flushed to disk", "check the disk") }
    isOpen = false
    guard close(descriptor) == 0, rename(temporary, path) == 0 else {
      throw failure(path, "cannot be written", "check the free space and the permissions of the folder")
    }
    isDone = true
  }

  static func failure(_ path: String, _ what: String, _ fix: String) -> DataError {
    DataError(file: path, rule: "\(what): \(String(cString: strerror(errno)))", fix: fix)
  }

  static func hex(_ bytes: some Collection<UInt8>) -> String {
    if bytes.isEmpty { return "nothing" }
    return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}
