import KilnEngine

/// A parameter or a buffer of a model under one of its names.
public enum StateEntry: Sendable {
  case parameter(Parameter)
  case buffer(LayerBuffer)

  /// The current value.
  public var value: Tensor {
    get {
      switch self {
      case .parameter(let parameter): parameter.value
      case .buffer(let buffer): buffer.value
      }
    }
    nonmutating set {
      switch self {
      case .parameter(let parameter): parameter.value = newValue
      case .buffer(let buffer): buffer.value = newValue
      }
    }
  }

  fileprivate var identity: ObjectIdentifier {
    switch self {
    case .parameter(let parameter): ObjectIdentifier(parameter)
    case .buffer(let buffer): ObjectIdentifier(buffer)
    }
  }
}

extension Module {
  /// What a model's saved weights are: every parameter and persistent buffer by its path, each once. The values are not
  /// copied: an optimizer's next step updates them in place, so read or save them before it. PyTorch's `state_dict`.
  public var stateDict: [String: Tensor] { stateEntries.mapValues { $0.value.stopGradient() } }

  /// The parameters and persistent buffers by path, each once.
  public var stateEntries: [String: StateEntry] {
    var result: [String: StateEntry] = [:]
    for named in namedParameters { result[named.name] = .parameter(named.parameter) }
    for named in namedBuffers where named.buffer.isPersistent { result[named.name] = .buffer(named.buffer) }
    return result
  }

  /// Further names of entries that modules share (tied weights), with the name in `stateEntries`.
  public var tiedNames: [String: String] {
    let first = Dictionary(stateEntries.map { ($0.value.identity, $0.key) }, uniquingKeysWith: { min($0, $1) })
    var result: [String: String] = [:]
    for (path, module) in namedModules {
      for member in module.members {
        guard let object = Self.object(member.value), let name = first[object] else { continue }
        let full = path.isEmpty ? member.name : "\(path).\(member.name)"
        if full != name { result[full] = name }
      }
    }
    return result
  }

  private static func object(_ value: Any) -> ObjectIdentifier? {
    switch value {
    case let parameter as Parameter: ObjectIdentifier(parameter)
    case let buffer as LayerBuffer: ObjectIdentifier(buffer)
    default: nil
    }
  }
}
