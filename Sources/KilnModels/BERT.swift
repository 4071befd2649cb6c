import KilnEngine
import KilnLayers
import KilnTraining

/// BERT (Devlin et al., 2019) as a classifier of sequences: tokens [batch, time] (integers) to logits [batch, classes].
///
/// Parameters as Hugging Face's BertForSequenceClassification names them, so that its weights load by name.
public struct BERT: Layer {
  /// Sizes, and what Hugging Face's configuration calls them.
  public struct Configuration: Hashable, Sendable {
    /// vocab_size, max_position_embeddings, type_vocab_size.
    public var words, positions, tokenTypes: Int
    /// hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, num_labels.
    public var features, layers, heads, feedForward, classes: Int
    /// hidden_dropout_prob and attention_probs_dropout_prob.
    public var dropout: Double
    /// layer_norm_eps.
    public var epsilon: Double

    /// By default BERT base, of 110 million parameters.
    public init(
      words: Int = 30522, positions: Int = 512, tokenTypes: Int = 2, features: Int = 768, layers: Int = 12,
      heads: Int = 12, feedForward: Int = 3072, classes: Int = 2, dropout: Double = 0.1, epsilon: Double = 1e-12
    ) {
      (self.words, self.positions, self.tokenTypes) = (words, positions, tokenTypes)
      (self.features, self.layers, self.heads) = (features, layers, heads)
      (self.feedForward, self.classes, self.dropout, self.epsilon) = (feedForward, classes, dropout, epsilon)
    }
  }

  public let bert: BERTEncoder
  public let dropout: Dropout
  public let classifier: Dense

  public init(
    _ configuration: Configuration = Configuration(), generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    let parts = BERTParts(configuration: configuration, generator: generator, device: device)
    bert = BERTEncoder(parts)
    dropout = parts.dropout()
    classifier = parts.dense(configuration.features, configuration.classes)
  }

  public func callAsFunction(_ tokens: Tensor) -> Tensor { observed(tokens) { self(tokens, keyMask: nil) } }

  /// `keyMask` [batch, time] is true for real tokens (Hugging Face's attention_mask), `tokenTypes` [batch, time] says
  /// which of two sentences a token belongs to (0 by default).
  public func callAsFunction(_ tokens: Tensor, keyMask: Tensor?, tokenTypes: Tensor? = nil) -> Tensor {
    classifier(dropout(bert(tokens, keyMask: keyMask, tokenTypes: tokenTypes).pooled))
  }

  /// The names of Hugging Face's files of any age: the heads of pretraining and tables of positions are left out, and
  /// norms may have gamma and beta. Load a file without a classifier with `strict: false`.
  public static let huggingFace = StateDictMapping.identity.renaming { name in
    if name.hasPrefix("cls.") || name.hasSuffix(".position_ids") { return nil }
    for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] where name.hasSuffix(old) {
      return name.dropLast(old.count) + new
    }
    return name
  }
}

/// BERT without its classifier.
public struct BERTEncoder: Module {
  public let embeddings: BERTEmbeddings
  public let layers: [BERTLayer]
  public let pooler: Dense

  fileprivate init(_ parts: BERTParts) {
    embeddings = BERTEmbeddings(parts)
    layers = (0..<max(parts.configuration.layers, 0)).map { _ in BERTLayer(parts) }
    pooler = parts.dense(parts.configuration.features, parts.configuration.features, activation: .tanh)
  }

  public var members: [(name: String, value: Any)] {
    [("embeddings", embeddings), ("encoder.layer", layers), ("pooler.dense", pooler)]
  }

  /// Every token's features [batch, time, features], and the first one's through a dense layer [batch, features].
  public func callAsFunction(_ tokens: Tensor, keyMask: Tensor? = nil, tokenTypes: Tensor? = nil) -> (
    states: Tensor, pooled: Tensor
  ) {
    let states = layers.reduce(embeddings(tokens, tokenTypes: tokenTypes)) { $1($0, keyMask: keyMask) }
    guard states.error == nil, states.rank == 3 else { return (states, states) }
    return (states, pooler(states.permuted([1, 0, 2])[0]))
  }
}

/// Embeddings of words, positions and token types, summed and normalized.
public struct BERTEmbeddings: Module {
  public let wordEmbeddings: Embedding
  public let positionEmbeddings: LearnedEncoding
  public let tokenTypeEmbeddings: Embedding
  public let norm: LayerNorm
  public let dropout: Dropout

