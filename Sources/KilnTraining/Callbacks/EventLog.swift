import Foundation
import Glibc
import KilnData

/// Appends to a file of JSON lines: begin and end of the training, and each epoch, with the time (UTC). A run that was
/// killed and resumed has the epochs since its last checkpoint twice: it says what happened.
public final class EventLog: TrainingCallback {
  public let path: String

  public init(_ path: String) { self.path = path }

  private struct Event: Encodable {
    var time: String
    var event: String
    var step: Int
    var epoch: Int
    var report: EpochReport?
    var compileSeconds: Double
    var reason: String?
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    try append(run, run.isResumed ? "resumed" : "began")
  }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws { try append(run, "epoch", report) }

  public func trainingEnded(_ run: TrainingRun) throws { try append(run, "ended", reason: run.stopReason) }

  private func append(_ run: TrainingRun, _ event: String, _ report: EpochReport? = nil, reason: String? = nil) throws {
    let line = try JSONFile.encode(
      Event(
        time: Date().formatted(.iso8601), event: event, step: run.state.step, epoch: run.state.epoch, report: report,
        compileSeconds: run.state.history.compileSeconds, reason: reason), file: path)
    let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("cannot be opened") }
    defer { close(descriptor) }
    // What a kill or a full disk cut short is ended, so that the rest stays readable.
    var last: UInt8 = UInt8(ascii: "\n")
    let size = lseek(descriptor, 0, SEEK_END)
    if size > 0 { _ = pread(descriptor, &last, 1, size - 1) }
    let bytes = Array(((last == UInt8(ascii: "\n") ? "" : "\n") + line + "\n").utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { throw failure("cannot be written") }
  }

  private func failure(_ what: String) -> DataError {
    DataError(
      file: path, rule: "\(what): \(String(cString: strerror(errno)))",
      fix: "check the folder's permissions and the free space of the disk")
  }
}
