import Glibc

/// Where data sets lie: the folder that was named, else `KILN_DATA`, else `~/.cache/kiln`.
public struct DataFolder: Sendable, Hashable {
  public var path: String
  /// How the path was found, for error messages.
  private var source: String

  public init(_ path: String? = nil) {
    if let path {
      (self.path, source) = (path, "as given")
    } else if let value = getenv("KILN_DATA"), value.pointee != 0 {
      (self.path, source) = (String(cString: value), "from KILN_DATA")
    } else {
      let home = getenv("HOME").map { String(cString: $0) } ?? "."
      (self.path, source) = (home + "/.cache/kiln", "the default, as KILN_DATA is not set")
    }
  }

  /// The path of the first of `names` (each also with `.gz`) that exists in this folder or in its `subfolder`.
  public func find(_ names: String..., subfolder: String) throws -> String {
    for folder in ["\(path)/\(subfolder)", path] {
      for name in names {
        for candidate in ["\(folder)/\(name)", "\(folder)/\(name).gz"] where Files.exists(candidate) {
          return candidate
        }
      }
    }
    throw DataError(
      file: "\(path)/\(subfolder)",
      rule: "has no file '\(names.first ?? "")' or '\(names.first ?? "").gz' (folder \(source))",
      fix: "put the data there, or name its folder with --data or KILN_DATA")
  }
}
