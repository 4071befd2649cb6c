import Kiln
import Testing

private struct Block: Layer {
  let dense = Dense(3, 3)
  let extra: Dense?
  let list: [any Layer]
  let plain: [Dense]
  let byName: [String: Dense]
  let notALayer = 7
  func callAsFunction(_ x: Tensor) -> Tensor { dense(x) }
}

private struct Model: Layer {
  let features: Sequential
  let head: Block
  let tied: Dense
  func callAsFunction(_ x: Tensor) -> Tensor { head(features(x)) }
}

private class Base: Layer, @unchecked Sendable {  // only constants
  let first = Dense(2, 2)
  func callAsFunction(_ x: Tensor) -> Tensor { first(x) }
}

private final class Derived: Base, @unchecked Sendable {  // only constants
  let second = Dense(2, 2, bias: false)
}

@Suite("Layers and parameters")
struct LayerTests {
  @Test("parameters are found in properties and named by path, each once")
  func names() {
    let shared = Dense(3, 3)
    let model = Model(
      features: Sequential([Flatten(), Dense(4, 3, activation: .relu)]),
      head: Block(
        extra: nil, list: [ReLU(), Dense(3, 1, bias: false)], plain: [shared],
        byName: ["b": Dense(1, 1, bias: false), "a": shared]),
      tied: shared)
    #expect(
      model.namedParameters.map(\.name) == [
        "features.1.weight", "features.1.bias", "head.dense.weight", "head.dense.bias", "head.list.1.weight",
        "head.plain.0.weight", "head.plain.0.bias", "head.by_name.b.weight",
      ])
    #expect(model.parameterCount == 15 + 12 + 3 + 12 + 1)
    #expect(Derived().namedParameters.map(\.name) == ["first.weight", "first.bias", "second.weight"])
    #expect(mnistMLP().parameterCount == 101_770)
    #expect(mnistMLP().namedParameters.map(\.name) == ["1.weight", "1.bias", "2.weight", "2.bias"])
  }

  @Test("Sequential is built by a block with conditions and loops")
  func builder() {
    let isDeep = true
    let model = Sequential {
      Flatten()
      if isDeep {
        for _ in 0..<2 { Dense(4, 4, activation: .tanh) }
      }
      Dense(4, 2)
    }
    #expect(model.layers.count == 4)
    #expect(model[3] is Dense)
  }

  @Test("weights start as PyTorch's: uniform within 1/sqrt(inputs), the same for the same seed")
  func initialization() throws {
    let dense = Dense(400, 50, generator: RandomGenerator(seed: 3))
    let weights = try dense.weight.value.scalars(as: Float.self)
    #expect(weights.allSatisfy { abs($0) <= 0.05 })
    #expect(weights.map { abs($0) }.max().map { $0 > 0.0499 } == true)
    // The variance of a uniform distribution on +-0.05 is 0.05^2 / 3; 20,000 draws give it within 3 %.
    let variance = weights.reduce(0) { $0 + Double($1 * $1) } / Double(weights.count)
    #expect(abs(variance / (0.0025 / 3) - 1) < 0.03)
    let again = Dense(400, 50, generator: RandomGenerator(seed: 3))
    #expect(try again.weight.value.scalars(as: Float.self) == weights)
    let other = Dense(400, 50, generator: RandomGenerator(seed: 4))
    #expect(try other.weight.value.scalars(as: Float.self) != weights)
    let bias = try #require(dense.bias)
    #expect(try bias.value.scalars(as: Float.self).allSatisfy { abs($0) <= 0.05 && $0 != 0 })
  }

  static let deviations: [(Initializer, variance: Double)] = [
    (.glorotUniform, 2.0 / 500), (.glorotNormal, 2.0 / 500), (.heUniform, 2.0 / 300), (.heNormal, 2.0 / 300),
  ]

  @Test("initializers have the deviation that they promise", arguments: deviations.indices)
  func deviation(_ index: Int) throws {
    let (initializer, variance) = Self.deviations[index]
    let draw = initializer.draw([200, 300], .init(inputs: 300, outputs: 200), .float64, .cpu, RandomGenerator(seed: 1))
    let values = try draw.doubles()
    #expect(abs(values.reduce(0) { $0 + $1 * $1 } / 60_000 / variance - 1) < 0.03)
    #expect(abs(values.reduce(0, +) / 60_000) < 4 * (variance / 60_000).squareRoot())
  }

  @Test("a mistake in a layer's input comes up when the result is read")
  func mistakes() {
    let y = Dense(4, 2)(Tensor.zeros([3, 5]))
    #expect(y.error is TensorError)
    #expect(throws: TensorError.self) { try y.scalars(as: Float.self) }
    #expect("\(y.error.map { "\($0)" } ?? "")".contains("matmul"))
  }

  @Test("a mistake names the path of the layer that made it")
  func mistakePath() {
    let model = Sequential([Flatten(), Sequential([ReLU(), Dense(4, 2)]), Dense(2, 2)])
    let error = model(Tensor.zeros([3, 5])).error as? TensorError
    #expect(error?.operation == "matmul")
    #expect(error?.layer == "1.1")
    let earlier = model(matmul(Tensor.zeros([2, 3]), Tensor.zeros([2, 3]))).error as? TensorError
    #expect(earlier != nil && earlier?.layer == nil)
  }

  @Test("an update happens in place, except over a value that somebody holds")
  func inPlace() throws {
    let dense = Dense(3, 2)
    let optimizer = Optimizer(Adam(), for: dense)
    let gradients = [Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]), Tensor([1, 2] as [Float])]
    // As a set: a result may take the place of any of the old values. Views, which are gone before the next step.
    func step() throws -> Set<ObjectIdentifier?> {
      try optimizer.step(gradients: gradients)
      let views = dense.parameters.map { $0.value.stopGradient() } + optimizer.slots.values
      try evaluate(views)
      return Set(views.map(\.bufferIdentity))
    }
    // Weights and biases lie together, and so do their slots.
    let first = try step()
    #expect(first.count == 3 && !first.contains(nil))
    #expect(try step() == first)
    let held = dense.weight.value.stopGradient()
    let before = try held.scalars(as: Float.self)
    #expect(try step() != first)
    #expect(try held.scalars(as: Float.self) == before)
    #expect(try dense.weight.value.scalars(as: Float.self) != before)
  }

  @Test("a frozen parameter has no gradient and is not updated")
  func frozen() throws {
    let dense = Dense(2, 2)
    dense.weight.isTrainable = false
    let optimizer = Optimizer(SGD(learningRate: 1), for: dense)
    #expect(optimizer.parameters.map(\.name) == ["bias"])
    let before = try dense.weight.value.scalars(as: Float.self)
    let loss = dense(Tensor.ones([1, 2])).sum()
    try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
    #expect(try dense.weight.value.scalars(as: Float.self) == before)
  }

  @Test("the optimizer refuses wrong gradients, and its state can be restored")
  func optimizer() throws {
    let dense = Dense(2, 1)
    let optimizer = Optimizer(Adam(), for: dense)
    #expect(throws: TensorError.self) { try optimizer.step(gradients: []) }
    #expect(throws: TensorError.self) { try optimizer.step(gradients: [Tensor.ones([1, 2]), Tensor.ones([2])]) }
    #expect(optimizer.stepCount == 0)
    try optimizer.step(gradients: [Tensor.ones([1, 2]), Tensor.ones([1])])
    // Copies: the next step gives the slots' memory away.
    let saved = optimizer.slots.mapValues { $0 + 0 }
    try evaluate(Array(saved.values))
    let weights = dense.namedParameters.map { ($0.parameter, $0.parameter.value.stopGradient() + 0) }
    try evaluate(weights.map(\.1))
    #expect(saved.keys.sorted() == ["bias.exp_avg", "bias.exp_avg_sq", "weight.exp_avg", "weight.exp_avg_sq"])
    try optimizer.step(gradients: [Tensor.ones([1, 2]), Tensor.ones([1])])
    let after = try dense.weight.value.scalars(as: Float.self)
    for (parameter, value) in weights { parameter.value = value }
    try optimizer.restore(slots: saved, stepCount: 1)
    try optimizer.step(gradients: [Tensor.ones([1, 2]), Tensor.ones([1])])
    #expect(try dense.weight.value.scalars(as: Float.self) == after)
    #expect(throws: TensorError.self) { try optimizer.restore(slots: [:], stepCount: 0) }
  }

  @Test("accuracy counts the greatest logit")
  func accuracyMetric() throws {
    let logits = Tensor([Float(1), 2, 0, 5, 4, 3, 0, 0, 1, 9, 8, 7], shape: [4, 3])
    #expect(try accuracy(logits: logits, labels: Tensor([1, 0, 2, 1])).item() == 0.75)
  }

  @Test("a label outside the classes is an error, not a number")
  func badLabel() {
    let loss = softmaxCrossEntropy(logits: Tensor.zeros([2, 3]), labels: Tensor([0, 3]))
    #expect(throws: DeviceError.self) { try loss.item() }
  }
}
