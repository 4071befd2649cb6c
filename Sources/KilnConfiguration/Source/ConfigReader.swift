import Foundation
import Kiln
import Yams

/// One mistake of a configuration.
public struct ConfigFault: Sendable, Hashable {
  /// From 1; 0 where the command line set the value, or a field is missing altogether.
  public var line: Int
  /// "model.layers[1].units".
  public var path: String
  public var rule: String
}

/// Everything that is wrong with a configuration, a line for each mistake.
public struct ConfigError: Error, Sendable, Hashable, CustomStringConvertible {
  public var file: String
  public var faults: [ConfigFault]

  public init(file: String, faults: [ConfigFault]) {
    (self.file, self.faults) = (file, faults.sorted { ($0.line, $0.path, $0.rule) < ($1.line, $1.path, $1.rule) })
  }

  public var description: String {
    faults.map { fault in
      let place = fault.line > 0 ? "\(file), line \(fault.line)" : file
      return "\(place): \(fault.path.isEmpty ? "" : fault.path + ": ")\(fault.rule)"
    }.joined(separator: "\n")
  }
}

/// YAML text to a tree, with every duplicate key found.
struct ConfigReader {
  let file: String
  private(set) var faults: [ConfigFault] = []
  /// Keys that stood there before are renamed so, to go on reading.
  private static let mark = "kiln_duplicate_"
  private static let sizeLimit = 1 << 20
  private static let depthLimit = 64
  private static let nodeLimit = 100_000
  private var nodes = 0

  init(file: String) { self.file = file }

  /// The tree; `nil` with at least one fault where the text is no YAML.
  mutating func read(_ original: String) -> ConfigNode? {
    if original.utf8.count > Self.sizeLimit || Self.depth(original) > Self.depthLimit {
      faults.append(ConfigFault(line: 1, path: "", rule: "is too large or too deep for a configuration"))
      return nil
    }
    var text = original
    for _ in 0..<1000 {
      do {
        guard let node = try Yams.compose(yaml: text) else { return ConfigNode(value: .map([]), line: 1) }
        let tree = convert(node, 1)
        return nodes < Self.nodeLimit ? tree : nil
      } catch YamlError.duplicatedKeysInMapping(let names, let context) {
        guard let next = renamed(names, in: text, near: context.mark) else { return nil }
        text = next
      } catch {
        faults.append(Self.fault(error))
        return nil
      }
    }
    return nil
  }

  private mutating func convert(_ node: Yams.Node, _ outer: Int) -> ConfigNode {
    nodes += 1
    let line = node.mark?.line ?? outer
    guard nodes < Self.nodeLimit else {
      if nodes == Self.nodeLimit {
        faults.append(ConfigFault(line: line, path: "", rule: "has too many values for a configuration"))
      }
      return .null
    }
    switch node {
    case .scalar(let scalar):
      return ConfigNode(
        value: .scalar(scalar.string, isPlain: scalar.style == .plain || scalar.style == .any), line: line)
    case .sequence(let items):
      return ConfigNode(value: .list(items.map { convert($0, line) }), line: line)
    case .mapping(let pairs):
      var entries: [ConfigNode.Entry] = []
      for (key, value) in pairs {
        let keyLine = key.mark?.line ?? line
        guard case .scalar(let name) = key else {
          faults.append(ConfigFault(line: keyLine, path: "", rule: "a field's name must be a word"))
          continue
        }
        if name.string.hasPrefix(Self.mark) { continue }
        entries.append(.init(key: name.string, line: keyLine, value: convert(value, keyLine)))
      }
      return ConfigNode(value: .map(entries), line: line)
    case .alias:
      faults.append(ConfigFault(line: line, path: "", rule: "aliases are not used here"))
      return .null
    }
  }

  /// Renames the later ones of keys that stand twice, each a fault with its line. `nil` where they cannot be found by
  /// their indentation: in braces on one line.
  private mutating func renamed(_ names: [String], in text: String, near mark: Mark) -> String? {
    var lines = text.components(separatedBy: "\n")
    let (first, column) = (max(mark.line - 1, 0), max(mark.column - 1, 0))
    var seen: [String: Int] = [:]
    var isRenamed = false
    for index in first..<max(lines.count, first) {
      let line = lines[index]
      let body = line.drop { $0 == " " }
      let isFirst = index == first
      // A mapping that begins after "- " has its first key there.
      let indent = isFirst ? column : line.count - body.count
      if body.isEmpty || body.hasPrefix("#") || indent > column { continue }
      if indent < column { break }
      let content = line.dropFirst(column)
      guard let name = names.first(where: { Self.begins(content, with: $0) }) else { continue }
      if let before = seen[name] {
        faults.append(
          ConfigFault(
            line: index + 1, path: "", rule: "'\(name)' is here for the second time, line \(before) has it too"))
        let rest = String(content.drop { $0 != ":" }.dropFirst())
        lines[index] = "\(line.prefix(column))\(Self.mark)\(index):\(rest)"
        isRenamed = true
      } else {
        seen[name] = index + 1
      }
    }
    if isRenamed { return lines.joined(separator: "\n") }
    faults.append(
      ConfigFault(
        line: mark.line, path: "", rule: "has twice: \(names.map { "'\($0)'" }.joined(separator: ", "))"))
    return nil
  }

  private static func begins(_ text: Substring, with key: String) -> Bool {
    for form in [key, "\"\(key)\"", "'\(key)'"] where text.hasPrefix(form) {
      if text.dropFirst(form.count).drop(while: { $0 == " " }).first == ":" { return true }
    }
    return false
  }

  private static func fault(_ error: any Error) -> ConfigFault {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      ConfigFault(line: mark.line, path: "", rule: "is no YAML here: \(problem) (column \(mark.column))")
    case YamlError.reader(let problem, let offset, _, let text):
      ConfigFault(
        line: 1 + text.utf8.prefix(offset ?? 0).count { $0 == UInt8(ascii: "\n") }, path: "",
        rule: "is no YAML: \(problem)")
    default: ConfigFault(line: 1, path: "", rule: "is no YAML that can be read")
    }
  }

  /// How deep brackets and dashes nest, at most: the parser goes down by calls.
  private static func depth(_ text: String) -> Int {
    var (deepest, depth, dashes, indent, atStart) = (0, 0, 0, 0, true)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(depth - 1, 0)
      case UInt8(ascii: "-"), UInt8(ascii: "?"): if atStart { dashes += 1 }
      case UInt8(ascii: "\n"): (dashes, indent, atStart) = (0, 0, true)
      case UInt8(ascii: " "): if atStart { indent += 1 }
      default: atStart = false
      }
      deepest = max(deepest, depth, dashes, indent / 4)
    }
    return deepest
  }
}
