import KilnEngine

extension Module {
  /// The module with what it is made of, nested as PyTorch prints it:
  ///
  ///     Sequential(
  ///       (0): Flatten(start: 1)
  ///       (1): Dense(784, 128, activation: relu)
  ///     )
  public var description: String {
    let walk = MemberWalk { _, _ in }
    let children = members.flatMap { walk.outermostModules(in: $0.value, path: $0.name) }
    guard !children.isEmpty else { return headline }
    let lines = children.map { child -> String in
      let text = child.module.description.split(separator: "\n", omittingEmptySubsequences: false)
      return "  (\(child.name)): " + text.joined(separator: "\n  ")
    }
    return "\(typeName)(\(configuration)\n" + lines.joined(separator: "\n") + "\n)"
  }

  /// The type and its configuration, without what it is made of.
  var headline: String { "\(typeName)(\(configuration))" }

  var typeName: String { String(describing: type(of: self)) }

  /// By default the stored properties that are no parameters, buffers or modules, with their names.
  public var configuration: String { storedConfiguration(omitting: []) }

  /// The default configuration without some of the properties.
  func storedConfiguration(omitting omitted: Set<String>) -> String {
    Mirror(reflecting: self).children.compactMap { child -> String? in
      guard let label = child.label, !omitted.contains(label), let text = word(for: child.value) else { return nil }
      return "\(label): \(text)"
    }.joined(separator: ", ")
  }
}

/// A stored value in a description; nil for what has a place of its own there, or none.
private func word(for value: Any) -> String? {
  let mirror = Mirror(reflecting: value)
  // First: a cast would look through it.
  if mirror.displayStyle == .optional { return mirror.children.first.flatMap { word(for: $0.value) } }
  switch value {
  case is LayerIdentity, is LayerMode, is Parameter, is LayerBuffer, is any Module, is RandomGenerator, is Initializer:
    return nil
  case let text as String: return "\"\(text)\""
  case is Int, is Double, is Float, is Bool: return "\(value)"
  case let axes as [Int]: return "\(axes)"
  default: break
  }
  switch mirror.displayStyle {
  case .tuple:
    let words = mirror.children.compactMap { word(for: $0.value) }
    return words.count == mirror.children.count ? "(" + words.joined(separator: ", ") + ")" : nil
  case .enum: return String(describing: value)
  case .struct: return value is any CustomStringConvertible ? "\(value)" : nil
  default: return nil
  }
}

extension MemberWalk {
  /// The modules that a value is or holds, with their names, but not what they hold in turn.
  func outermostModules(in value: Any, path: String) -> [(name: String, module: any Module)] {
    if let module = value as? any Module { return [(path, module)] }
    return elements(of: value, path: path).flatMap { outermostModules(in: $0.value, path: $0.path) }
  }
}
