/// An n-dimensional array on a device, and how it came to be.
///
/// Operations return at once: they record what is to be computed, check shapes and dtypes, and leave the work to the
/// first read (`scalars(as:)`, `item()`, printing) or to `evaluate`. A mistake gives a tensor that carries the error
/// to there. Tensors are values: nothing ever changes one.
public struct Tensor: Sendable {
  private(set) var node: Node
  init(_ node: Node) { self.node = node }

  public var shape: Shape { node.shape }
  public var dtype: DType { node.dtype }
  public var device: Device { node.device }
  public var rank: Int { node.shape.rank }
  /// The number of elements.
  public var count: Int { node.shape.count }
  /// Why this tensor cannot be computed, if it cannot.
  public var error: (any Error)? { node.error }
  /// Whether its value is already in memory.
  public var isEvaluated: Bool { node.storage != nil }
  /// The address in bytes of its buffer, for tests of aliasing. `nil` before evaluation.
  public var bufferIdentity: ObjectIdentifier? { node.storage.map { ObjectIdentifier($0.buffer) } }

  /// Whether no other tensor and no graph refers to this value.
  package mutating func isUniquelyReferenced() -> Bool { isKnownUniquelyReferenced(&node) }
}
