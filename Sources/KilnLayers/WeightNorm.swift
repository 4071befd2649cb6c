import KilnEngine

/// A layer whose weight is learned as a length and a direction (Salimans and Kingma, 2016): weight = g * v / |v|, the
/// norm being over all axes but `axis`. Input and output are the layer's own.
///
/// Names are those of PyTorch's `parametrizations.weight_norm`: g is "parametrizations.weight.original0", v "...original1".
/// The layer's weight itself is no parameter any more; setting it sets both. To start at the layer's own values g is |v|.
public struct WeightNorm: Layer {
  public let layer: any Layer
  public let axis: Int
  /// The name of the weight.
  public let parameter: String
  /// The lengths: the weight's shape with all axes but `axis` 1.
  public let g: Parameter
  /// The directions: the weight's shape.
  public let v: Parameter
  private let identity = LayerIdentity()

  /// Throws where the layer has no parameter of that name, or the weight no such axis.
  public init(_ layer: any Layer, parameter name: String = "weight", axis: Int = 0) throws {
    let weight = try wrappedWeight(of: layer, name, "WeightNorm")
    let value = weight.value.stopGradient()
    guard let axis = value.shape.axis(axis) else {
      throw TensorError(
        operation: "WeightNorm", rule: "\(name) of shape \(value.shape) has no axis \(axis)", fix: "use axis 0")
    }
    let others = (0..<value.rank).filter { $0 != axis }
    let v = Parameter(value)
    let g = Parameter(value.norm(axes: others, keepDims: true))
    weight.derive(from: [g, v]) {
      v.value * (g.value / v.value.norm(axes: others, keepDims: true))
    } assign: { new in
      g.value = new.norm(axes: others, keepDims: true)
      v.value = new
    }
    (self.layer, self.parameter, self.axis, self.g, self.v) = (layer, name, axis, g, v)
  }

  /// The layer's own shapes.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { calling(layer, x, named: "") } }

  public var members: [(name: String, value: Any)] {
    [
      ("", layer), ("parametrizations.\(parameter).original0", g), ("parametrizations.\(parameter).original1", v),
    ]
  }
  public var configuration: String { axis == 0 ? "" : "axis: \(axis)" }
}

/// A layer whose weight is divided by its greatest singular value (Miyato et al., 2018), which one step of power iteration
/// at each call in training follows. The weight counts as a matrix of its first axis by all others. Input and output are
/// the layer's own.
///
/// Names are those of PyTorch's `parametrizations.spectral_norm`: the weight before the division is
/// "parametrizations.weight.original", the two singular vectors are the buffers "parametrizations.weight.0._u" and
/// "..._v". The gradient takes the vectors for constants.
public struct SpectralNorm: Layer {
  public let layer: any Layer
  /// The name of the weight.
  public let parameter: String
  public let iterations: Int
  public let epsilon: Double
  /// The weight before the division.
  public let original: Parameter
  /// [rows].
  public let u: LayerBuffer
  /// [columns].
  public let v: LayerBuffer
  public let mode = LayerMode()

  /// Throws where the layer has no parameter of that name, or one without two axes. Starts with 15 steps of power
  /// iteration from random vectors.
  public init(
    _ layer: any Layer, parameter name: String = "weight", iterations: Int = 1, epsilon: Double = 1e-12,
    generator: RandomGenerator = .default
  ) throws {
    let weight = try wrappedWeight(of: layer, name, "SpectralNorm")
    let value = weight.value.stopGradient()
    guard value.rank >= 2, value.shape[0] > 0, value.count > 0 else {
      throw TensorError(
        operation: "SpectralNorm", rule: "\(name) must be a matrix or more, got \(value.shape)",
        fix: "leave vectors as they are")
    }
    let original = Parameter(value)
    func start(_ count: Int) -> Tensor {
      normalized(.randomNormal([count], dtype: value.dtype, generator: generator, on: value.device), epsilon)
    }
    var vectors = (start(value.shape[0]), start(value.count / value.shape[0]))
    for _ in 0..<15 { vectors = powerStep(value, vectors, epsilon) }
    let u = LayerBuffer(vectors.0)
    let v = LayerBuffer(vectors.1)
    weight.derive(from: [original]) {
      let matrix = asMatrix(original.value)
      let sigma = (u.value * matmul(matrix, v.value.expanded(axis: 1)).squeezed(axes: [1])).sum()
      return original.value / sigma
    } assign: {
      original.value = $0
    }
    (self.layer, self.parameter, self.iterations, self.epsilon) = (layer, name, iterations, epsilon)
    (self.original, self.u, self.v) = (original, u, v)
  }

  /// The layer's own shapes.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      if mode.isTraining {
        var vectors = (u.value, v.value)
        for _ in 0..<iterations { vectors = powerStep(original.value.stopGradient(), vectors, epsilon) }
        u.update { _ in vectors.0 }
        v.update { _ in vectors.1 }
      }
      return calling(layer, x, named: "")
    }
  }

  public var members: [(name: String, value: Any)] {
    [
      ("", layer), ("parametrizations.\(parameter).original", original), ("parametrizations.\(parameter).0._u", u),
      ("parametrizations.\(parameter).0._v", v), ("mode", mode),
    ]
  }
  public var configuration: String { iterations == 1 ? "" : "iterations: \(iterations)" }
}

private func wrappedWeight(of layer: any Layer, _ name: String, _ wrapper: String) throws -> Parameter {
  let parameters = layer.namedParameters
  guard let weight = parameters.first(where: { $0.name == name }) else {
    throw TensorError(
      operation: wrapper, rule: "\(layer.headline) has no parameter '\(name)'",
      fix: "name one of " + parameters.map(\.name).joined(separator: ", "))
  }
  if let error = weight.parameter.value.error { throw error }
  return weight.parameter
}

private func asMatrix(_ weight: Tensor) -> Tensor { weight.reshaped(to: [weight.shape[0], -1]) }

private func normalized(_ x: Tensor, _ epsilon: Double) -> Tensor { x / maximum(x.norm(), epsilon) }

/// u = W v and v = W^T u, of length 1.
private func powerStep(_ weight: Tensor, _ vectors: (Tensor, Tensor), _ epsilon: Double) -> (Tensor, Tensor) {
  let matrix = asMatrix(weight)
  let u = normalized(matmul(matrix, vectors.1.expanded(axis: 1)).squeezed(axes: [1]), epsilon)
  let v = normalized(matmul(matrix.transposed(), u.expanded(axis: 1)).squeezed(axes: [1]), epsilon)
  return (u, v)
}
