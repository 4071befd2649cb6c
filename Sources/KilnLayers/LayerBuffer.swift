import KilnEngine
import Synchronization

/// A tensor that belongs to a layer, is saved with it, and is never differentiated: running statistics, tables.
/// PyTorch's buffer. Copies of a layer share it.
public final class LayerBuffer: Sendable {
  private struct State {
    var value: Tensor
    /// How many updates the value is away from one that was in memory.
    var waiting = 0
  }
  private let state: Mutex<State>
  let place = LayerPlace()
  /// Whether it is part of the model's saved weights. A table that can be computed again need not be.
  public let isPersistent: Bool

  public init(_ value: Tensor, isPersistent: Bool = true) {
    state = Mutex(State(value: value.parameterLeaf(isWatched: false)))
    self.isPersistent = isPersistent
  }

  /// The current value. A new one may be lazy: the optimizer's step evaluates it together with the parameters.
  public var value: Tensor {
    get { state.withLock { $0.value } }
    set { state.withLock { $0 = State(value: newValue.parameterLeaf(isWatched: false)) } }
  }

  /// Sets the value to `rule` of the old one.
  ///
  /// Updates of which nobody asks for the result would build a graph without end. After a few of them, all buffers that
  /// wait are evaluated in one run; an error of it comes up again when the value is read.
  public func update(_ rule: (Tensor) -> Tensor) {
    if state.withLock({ $0.waiting >= Self.longestWait && !$0.value.isEvaluated }) { Self.settle() }
    let old = state.withLock { $0 }
    let new = rule(old.value).parameterLeaf(isWatched: false)
    let waiting = old.value.isEvaluated ? 0 : old.waiting
    state.withLock { $0 = State(value: new, waiting: waiting + 1) }
    Self.updated.withLock { $0[ObjectIdentifier(self)] = Weak(buffer: self) }
  }

  /// Puts a value in the place of the current one, as it is, and gives that back: for the time of a trace.
  package func exchange(_ value: Tensor) -> Tensor {
    state.withLock { state in
      defer { state = State(value: value) }
      return state.value
    }
  }

  public var shape: Shape { value.shape }
  public var dtype: DType { value.dtype }

  private struct Weak: Sendable {
    weak var buffer: LayerBuffer?
  }
  /// A model that reads its batch twice or thrice between two steps waits for the step.
  private static let longestWait = 4
  private static let updated = Mutex<[ObjectIdentifier: Weak]>([:])

  deinit { Self.updated.withLock { $0[ObjectIdentifier(self)] = nil } }

  /// Evaluates what waits: together, as the buffers of a model share most of their graphs.
  private static func settle() {
    let buffers = updated.withLock { $0.values.compactMap(\.buffer) }
    try? evaluate(buffers.map(\.value).filter { !$0.isEvaluated && $0.error == nil })
  }
}
