import Foundation
import Kiln
import Testing

/// What layers can and cannot do, by training them. All seeded, all on the CPU.
@Suite("What networks can learn")
struct LimitTests {
  private let corners = Tensor([0, 0, 0, 1, 1, 0, 1, 1] as [Float], shape: [4, 2], on: .cpu)

  /// The mean of log(1 + exp(z)) - z * y: binary cross-entropy of logits [n, 1] and labels [n, 1] of 0 and 1.
  private func loss(_ logits: Tensor, _ labels: Tensor) -> Tensor { (softplus(logits) - logits * labels).mean() }

  private func accuracy(_ logits: Tensor, _ labels: Tensor) throws -> Double {
    try ((logits .> 0) .== (labels .> 0.5)).cast(to: .float32).mean().item()
  }

  /// The loss after training.
  @discardableResult
  private func train(
    _ model: any Layer, _ x: Tensor, _ y: Tensor, _ rule: any UpdateRule, steps: Int
  ) throws -> Double {
    let optimizer = Optimizer(rule, for: model)
    for _ in 0..<steps {
      let loss = loss(model(x), y)
      try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
    }
    return try loss(model(x), y).item()
  }

  /// Points in the unit square around 0, labeled by whether they lie in the middle disk, about half of them.
  private func disk(_ count: Int, seed: UInt64) throws -> (x: Tensor, y: Tensor) {
    let x = Tensor.randomUniform([count, 2], low: -1, high: 1, generator: RandomGenerator(seed: seed), on: .cpu)
    let y = (square(x).sum(axes: [1], keepDims: true) .< 0.64).cast(to: .float32)
    try evaluate(x, y)
    return (x, y)
  }

  @Test("a single neuron learns AND and OR, and never XOR", arguments: 0..<3)
  func perceptron(seed: UInt64) throws {
    for (labels, isLearned) in [([0, 0, 0, 1], true), ([0, 1, 1, 1], true), ([0, 1, 1, 0], false)] {
      let y = Tensor(labels.map { Float($0) }, shape: [4, 1], on: .cpu)
      let neuron = Dense(2, 1, generator: RandomGenerator(seed: seed), on: .cpu)
      let final = try train(neuron, corners, y, Adam(learningRate: 0.1), steps: 400)
      let share = try accuracy(neuron(corners), y)
      if isLearned {
        #expect(share == 1)
        #expect(final < 0.1)
      } else {
        // No line parts XOR: three of four at most, and the least loss is that of guessing.
        #expect(share <= 0.75)
        #expect(final > 0.69)
      }
    }
  }

  @Test("one hidden layer learns XOR", arguments: 0..<3)
  func hiddenLayer(seed: UInt64) throws {
    let generator = RandomGenerator(seed: seed)
    let y = Tensor([0, 1, 1, 0] as [Float], shape: [4, 1], on: .cpu)
    let model = Sequential {
      Dense(2, 8, activation: .tanh, generator: generator, on: .cpu)
      Dense(8, 1, generator: generator, on: .cpu)
    }
    #expect(try train(model, corners, y, Adam(learningRate: 0.05), steps: 400) < 0.05)
    #expect(try accuracy(model(corners), y) == 1)
  }

  @Test("five linear layers do no better than logistic regression, with activations they do")
  func linearLayers() throws {
    let (x, y) = try disk(200, seed: 7)
    func model(_ activation: Activation) -> Sequential {
      let generator = RandomGenerator(seed: 11)
      return Sequential {
        Dense(2, 16, activation: activation, initializer: .heNormal, generator: generator, on: .cpu)
        for _ in 0..<3 {
          Dense(16, 16, activation: activation, initializer: .heNormal, generator: generator, on: .cpu)
        }
        Dense(16, 1, generator: generator, on: .cpu)
      }
    }
    let regression = Dense(2, 1, generator: RandomGenerator(seed: 3), on: .cpu)
    // Convex: this is the least loss that any linear function of x has.
    let least = try train(regression, x, y, Adam(learningRate: 0.05), steps: 500)
    let linear = model(.identity)
    let deep = try train(linear, x, y, Adam(learningRate: 0.005), steps: 300)
    #expect(deep > least - 1e-4)
    #expect(try accuracy(linear(x), y) <= accuracy(regression(x), y) + 0.03)
    let curved = model(.relu)
    #expect(try train(curved, x, y, Adam(learningRate: 0.005), steps: 300) < least / 3)
    #expect(try accuracy(curved(x), y) > 0.95)
  }

  @Test("twenty sigmoid layers stay stuck where ReLU, He's initialization and batch normalization train")
  func vanishing() throws {
    let (x, y) = try disk(128, seed: 5)
    let generator = RandomGenerator(seed: 2)
    let sigmoids = Sequential {
      Dense(2, 12, activation: .sigmoid, generator: generator, on: .cpu)
      for _ in 0..<18 { Dense(12, 12, activation: .sigmoid, generator: generator, on: .cpu) }
      Dense(12, 1, generator: generator, on: .cpu)
    }
    let modern = Sequential {
      for layer in 0..<19 {
        Dense(layer == 0 ? 2 : 12, 12, bias: false, initializer: .heNormal, generator: generator, on: .cpu)
        BatchNorm1D(12, on: .cpu)
        ReLU()
      }
      Dense(12, 1, generator: generator, on: .cpu)
    }
    let first = try #require((sigmoids[0] as? Dense)?.weight)
    let slope = try gradient(of: loss(sigmoids(x), y), withRespectTo: first.value)
    // Each sigmoid passes a quarter at most: nothing arrives at the first layer.
    #expect(try abs(slope).max().item() < 1e-9)
    let rate = try y.mean().item()
    let guess = -(rate * log(rate) + (1 - rate) * log(1 - rate))
    #expect(try train(sigmoids, x, y, Adam(learningRate: 0.03), steps: 100) > guess - 0.005)
    #expect(try train(modern, x, y, Adam(learningRate: 0.03), steps: 100) < guess / 2)
    #expect(try accuracy(modern(x), y) > 0.9)
  }

  @Test("a dead ReLU network stays dead where leaky ReLU recovers")
  func deadUnits() throws {
    let y = Tensor([0, 1, 1, 1] as [Float], shape: [4, 1], on: .cpu)
    func model(_ activation: Activation) -> Sequential {
      let generator = RandomGenerator(seed: 4)
      return Sequential {
        // Below 0 for every input.
        Dense(2, 8, activation: activation, biasInitializer: .constant(-3), generator: generator, on: .cpu)
        Dense(8, 1, generator: generator, on: .cpu)
      }
    }
    let dead = model(.relu)
    let before = try dead.parameters[0].value.doubles()
    let stuck = try train(dead, corners, y, Adam(learningRate: 0.05), steps: 400)
    // What guessing three of four costs, whatever the input.
    let guess = 2 * log(2) - 0.75 * log(3)
    #expect(abs(stuck - guess) < 1e-3)
    #expect(try dead.parameters[0].value.doubles() == before)
    let leaky = model(.leakyReLU(slope: 0.1))
    #expect(try train(leaky, corners, y, Adam(learningRate: 0.05), steps: 400) < 0.1)
    #expect(try accuracy(leaky(corners), y) == 1)
  }
}
