import KilnEngine

/// In training each element is 0 with the given probability, and the others are divided by 1 - probability, so that the
/// mean stays (Srivastava et al., 2014). In evaluation x passes. Any shape. PyTorch's and Keras' Dropout.
///
/// The mask is a function of the generator's key and counter: the backward pass computes it again instead of keeping
/// it. A dropped element times infinity or NaN is NaN, as in PyTorch. Errors: a probability outside 0...1, integers.
public struct Dropout: Layer {
  public let probability: Double
  public let mode = LayerMode()
  private let generator: RandomGenerator

  public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
    (self.probability, self.generator) = (probability, generator)
  }

  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { mode.isTraining ? dropped(x, maskShape: x.shape, probability, generator, typeName) : x }
  }
}

/// `Dropout` of whole channels: x [batch, channels, width]. PyTorch's Dropout1d, Keras' SpatialDropout1D.
public struct Dropout1D: Layer {
  public let probability: Double
  public let mode = LayerMode()
  private let generator: RandomGenerator

  public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
    (self.probability, self.generator) = (probability, generator)
  }

  /// [batch, channels, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { mode.isTraining ? channelsDropped(x, rank: 3, probability, generator, typeName) : x }
  }
}

/// `Dropout` of whole channels: x [batch, channels, height, width]. PyTorch's Dropout2d, Keras' SpatialDropout2D.
public struct Dropout2D: Layer {
  public let probability: Double
  public let mode = LayerMode()
  private let generator: RandomGenerator

  public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
    (self.probability, self.generator) = (probability, generator)
  }

  /// [batch, channels, height, width], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { mode.isTraining ? channelsDropped(x, rank: 4, probability, generator, typeName) : x }
  }
}

/// Dropout that keeps mean 0 and variance 1 of what goes through `SELU`s (Klambauer et al., 2017): a dropped element takes
/// the value that SELU approaches at -infinity, and all are scaled and shifted. Any shape. PyTorch's and Keras'
/// AlphaDropout.
public struct AlphaDropout: Layer {
  public let probability: Double
  public let mode = LayerMode()
  private let generator: RandomGenerator

  public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
    (self.probability, self.generator) = (probability, generator)
  }

  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      guard mode.isTraining else { return x }
      if let bad = dropoutFailure(x, probability, typeName) { return bad }
      if probability == 1 { return x * 0 }
      let least = -1.7580993408473766  // SELU's scale times its alpha, negative
      let keep = 1 - probability
      let a = 1 / (keep * (1 + probability * least * least)).squareRoot()
      let isKept = Tensor.randomUniform(x.shape, generator: generator, on: x.device) .< keep
      return select(isKept, x, least) * a - a * probability * least
    }
  }
}

private func dropoutFailure(_ x: Tensor, _ probability: Double, _ name: String) -> Tensor? {
  guard probability >= 0, probability <= 1 else {
    return .layerFailure(
      name, rule: "the probability must be in 0...1, got \(probability)", operands: [("x", x)],
      fix: "divide percentages by 100", shape: x.shape, dtype: x.dtype)
  }
  guard x.dtype.isFloat else {
    return .layerFailure(
      name, rule: "needs float32 or float64, got \(x.dtype)", operands: [("x", x)], fix: "use `.cast(to: .float32)`",
      shape: x.shape, dtype: .float32)
  }
  return nil
}

private func channelsDropped(
  _ x: Tensor, rank: Int, _ probability: Double, _ generator: RandomGenerator, _ name: String
) -> Tensor {
  guard x.rank == rank else {
    return .layerFailure(
      name, rule: "x must have \(rank) axes, [batch, channels, ...], got \(x.rank)", operands: [("x", x)],
      fix: "use `Dropout` to drop single elements", shape: x.shape, dtype: x.dtype)
  }
  let mask = Array(x.shape.dimensions.prefix(2)) + [Int](repeating: 1, count: rank - 2)
  return dropped(x, maskShape: Shape(mask), probability, generator, name)
}

private func dropped(
  _ x: Tensor, maskShape: Shape, _ probability: Double, _ generator: RandomGenerator, _ name: String
) -> Tensor {
  if let bad = dropoutFailure(x, probability, name) { return bad }
  if probability == 0 { return x }
  if probability == 1 { return x * 0 }
  let keep = 1 - probability
  // One value for both passes; the fuser computes it in each, as it depends on nothing in memory.
  let isKept = Tensor.randomUniform(maskShape, generator: generator, on: x.device) .< keep
  return x * select(isKept, 1 / keep, 0, dtype: x.dtype)
}
