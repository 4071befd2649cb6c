import KilnEngine
import Synchronization

/// A tensor that belongs to a layer, is saved with it, and is never differentiated: running statistics, tables.
/// PyTorch's buffer. Copies of a layer share it.
public final class LayerBuffer: Sendable {
  private let state: Mutex<Tensor>
  /// Whether it is part of the model's saved weights. A table that can be computed again need not be.
  public let isPersistent: Bool

  public init(_ value: Tensor, isPersistent: Bool = true) {
    state = Mutex(value.parameterLeaf(isWatched: false))
    self.isPersistent = isPersistent
  }

  /// The current value. A new one may be lazy: the optimizer's step evaluates it together with the parameters.
  public var value: Tensor {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue.parameterLeaf(isWatched: false) } }
  }

  public var shape: Shape { value.shape }
  public var dtype: DType { value.dtype }
}
