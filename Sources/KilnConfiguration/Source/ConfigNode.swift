/// A YAML document as a tree with lines.
struct ConfigNode: Sendable, Hashable {
  indirect enum Value: Sendable, Hashable {
    /// `isPlain`: without quotes, so that it may be a number or a flag.
    case scalar(String, isPlain: Bool)
    case list([ConfigNode])
    case map([Entry])
  }
  struct Entry: Sendable, Hashable {
    var key: String
    var line: Int
    var value: ConfigNode
  }
  var value: Value
  /// From 1; 0 for what a command line set.
  var line: Int

  static let null = ConfigNode(value: .scalar("", isPlain: true), line: 0)

  /// Whether nothing is written there.
  var isNull: Bool {
    if case .scalar(let text, true) = value { return ["", "~", "null", "Null", "NULL"].contains(text) }
    return false
  }

  /// What it is, for errors.
  var description: String {
    switch value {
    case .scalar(let text, _): isNull ? "nothing" : "'\(text.prefix(40))'"
    case .list: "a list"
    case .map: "a section"
    }
  }

  /// Sets a field by its path, such as ["training", "epochs"]; sections that are not there are made. A place of a list is
  /// its number. Gives back why it cannot, if it cannot.
  mutating func set(_ path: [String], to new: ConfigNode) -> String? {
    guard let first = path.first else {
      self = new
      return nil
    }
    let rest = Array(path.dropFirst())
    switch value {
    case .map(var entries):
      if let index = entries.firstIndex(where: { $0.key == first }) {
        if let fault = entries[index].value.set(rest, to: new) { return fault }
      } else {
        var made = ConfigNode(value: .map([]), line: 0)
        if let fault = made.set(rest, to: new) { return fault }
        entries.append(Entry(key: first, line: 0, value: made))
      }
      value = .map(entries)
    case .list(var items):
      guard let index = Int(first), items.indices.contains(index) else {
        return "'\(first)' is no place of a list of \(items.count)"
      }
      if let fault = items[index].set(rest, to: new) { return fault }
      value = .list(items)
    case .scalar:
      // A shorthand, such as `dense: 64`, or nothing gives way to a section.
      var made = ConfigNode(value: .map([]), line: line)
      if let fault = made.set(path, to: new) { return fault }
      self = made
    }
    return nil
  }

  /// As YAML that gives the same tree again, without the comments.
  var yaml: String { lines(indent: 0).joined(separator: "\n") + "\n" }

  private func lines(indent: Int) -> [String] {
    let space = String(repeating: " ", count: indent)
    switch value {
    case .scalar: return [space + inline]
    case .list(let items):
      if items.isEmpty { return [space + "[]"] }
      return items.flatMap { item -> [String] in
        var inner = item.lines(indent: indent + 2)
        inner[0] = space + "- " + inner[0].dropFirst(indent + 2)
        return inner
      }
    case .map(let entries):
      if entries.isEmpty { return [space + "{}"] }
      return entries.flatMap { entry -> [String] in
        let key = space + Self.quoted(entry.key) + ":"
        switch entry.value.value {
        case .scalar: return [key + " " + entry.value.inline]
        case .list(let items) where items.isEmpty: return [key + " []"]
        case .map(let inner) where inner.isEmpty: return [key + " {}"]
        default: return [key] + entry.value.lines(indent: indent + 2)
        }
      }
    }
  }

  private var inline: String {
    guard case .scalar(let text, let isPlain) = value else { return "" }
    return isPlain ? text : Self.doubleQuoted(text)
  }

  private static func quoted(_ key: String) -> String {
    key.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") } && !key.isEmpty
      ? key : doubleQuoted(key)
  }

  private static func doubleQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\" + String(scalar)
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default:
        if scalar.value < 0x20 || scalar.value == 0x7f {
          let digits = String(scalar.value, radix: 16)
          result += "\\x" + String(repeating: "0", count: 2 - digits.count) + digits
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }
}
