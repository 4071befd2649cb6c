import KilnEngine

/// Samples and their labels as two tensors on a device: features [count, ...], labels [count] or [count, ...]. With
/// weights [count], samples count as often in a loss.
public struct ArrayDataset: Sendable {
  public let features: Tensor
  public let labels: Tensor
  /// float32.
  public let weights: Tensor?
  public var count: Int { features.shape[0] }
  public var device: Device { features.device }

  /// Throws when the first dimensions differ, or a tensor has an error.
  public init(features: Tensor, labels: Tensor, weights: Tensor? = nil) throws {
    if let error = features.error ?? labels.error ?? weights?.error { throw error }
    guard features.rank >= 1, labels.rank >= 1, features.shape[0] == labels.shape[0] else {
      throw TensorError(
        operation: "ArrayDataset", rule: "features and labels must have the same first dimension",
        operands: "features \(features.shape) \(features.dtype), labels \(labels.shape) \(labels.dtype)",
        fix: "give one label for each sample")
    }
    guard weights == nil || weights?.shape == [features.shape[0]] else {
      throw TensorError(
        operation: "ArrayDataset", rule: "weights must be [\(features.shape[0])], one for each sample",
        operands: "weights \(weights?.shape ?? [])", fix: "give one weight for each sample")
    }
    self.features = features
    self.labels = labels
    self.weights = weights?.cast(to: .float32)
  }

  /// The samples at these positions, in this order. A position outside 0..<count is an error of the tensors.
  public func batch(_ positions: some Collection<Int>) -> (features: Tensor, labels: Tensor) {
    let indices = Tensor(Array(positions), on: device)
    return (features.gathered(indices), labels.gathered(indices))
  }

  /// A data set of these samples alone.
  public func subset(_ positions: some Collection<Int>) throws -> ArrayDataset {
    let part = batch(positions)
    let weights = weights?.gathered(Tensor(Array(positions), on: device))
    try evaluate([part.features, part.labels] + (weights.map { [$0] } ?? []))
    return try ArrayDataset(features: part.features, labels: part.labels, weights: weights)
  }

  /// The same on a device, evaluated there. Throws what the devices report.
  public func to(_ device: Device) throws -> ArrayDataset {
    guard device != self.device else { return self }
    let moved = [features, labels].map { $0.to(device) } + (weights.map { [$0.to(device)] } ?? [])
    try evaluate(moved)
    return try ArrayDataset(features: moved[0], labels: moved[1], weights: moved.count > 2 ? moved[2] : nil)
  }
}
