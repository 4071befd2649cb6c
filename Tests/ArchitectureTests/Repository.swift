import Foundation

/// The checkout that these tests were compiled from, read as text.
struct Repository {
  let root: URL

  /// Found from this file's own place: Tests/ArchitectureTests/Repository.swift.
  static let own = Repository(
    root: URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent())

  /// Paths below `folder`, relative to the root, sorted; hidden files and build products are left out.
  func paths(under folder: String = "", suffixes: [String] = []) -> [String] {
    let start = folder.isEmpty ? root : root.appending(path: folder)
    guard
      let walker = FileManager.default.enumerator(
        at: start, includingPropertiesForKeys: nil, options: [.skipsHiddenFiles])
    else { return [] }
    let prefix = root.path(percentEncoded: false)
    var found: [String] = []
    for case let url as URL in walker {
      let path = String(url.path(percentEncoded: false).dropFirst(prefix.count)).trimmingPrefix("/")
      if path.hasPrefix("dist") || path.hasPrefix("runs") || path.contains("__pycache__") { continue }
      if suffixes.isEmpty || suffixes.contains(where: path.hasSuffix) { found.append(String(path)) }
    }
    return found.sorted()
  }

  func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// Every Swift file of a module with its text.
  func sources(of module: String) throws -> [(path: String, text: String)] {
    try paths(under: "Sources/" + module, suffixes: [".swift"]).map { ($0, try text($0)) }
  }
}
