import KilnEngine

/// What may own parameters: layers, and whatever takes or gives more than one tensor (attention, recurrent cells).
///
/// Its parameters, buffers and sub-modules are found in its stored properties and named by their path, as PyTorch
/// names them: `encoder.self_attn.0.weight` for `encoder.selfAttn[0].weight`.
public protocol Module: Sendable, CustomStringConvertible {
  /// What belongs to the module, by name: parameters, buffers, modules, and arrays, dictionaries and optionals of
  /// these; anything else is passed over. By default the stored properties, their names in snake case. Containers
  /// implement it to leave their own name out, others to use names that are no Swift identifiers.
  var members: [(name: String, value: Any)] { get }

  /// What stands in the parentheses of the description: sizes and options.
  var configuration: String { get }
}

/// A parameter and its path from the model, such as "features.0.weight".
public struct NamedParameter: Sendable {
  public var name: String
  public var parameter: Parameter
  public init(name: String, parameter: Parameter) { (self.name, self.parameter) = (name, parameter) }
}

/// A buffer and its path from the model, such as "features.1.running_mean".
public struct NamedBuffer: Sendable {
  public var name: String
  public var buffer: LayerBuffer
  public init(name: String, buffer: LayerBuffer) { (self.name, self.buffer) = (name, buffer) }
}

extension Module {
  public var members: [(name: String, value: Any)] {
    var result: [(name: String, value: Any)] = []
    var mirror: Mirror? = Mirror(reflecting: self)
    // A class's inherited properties come first.
    while let current = mirror {
      result =
        current.children.enumerated().map { (snakeCase($0.element.label ?? String($0.offset)), $0.element.value) }
        + result
      mirror = current.superclassMirror
    }
    return result
  }

  /// Every parameter once, in the order of the properties, depth first. One that is used twice has its first name.
  public var namedParameters: [NamedParameter] {
    collect { path, value in (value as? Parameter).map { NamedParameter(name: path, parameter: $0) } }
  }

  /// Every buffer once, in the order of the properties, depth first.
  public var namedBuffers: [NamedBuffer] {
    collect { path, value in (value as? LayerBuffer).map { NamedBuffer(name: path, buffer: $0) } }
  }

  /// The modules within this one, itself first (with an empty path), depth first.
  public var namedModules: [(name: String, module: any Module)] {
    var found: [(name: String, module: any Module)] = []
    var walk = MemberWalk { path, value in
      if let module = value as? any Module { found.append((path, module)) }
    }
    walk.visit(self, path: "")
    return found
  }

  public var parameters: [Parameter] { namedParameters.map(\.parameter) }
  public var trainableParameters: [Parameter] { parameters.filter(\.isTrainable) }
  /// The number of elements of all parameters.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  /// Moves every parameter and buffer to a device.
  public func move(to device: Device) throws {
    let (parameters, buffers) = (parameters, namedBuffers.map(\.buffer))
    let moved = (parameters.map(\.value) + buffers.map(\.value)).map { $0.stopGradient().to(device) }
    try evaluate(moved)
    for (parameter, value) in zip(parameters, moved) { parameter.value = value }
    for (buffer, value) in zip(buffers, moved.dropFirst(parameters.count)) { buffer.value = value }
  }

  /// What `match` makes of the members of every depth, without repetitions of one object.
  func collect<Found>(_ match: @escaping (_ path: String, _ value: Any) -> Found?) -> [Found] {
    var found: [Found] = []
    var walk = MemberWalk { path, value in
      if let match = match(path, value) { found.append(match) }
    }
    walk.visit(self, path: "")
    return found
  }
}

/// Walks through modules, collections and optionals, and shows each parameter, buffer, mode and module once.
struct MemberWalk {
  let onMember: (_ path: String, _ value: Any) -> Void
  private var seen: Set<ObjectIdentifier> = []

  init(_ onMember: @escaping (_ path: String, _ value: Any) -> Void) { self.onMember = onMember }

  mutating func visit(_ value: Any, path: String) {
    if let parameter = value as? Parameter, parameter.isDerived { return }
    if value is Parameter || value is LayerBuffer || value is LayerMode {
      if seen.insert(ObjectIdentifier(value as AnyObject)).inserted { onMember(path, value) }
      return
    }
    if let module = value as? any Module {
      onMember(path, module)
      if !path.isEmpty { module.anchorObject?.place.found(at: path) }
      for member in module.members { visit(member.value, path: join(path, member.name)) }
      return
    }
    for element in elements(of: value, path: path) { visit(element.value, path: element.path) }
  }

  /// What a collection, tuple, dictionary or optional holds.
  func elements(of value: Any, path: String) -> [(path: String, value: Any)] {
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional: return mirror.children.map { (path, $0.value) }
    case .collection, .tuple: return mirror.children.enumerated().map { (join(path, String($0)), $1.value) }
    case .dictionary:
      let pairs = mirror.children.compactMap { child -> (key: String, value: Any)? in
        let pair = Mirror(reflecting: child.value).children.map(\.value)
        return pair.count == 2 ? (String(describing: pair[0]), pair[1]) : nil
      }
      return pairs.sorted { $0.key < $1.key }.map { (join(path, $0.key), $0.value) }
    default: return []
    }
  }

  private func join(_ path: String, _ name: String) -> String {
    path.isEmpty ? name : name.isEmpty ? path : "\(path).\(name)"
  }
}

/// "inProjWeight" as "in_proj_weight"; what has no capital stays as it is.
private func snakeCase(_ name: String) -> String {
  guard name.contains(where: \.isUppercase) else { return name }
  var result = ""
  for character in name {
    if character.isUppercase, !result.isEmpty { result.append("_") }
    result += character.lowercased()
  }
  return result
}
