import KilnEngine

/// Samples and their labels as two tensors on a device: features [count, ...], labels [count] or [count, ...].
public struct ArrayDataset: Sendable {
  public let features: Tensor
  public let labels: Tensor
  public var count: Int { features.shape[0] }
  public var device: Device { features.device }

  /// Throws when the first dimensions differ, or a tensor has an error.
  public init(features: Tensor, labels: Tensor) throws {
    if let error = features.error ?? labels.error { throw error }
    guard features.rank >= 1, labels.rank >= 1, features.shape[0] == labels.shape[0] else {
      throw TensorError(
        operation: "ArrayDataset", rule: "features and labels must have the same first dimension",
        operands: "features \(features.shape) \(features.dtype), labels \(labels.shape) \(labels.dtype)",
        fix: "give one label for each sample")
    }
    self.features = features
    self.labels = labels
  }

  /// The samples at these positions, in this order. A position outside 0..<count is an error of the tensors.
  public func batch(_ positions: some Collection<Int>) -> (features: Tensor, labels: Tensor) {
    let indices = Tensor(Array(positions), on: device)
    return (features.gathered(indices), labels.gathered(indices))
  }

  /// A data set of these samples alone.
  public func subset(_ positions: some Collection<Int>) throws -> ArrayDataset {
    let part = batch(positions)
    try evaluate(part.features, part.labels)
    return try ArrayDataset(features: part.features, labels: part.labels)
  }

  public func to(_ device: Device) throws -> ArrayDataset {
    try ArrayDataset(features: features.to(device), labels: labels.to(device))
  }
}
