import Foundation
import KilnEngine

/// A file of the net: where it is, how large, and its SHA-256.
public struct RemoteFile: Sendable, Hashable {
  /// Where it goes, relative to the data folder.
  public var path: String
  public var url: String
  /// Bytes; 0 where it is not known.
  public var size: Int
  /// In hexadecimal.
  public var sha256: String

  public init(path: String, url: String, size: Int, sha256: String) {
    (self.path, self.url, self.size, self.sha256) = (path, url, size, sha256)
  }

  /// Fetches it into a data folder, unless it is there already. `progress` gets the bytes that have come, a few times a
  /// second.
  ///
  /// What has come is kept in `PATH.part`, and the next call goes on from there. The file gets its name only when its
  /// SHA-256 is right. Uses the program `curl`. Throws `DataError` that says what to do: offline, a refusal by the server,
  /// a wrong checksum, no `curl`.
  public func fetch(into folder: DataFolder, progress: (Int) -> Void = { _ in }) throws {
    let target = "\(folder.path)/\(path)"
    if Files.exists(target) { return }
    let part = target + ".part"
    do {
      try FileManager.default.createDirectory(
        at: URL(fileURLWithPath: target).deletingLastPathComponent(), withIntermediateDirectories: true)
    } catch {
      throw DataError(
        file: target, rule: "its folder cannot be created: \(error.localizedDescription)",
        fix: "choose another folder with --data or KILN_DATA")
    }
    if size == 0 || RemoteFile.bytes(part) != size {
      var code = try curl(part, progress)
      // The server cannot go on in the middle, or what is there does not belong to this file: from the start, then.
      if code == 33 || code == 36 || code == 22 && RemoteFile.bytes(part) > 0 {
        unlink(part)
        code = try curl(part, progress)
      }
      if code != 0 { throw failure(code, part, target) }
    }
    let found = try SHA256.ofFile(part)
    guard found == sha256.lowercased() else {
      let count = RemoteFile.bytes(part)
      unlink(part)
      throw DataError(
        file: target,
        rule: "what came from \(url) (\(count) bytes) has the SHA-256 \(found), \(sha256) is right; it was removed",
        fix: "fetch it again; if that does not help, the server's file has changed: get it elsewhere and put it there")
    }
    guard rename(part, target) == 0 else {
      throw Files.failure(target, "cannot be given its name", "check the folder's permissions")
    }
  }

  private static func bytes(_ path: String) -> Int {
    var info = stat()
    return stat(path, &info) == 0 ? Int(info.st_size) : 0
  }

  private func curl(_ part: String, _ progress: (Int) -> Void) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "curl", "--fail", "--location", "--silent", "--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60",
      "--continue-at", "-", "--output", part, "--", url,
    ]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    do {
      try process.run()
    } catch {
      throw DataError(
        file: path, rule: "the program 'curl' cannot be started: \(error.localizedDescription)", fix: "install curl")
    }
    while process.isRunning {
      progress(RemoteFile.bytes(part))
      usleep(100_000)
    }
    process.waitUntilExit()
    progress(RemoteFile.bytes(part))
    return process.terminationReason == .exit ? process.terminationStatus : -1
  }

  private func failure(_ code: Int32, _ part: String, _ target: String) -> DataError {
    let kept = RemoteFile.bytes(part)
    let again = kept > 0 ? "; \(kept) bytes are kept, the same command goes on from there" : ""
    let elsewhere = "or fetch \(url) on another machine and put it at \(target)"
    switch code {
    case 5, 6, 7:
      return DataError(
        file: path, rule: "\(url) cannot be reached (curl's code \(code)): this machine seems to be offline",
        fix: "check the network and https_proxy, \(elsewhere)")
    case 22:
      return DataError(
        file: path, rule: "the server refuses \(url)",
        fix: "the address may have moved: find the file and put it at \(target)")
    case 127: return DataError(file: path, rule: "the program 'curl' is missing", fix: "install curl, \(elsewhere)")
    default:
      return DataError(
        file: path, rule: "fetching \(url) ended early (curl's code \(code))\(again)", fix: "try again, \(elsewhere)")
    }
  }
}
