import KilnEngine

/// Each sample made mean 0 and variance 1 over its last axes, then scaled and shifted (Ba, Kiros and Hinton, 2016):
/// x [..., shape] keeps its shape. PyTorch's LayerNorm, Keras' LayerNormalization (whose epsilon is 1e-3).
///
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with the biased variance. Training and evaluation are the
/// same. Errors: last axes that are not `shape`.
public struct LayerNorm: Layer {
  /// `shape`; none unless affine.
  public let weight: Parameter?
  /// `shape`; none unless affine with a bias.
  public let bias: Parameter?
  /// The last axes of the input.
  public let shape: Shape
  public let epsilon: Double
  private let identity = LayerIdentity()

  /// Over the last axis of `size`.
  public init(
    _ size: Int, epsilon: Double = 1e-5, isAffine: Bool = true, bias: Bool = true, dtype: DType = .float32,
    on device: Device = .default
  ) {
    self.init([size], epsilon: epsilon, isAffine: isAffine, bias: bias, dtype: dtype, on: device)
  }

  /// Over as many last axes as `shape` has. The weight starts as 1, the bias as 0.
  public init(
    _ shape: Shape, epsilon: Double = 1e-5, isAffine: Bool = true, bias: Bool = true, dtype: DType = .float32,
    on device: Device = .default
  ) {
    (self.shape, self.epsilon) = (shape, epsilon)
    weight = isAffine ? Parameter(.ones(shape, dtype: dtype, on: device)) : nil
    self.bias = isAffine && bias ? Parameter(.zeros(shape, dtype: dtype, on: device)) : nil
  }

  /// [..., shape], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      rowwise(x, shape, typeName) { rows in
        layerNorm(
          rows, scale: weight.map { $0.value.flattened() }, shift: bias.map { $0.value.flattened() }, epsilon: epsilon)
      }
    }
  }
}

/// Each sample divided by its root mean square over its last axes, then scaled (Zhang and Sennrich, 2019):
/// x [..., shape] keeps its shape. PyTorch's RMSNorm, Keras' RMSNormalization (whose epsilon is 1e-6).
///
/// y = x / sqrt(mean(x^2) + epsilon) * weight. Errors: last axes that are not `shape`.
public struct RMSNorm: Layer {
  /// `shape`; none unless affine.
  public let weight: Parameter?
  /// The last axes of the input.
  public let shape: Shape
  /// nil: the distance from 1 to the next number of x's dtype, as PyTorch's default.
  public let epsilon: Double?
  private let identity = LayerIdentity()

  /// Over the last axis of `size`.
  public init(
    _ size: Int, epsilon: Double? = nil, isAffine: Bool = true, dtype: DType = .float32, on device: Device = .default
  ) {
    self.init([size], epsilon: epsilon, isAffine: isAffine, dtype: dtype, on: device)
  }

  /// Over as many last axes as `shape` has. The weight starts as 1.
  public init(
    _ shape: Shape, epsilon: Double? = nil, isAffine: Bool = true, dtype: DType = .float32, on device: Device = .default
  ) {
    (self.shape, self.epsilon) = (shape, epsilon)
    weight = isAffine ? Parameter(.ones(shape, dtype: dtype, on: device)) : nil
  }

  /// [..., shape], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      rowwise(x, shape, typeName) { rows in
        let ulp = x.dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
        return rmsNorm(rows, scale: weight.map { $0.value.flattened() }, epsilon: epsilon ?? ulp)
      }
    }
  }
}

/// Groups of channels made mean 0 and variance 1 in each sample, then scaled and shifted by channel (Wu and He, 2018):
/// x [batch, channels, ...] keeps its shape. PyTorch's GroupNorm, Keras' GroupNormalization (whose epsilon is 1e-3).
///
/// Errors: another number of channels, groups that do not divide it.
public struct GroupNorm: Layer {
  /// [channels]; none unless affine.
  public let weight, bias: Parameter?
  public let groups: Int
  public let channels: Int
  public let epsilon: Double
  private let identity = LayerIdentity()

  /// The number of groups comes first, as in PyTorch. Weights start as 1 and 0.
  public init(
    _ groups: Int, _ channels: Int, epsilon: Double = 1e-5, isAffine: Bool = true, dtype: DType = .float32,
    on device: Device = .default
  ) {
    (self.groups, self.channels, self.epsilon) = (groups, channels, epsilon)
    (weight, bias) = channelParameters(channels, isAffine, dtype, device)
  }

  /// [batch, channels, ...], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      guard x.rank >= 2, x.shape[1] == channels, groups > 0, channels % groups == 0 else {
        return .layerFailure(
          "GroupNorm", rule: "x must be [batch, channels, ...] with \(channels) channels, in \(groups) equal groups",
          operands: [("x", x)], fix: "use a number of groups that divides the channels", shape: x.shape, dtype: x.dtype)
      }
      let elements = x.shape.dimensions[1...].reduce(1, *) / groups
      let rows = x.reshaped(to: [x.shape[0], groups, elements])
      let normal = layerNorm(rows, epsilon: epsilon).reshaped(to: x.shape)
      let scaled = weight.map { normal * perChannel($0.value, x) } ?? normal
      return bias.map { scaled + perChannel($0.value, x) } ?? scaled
    }
  }
}

/// `body` of x with its last axes, which must be `shape`, made one, in x's shape again.
private func rowwise(_ x: Tensor, _ shape: Shape, _ name: String, _ body: (Tensor) -> Tensor) -> Tensor {
  guard shape.rank > 0, x.rank >= shape.rank, Array(x.shape.dimensions.suffix(shape.rank)) == shape.dimensions else {
    return .layerFailure(
      name, rule: "the last axes of x must be \(shape), got \(x.shape)", operands: [("x", x)],
      fix: "give the layer the sizes of the last axes of its input", shape: x.shape, dtype: x.dtype)
  }
  if shape.rank == 1 { return body(x) }
  let lead = Array(x.shape.dimensions.dropLast(shape.rank))
  return body(x.reshaped(to: Shape(lead + [shape.count]))).reshaped(to: x.shape)
}
