import Foundation
import Glibc
import KilnData

/// The losses of a run's batches in one file beside its checkpoints: 8 bytes for each, little-endian, appended. A
/// checkpoint says how many of them are its own, so that its size and the time to write it do not grow with the steps.
///
/// The file is never shortened below what an older checkpoint needs: going on from one gives the same losses again, and
/// only those that differ are written anew.
final class LossLog {
  static let fileName = "losses.f64"
  private let path: String
  /// Losses that are known to be in the file, and their checksum; `nil` before it was looked at.
  private var known: (count: Int, sum: Checksum)?

  /// Of the checkpoints in a folder.
  init(_ folder: String) { path = "\(folder)/\(Self.fileName)" }

  /// What a checkpoint keeps of it.
  struct Mark: Sendable, Hashable, Codable {
    var count: Int
    var fnv1a64: String
  }

  /// Makes the file begin with these losses and flushes it. Throws `DataError`.
  func write(_ losses: [Double]) throws -> Mark {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("cannot be opened") }
    defer { close(descriptor) }
    var (count, sum) = known ?? (0, Checksum())
    if known == nil || count > losses.count {
      (count, sum) = (0, Checksum())
      let same = zip(Self.decoded(try Folders.read(path)), losses).prefix { $0 == $1.bitPattern }
      for (_, loss) in same { sum.add(Self.bytes(loss)) }
      count = same.count
    }
    guard ftruncate(descriptor, off_t(8 * count)) == 0 else { throw failure("cannot be shortened") }
    let bytes = losses[count...].flatMap(Self.bytes)
    var done = 0
    while done < bytes.count {
      let written = bytes[done...].withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, off_t(8 * count + done))
      }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failure("cannot be written") }
      done += written
    }
    guard fsync(descriptor) == 0 else { throw failure("cannot be flushed to the disk") }
    sum.add(bytes)
    known = (losses.count, sum)
    return Mark(count: losses.count, fnv1a64: sum.text)
  }

  /// The losses of a checkpoint. Throws `DataError` where the file is gone, too short or changed.
  static func read(_ mark: Mark, in folder: String) throws -> [Double] {
    let path = "\(folder)/\(fileName)"
    let advice = "the weights are whole; the losses of the batches before are lost"
    guard Folders.exists(path) else { throw DataError(file: path, rule: "is missing", fix: advice) }
    let data = try Folders.read(path)
    guard mark.count >= 0, data.count / 8 >= mark.count else {
      throw DataError(
        file: path, place: "byte \(data.count)", rule: "has \(data.count / 8) losses, the checkpoint \(mark.count)",
        fix: advice)
    }
    let own = data.prefix(8 * mark.count)
    let sum = Checksum.of(own)
    guard sum == mark.fnv1a64 else {
      throw DataError(
        file: path,
        rule: "the checksum of the first \(mark.count) losses is \(sum), the checkpoint's is \(mark.fnv1a64)",
        fix: advice)
    }
    return decoded(own).map { Double(bitPattern: $0) }
  }

  private static func bytes(_ loss: Double) -> [UInt8] {
    withUnsafeBytes(of: loss.bitPattern.littleEndian) { Array($0) }
  }

  private static func decoded(_ data: Data) -> [UInt64] {
    data.withUnsafeBytes { raw in
      (0..<raw.count / 8).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
    }
  }

  private func failure(_ what: String) -> DataError {
    DataError(
      file: path, rule: "\(what): \(String(cString: strerror(errno)))",
      fix: "check the folder's permissions and the free space of the disk")
  }
}
