import Kiln

/// What a field may hold.
public indirect enum FieldKind: Sendable {
  case text
  case integer(ClosedRange<Int>)
  case number(ClosedRange<Double>)
  case flag
  /// One of these words, or of other spellings of them; case and the like do not count, see `Names.key`.
  case choice([String], also: [String] = [])
  case list(FieldKind)
  case section(Section)
  /// One of these sections by its name: `dense: {units: 64}`, or `dense: 64` where it has a main field, or `flatten`.
  case variant([Section])
}

/// A field of a section.
public struct Field: Sendable {
  public var name: String
  public var kind: FieldKind
  /// What is taken where it is not given, for the reference; `nil`: it must be given.
  public var fallback: String?
  public var doc: String

  init(_ name: String, _ kind: FieldKind, or fallback: String?, _ doc: String) {
    (self.name, self.kind, self.fallback, self.doc) = (name, kind, fallback, doc)
  }
}

/// Fields that belong together.
public struct Section: Sendable {
  public var name: String
  public var doc: String
  public var fields: [Field]
  /// The field that a single value stands for.
  public var main: String?

  init(_ name: String, _ doc: String, main: String? = nil, _ fields: [Field]) {
    (self.name, self.doc, self.main, self.fields) = (name, doc, main, fields)
  }
}

/// A checked value with its line.
public struct ConfigValue: Sendable {
  indirect enum Content: Sendable {
    case text(String), integer(Int), number(Double), flag(Bool)
    case list([ConfigValue])
    case section([String: ConfigValue])
    /// The name of a variant, and its section.
    case variant(String, ConfigValue)
  }
  var content: Content
  var line: Int

  subscript(name: String) -> ConfigValue? {
    guard case .section(let fields) = content else { return nil }
    return fields[name]
  }

