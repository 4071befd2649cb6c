import KilnEngine
import Synchronization

/// A tensor that belongs to a layer and changes while it learns: weights, and running statistics.
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
    state = Mutex(State(value: Parameter.leaf(value, isTrainable), isTrainable: isTrainable))
  }

  /// The current value: a leaf whose gradient can be asked for, if the parameter is trainable.
  public var value: Tensor {
    get { state.withLock { $0.value } }
    set { state.withLock { $0.value = Parameter.leaf(newValue, $0.isTrainable) } }
  }

  /// Whether optimizers change it.
  public var isTrainable: Bool {
    get { state.withLock { $0.isTrainable } }
    set {
      state.withLock {
        $0.isTrainable = newValue
        $0.value = Parameter.leaf($0.value, newValue)
      }
    }
  }

  public var shape: Shape { value.shape }
  public var dtype: DType { value.dtype }
  /// The number of elements.
  public var count: Int { value.count }

  /// `value` cut off from how it came to be. One that is in memory stays there, and can be updated in place.
  private static func leaf(_ value: Tensor, _ isTrainable: Bool) -> Tensor {
    let constant = value.stopGradient()
    let leaf = isTrainable ? constant.watched() : constant
    // Only names the same memory again. An error stays in the tensor, where it comes up with the next use.
    if value.isEvaluated { try? evaluate([leaf]) }
    return leaf
  }
}
