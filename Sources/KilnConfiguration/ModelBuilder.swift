import Foundation
import Kiln

func power(_ base: Double, _ exponent: Double) -> Double { Foundation.pow(base, exponent) }

extension Configuration {
  /// The model for prepared data, its weights drawn from the seed. Throws a `ConfigError` with the line of the layer that
  /// does not fit what comes before it.
  public func model(for preparation: Preparation, on device: Device) throws -> Sequential {
    var builder = ModelBuilder(configuration: self, preparation: preparation, device: device)
    return try builder.build()
  }
}

/// Layer after layer; what each gives is found out with a batch of nothing, of which no element is ever computed.
private struct ModelBuilder {
  let configuration: Configuration
  let preparation: Preparation
  let device: Device
  let generator: RandomGenerator
  private var layers: [any Layer] = []
  private var x: Tensor

  init(configuration: Configuration, preparation: Preparation, device: Device) {
    (self.configuration, self.preparation, self.device) = (configuration, preparation, device)
    generator = RandomGenerator(seed: configuration.seed)
    x = .zeros(
      Shape([2] + preparation.inputShape), dtype: preparation.vocabulary == nil ? .float32 : .int64, on: device)
  }

  mutating func build() throws -> Sequential {
    let model = configuration.root["model"]
    for (index, value) in (model?["layers"]?.list ?? []).enumerated() {
      guard case .variant(let name, let own) = value.content else { continue }
      let path = "model.layers[\(index)].\(name)"
      if index == 0, (preparation.vocabulary != nil) != (name == "embedding") {
        throw configuration.fault(
          value.line, path,
          preparation.vocabulary == nil ? "is for text models" : "a text model begins with an embedding")
      }
      try add(try layer(name, own, value.line, path), value.line, path)
    }
    try addOutput(model)
    return Sequential(layers)
  }

  private mutating func add(_ layer: any Layer, _ line: Int, _ path: String) throws {
    // Statistics and generators stay as they are.
    let y = layer.evaluating { layer(x) }
    if let error = y.error {
      let rule = (error as? TensorError).map { "\($0.rule); \($0.fix)" } ?? "\(error)"
      throw configuration.fault(
        line, path, "does not fit what comes before it, \(Self.sample(x)): \(rule)")
    }
    layers.append(layer)
    x = y
  }

  private static func sample(_ x: Tensor) -> String {
    "samples of shape \(Shape(Array(x.shape.dimensions.dropFirst())))"
  }

  private var features: Int { x.shape.dimensions.last ?? 0 }

  private func activation(_ own: ConfigValue) throws -> Activation {
    try own["activation"]?.text.map { try Activation.named($0) } ?? .identity
  }

  private func needs(_ rank: Int, _ what: String, _ line: Int, _ path: String) throws {
    guard x.rank == rank + 1 else {
      throw configuration.fault(line, path, "needs \(what), got \(Self.sample(x))")
    }
  }

  private func layer(_ name: String, _ own: ConfigValue, _ line: Int, _ path: String) throws -> any Layer {
    switch name {
    case "flatten": return Flatten()
    case "dense":
      return Dense(
        features, own["units"]?.integer ?? 1, activation: try activation(own), generator: generator, on: device)
    case "conv":
      try needs(3, "images [channels, height, width]", line, path)
      return Conv2D(
        x.shape[1], own["filters"]?.integer ?? 1, kernel: own["kernel"]?.integer ?? 3,
        stride: own["stride"]?.integer ?? 1, padding: own["padding"]?.text == "valid" ? .valid : .same,
        activation: try activation(own), generator: generator, on: device)
    case "max_pool":
      try needs(3, "images [channels, height, width]", line, path)
      return MaxPool2D(own["size"]?.integer ?? 2)
    case "average_pool":
      try needs(3, "images [channels, height, width]", line, path)
      return AveragePool2D(own["size"]?.integer ?? 2)
    case "global_average_pool":
      // Of a sequence the mean over time.
      if x.rank == 3 { return Lambda("mean over time") { $0.mean(axes: [1]) } }
      try needs(3, "images [channels, height, width] or sequences [time, features]", line, path)
      return GlobalAveragePool2D()
    case "batch_norm":
      if x.rank == 4 { return BatchNorm2D(x.shape[1], on: device) }
      try needs(1, "images or flat samples", line, path)
      return BatchNorm1D(features, on: device)
    case "layer_norm": return LayerNorm(features, on: device)
    case "activation":
      let function = try Activation.named(own["name"]?.text ?? "")
      return Lambda("\(function)") { function($0) }
    case "dropout": return Dropout(own["probability"]?.number ?? 0.5)
    case "embedding":
      return Embedding(preparation.vocabulary ?? 1, own["size"]?.integer ?? 1, generator: generator, on: device)
    case "position":
      try needs(2, "sequences [time, features]", line, path)
      return LearnedEncoding(x.shape[1], features, generator: generator, on: device)
    case "lstm", "gru":
      try needs(2, "sequences [time, features]", line, path)
      let (units, count) = (own["units"]?.integer ?? 1, own["layers"]?.integer ?? 1)
      let sequences = own["sequences"]?.flag ?? configuration.isContinuingText
      if name == "lstm" {
        return LSTM(features, units, layers: count, returnSequences: sequences, generator: generator, on: device)
      }
      return GRU(features, units, layers: count, returnSequences: sequences, generator: generator, on: device)
    default:  // transformer
      try needs(2, "sequences [time, features]", line, path)
      let heads = own["heads"]?.integer ?? 1
      guard features % heads == 0 else {
        throw configuration.fault(line, path, "\(heads) heads do not divide \(features) features")
      }
      let block = TransformerEncoderLayer(
        features, heads: heads, feedForward: own["feed_forward"]?.integer ?? 4 * features,
        dropout: own["dropout"]?.number ?? 0, activation: .gelu, normFirst: true, generator: generator, on: device)
      return configuration.isContinuingText ? Causal(block: block) : block
    }
  }

  private mutating func addOutput(_ model: ConfigValue?) throws {
    let line = model?["layers"]?.line ?? 0
    let path = "model.layers"
    if configuration.isContinuingText {
      try needs(2, "at its end a vector for each token", line, path)
    } else {
      try needs(1, "at its end flat samples (add 'flatten', or 'global_average_pool')", line, path)
    }
    let name = model?["output_activation"]?.text ?? "identity"
    let last = Dense(
      features, preparation.outputs, activation: try Activation.named(name), generator: generator, on: device)
    try add(last, line, path)
    if let shape = preparation.outputShape { try add(Reshape(Shape(shape)), line, path) }
  }
}

/// A transformer block in which each place sees itself and those before it.
struct Causal: Layer {
  let block: TransformerEncoderLayer
  func callAsFunction(_ x: Tensor) -> Tensor { block(x, mask: nil, isCausal: true) }
  var members: [(name: String, value: Any)] { block.members }
}
