import Synchronization

/// Evaluated data: a buffer and where in it the tensor's elements lie.
public struct Storage: Sendable {
  public let buffer: Buffer
  /// Strides may be those of a view of the buffer.
  public let layout: Layout
  public init(buffer: Buffer, layout: Layout) {
    self.buffer = buffer
    self.layout = layout
  }

  fileprivate func hold() { buffer.holders.add(1, ordering: .acquiringAndReleasing) }
  fileprivate func letGo() { buffer.holders.subtract(1, ordering: .acquiringAndReleasing) }
}

/// One value of the lazy graph. What it is never changes; its result is written once, by evaluation.
public final class Node: Sendable {
  let op: Op
  let shape: Shape
  let dtype: DType
  let device: Device
  /// Later nodes have higher numbers.
  let id: UInt64
  /// Whether a watched leaf is among its ancestors. Such a node keeps its inputs after evaluation, others let them go.
  let isWatched: Bool
  /// The first mistake on the way here; `shape` is then only a guess.
  let error: (any Error)?

  private struct State {
    var inputs: [Node]
    var storage: Storage?
    var isDonated = false
  }
  private let state: Mutex<State>
  private static let counter = Atomic<UInt64>(0)
  static var newest: UInt64 { counter.load(ordering: .relaxed) }

  init(
    _ op: Op, inputs: [Node] = [], shape: Shape, dtype: DType, device: Device, storage: Storage? = nil,
    error: (any Error)? = nil
  ) {
    self.op = op
    self.shape = shape
    self.dtype = dtype
    self.device = device
    self.error = error
    id = Node.counter.add(1, ordering: .relaxed).newValue
    var watched = false
    if case .identity(let mark) = op, mark == .watch { watched = true }
    var stopped = false
    if case .identity(let mark) = op, mark == .stopGradient { stopped = true }
    isWatched = watched || (!stopped && inputs.contains { $0.isWatched })
    state = Mutex(State(inputs: inputs, storage: storage))
    storage?.hold()
  }

  var inputs: [Node] { state.withLock { $0.inputs } }
  var storage: Storage? { state.withLock { $0.storage } }
  var isDonated: Bool { state.withLock { $0.isDonated } }
  /// Evaluated without being watched: how it was computed is gone.
  var isReleased: Bool {
    if case .leaf = op { return false }
    return !isWatched && storage != nil
  }

  /// Writes the result, once; a second result of a race is the same bits and is dropped.
  func fulfil(_ storage: Storage) {
    state.withLock {
      guard $0.storage == nil else { return }
      $0.storage = storage
      storage.hold()
    }
    if isWatched { return }
    var released = takeInputs()
    Node.release(&released)
  }

  /// Gives the buffer away to an in-place update; reading this node afterwards is an error.
  func donate() {
    state.withLock {
      $0.storage?.letGo()
      $0.storage = nil
      $0.isDonated = true
    }
  }

  deinit {
    state.withLock { $0.storage?.letGo() }
    var released = takeInputs()
    Node.release(&released)
  }

  private func takeInputs() -> [Node] {
    var taken: [Node] = []
    state.withLock { swap(&$0.inputs, &taken) }
    return taken
  }

  /// Releases nodes with a list instead of the call stack, so that a chain of a million does not overflow it. The list
  /// must be the only reference to its nodes' array, or none of them would be seen as unique.
  private static func release(_ pending: inout [Node]) {
    while !pending.isEmpty {
      var node = pending.removeLast()
      if isKnownUniquelyReferenced(&node) { pending += node.takeInputs() }
    }
  }
}
