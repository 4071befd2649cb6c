import KilnEngine

/// Each channel made mean 0 and variance 1 over the batch, then scaled and shifted (Ioffe and Szegedy, 2015):
/// x [batch, channels] or [batch, channels, width] keeps its shape. PyTorch's BatchNorm1d, Keras' BatchNormalization.
///
/// In training y = (x - mean) / sqrt(variance + epsilon) * weight + bias with the batch's mean and biased variance, and
/// running <- (1 - momentum) * running + momentum * batch with the unbiased variance. In evaluation, and nothing else, the
/// running ones take the batch's place. `momentum: nil` keeps the plain average of all batches. Momentum is PyTorch's:
/// Keras' 0.99 is 0.01 here. Errors: the rank, another number of channels, one value per channel in training.
public struct BatchNorm1D: BatchNormalization {
  /// [channels]; none unless affine.
  public let weight, bias: Parameter?
  /// [channels]; none unless statistics are tracked: then the batch's own are used in evaluation too.
  public let runningMean, runningVar: LayerBuffer?
  /// The number of batches seen in training: int64, [].
  public let numBatchesTracked: LayerBuffer?
  public let channels: Int
  public let momentum: Double?
  public let epsilon: Double
  public let mode = LayerMode()

  /// Weights start as 1 and 0, statistics as mean 0 and variance 1.
  public init(
    _ channels: Int, momentum: Double? = 0.1, epsilon: Double = 1e-5, isAffine: Bool = true,
    tracksStatistics: Bool = true, dtype: DType = .float32, on device: Device = .default
  ) {
    (self.channels, self.momentum, self.epsilon) = (channels, momentum, epsilon)
    (weight, bias) = channelParameters(channels, isAffine, dtype, device)
    (runningMean, runningVar, numBatchesTracked) = channelStatistics(channels, tracksStatistics, dtype, device)
  }

  /// [batch, channels] or [batch, channels, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { normalize(x, ranks: [2, 3]) } }
}

/// `BatchNorm1D` for images: x [batch, channels, height, width] keeps its shape. PyTorch's BatchNorm2d.
public struct BatchNorm2D: BatchNormalization {
  /// [channels]; none unless affine.
  public let weight, bias: Parameter?
  /// [channels]; none unless statistics are tracked: then the batch's own are used in evaluation too.
  public let runningMean, runningVar: LayerBuffer?
  /// The number of batches seen in training: int64, [].
  public let numBatchesTracked: LayerBuffer?
  public let channels: Int
  public let momentum: Double?
  public let epsilon: Double
  public let mode = LayerMode()

  /// Weights start as 1 and 0, statistics as mean 0 and variance 1.
  public init(
    _ channels: Int, momentum: Double? = 0.1, epsilon: Double = 1e-5, isAffine: Bool = true,
    tracksStatistics: Bool = true, dtype: DType = .float32, on device: Device = .default
  ) {
    (self.channels, self.momentum, self.epsilon) = (channels, momentum, epsilon)
    (weight, bias) = channelParameters(channels, isAffine, dtype, device)
    (runningMean, runningVar, numBatchesTracked) = channelStatistics(channels, tracksStatistics, dtype, device)
  }

  /// [batch, channels, height, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { normalize(x, ranks: [4]) } }
}

/// What batch and instance normalization share: statistics of channels that are tracked over batches.
protocol BatchNormalization: Layer {
  var weight: Parameter? { get }
  var bias: Parameter? { get }
  var runningMean: LayerBuffer? { get }
  var runningVar: LayerBuffer? { get }
  var numBatchesTracked: LayerBuffer? { get }
  var channels: Int { get }
  var momentum: Double? { get }
  var epsilon: Double { get }
  var mode: LayerMode { get }
}

extension BatchNormalization {
  /// Scaled and shifted by channel.
  func affine(_ normal: Tensor) -> Tensor {
    let scaled = weight.map { normal * perChannel($0.value, normal) } ?? normal
    return bias.map { scaled + perChannel($0.value, normal) } ?? scaled
  }

  /// What is wrong with x, if anything.
  func channelFailure(_ x: Tensor, ranks: [Int]) -> Tensor? {
    guard ranks.contains(x.rank), x.shape[1] == channels, x.dtype.isFloat else {
      let words = ranks.map {
        ["[batch, channels]", "[batch, channels, width]", "[batch, channels, height, width]"][$0 - 2]
      }
      return .layerFailure(
        typeName, rule: "x must be \(words.joined(separator: " or ")) with \(channels) channels of floats",
        operands: [("x", x)], fix: "give the layer as many channels as the one before it has", shape: x.shape,
        dtype: x.dtype)
    }
    return nil
  }

