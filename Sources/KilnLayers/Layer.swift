import KilnEngine

/// A function with parameters. A type becomes a layer by `callAsFunction` alone: its parameters and sub-layers are
/// found in its stored properties and named by their path, as PyTorch names them (`features.0.weight`).
///
///     struct Perceptron: Layer {
///       let hidden = Dense(784, 128, activation: .relu)
///       let output = Dense(128, 10)
///       func callAsFunction(_ x: Tensor) -> Tensor { output(hidden(x)) }
///     }
public protocol Layer: Sendable {
  func callAsFunction(_ x: Tensor) -> Tensor

  /// What belongs to the layer, by name: parameters, layers, and arrays, dictionaries and optionals of these; anything
  /// else is passed over. By default the stored properties. Containers implement it to leave their own name out.
  var members: [(name: String, value: Any)] { get }
}

/// A parameter and its path from the model, such as "features.0.weight".
public struct NamedParameter: Sendable {
  public var name: String
  public var parameter: Parameter
  public init(name: String, parameter: Parameter) { (self.name, self.parameter) = (name, parameter) }
}

extension Layer {
  public var members: [(name: String, value: Any)] {
    var result: [(name: String, value: Any)] = []
    var mirror: Mirror? = Mirror(reflecting: self)
    // A class layer's inherited properties come first.
    while let current = mirror {
      result = current.children.enumerated().map { ($0.element.label ?? String($0.offset), $0.element.value) } + result
      mirror = current.superclassMirror
    }
    return result
  }

  /// Every parameter once, in the order of the properties, depth first. One that is used twice has its first name.
  public var namedParameters: [NamedParameter] {
    var walk = ParameterWalk()
    walk.visit(self, path: "")
    return walk.found
  }

  public var parameters: [Parameter] { namedParameters.map(\.parameter) }
  public var trainableParameters: [Parameter] { parameters.filter(\.isTrainable) }
  /// The number of elements of all parameters.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  /// Moves every parameter to a device.
  public func move(to device: Device) throws {
    let parameters = parameters
    let moved = parameters.map { $0.value.stopGradient().to(device) }
    try evaluate(moved)
    for (parameter, value) in zip(parameters, moved) { parameter.value = value }
  }
}

/// Collects parameters by reflection.
private struct ParameterWalk {
  var found: [NamedParameter] = []
  private var seen: Set<ObjectIdentifier> = []

  mutating func visit(_ value: Any, path: String) {
    if let parameter = value as? Parameter {
      if seen.insert(ObjectIdentifier(parameter)).inserted {
        found.append(NamedParameter(name: path, parameter: parameter))
      }
      return
    }
    if let layer = value as? any Layer {
      for member in layer.members { visit(member.value, path: join(path, member.name)) }
      return
    }
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional:
      for child in mirror.children { visit(child.value, path: path) }
    case .collection, .tuple:
      for (index, child) in mirror.children.enumerated() { visit(child.value, path: join(path, String(index))) }
    case .dictionary:
      let pairs = mirror.children.compactMap { child -> (key: String, value: Any)? in
        let pair = Mirror(reflecting: child.value).children.map(\.value)
        return pair.count == 2 ? (String(describing: pair[0]), pair[1]) : nil
      }
      for pair in pairs.sorted(by: { $0.key < $1.key }) { visit(pair.value, path: join(path, pair.key)) }
    default: break
    }
  }

  private func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}
