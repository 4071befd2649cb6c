/// What layers need of the engine beyond its public functions.
extension Tensor {
  /// This value cut off from how it came to be, for a parameter. One that is in memory is held by the result alone
  /// once `self` is gone, so that an optimizer can update it in place.
  package func parameterLeaf(isWatched: Bool) -> Tensor {
    let op: Op = .identity(isWatched ? .watch : .stopGradient)
    if let storage = node.storage, error == nil {
      return Tensor(Node(op, shape: shape, dtype: dtype, device: device, storage: storage))
    }
    return isWatched ? stopGradient().watched() : stopGradient()
  }

  /// Some rows of a tensor in memory, where they lie: what slicing and evaluating gives, without a graph. `nil` for a
  /// tensor that is not in memory, or has not as many rows.
  package func rowsInMemory(_ rows: Range<Int>) -> Tensor? {
    guard let storage = node.storage, error == nil, rank > 0, rows.lowerBound >= 0, rows.upperBound <= shape[0] else {
      return nil
    }
    let (layout, part) = (storage.layout, Shape([rows.count] + shape.dimensions.dropFirst()))
    let place = Layout(
      shape: part, strides: layout.strides, offset: layout.offset + rows.lowerBound * layout.strides[0])
    return Tensor(
      Node(.leaf, shape: part, dtype: dtype, device: device, storage: Storage(buffer: storage.buffer, layout: place)))
  }

  /// This tensor with another error in place of its own.
  package func replacing(_ error: TensorError) -> Tensor {
    .carrying(error, shape: shape, dtype: dtype, device: device)
  }

  /// A mistake in a layer's input or configuration; an operand's own error goes first.
  package static func layerFailure(
    _ operation: String, rule: String, operands: [(String, Tensor)], fix: String, shape: Shape = [],
    dtype: DType = .float32
  ) -> Tensor {
    failure(operation, rule: rule, operands: operands, fix: fix, shape: shape, dtype: dtype)
  }

  /// The number of the newest value of any graph: those made later have higher ones.
  package static var newestValue: UInt64 { Node.newest }
}
