import KilnEngine

/// Settings that transformer layers share.
struct TransformerOptions: Sendable {
  var features, heads, feedForward: Int
  var dropout: Double
  var activation: Activation
  var normFirst: Bool
  var epsilon: Double
  var bias: Bool
  var dtype: DType
  var generator: RandomGenerator
  var device: Device

  func attention() -> MultiHeadAttention {
    MultiHeadAttention(
      features, heads: heads, dropout: dropout, bias: bias, dtype: dtype, generator: generator, on: device)
  }
  func norm() -> LayerNorm { LayerNorm(features, epsilon: epsilon, bias: bias, dtype: dtype, on: device) }
  func drop() -> Dropout { Dropout(dropout, generator: generator) }
  func wide() -> Dense {
    Dense(
      features, feedForward, activation: activation, bias: bias, dtype: dtype, generator: generator, on: device)
  }
  func narrow() -> Dense {
    Dense(feedForward, features, bias: bias, dtype: dtype, generator: generator, on: device)
  }
}

/// Self-attention, then a feed-forward network, each with a residual connection and a norm (Vaswani et al., 2017):
/// x [batch, time, features] keeps its shape. PyTorch's TransformerEncoderLayer, with its names and defaults.
///
/// The norm comes after each sum (post-norm) or, with `normFirst`, before each part (pre-norm).
public struct TransformerEncoderLayer: Layer {
  public let selfAttn: MultiHeadAttention
  public let linear1: Dense
  public let dropout: Dropout
  public let linear2: Dense
  public let norm1, norm2: LayerNorm
  public let dropout1, dropout2: Dropout
  public let normFirst: Bool

  /// `feedForward` is the width of the feed-forward network.
  public init(
    _ features: Int, heads: Int, feedForward: Int = 2048, dropout: Double = 0.1, activation: Activation = .relu,
    normFirst: Bool = false, epsilon: Double = 1e-5, bias: Bool = true, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    self.init(
      TransformerOptions(
        features: features, heads: heads, feedForward: feedForward, dropout: dropout, activation: activation,
        normFirst: normFirst, epsilon: epsilon, bias: bias, dtype: dtype, generator: generator, device: device))
  }

  init(_ options: TransformerOptions) {
    selfAttn = options.attention()
    (linear1, dropout, linear2) = (options.wide(), options.drop(), options.narrow())
    (norm1, norm2) = (options.norm(), options.norm())
    (dropout1, dropout2) = (options.drop(), options.drop())
    normFirst = options.normFirst
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

  /// With masks as in `MultiHeadAttention`: true where a key takes part.
  public func callAsFunction(_ x: Tensor, mask: Tensor?, keyMask: Tensor? = nil, isCausal: Bool = false) -> Tensor {
    observed(x) { transformed(x, mask, keyMask, isCausal) }
  }

  private func transformed(_ x: Tensor, _ mask: Tensor?, _ keyMask: Tensor?, _ isCausal: Bool) -> Tensor {
    func attended(_ x: Tensor) -> Tensor {
      dropout1(selfAttn(x, mask: mask, keyMask: keyMask, isCausal: isCausal))
    }
    func widened(_ x: Tensor) -> Tensor { dropout2(linear2(dropout(linear1(x)))) }
    if normFirst {
      let y = x + attended(norm1(x))
      return y + widened(norm2(y))
    }
    let y = norm1(x + attended(x))
    return norm2(y + widened(y))
  }
}

/// Causal or masked self-attention, attention to an encoder's result, then a feed-forward network, each with a residual
/// connection and a norm: x [batch, time, features] keeps its shape. PyTorch's TransformerDecoderLayer, with its names.
public struct TransformerDecoderLayer: Module {
  public let selfAttn, multiheadAttn: MultiHeadAttention
  public let linear1: Dense
  public let dropout: Dropout
  public let linear2: Dense
  public let norm1, norm2, norm3: LayerNorm
  public let dropout1, dropout2, dropout3: Dropout
  public let normFirst: Bool

  /// `feedForward` is the width of the feed-forward network.
  public init(
    _ features: Int, heads: Int, feedForward: Int = 2048, dropout: Double = 0.1, activation: Activation = .relu,
    normFirst: Bool = false, epsilon: Double = 1e-5, bias: Bool = true, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    self.init(
      TransformerOptions(
        features: features, heads: heads, feedForward: feedForward, dropout: dropout, activation: activation,
        normFirst: normFirst, epsilon: epsilon, bias: bias, dtype: dtype, generator: generator, device: device))
  }