  fileprivate init(_ parts: BERTParts) {
    let configuration = parts.configuration
    func table(_ rows: Int) -> Embedding {
      Embedding(
        rows, configuration.features, initializer: parts.initializer, generator: parts.generator, on: parts.device)
    }
    wordEmbeddings = table(configuration.words)
    positionEmbeddings = LearnedEncoding(
      configuration.positions, configuration.features, initializer: parts.initializer, generator: parts.generator,
      on: parts.device)
    tokenTypeEmbeddings = table(configuration.tokenTypes)
    norm = parts.norm()
    dropout = parts.dropout()
  }

  public var members: [(name: String, value: Any)] {
    [
      ("word_embeddings", wordEmbeddings), ("position_embeddings", positionEmbeddings),
      ("token_type_embeddings", tokenTypeEmbeddings), ("LayerNorm", norm), ("dropout", dropout),
    ]
  }

  public func callAsFunction(_ tokens: Tensor, tokenTypes: Tensor? = nil) -> Tensor {
    let types = tokenTypes ?? .zeros(tokens.shape, dtype: .int64, on: tokens.device)
    return dropout(norm(positionEmbeddings(wordEmbeddings(tokens) + tokenTypeEmbeddings(types))))
  }
}

/// Self-attention and a feed-forward network, each with a residual connection and a norm after it.
public struct BERTLayer: Module {
  public let query, key, value: Dense
  public let attentionOutput: Dense
  public let attentionNorm: LayerNorm
  public let intermediate: Dense
  public let output: Dense
  public let outputNorm: LayerNorm
  public let attentionDropout, outputDropout: Dropout
  private let heads: Int
  private let probability: Double
  private let generator: RandomGenerator

  fileprivate init(_ parts: BERTParts) {
    let (features, feedForward) = (parts.configuration.features, parts.configuration.feedForward)
    (query, key, value) = (
      parts.dense(features, features), parts.dense(features, features), parts.dense(features, features)
    )
    (attentionOutput, attentionNorm) = (parts.dense(features, features), parts.norm())
    intermediate = parts.dense(features, feedForward, activation: .gelu)
    (output, outputNorm) = (parts.dense(feedForward, features), parts.norm())
    (attentionDropout, outputDropout) = (parts.dropout(), parts.dropout())
    (heads, probability, generator) = (parts.configuration.heads, parts.configuration.dropout, parts.generator)
  }

  public var members: [(name: String, value: Any)] {
    [
      ("attention.self.query", query), ("attention.self.key", key), ("attention.self.value", value),
      ("attention.output.dense", attentionOutput), ("attention.output.LayerNorm", attentionNorm),
      ("attention.output.dropout", attentionDropout), ("intermediate.dense", intermediate), ("output.dense", output),
      ("output.LayerNorm", outputNorm), ("output.dropout", outputDropout),
    ]
  }

  /// x [batch, time, features], same shape out; keys whose `keyMask` [batch, time] is false take no part.
  public func callAsFunction(_ x: Tensor, keyMask: Tensor? = nil) -> Tensor {
    guard x.error == nil, x.rank == 3, heads > 0, x.shape[2] % heads == 0 else {
      return .layerFailure(
        "BERTLayer", rule: "x must be [batch, time, features] with features that \(heads) heads divide, got \(x.shape)",
        operands: [("x", x)], fix: "choose other heads", shape: x.shape, dtype: x.dtype)
    }
    func split(_ x: Tensor) -> Tensor {
      guard x.error == nil, x.rank == 3 else { return x }
      return x.reshaped(to: [x.shape[0], x.shape[1], heads, x.shape[2] / heads]).permuted([0, 2, 1, 3])
    }
    let mask = keyMask.map { $0.expanded(axis: 1).expanded(axis: 1) }
    let attended = scaledDotProductAttention(
      query: split(query(x)), key: split(key(x)), value: split(value(x)), mask: mask,
      dropout: attentionDropout.mode.isTraining ? probability : 0, generator: generator)
    guard attended.error == nil else { return attended }
    let joined = attended.permuted([0, 2, 1, 3]).reshaped(to: x.shape)
    let y = attentionNorm(attentionDropout(attentionOutput(joined)) + x)
    return outputNorm(outputDropout(output(intermediate(y))) + y)
  }
}

/// What BERT is made of.
private struct BERTParts {
  let configuration: BERT.Configuration
  let generator: RandomGenerator
  let device: Device
  let initializer = Initializer.normal(standardDeviation: 0.02)

  func dense(_ inputs: Int, _ outputs: Int, activation: Activation = .identity) -> Dense {
    Dense(
      inputs, outputs, activation: activation, initializer: initializer, biasInitializer: .zeros, generator: generator,
      on: device)
  }
  func norm() -> LayerNorm { LayerNorm(configuration.features, epsilon: configuration.epsilon, on: device) }
  func dropout() -> Dropout { Dropout(configuration.dropout, generator: generator) }
}
