import Foundation
import Glibc
import KilnData

/// Folders and their flushing to disk, with errors that name the path.
enum Folders {
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Creates a folder and those above it.
  static func create(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw DataError(
        file: path, rule: "cannot be created as a folder: \(reason(error))",
        fix: "check that the folder above it exists and may be written to, and the free space of the disk")
    }
  }

  /// The names in a folder, sorted, hidden ones too; none if there is no such folder.
  static func names(in path: String) throws -> [String] {
    guard exists(path) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw DataError(file: path, rule: "cannot be listed: \(reason(error))", fix: "check its permissions")
    }
  }

  static func remove(_ path: String) throws {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw DataError(file: path, rule: "cannot be removed: \(reason(error))", fix: "check its permissions")
    }
  }

  /// The new name is there at once or not at all, and stays after a power cut.
  static func rename(_ from: String, to: String) throws {
    guard Glibc.rename(from, to) == 0 else {
      throw DataError(
        file: to, rule: "cannot be put in place: \(String(cString: strerror(errno)))",
        fix: "check the free space and the permissions of the folder")
    }
    try flush((to as NSString).deletingLastPathComponent)
  }

  /// Flushes a folder's list of names to disk.
  static func flush(_ path: String) throws {
    let descriptor = open(path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw DataError(
        file: path, rule: "cannot be opened: \(String(cString: strerror(errno)))", fix: "check its permissions")
    }
    defer { close(descriptor) }
    // Some file systems cannot flush a folder and say EINVAL.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw DataError(
        file: path, rule: "cannot be flushed to disk: \(String(cString: strerror(errno)))", fix: "check the disk")
    }
  }

  /// A whole file. Throws `DataError`.
  static func read(_ path: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw DataError(
        file: path, rule: exists(path) ? "cannot be read" : "does not exist", fix: "check the path and its permissions")
    }
    return data
  }

  private static func reason(_ error: any Error) -> String {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    if let underlying, underlying.domain == NSPOSIXErrorDomain {
      return String(cString: strerror(Int32(underlying.code)))
    }
    return (error as NSError).localizedDescription
  }
}
