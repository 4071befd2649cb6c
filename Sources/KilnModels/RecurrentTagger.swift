import KilnEngine
import KilnLayers

/// A bidirectional LSTM over embedded tokens, with an output layer: for each token (a tagger) or each sequence (a
/// classifier, from the final states).
public struct LSTMTagger: Layer {
  public let embedding: Embedding
  public let lstm: LSTM
  public let output: Dense
  /// Whether every token gets logits, or the sequence as a whole.
  public let isPerToken: Bool

  public init(
    words: Int, features: Int, hidden: Int, layers: Int = 2, classes: Int, dropout: Double = 0,
    isPerToken: Bool = true, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    embedding = Embedding(words, features, generator: generator, on: device)
    lstm = LSTM(
      features, hidden, layers: layers, bidirectional: true, dropout: dropout, returnSequences: isPerToken,
      generator: generator, on: device)
    output = Dense(2 * hidden, classes, generator: generator, on: device)
    self.isPerToken = isPerToken
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { self(x, lengths: nil) } }

  /// Tokens [batch, time] (integers) to logits [batch, time, classes] or [batch, classes]; tokens from a sequence's
  /// length on [batch] do not count.
  public func callAsFunction(_ tokens: Tensor, lengths: Tensor?) -> Tensor {
    output(lstm(embedding(tokens), state: nil, lengths: lengths).output)
  }
}
