import KilnEngine
import Synchronization

/// A tensor that a layer learns: its weights. What it keeps without learning it is a `LayerBuffer`.
///
/// Copies of a layer share their parameters. Reading `value` while a trainable parameter takes part in a computation
/// is all that is needed to differentiate by it.
public final class Parameter: Sendable {
  /// How a parameter follows from others, which are learned in its place.
  struct Derivation: Sendable {
    var sources: [Parameter]
    var value: @Sendable () -> Tensor
    /// Sets the sources so that the value becomes the one given.
    var assign: @Sendable (Tensor) -> Void
  }
  private struct State {
    var value: Tensor
    var isTrainable: Bool
    var derivation: Derivation?
  }
  private let state: Mutex<State>
  let place = LayerPlace()

  /// A parameter that starts at `value`. One that is not trainable takes no part in differentiation.
  public init(_ value: Tensor, isTrainable: Bool = true) {
    state = Mutex(State(value: value.parameterLeaf(isWatched: isTrainable), isTrainable: isTrainable))
  }

  /// The current value: a leaf whose gradient can be asked for, if the parameter is trainable.
  public var value: Tensor {
    get {
      let (value, derivation) = state.withLock { ($0.value, $0.derivation) }
      return derivation?.value() ?? value
    }
    set {
      if let derivation { return derivation.assign(newValue) }
      state.withLock { $0.value = newValue.parameterLeaf(isWatched: $0.isTrainable) }
    }
  }

  /// Puts a value in the place of the current one, as it is, and gives that back: for the time of a trace.
  package func exchange(_ value: Tensor) -> Tensor {
    state.withLock { state in
      defer { state.value = value }
      return state.value
    }
  }

  /// Whether optimizers change it.
  public var isTrainable: Bool {
    get { derivation?.sources.contains(where: \.isTrainable) ?? state.withLock { $0.isTrainable } }
    set {
      if let derivation {
        for source in derivation.sources { source.isTrainable = newValue }
        return
      }
      state.withLock {
        $0.isTrainable = newValue
        $0.value = $0.value.parameterLeaf(isWatched: newValue)
      }
    }
  }

  public var shape: Shape { state.withLock { $0.value.shape } }
  public var dtype: DType { state.withLock { $0.value.dtype } }
  /// The number of elements.
  public var count: Int { shape.count }

  /// Makes this parameter follow from others: models list those in its place.
  func derive(
    from sources: [Parameter], value: @escaping @Sendable () -> Tensor, assign: @escaping @Sendable (Tensor) -> Void
  ) {
    state.withLock { state in
      // Its own tensor remains for its shape alone.
      state.value = Tensor.zeros(state.value.shape, dtype: state.value.dtype, on: state.value.device)
      state.derivation = Derivation(sources: sources, value: value, assign: assign)
    }
  }

  /// Whether it follows from others.
  var isDerived: Bool { derivation != nil }
  private var derivation: Derivation? { state.withLock { $0.derivation } }
}
