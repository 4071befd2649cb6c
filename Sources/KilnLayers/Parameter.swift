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
  private enum Content {
    case own(Tensor)
    case shared(ParameterStorage, member: Int)
  }
  private struct State {
    var content: Content
    var shape: Shape
    var dtype: DType
    var isTrainable: Bool
    var derivation: Derivation?
    /// Takes the value's place for the time of a trace.
    var standIn: Tensor?

    var value: Tensor {
      if let standIn { return standIn }
      return switch content {
      case .own(let tensor): tensor
      case .shared(let storage, let member): storage.value(of: member)
      }
    }

    mutating func set(_ value: Tensor) {
      content = .own(value.parameterLeaf(isWatched: isTrainable))
      (shape, dtype) = (value.shape, value.dtype)
    }
  }
  private let state: Mutex<State>
  let place = LayerPlace()

  /// A parameter that starts at `value`. One that is not trainable takes no part in differentiation.
  public init(_ value: Tensor, isTrainable: Bool = true) {
    state = Mutex(
      State(
        content: .own(value.parameterLeaf(isWatched: isTrainable)), shape: value.shape, dtype: value.dtype,
        isTrainable: isTrainable))
  }

  /// The current value: a leaf whose gradient can be asked for, if the parameter is trainable.
  public var value: Tensor {
    get {
      let (value, derivation) = state.withLock { ($0.value, $0.derivation) }
      return derivation?.value() ?? value
    }
    set {
      if let derivation { return derivation.assign(newValue) }
      state.withLock { $0.set(newValue) }
    }
  }

  /// Puts a tensor in the value's place, as it is, or takes it away: for the time of a trace.
  package func substitute(_ standIn: Tensor?) { state.withLock { $0.standIn = standIn } }

  /// Whether a graph or another tensor may refer to the present value: what was computed from it can then only be
  /// differentiated by it as it is.
  package var isInUse: Bool {
    state.withLock { state in
      guard case .own(var tensor) = state.content else { return true }
      // The only reference, for a moment, if it is the only one.
      state.content = .own(Self.nothing)
      defer { state.content = .own(tensor) }
      return !tensor.isUniquelyReferenced()
    }
  }
  private static let nothing = Tensor.zeros([0])

  /// Makes the value a part of `storage`, until another is set.
  func move(into storage: ParameterStorage, as member: Int) {
    state.withLock { $0.content = .shared(storage, member: member) }
  }

  /// Whether the value is that part of `storage`.
  package func lies(in storage: ParameterStorage, as member: Int) -> Bool {
    state.withLock {
      if case .shared(let own, member) = $0.content { own === storage } else { false }
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
        guard $0.isTrainable != newValue else { return }
        $0.isTrainable = newValue
        $0.set($0.value)
      }
    }
  }

  public var shape: Shape { state.withLock { $0.shape } }
  public var dtype: DType { state.withLock { $0.dtype } }
  /// The number of elements.
  public var count: Int { shape.count }

  /// Makes this parameter follow from others: models list those in its place.
  func derive(
    from sources: [Parameter], value: @escaping @Sendable () -> Tensor, assign: @escaping @Sendable (Tensor) -> Void
  ) {
    state.withLock { state in
      // Its own tensor remains for its shape alone.
      state.set(Tensor.zeros(state.shape, dtype: state.dtype, on: state.value.device))
      state.derivation = Derivation(sources: sources, value: value, assign: assign)
    }
  }

  /// Whether it follows from others.
  var isDerived: Bool { derivation != nil }
  private var derivation: Derivation? { state.withLock { $0.derivation } }
}