  func normalize(_ x: Tensor, ranks: [Int]) -> Tensor {
    if let bad = channelFailure(x, ranks: ranks) { return bad }
    if !mode.isTraining, let runningMean, let runningVar {
      return affine(standardized(x, mean: runningMean.value, variance: runningVar.value))
    }
    let axes = (0..<x.rank).filter { $0 != 1 }
    let count = axes.map { x.shape[$0] }.reduce(1, *)
    guard mode.isTraining == false || count != 1 else {
      return .layerFailure(
        typeName, rule: "one value per channel has no variance", operands: [("x", x)],
        fix: "train on more than one sample, or call `eval()` first", shape: x.shape, dtype: x.dtype)
    }
    if mode.isTraining { numBatchesTracked?.update { $0 + 1 } }
    // There is nothing to normalize, and no mean of it.
    if count == 0 { return affine(x) }
    let mean = x.mean(axes: axes, keepDims: true)
    let variance = x.variance(axes: axes, keepDims: true)
    if mode.isTraining {
      let unbiased = variance * (Double(count) / Double(max(count - 1, 1)))
      track(mean.reshaped(to: [channels]), unbiased.reshaped(to: [channels]))
    }
    return batchNormalized(x, mean, variance, axes)
  }

  /// Takes a batch's mean and unbiased variance into the running ones.
  func track(_ mean: Tensor, _ variance: Tensor) {
    for (buffer, new) in [(runningMean, mean.stopGradient()), (runningVar, variance.stopGradient())] {
      guard let buffer else { continue }
      if let momentum {
        buffer.update { $0 * (1 - momentum) + new * momentum }
      } else if let seen = numBatchesTracked?.value {
        buffer.update { $0 + (new - $0) / seen.cast(to: new.dtype) }
      }
    }
  }

  /// (x - mean) / sqrt(variance + epsilon) with statistics that do not depend on x.
  func standardized(_ x: Tensor, mean: Tensor, variance: Tensor) -> Tensor {
    (x - perChannel(mean, x)) * perChannel(rsqrt(variance + epsilon), x)
  }

  /// The same with x's own statistics, scaled and shifted. One rule for all of it, so that two sums over x and g serve
  /// every gradient: with c = x - mean and i = 1 / sqrt(variance + epsilon),
  /// dbias = sum(g), dweight = i * sum(g * c), dx = weight * i * (g - mean(g) - i^2 * c * mean(g * c)).
  private func batchNormalized(_ x: Tensor, _ mean: Tensor, _ variance: Tensor, _ axes: [Int]) -> Tensor {
    let inverse = rsqrt(variance + epsilon)
    let count = Double(axes.map { x.shape[$0] }.reduce(1, *))
    let forward = { [self] (_: [Tensor]) in affine((x - mean) * inverse) }
    return customGradient([x] + [weight, bias].compactMap { $0?.value }, forward: forward) { arguments, _, g in
      let centred = arguments[0] - mean
      let gSum = g.sum(axes: axes, keepDims: true)
      let productSum = (g * centred).sum(axes: axes, keepDims: true)
      let standard = (g - gSum / count - centred * (square(inverse) * productSum / count)) * inverse
      guard arguments.count == 3 else { return [standard] }
      let weight = arguments[1]
      return [
        standard * perChannel(weight, g), (inverse * productSum).reshaped(to: weight.shape),
        gSum.reshaped(to: weight.shape),
      ]
    }
  }
}

/// [channels] as [1, channels, 1, ...], to go with x [batch, channels, ...].
func perChannel(_ values: Tensor, _ x: Tensor) -> Tensor {
  x.rank == 2 ? values : values.reshaped(to: Shape([values.count] + [Int](repeating: 1, count: max(x.rank - 2, 0))))
}

/// A scale of 1 and a shift of 0 for each channel.
func channelParameters(
  _ channels: Int, _ isAffine: Bool, _ dtype: DType, _ device: Device
) -> (weight: Parameter?, bias: Parameter?) {
  guard isAffine else { return (nil, nil) }
  return (
    Parameter(.ones([channels], dtype: dtype, on: device)), Parameter(.zeros([channels], dtype: dtype, on: device))
  )
}

/// A mean of 0 and a variance of 1 for each channel, and the number of batches.
func channelStatistics(
  _ channels: Int, _ isTracking: Bool, _ dtype: DType, _ device: Device
) -> (mean: LayerBuffer?, variance: LayerBuffer?, batches: LayerBuffer?) {
  guard isTracking else { return (nil, nil, nil) }
  return (
    LayerBuffer(.zeros([channels], dtype: dtype, on: device)), LayerBuffer(.ones([channels], dtype: dtype, on: device)),
    LayerBuffer(.zeros([], dtype: .int64, on: device))
  )
}
