import Foundation
import KilnEngine

/// Rotary position embedding (Su et al., 2021): each pair of features is turned by an angle that grows with the position,
/// so that products of queries and keys depend on their distance alone.
///
/// x [..., time, features] keeps its shape; position p turns pair i by p / base^(2 i / features). `rotated` features
/// (all by default, an even number) take part, the others pass.
public struct RotaryEmbedding: Hashable, Sendable {
  /// Which features make a pair.
  public enum Pairing: Hashable, Sendable {
    /// i and i + features / 2: Llama's and GPT-NeoX's.
    case halves
    /// 2 i and 2 i + 1: GPT-J's, and the paper's.
    case neighbors
  }
  public var base: Double
  public var pairing: Pairing
  /// `nil`: all.
  public var rotated: Int?

  public init(base: Double = 10_000, pairing: Pairing = .halves, rotated: Int? = nil) {
    (self.base, self.pairing, self.rotated) = (base, pairing, rotated)
  }

  /// x with its positions from `start` on. Errors: an odd number of rotated features, more than there are.
  public func callAsFunction(_ x: Tensor, from start: Int = 0) -> Tensor {
    guard x.error == nil, x.rank >= 2, x.dtype.isFloat else {
      return .layerFailure(
        "RotaryEmbedding", rule: "x must be [..., time, features] of floats, got \(x.shape) \(x.dtype)",
        operands: [("x", x)], fix: "apply it to the queries and keys of a head", shape: x.shape, dtype: x.dtype)
    }
    let features = x.shape[x.rank - 1]
    let count = rotated ?? features
    guard count % 2 == 0, count >= 0, count <= features, base > 0 else {
      return .layerFailure(
        "RotaryEmbedding",
        rule: "the rotated features must be even and at most \(features), the base positive, got \(count) and \(base)",
        operands: [("x", x)], fix: "choose `rotated`", shape: x.shape, dtype: x.dtype)
    }
    guard count > 0 else { return x }
    let half = count / 2
    let time = x.shape[x.rank - 2]
    let position = (Tensor.arange(to: Double(time), dtype: .int64, on: x.device) + Double(start)).cast(to: x.dtype)
    let pair = Tensor.arange(to: Double(half), dtype: x.dtype, on: x.device)
    let angle = position.expanded(axis: 1) * exp(pair * (-2 / Double(count) * log(base)))
    let (cosine, sine) = (cos(angle), sin(angle))
    let turning = count == features ? x : x.sliced(axis: -1, to: count)
    let result: Tensor
    switch pairing {
    case .halves:
      let (a, b) = (turning.sliced(axis: -1, to: half), turning.sliced(axis: -1, from: half))
      result = concatenate([a * cosine - b * sine, b * cosine + a * sine], axis: -1)
    case .neighbors:
      let (a, b) = (turning.sliced(axis: -1, step: 2), turning.sliced(axis: -1, from: 1, step: 2))
      result = stack([a * cosine - b * sine, b * cosine + a * sine], axis: -1).reshaped(to: turning.shape)
    }
    return count == features ? result : concatenate([result, x.sliced(axis: -1, from: count)], axis: -1)
  }
}

/// Adds sines and cosines of the position (Vaswani et al., 2017): x [batch, time, features] keeps its shape.
///
/// Feature 2 i of position p gets sin(p / 10000^(2 i / features)), feature 2 i + 1 the cosine. Any time; no parameters.
public struct SinusoidalEncoding: Layer {
  private let identity = LayerIdentity()

  public init() {}

  /// [..., time, features], same shape out; the positions begin at `start`.
  public func callAsFunction(_ x: Tensor, from start: Int) -> Tensor {
    guard x.error == nil, x.rank >= 2, x.dtype.isFloat else {
      return .layerFailure(
        "SinusoidalEncoding", rule: "x must be [..., time, features] of floats, got \(x.shape) \(x.dtype)",
        operands: [("x", x)], fix: "embed the tokens first", shape: x.shape, dtype: x.dtype)
    }
    let (time, features) = (x.shape[x.rank - 2], x.shape[x.rank - 1])
    let position = (Tensor.arange(to: Double(time), dtype: .int64, on: x.device) + Double(start)).cast(to: x.dtype)
    let feature = Tensor.arange(to: Double(features), dtype: .int64, on: x.device)
    let isOdd = remainder(feature, 2) .== 1
    let pair = (feature - isOdd.cast(to: .int64)).cast(to: x.dtype)
    let angle = position.expanded(axis: 1) * exp(pair * (-log(10_000.0) / Double(max(features, 1))))
    return x + select(isOdd, cos(angle), sin(angle))
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { self(x, from: 0) } }
}

/// Adds a learned vector for each position: x [batch, time, features] with time up to `positions` keeps its shape.
/// KerasHub's PositionEmbedding; in PyTorch an Embedding of the positions. Errors: longer sequences.
public struct LearnedEncoding: Layer {
  /// [positions, features].
  public let weight: Parameter

  /// By default drawn from N(0, 0.02^2), as GPT-2's.
  public init(
    _ positions: Int, _ features: Int, initializer: Initializer? = nil, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let shape: Shape = [positions, features]
    let fan = Initializer.Fan(inputs: positions, outputs: features)
    weight = Parameter(
      initializer?.draw(shape, fan, dtype, device, generator)
        ?? .randomNormal(shape, mean: 0, standardDeviation: 0.02, dtype: dtype, generator: generator, on: device))
  }

  /// [..., time, features], same shape out; the positions begin at `start`.
  public func callAsFunction(_ x: Tensor, from start: Int) -> Tensor {
    let table = weight.value
    guard x.error == nil, table.error == nil, x.rank >= 2, x.shape[x.rank - 1] == table.shape[1], start >= 0,
      x.shape[x.rank - 2] <= table.shape[0] - start
    else {
      return .layerFailure(
        "LearnedEncoding",
        rule: "x must be [..., time, features] within the table \(table.shape), got \(x.shape) from position \(start)",
        operands: [("x", x), ("table", table)], fix: "cut the sequence, or make a longer table", shape: x.shape,
        dtype: x.dtype)
    }
    return x + table.sliced(axis: 0, from: start, to: start + x.shape[x.rank - 2])
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { self(x, from: 0) } }
}
