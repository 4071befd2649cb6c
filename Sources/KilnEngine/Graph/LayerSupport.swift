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

  /// The error of this tensor, if it has one, with a layer's name before the path of the layer that it names.
  package func inLayer(_ name: String) -> Tensor {
    guard var error = error as? TensorError else { return self }
    error.layer = error.layer.map { "\(name).\($0)" } ?? name
    return .carrying(error, shape: shape, dtype: dtype, device: device)
  }
}
