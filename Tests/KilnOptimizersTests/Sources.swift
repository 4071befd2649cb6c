import Foundation

/// The library's own text, so that something new without a golden case is noticed.
enum Sources {
  private static var root: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources")
  }

  static func text(under folder: String) -> [String] {
    let files = FileManager.default.enumerator(at: root.appendingPathComponent(folder), includingPropertiesForKeys: nil)
    return (files?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "swift" }
      .compactMap { try? String(contentsOf: $0, encoding: .utf8) }
  }

  /// Public structs that name a protocol.
  static func types(conformingTo name: String, under folder: String = "KilnOptimizers") -> Set<String> {
    let pattern = try? Regex("public struct (\\w+): [^{]*\\b\(name)\\b", as: (Substring, Substring).self)
    guard let pattern else { return [] }
    return Set(text(under: folder).flatMap { $0.matches(of: pattern).map { String($0.1) } })
  }

  /// Public functions at the top level of the files of a folder.
  static func functions(under folder: String) -> Set<String> {
    Set(
      text(under: folder).flatMap { text in
        text.split(separator: "\n").filter { $0.hasPrefix("public func ") }.map { line in
          String(line.dropFirst("public func ".count).prefix { $0 != "(" && $0 != "<" })
        }
      })
  }
}
