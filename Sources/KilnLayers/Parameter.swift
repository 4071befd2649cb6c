import KilnEngine
import Synchronization

/// A tensor that a layer learns: its weights. What it keeps without learning it is a `LayerBuffer`.
///
/// Copies of a layer share their parameters. Reading `value` while a trainable parameter takes part in a computation
/// is all that is needed to differentiate by it.
public final class Parameter: Sendable {
  private struct State {
    var value: Tensor
    var isTrainable: Bool
  }
  private let state: Mutex<State>

  /// A parameter that starts at `value`. One that is not trainable takes no part in differentiation.
  public init(_ value: Tensor, isTrainable: Bool = true) {
    state = Mutex(State(value: value.parameterLeaf(isWatched: isTrainable), isTrainable: isTrainable))
  }

  /// The current value: a leaf whose gradient can be asked for, if the parameter is trainable.
  public var value: Tensor {
    get { state.withLock { $0.value } }
    set { state.withLock { $0.value = newValue.parameterLeaf(isWatched: $0.isTrainable) } }
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
    get { state.withLock { $0.isTrainable } }
    set {
      state.withLock {
        $0.isTrainable = newValue
        $0.value = $0.value.parameterLeaf(isWatched: newValue)
      }
    }
  }

  public var shape: Shape { value.shape }
  public var dtype: DType { value.dtype }
  /// The number of elements.
  public var count: Int { value.count }
}
