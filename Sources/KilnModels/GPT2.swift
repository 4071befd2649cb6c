import KilnEngine
import KilnLayers
import KilnTraining

/// GPT-2 (Radford et al., 2019): a causal transformer, pre-norm, whose output matrix is its embedding. Tokens
/// [batch, time] (integers) to logits [batch, time, words].
///
/// Parameters as Hugging Face's GPT2LMHeadModel names them; its weights load by
/// `loadPyTorchStateDict(from:mapping: GPT2.huggingFace)`, which transposes its Conv1D weights.
public struct GPT2: Layer {
  /// Sizes, and what Hugging Face's configuration calls them.
  public struct Configuration: Hashable, Sendable {
    /// vocab_size, n_positions, n_embd, n_layer, n_head.
    public var words, positions, features, layers, heads: Int
    /// embd_pdrop, attn_pdrop and resid_pdrop.
    public var dropout: Double
    /// layer_norm_epsilon.
    public var epsilon: Double

    /// By default the smallest published GPT-2, of 124 million parameters.
    public init(
      words: Int = 50257, positions: Int = 1024, features: Int = 768, layers: Int = 12, heads: Int = 12,
      dropout: Double = 0.1, epsilon: Double = 1e-5
    ) {
      (self.words, self.positions, self.features) = (words, positions, features)
      (self.layers, self.heads, self.dropout, self.epsilon) = (layers, heads, dropout, epsilon)
    }
  }

  public let transformer: GPT2Transformer

  public init(
    _ configuration: Configuration = Configuration(), generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    transformer = GPT2Transformer(configuration, generator: generator, on: device)
  }

  /// The output layer shares the embedding's weights, under a name of its own.
  public var members: [(name: String, value: Any)] {
    [("transformer", transformer), ("lm_head.weight", transformer.wte.weight)]
  }

  public func callAsFunction(_ tokens: Tensor) -> Tensor {
    observed(tokens) { matmul(transformer(tokens), transformer.wte.weight.value.transposed()) }
  }

  /// Logits of further tokens [batch, tokens], each seeing those in `caches` (one for each layer), which they join.
  public func callAsFunction(_ tokens: Tensor, caches: inout [KeyValueCache]) -> Tensor {
    matmul(transformer(tokens, caches: &caches), transformer.wte.weight.value.transposed())
  }

  /// Empty caches for `batch` sequences of up to `capacity` tokens.
  public func makeCaches(batch: Int, capacity: Int) -> [KeyValueCache] {
    transformer.h.map { $0.attn.attention.makeCache(batch: batch, capacity: capacity) }
  }

  /// The names and layouts of Hugging Face's files: Conv1D weights are [in, out]; files of the bare transformer have no
  /// "transformer."; old ones hold the causal masks.
  public static let huggingFace = StateDictMapping.identity.renaming { name in
    if name.hasSuffix(".attn.bias") || name.hasSuffix(".attn.masked_bias") { return nil }
    return name.hasPrefix("transformer.") || name.hasPrefix("lm_head.") ? name : "transformer." + name
  }.transposing { name in
    ["c_attn.weight", "c_proj.weight", "c_fc.weight"].contains { name.hasSuffix($0) }
  }
}

/// GPT-2 without its output layer: tokens [batch, time] to [batch, time, features].
public struct GPT2Transformer: Module {
  public let wte: Embedding
  public let wpe: LearnedEncoding
  public let drop: Dropout
  public let h: [GPT2Block]
  public let lnF: LayerNorm

  init(_ configuration: GPT2.Configuration, generator: RandomGenerator, on device: Device) {
    let features = configuration.features
    let normal = Initializer.normal(standardDeviation: 0.02)
    wte = Embedding(configuration.words, features, initializer: normal, generator: generator, on: device)
    wpe = LearnedEncoding(configuration.positions, features, initializer: normal, generator: generator, on: device)
    drop = Dropout(configuration.dropout, generator: generator)
    h = (0..<max(configuration.layers, 0)).map { _ in GPT2Block(configuration, generator: generator, on: device) }
    lnF = LayerNorm(features, epsilon: configuration.epsilon, on: device)
  }

  public func callAsFunction(_ tokens: Tensor) -> Tensor { lnF(h.reduce(drop(wpe(wte(tokens)))) { $1($0) }) }

  func callAsFunction(_ tokens: Tensor, caches: inout [KeyValueCache]) -> Tensor {
    guard caches.count == h.count else {
      return .layerFailure(
        "GPT2", rule: "needs one cache for each of \(h.count) layers, got \(caches.count)",
        operands: [("tokens", tokens)], fix: "use `makeCaches`")
    }
    var x = wpe(wte(tokens), from: caches.first?.length ?? 0)
    for index in h.indices { x = h[index](x, cache: &caches[index]) }
    return lnF(x)
  }
}

/// Attention and a feed-forward network, each after a norm and with a residual connection.
public struct GPT2Block: Layer {
  public let ln1: LayerNorm
  public let attn: GPT2Attention
  public let ln2: LayerNorm
  public let mlp: GPT2FeedForward

  init(_ configuration: GPT2.Configuration, generator: RandomGenerator, on device: Device) {
    let features = configuration.features
    (ln1, ln2) = (
      LayerNorm(features, epsilon: configuration.epsilon, on: device),
      LayerNorm(features, epsilon: configuration.epsilon, on: device)
    )
    attn = GPT2Attention(configuration, generator: generator, on: device)
    mlp = GPT2FeedForward(configuration, generator: generator, on: device)
  }

  public var members: [(name: String, value: Any)] {
    [("ln_1", ln1), ("attn", attn), ("ln_2", ln2), ("mlp", mlp)]
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let y = x + attn(ln1(x))
      return y + mlp(ln2(y))
    }
  }

  func callAsFunction(_ x: Tensor, cache: inout KeyValueCache) -> Tensor {
    let y = x + attn.attention(ln1(x), cache: &cache)
    return y + mlp(ln2(y))
  }
}

/// Causal self-attention under GPT-2's names: c_attn and c_proj.
public struct GPT2Attention: Layer {
  public let attention: MultiHeadAttention
  public let residDropout: Dropout

  init(_ configuration: GPT2.Configuration, generator: RandomGenerator, on device: Device) {
    attention = MultiHeadAttention(
      configuration.features, heads: configuration.heads, dropout: configuration.dropout,
      initializer: .normal(standardDeviation: 0.02), generator: generator, on: device)
    residDropout = Dropout(configuration.dropout, generator: generator)
  }

  public var members: [(name: String, value: Any)] {
    [
      ("c_attn.weight", attention.inProjWeight as Any), ("c_attn.bias", attention.inProjBias as Any),
      ("c_proj", attention.outProj), ("attn_dropout", attention.mode), ("resid_dropout", residDropout),
    ]
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { residDropout(attention(x, mask: nil, isCausal: true)) }
  }
}

/// features to 4 features, GELU (by tanh), and back.
public struct GPT2FeedForward: Layer {
  public let cFc: Dense
  public let cProj: Dense
  public let dropout: Dropout

  init(_ configuration: GPT2.Configuration, generator: RandomGenerator, on device: Device) {
    let features = configuration.features
    let normal = Initializer.normal(standardDeviation: 0.02)
    cFc = Dense(
      features, 4 * features, activation: .geluTanh, initializer: normal, biasInitializer: .zeros,
      generator: generator, on: device)
    cProj = Dense(
      4 * features, features, initializer: normal, biasInitializer: .zeros, generator: generator, on: device)
    dropout = Dropout(configuration.dropout, generator: generator)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { dropout(cProj(cFc(x))) } }
}
