import KilnEngine

/// Each channel of each sample made mean 0 and variance 1: x [batch, channels, width] keeps its shape. PyTorch's
/// InstanceNorm1d.
///
/// y = (x - mean) / sqrt(variance + epsilon), with the biased variance over width; scaled and shifted by channel if
/// affine. With `tracksStatistics` the means over the batch of mean and unbiased variance are tracked as in `BatchNorm1D`,
/// and used in evaluation. Errors: the rank, another number of channels, a width of 1 in training.
public struct InstanceNorm1D: InstanceNormalization {
  /// [channels]; none unless affine.
  public let weight, bias: Parameter?
  /// [channels]; none unless statistics are tracked.
  public let runningMean, runningVar: LayerBuffer?
  /// Part of PyTorch's saved state, where it stays 0: int64, [].
  public let numBatchesTracked: LayerBuffer?
  public let channels: Int
  public let momentum: Double?
  public let epsilon: Double
  public let mode = LayerMode()

  /// As in PyTorch neither affine nor tracking by default.
  public init(
    _ channels: Int, momentum: Double = 0.1, epsilon: Double = 1e-5, isAffine: Bool = false,
    tracksStatistics: Bool = false, dtype: DType = .float32, on device: Device = .default
  ) {
    (self.channels, self.momentum, self.epsilon) = (channels, momentum, epsilon)
    (weight, bias) = channelParameters(channels, isAffine, dtype, device)
    (runningMean, runningVar, numBatchesTracked) = channelStatistics(channels, tracksStatistics, dtype, device)
  }

  /// [batch, channels, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { normalizeInstances(x, rank: 3) } }
}

/// `InstanceNorm1D` for images: x [batch, channels, height, width] keeps its shape. PyTorch's InstanceNorm2d.
public struct InstanceNorm2D: InstanceNormalization {
  /// [channels]; none unless affine.
  public let weight, bias: Parameter?
  /// [channels]; none unless statistics are tracked.
  public let runningMean, runningVar: LayerBuffer?
  /// Part of PyTorch's saved state, where it stays 0: int64, [].
  public let numBatchesTracked: LayerBuffer?
  public let channels: Int
  public let momentum: Double?
  public let epsilon: Double
  public let mode = LayerMode()

  /// As in PyTorch neither affine nor tracking by default.
  public init(
    _ channels: Int, momentum: Double = 0.1, epsilon: Double = 1e-5, isAffine: Bool = false,
    tracksStatistics: Bool = false, dtype: DType = .float32, on device: Device = .default
  ) {
    (self.channels, self.momentum, self.epsilon) = (channels, momentum, epsilon)
    (weight, bias) = channelParameters(channels, isAffine, dtype, device)
    (runningMean, runningVar, numBatchesTracked) = channelStatistics(channels, tracksStatistics, dtype, device)
  }

  /// [batch, channels, height, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { normalizeInstances(x, rank: 4) } }
}

protocol InstanceNormalization: BatchNormalization {}

extension InstanceNormalization {
  func normalizeInstances(_ x: Tensor, rank: Int) -> Tensor {
    if let bad = channelFailure(x, ranks: [rank]) { return bad }
    if !mode.isTraining, let runningMean, let runningVar {
      return affine(standardized(x, mean: runningMean.value, variance: runningVar.value))
    }
    let (batch, places) = (x.shape[0], x.shape.dimensions[2...].reduce(1, *))
    guard places > 1 else {
      return .layerFailure(
        typeName, rule: "one value per channel has no variance", operands: [("x", x)],
        fix: "give it a larger image", shape: x.shape, dtype: x.dtype)
    }
    if mode.isTraining, runningMean != nil, batch > 0 {
      let means = x.mean(axes: Array(2..<rank))
      let variances = x.variance(axes: Array(2..<rank), unbiased: true)
      track(means.mean(axes: [0]), variances.mean(axes: [0]))
    }
    let rows = x.reshaped(to: [batch, channels, places])
    return affine(layerNorm(rows, epsilon: epsilon).reshaped(to: x.shape))
  }
}