  var text: String? { if case .text(let value) = content { value } else { nil } }
  var integer: Int? { if case .integer(let value) = content { value } else { nil } }
  var number: Double? {
    switch content {
    case .number(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }
  var flag: Bool? { if case .flag(let value) = content { value } else { nil } }
  var list: [ConfigValue]? { if case .list(let values) = content { values } else { nil } }
}

/// Compares a tree with the schema and collects every fault.
struct SchemaCheck {
  private(set) var faults: [ConfigFault] = []

  mutating func fault(_ line: Int, _ path: String, _ rule: String) {
    faults.append(ConfigFault(line: line, path: path, rule: rule))
  }

  mutating func section(_ node: ConfigNode, _ section: Section, at path: String) -> ConfigValue {
    var values: [String: ConfigValue] = [:]
    func inner(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
    switch node.value {
    case .map(let entries):
      for entry in entries {
        guard let field = section.fields.first(where: { $0.name == entry.key }) else {
          let known = section.fields.map(\.name)
          fault(
            entry.line, inner(entry.key),
            "there is no such field\(Names.hint(entry.key, in: known)); known are \(known.joined(separator: ", "))")
          continue
        }
        // Nothing behind the colon: as if it were not there.
        if entry.value.isNull { continue }
        if let value = value(entry.value, field.kind, at: inner(entry.key)) { values[entry.key] = value }
      }
      for field in section.fields where field.fallback == nil {
        if entries.first(where: { $0.key == field.name })?.value.isNull ?? true {
          fault(node.line, inner(field.name), "must be given: \(field.doc)")
        }
      }
    case .scalar, .list:
      if let main = section.main, let field = section.fields.first(where: { $0.name == main }) {
        if let value = value(node, field.kind, at: path) { values[main] = value }
      } else if !node.isNull {
        fault(node.line, path, "needs a section with fields, got \(node.description)")
      }
    }
    return ConfigValue(content: .section(values), line: node.line)
  }

  private mutating func value(_ node: ConfigNode, _ kind: FieldKind, at path: String) -> ConfigValue? {
    func made(_ content: ConfigValue.Content) -> ConfigValue { ConfigValue(content: content, line: node.line) }
    switch kind {
    case .section(let inner): return section(node, inner, at: path)
    case .variant(let sections): return variant(node, sections, at: path)
    case .list(let element):
      guard case .list(let items) = node.value else {
        fault(node.line, path, "needs a list, got \(node.description)")
        return nil
      }
      return made(
        .list(items.enumerated().compactMap { index, item in value(item, element, at: "\(path)[\(index)]") }))
    case .text, .integer, .number, .flag, .choice:
      guard case .scalar(let text, let isPlain) = node.value, !node.isNull else {
        fault(node.line, path, "needs \(kind.words), got \(node.description)")
        return nil
      }
      guard let content = Self.scalar(text, isPlain, kind) else {
        var hint = ""
        if case .choice(let words, let also) = kind { hint = Names.hint(text, in: words + also) }
        fault(node.line, path, "needs \(kind.words), got \(node.description)\(hint)")
        return nil
      }
      return made(content)
    }
  }

  private static func scalar(_ text: String, _ isPlain: Bool, _ kind: FieldKind) -> ConfigValue.Content? {
    switch kind {
    case .text: return .text(text)
    case .choice(let words, let also):
      return (words + also).first { Names.key($0) == Names.key(text) }.map { .text($0) }
    case .flag:
      return isPlain
        ? ["true": true, "yes": true, "false": false, "no": false][text.lowercased()].map { .flag($0) } : nil
    case .integer(let range):
      return isPlain ? Int(text).flatMap { range.contains($0) ? .integer($0) : nil } : nil
    case .number(let range):
      return isPlain ? Double(text).flatMap { range.contains($0) && $0.isFinite ? .number($0) : nil } : nil
    case .list, .section, .variant: return nil
    }
  }

  private mutating func variant(_ node: ConfigNode, _ sections: [Section], at path: String) -> ConfigValue? {
    var (name, line, body) = ("", node.line, ConfigNode.null)
    switch node.value {
    case .scalar(let text, _): name = text
    case .map(let entries) where entries.count == 1:
      (name, line, body) = (entries[0].key, entries[0].line, entries[0].value)
    case .map, .list:
      fault(node.line, path, "needs one name, as in '- \(sections.first?.name ?? "")', got \(node.description)")
      return nil
    }
    let known = sections.map(\.name)
    guard let found = sections.first(where: { $0.name == name }) else {
      fault(
        line, path, "there is no '\(name)'\(Names.hint(name, in: known)); known are \(known.joined(separator: ", "))")
      return nil
    }
    if body.isNull { body = ConfigNode(value: .map([]), line: line) }
    let inner = section(body, found, at: "\(path).\(name)")
    return ConfigValue(content: .variant(name, inner), line: line)
  }
}

extension FieldKind {
  /// For errors and the reference.
  var words: String {
    switch self {
    case .text: "text"
    case .integer(let range):
      range.upperBound == .max
        ? "a whole number of at least \(range.lowerBound)"
        : "a whole number in \(range.lowerBound)...\(range.upperBound)"
    case .number(let range): Self.words(range)
    case .flag: "true or false"
    case .choice(let words, _): "one of " + words.joined(separator: ", ")
    case .list(let element): "a list of which each is " + element.words
    case .section(let section): "a section, see `\(section.name)`"
    case .variant(let sections): "one of " + sections.map(\.name).joined(separator: ", ")
    }
  }

  private static func words(_ range: ClosedRange<Double>) -> String {
    if range.lowerBound == .leastNonzeroMagnitude {
      return range.upperBound.isFinite ? "a number above 0 and at most \(range.upperBound)" : "a number above 0"
    }
    if range.upperBound == 1.0.nextDown { return "a number of at least \(range.lowerBound) and below 1" }
    return range.upperBound.isFinite
      ? "a number in \(range.lowerBound)...\(range.upperBound)" : "a number of at least \(range.lowerBound)"
  }
}
