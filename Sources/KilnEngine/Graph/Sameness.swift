extension Tensor {
  /// Whether both are the same value of the graph.
  package func isSame(as other: Tensor) -> Bool { node === other.node }
}