  init(_ options: TransformerOptions) {
    (selfAttn, multiheadAttn) = (options.attention(), options.attention())
    (linear1, dropout, linear2) = (options.wide(), options.drop(), options.narrow())
    (norm1, norm2, norm3) = (options.norm(), options.norm(), options.norm())
    (dropout1, dropout2, dropout3) = (options.drop(), options.drop(), options.drop())
    normFirst = options.normFirst
  }

  /// x [batch, time, features] and the encoder's result `memory` [batch, memoryTime, features]. Masks as in
  /// `MultiHeadAttention`: true where a key takes part. PyTorch's `tgt_is_causal` is `isCausal`.
  public func callAsFunction(
    _ x: Tensor, memory: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false,
    memoryMask: Tensor? = nil, memoryKeyMask: Tensor? = nil
  ) -> Tensor {
    func attended(_ x: Tensor) -> Tensor {
      dropout1(selfAttn(x, mask: mask, keyMask: keyMask, isCausal: isCausal))
    }
    func informed(_ x: Tensor) -> Tensor {
      dropout2(multiheadAttn(query: x, key: memory, mask: memoryMask, keyMask: memoryKeyMask))
    }
    func transformed(_ x: Tensor) -> Tensor { dropout3(linear2(dropout(linear1(x)))) }
    if normFirst {
      let y = x + attended(norm1(x))
      let z = y + informed(norm2(y))
      return z + transformed(norm3(z))
    }
    let y = norm1(x + attended(x))
    let z = norm2(y + informed(y))
    return norm3(z + transformed(z))
  }
}

/// Encoder layers one after the other, and a norm at the end if asked. PyTorch's TransformerEncoder.
public struct TransformerEncoder: Layer {
  public let layers: [TransformerEncoderLayer]
  public let norm: LayerNorm?

  /// `count` layers; each draws weights of its own. `finalNorm` belongs to `normFirst`.
  public init(
    _ count: Int, _ features: Int, heads: Int, feedForward: Int = 2048, dropout: Double = 0.1,
    activation: Activation = .relu, normFirst: Bool = false, finalNorm: Bool = false, epsilon: Double = 1e-5,
    bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let options = TransformerOptions(
      features: features, heads: heads, feedForward: feedForward, dropout: dropout, activation: activation,
      normFirst: normFirst, epsilon: epsilon, bias: bias, dtype: dtype, generator: generator, device: device)
    layers = (0..<max(count, 0)).map { _ in TransformerEncoderLayer(options) }
    norm = finalNorm ? options.norm() : nil
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

  /// x [batch, time, features], same shape out; masks for every layer.
  public func callAsFunction(_ x: Tensor, mask: Tensor?, keyMask: Tensor? = nil, isCausal: Bool = false) -> Tensor {
    observed(x) {
      let y = layers.reduce(x) { $1($0, mask: mask, keyMask: keyMask, isCausal: isCausal) }
      return norm.map { $0(y) } ?? y
    }
  }
}

/// Decoder layers one after the other, and a norm at the end if asked. PyTorch's TransformerDecoder.
public struct TransformerDecoder: Module {
  public let layers: [TransformerDecoderLayer]
  public let norm: LayerNorm?

  /// `count` layers; each draws weights of its own. `finalNorm` belongs to `normFirst`.
  public init(
    _ count: Int, _ features: Int, heads: Int, feedForward: Int = 2048, dropout: Double = 0.1,
    activation: Activation = .relu, normFirst: Bool = false, finalNorm: Bool = false, epsilon: Double = 1e-5,
    bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let options = TransformerOptions(
      features: features, heads: heads, feedForward: feedForward, dropout: dropout, activation: activation,
      normFirst: normFirst, epsilon: epsilon, bias: bias, dtype: dtype, generator: generator, device: device)
    layers = (0..<max(count, 0)).map { _ in TransformerDecoderLayer(options) }
    norm = finalNorm ? options.norm() : nil
  }

  /// x [batch, time, features] and `memory` [batch, memoryTime, features] to x's shape; masks for every layer.
  public func callAsFunction(
    _ x: Tensor, memory: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false,
    memoryMask: Tensor? = nil, memoryKeyMask: Tensor? = nil
  ) -> Tensor {
    let y = layers.reduce(x) {
      $1(
        $0, memory: memory, mask: mask, keyMask: keyMask, isCausal: isCausal, memoryMask: memoryMask,
        memoryKeyMask: memoryKeyMask)
    }
    return norm.map { $0(y) } ?? y
  }
}
