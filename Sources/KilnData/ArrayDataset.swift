import KilnEngine

/// Samples and their labels as two tensors on a device: features [count, ...], labels [count] or [count, ...]. With
/// weights [count], samples count as often in a loss.
public struct ArrayDataset: Sendable {
  public let features: Tensor
  public let labels: Tensor
  /// float32.
  public let weights: Tensor?
  /// What the features are made of where they stay bytes in memory: a batch turns its own rows into numbers.
  package let pixels: Pixels?
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
    pixels = nil
  }

  /// Samples whose features are `pixels` as float32 times their scale, each time they are read.
  init(_ pixels: Pixels, labels: Tensor, weights: Tensor? = nil) throws {
    let checked = try ArrayDataset(features: pixels.scaled(pixels.values), labels: labels, weights: weights)
    (features, self.labels, self.weights) = (checked.features, checked.labels, checked.weights)
    self.pixels = pixels
  }

  /// Bytes, and the factor that makes features of them.
  package struct Pixels: Sendable {
    package let values: Tensor
    package let scale: Double
    package func scaled(_ rows: Tensor) -> Tensor { rows.cast(to: .float32) * scale }
  }

  /// The samples at these positions, in this order. A position outside 0..<count is an error of the tensors.
  public func batch(_ positions: some Collection<Int>) -> (features: Tensor, labels: Tensor) {
    let indices = Tensor(Array(positions), on: device)
    let rows = pixels.map { $0.scaled($0.values.gathered(indices)) } ?? features.gathered(indices)
    return (rows, labels.gathered(indices))
  }

  /// A data set of these samples alone.
  public func subset(_ positions: some Collection<Int>) throws -> ArrayDataset {
    let indices = Tensor(Array(positions), on: device)
    return try mapped { $0.gathered(indices) }
  }

  /// The same on a device, evaluated there. Throws what the devices report.
  public func to(_ device: Device) throws -> ArrayDataset {
    guard device != self.device else { return self }
    return try mapped { $0.to(device) }
  }

  private func mapped(_ change: (Tensor) -> Tensor) throws -> ArrayDataset {
    let parts = ([pixels?.values ?? features, labels] + (weights.map { [$0] } ?? [])).map(change)
    try evaluate(parts)
    let weights = parts.count > 2 ? parts[2] : nil
    guard let pixels else { return try ArrayDataset(features: parts[0], labels: parts[1], weights: weights) }
    return try ArrayDataset(Pixels(values: parts[0], scale: pixels.scale), labels: parts[1], weights: weights)
  }
}
