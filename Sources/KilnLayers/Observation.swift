import KilnEngine

/// Tells a layer without parameters from another of its kind, so that summaries and errors can name its place. A
/// stored property of this type is all that is needed; layers with parameters need none. Copies of a layer share it.
public final class LayerIdentity: Sendable {
  let place = LayerPlace()
  public init() {}
}

extension Module {
  /// What `body` computes from `inputs`, seen by `summary` and, if it is a mistake, marked with this layer.
  ///
  /// Every layer of Kiln computes inside it. A module of one's own need not: its layers are seen anyway, and it is itself
  /// where it is an element of a `Sequential`. It may, to have a line of its own in the summary with its output's shape,
  /// and so that a mistake is named by its path from the first call on. Without it the path is known once something has
  /// walked through the model: an optimizer for it, a loader of weights, a summary.
  public func observed(_ inputs: Tensor..., body: () -> Tensor) -> Tensor {
    guard let recorder = LayerRecorder.current else { return located(body(), inputs) }
    return located(recorder.record(self, named: nil, body), inputs)
  }

  /// The call of a layer that this container holds under a name.
  func calling(_ layer: any Layer, _ x: Tensor, named name: String) -> Tensor {
    let y = LayerRecorder.current.map { $0.record(layer, named: name) { layer(x) } } ?? layer(x)
    guard var error = y.error as? TensorError, x.error == nil, error.layerAnchor == nil, let identity = layerIdentity
    else { return y }
    error.layer = anchorObject.map { join($0.place.path, name) } ?? name
    error.layerAnchor = LayerAnchor(identity, place: name)
    return y.replacing(error)
  }

  /// Names the layer in an error that began between `inputs` and `y`: by its path from this module if it lies within,
  /// else by what it is.
  private func located(_ y: Tensor, _ inputs: [Tensor]) -> Tensor {
    guard var error = y.error as? TensorError, !inputs.contains(where: { $0.error != nil }) else { return y }
    if let anchor = error.layerAnchor {
      guard let path = path(of: anchor) else { return y }
      // What lies around this module may be known from a walk.
      if error.layer?.hasSuffix("." + path) != true { error.layer = path }
    } else if let identity = layerIdentity {
      let known = anchorObject?.place.path ?? ""
      error.layer = known.isEmpty ? headline : known
      error.layerAnchor = LayerAnchor(identity)
    } else {
      error.layer = error.layer ?? headline
    }
    return y.replacing(error)
  }

  private func path(of anchor: LayerAnchor) -> String? {
    for (name, module) in namedModules where !name.isEmpty && module.layerIdentity == anchor.identity {
      return anchor.place.isEmpty ? name : "\(name).\(anchor.place)"
    }
    return layerIdentity == anchor.identity && !anchor.place.isEmpty ? anchor.place : nil
  }

  /// What is this layer's alone: itself for a class, else the first of its own identity, mode, parameters and buffers.
  var layerIdentity: ObjectIdentifier? {
    if type(of: self) is AnyClass { return ObjectIdentifier(self as AnyObject) }
    return anchorObject.map { ObjectIdentifier($0) }
  }

  /// The first of its own identity, mode, parameters and buffers.
  var anchorObject: (any LayerAnchorObject)? {
    for child in Mirror(reflecting: self).children {
      switch child.value {
      case let identity as LayerIdentity: return identity
      case let mode as LayerMode: return mode
      case let parameter as Parameter: return parameter
      case let buffer as LayerBuffer: return buffer
      default: continue
      }
    }
    return nil
  }

  private func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}
