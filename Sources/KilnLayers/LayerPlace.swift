import Synchronization

/// Where in a model a layer is, as far as anybody has looked: set by whatever walks through the model (an optimizer, a
/// loader of weights, a summary), so that a mistake in a model of one's own can be named by its path, although its
/// layers do not know what holds them.
final class LayerPlace: Sendable {
  private let state = Mutex<String>("")

  var path: String { state.withLock { $0 } }

  /// A walk found the layer here. One through a part of the model knows less than one through the whole.
  func found(at path: String) {
    guard !path.isEmpty else { return }
    state.withLock { if !$0.hasSuffix("." + path) { $0 = path } }
  }
}

/// What tells a layer from others of its kind.
protocol LayerAnchorObject: AnyObject, Sendable {
  var place: LayerPlace { get }
}

extension LayerIdentity: LayerAnchorObject {}
extension LayerMode: LayerAnchorObject {}
extension Parameter: LayerAnchorObject {}
extension LayerBuffer: LayerAnchorObject {}
