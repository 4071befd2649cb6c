import Kiln
import Testing

/// Against PyTorch's numbers; Golden/make_torch.py made them.
@Suite("Layers, losses and optimizers equal PyTorch's")
struct GoldenTests {
  static let values = Result { try readNPZ(DataFiles.golden("torch.npz"), on: .cpu) }

  static func golden(_ name: String) throws -> Tensor {
    try #require(try values.get()[name], "no '\(name)' in torch.npz")
  }

  /// All elements within `bound`, absolute and relative.
  static func expectEqual(
    _ actual: Tensor, _ name: String, bound: Double = 1e-12, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let expected = try golden(name)
    #expect(actual.shape == expected.shape, "\(name)", sourceLocation: sourceLocation)
    let (x, y) = (try actual.doubles(), try expected.doubles())
    let worst = zip(x, y).map { abs($0 - $1) / (1 + abs($1)) }.max() ?? 0
    #expect(x.count == y.count && worst <= bound, "\(name): \(worst)", sourceLocation: sourceLocation)
  }

  static let rules: [(name: String, rule: any UpdateRule)] = [
    ("sgd", SGD(learningRate: 0.1)),
    ("sgd-decay", SGD(learningRate: 0.1, weightDecay: 0.05)),
    ("sgd-momentum", SGD(learningRate: 0.1, momentum: 0.9, weightDecay: 0.05)),
    ("sgd-dampening", SGD(learningRate: 0.1, momentum: 0.9, dampening: 0.3)),
    ("sgd-nesterov", SGD(learningRate: 0.1, momentum: 0.8, nesterov: true)),
    ("adam", Adam(learningRate: 0.01)),
    ("adam-decay", Adam(learningRate: 0.02, beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1)),
  ]

  @Test("ten steps", arguments: rules.indices)
  func optimizer(_ index: Int) throws {
    let (name, rule) = Self.rules[index]
    let parameter = Parameter(try Self.golden("start") + 0)
    let optimizer = Optimizer(rule, [NamedParameter(name: "w", parameter: parameter)])
    let gradients = try Self.golden("gradients")
    var values: [Tensor] = []
    for step in 0..<10 {
      try optimizer.step(gradients: [gradients[step]])
      // A copy: the parameter's own memory is given away by the next step.
      values.append(parameter.value.stopGradient() + 0)
      try evaluate(values)
    }
    try Self.expectEqual(stack(values, axis: 0), "optimizer.\(name)")
    #expect(optimizer.stepCount == 10)
  }

  @Test("a classifier's logits, loss and gradients")
  func classifier() throws {
    let model = Sequential {
      Flatten()
      Dense(6, 5, dtype: .float64)
      ReLU()
      Dense(5, 3, dtype: .float64)
    }
    for named in model.namedParameters { named.parameter.value = try Self.golden("mlp.\(named.name)") }
    let x = try Self.golden("mlp.x").watched()
    let labels = try Self.golden("mlp.labels")
    let logits = model(x)
    try Self.expectEqual(logits, "mlp.logits")
    let loss = softmaxCrossEntropy(logits: logits, labels: labels)
    try Self.expectEqual(loss, "mlp.loss")
    let gradients = try gradient(of: loss, withRespectTo: [x] + model.parameters.map(\.value))
    for (name, g) in zip(["x"] + model.namedParameters.map(\.name), gradients) {
      try Self.expectEqual(g, "mlp.\(name).grad")
    }
    try Self.expectEqual(
      softmaxCrossEntropy(logits: logits, labels: Self.golden("ignored.labels"), ignoreIndex: -1), "ignored.loss")
    try Self.expectEqual(meanSquaredError(logits, .ones(logits.shape, dtype: .float64)), "mse")
  }

  @Test("a convolution with every option, pooled")
  func convolution() throws {
    let layer = Conv2D(
      4, 6, kernel: (3, 2), stride: (2, 1), padding: .symmetric(1, 2), dilation: (1, 2), groups: 2, activation: .relu,
      dtype: .float64)
    for named in layer.namedParameters { named.parameter.value = try Self.golden("conv.\(named.name)") }
    let x = try Self.golden("conv.x").watched()
    let y = MaxPool2D((2, 2))(layer(x))
    try Self.expectEqual(y, "conv.y")
    let weights = Tensor.arange(to: Double(y.count), dtype: .float64).reshaped(to: y.shape)
    let gradients = try gradient(of: (y * weights).sum(), withRespectTo: [x] + layer.parameters.map(\.value))
    for (name, g) in zip(["x"] + layer.namedParameters.map(\.name), gradients) {
      try Self.expectEqual(g, "conv.\(name).grad")
    }
  }
}
