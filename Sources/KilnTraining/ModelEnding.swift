import KilnLayers

/// What the numbers are that a model gives, as far as its last layer tells.
enum ModelEnding {
  /// `nil` where the last layer is not known: a model of one's own.
  static func activation(of layer: any Layer) -> Activation? {
    switch layer {
    case let model as Sequential:
      // Layers that only change the shape tell nothing.
      model.layers.last { !($0 is Flatten) && !($0 is Dropout) }.flatMap { activation(of: $0) }
    case let dense as Dense: dense.activation
    case is Softmax: .softmax
    case is LogSoftmax: .logSoftmax
    case is Sigmoid: .sigmoid
    case is LogSigmoid: .logSigmoid
    default: nil
    }
  }

  /// Why a model and a loss do not belong together, if that is certain.
  static func mismatch(_ model: any Layer, _ loss: Loss) -> (rule: String, fix: String)? {
    guard let last = activation(of: model) else { return nil }
    // A misspelt name is an error of its own.
    if case .unknown = last { return nil }
    let ending = "the model ends with \(last), and the loss '\(loss.name)' takes"
    switch (loss.predictions, last) {
    case (.logits, .softmax), (.logits, .sigmoid):
      return ("\(ending) logits", "remove that activation, or use 'sparse_categorical_crossentropy'")
    case (.binaryLogits, .sigmoid), (.binaryLogits, .softmax):
      return ("\(ending) logits", "remove that activation, or use 'binary_crossentropy'")
    case (.probabilities, .softmax), (.binaryProbabilities, .sigmoid), (.binaryProbabilities, .hardsigmoid),
      (.probabilities, .sigmoid), (.probabilities, .hardsigmoid), (.binaryProbabilities, .softmax):
      return nil
    case (.probabilities, _):
      return (
        "\(ending) probabilities",
        "end it with softmax, or use a loss of logits such as 'softmax_cross_entropy'"
      )
    case (.binaryProbabilities, _):
      return (
        "\(ending) probabilities", "end it with sigmoid, or use 'binary_crossentropy_from_logits'"
      )
    default: return nil
    }
  }
}
