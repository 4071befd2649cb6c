import KilnEngine

/// The images of another data set as models take them: float32 [channels, height, width]. Bytes are multiplied by a scale,
/// floats are taken as they are. Each is read when it is asked for.
public struct ImageSamples: Dataset {
  public let shape: Shape
  private let base: any Dataset
  private let labels: [Int]?
  private let scale: Float

  public var count: Int { base.count }

  /// - Parameter labels: classes in place of the base's own, one for each image.
  /// Throws `DataError` or `TensorError` where there is no image, its samples are no images, or labels are missing.
  public init(_ base: any Dataset, labels: [Int]? = nil, scale: Double) throws {
    guard labels == nil || labels?.count == base.count else {
      throw TensorError(
        operation: "ImageSamples",
        rule: "needs one label for each image, got \(labels?.count ?? 0) for \(base.count)",
        fix: "name the labels that belong to the images")
    }
    (self.base, self.labels, self.scale) = (base, labels, Float(scale))
    guard base.count > 0 else {
      throw TensorError(operation: "ImageSamples", rule: "there is no image", fix: "name a file with images")
    }
    let first = try base.sample(at: 0).features
    let sizes = first.shape.dimensions
    guard sizes.count == 2 || sizes.count == 3, first.dtype == .uint8 || first.dtype == .float32 else {
      throw DataError(
        file: base.name(of: 0), rule: "\(first.shape) \(first.dtype) is no image",
        fix: "give uint8 or float32 [count, height, width] or [count, channels, height, width]")
    }
    shape = Shape(sizes.count == 2 ? [1] + sizes : sizes)
  }

  public func sample(at position: Int) throws -> Sample {
    let own = try base.sample(at: position)
    let sizes = own.features.shape.dimensions
    guard shape.dimensions == (sizes.count == 2 ? [1] + sizes : sizes) else {
      throw DataError(
        file: base.name(of: position), rule: "is \(own.features.shape), the first image \(shape)",
        fix: "scale all images to one size")
    }
    var features = own.features
    features.shape = shape
    if features.dtype == .uint8 {
      features = HostArray(.float32, shape, own.features.bytes.map { Float($0) * scale })
    }
    guard let labels else { return Sample(features: features, label: own.label) }
    return Sample(features: features, label: labels[position])
  }

  public func name(of position: Int) -> String { base.name(of: position) }
}
