import CZlib
import Glibc
import KilnEngine

/// A file's bytes, one piece after the other, unpacked if it is gzip: memory stays flat however large the file is.
final class ByteStream {
  let path: String
  /// Unpacked bytes that were handed out.
  private(set) var position = 0
  private let file: gzFile
  private var buffer: [UInt8] = []
  private var start = 0
  private static let piece = 1 << 18

  init(_ path: String) throws {
    guard !Files.isFolder(path) else {
      throw DataError(file: path, rule: "is a folder, a file is needed", fix: "name a file in it")
    }
    // Zlib passes what does not begin as gzip through, so a file that is only named so is looked at first.
    let head = try ByteStream.head(path)
    if path.hasSuffix(".gz"), head != [0x1f, 0x8b] {
      throw DataError(
        file: path, place: "byte 0", rule: "a gzip file begins with the bytes 1f 8b, got \(Files.hex(head))",
        fix: "if it is not compressed, remove .gz from its name; else fetch it again")
    }
    guard let file = gzopen(path, "rbe") else {
      throw Files.failure(path, "cannot be opened", "check the path and its permissions")
    }
    gzbuffer(file, 1 << 17)
    (self.path, self.file) = (path, file)
  }

  deinit { gzclose(file) }

  private static func head(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Files.failure(path, "cannot be opened", "check the path and its permissions") }
    defer { close(descriptor) }
    var bytes: [UInt8] = [0, 0]
    let got = Glibc.read(descriptor, &bytes, 2)
    guard got >= 0 else { throw Files.failure(path, "cannot be read", "check the disk") }
    return Array(bytes.prefix(got))
  }

  /// Reads another piece; `false` at the end of the file.
  private func fill() throws -> Bool {
    var got: Int32 = 0
    let part = [UInt8](unsafeUninitializedCapacity: ByteStream.piece) { target, count in
      got = gzread(file, target.baseAddress, UInt32(ByteStream.piece))
      count = Int(max(got, 0))
    }
    var code: Int32 = 0
    let text = gzerror(file, &code).map { String(cString: $0) } ?? ""
    guard got >= 0, code == Z_OK || code == Z_STREAM_END else {
      if code == Z_ERRNO { throw Files.failure(path, "cannot be read", "check the disk") }
      throw DataError(
        file: path, place: "byte \(position + buffer.count - start) unpacked",
        rule: "the compressed data \(code == Z_BUF_ERROR ? "ends too early" : "is damaged (\(text))")",
        fix: "the file was cut short or changed; fetch it again")
    }
    if got == 0 { return false }
    buffer = start == buffer.count ? part : Array(buffer[start...]) + part
    start = 0
    return true
  }

  /// Exactly so many bytes; `nil` at the end of the file. `what` is named where the file ends in the middle.
  func read(_ count: Int, _ what: @autoclosure () -> String) throws -> [UInt8]? {
    while buffer.count - start < count {
      guard try fill() else {
        let left = buffer.count - start
        if left == 0 { return nil }
        throw DataError(
          file: path, place: "byte \(position + left)", rule: "\(what()) needs \(count) bytes, \(left) are left",
          fix: "the file was cut short; fetch it again")
      }
    }
    defer {
      start += count
      position += count
    }
    return Array(buffer[start..<start + count])
  }

  /// The bytes up to and including the next line feed, or up to the end; `nil` after it.
  func line(limit: Int = 1 << 26) throws -> [UInt8]? {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: 10) {
        defer {
          position += end + 1 - start
          start = end + 1
        }
        return Array(buffer[start...end])
      }
      let had = buffer.count - start
      guard had <= limit else {
        throw DataError(
          file: path, place: "byte \(position)", rule: "a line has more than \(limit) bytes",
          fix: "name a text file, or break its lines")
      }
      if try !fill() {
        if had == 0 { return nil }
        defer {
          position += had
          start = buffer.count
        }
        return Array(buffer[start...])
      }
      searched = start + had
    }
  }
}
