import Foundation
import Kiln
import Testing

/// Each diagnosis has a run that provokes it and one that does not.
@Suite("What goes wrong in a run is said in words")
struct DiagnosticsTests {
  /// The kinds that a run is found to suffer from.
  private func kinds(
    _ trainer: Trainer, _ dataset: ArrayDataset, epochs: Int, batchSize: Int = 10, validation: ArrayDataset? = nil
  ) throws -> [Diagnosis.Kind: Diagnosis] {
    var said: [Diagnosis] = []
    let diagnostics = RunDiagnostics(dataset) { said.append($0) }
    try trainer.fit(
      dataset, epochs: epochs, batchSize: batchSize, seed: 2, validation: validation, callbacks: [diagnostics])
    #expect(said == diagnostics.diagnoses)
    #expect(Set(said.map(\.kind)).count == said.count, "each kind once")
    for one in said { #expect(!one.finding.isEmpty && !one.advice.isEmpty && "\(one)".contains(one.kind.rawValue)) }
    return Dictionary(said.map { ($0.kind, $0) }) { first, _ in first }
  }

  private func trainer(_ model: Sequential, _ rule: any UpdateRule = SGD(learningRate: 0.05)) -> Trainer {
    Trainer(model, optimizer: rule)
  }

  private let generator = RandomGenerator(seed: 8)

  @Test("a sound run suffers from nothing")
  func sound() throws {
    let found = try kinds(
      Small.trainer(.cpu), try Small.dataset(.cpu, count: 400), epochs: 8, validation: try Small.dataset(.cpu, seed: 4)
    )
    #expect(found.isEmpty, "\(found)")
  }

  @Test("to be watched changes neither weights, buffers nor random numbers")
  func unchanged() throws {
    func run(_ watched: Bool) throws -> [String: [UInt8]] {
      let (trainer, dataset) = (Small.trainer(.cpu), try Small.dataset(.cpu))
      let callbacks: [any TrainingCallback] =
        watched ? [RunDiagnostics(dataset), RunDiagnostics(dataset, nonFinite: .skipStep)] : []
      try trainer.fit(dataset, epochs: 3, batchSize: 10, seed: 2, callbacks: callbacks)
      return try Small.bits(trainer)
    }
    #expect(try run(true) == run(false))
  }

  @Test("overfitting: labels by chance are learned by heart")
  func overfitting() throws {
    func chance(_ seed: UInt64) throws -> ArrayDataset {
      let generator = RandomGenerator(seed: seed)
      let x = Tensor.randomNormal([40, 20], generator: generator, on: .cpu)
      try evaluate(x)
      return try ArrayDataset(features: x, labels: Tensor((0..<40).map { ($0 * 7 + Int(seed)) % 3 }, on: .cpu))
    }
    let model = Sequential {
      Dense(20, 64, activation: .tanh, generator: generator, on: .cpu)
      Dense(64, 3, generator: generator, on: .cpu)
    }
    let found = try kinds(
      trainer(model, Adam(learningRate: 0.01)), try chance(1), epochs: 30, validation: try chance(2))
    #expect(found[.overfitting]?.finding.contains("validation loss was best in epoch") == true, "\(found)")
    #expect(found[.underfitting] == nil)
  }

  @Test("underfitting: a learning rate too small to learn")
  func underfitting() throws {
    let model = Sequential { Dense(6, 6, generator: generator, on: .cpu) }
    let found = try kinds(trainer(model, SGD(learningRate: 1e-6)), try Small.dataset(.cpu), epochs: 6)
    #expect(found[.underfitting]?.finding.contains("always giving the same answer") == true, "\(found)")
  }

  @Test("vanishing gradients: twenty sigmoids in a row")
  func vanishing() throws {
    let generator = generator
    let model = Sequential {
      for _ in 0..<20 { Dense(6, 6, activation: .sigmoid, generator: generator, on: .cpu) }
      Dense(6, 6, generator: generator, on: .cpu)
    }
    let found = try kinds(trainer(model), try Small.dataset(.cpu), epochs: 1)
    #expect(found[.vanishingGradients]?.finding.hasPrefix("the gradient of 0.weight is") == true, "\(found)")
    #expect(found[.deadUnits] == nil)
  }

  @Test("exploding gradients: first weights far too large")
  func exploding() throws {
    let generator = generator
    let model = Sequential {
      for _ in 0..<8 {
        Dense(6, 6, initializer: .normal(standardDeviation: 3), generator: generator, on: .cpu)
      }
    }
    let found = try kinds(trainer(model, SGD(learningRate: 1e-12)), try Small.dataset(.cpu), epochs: 1)
    #expect(found[.explodingGradients] != nil, "\(found)")
  }

  @Test("dead units: a bias that no input overcomes")
  func dead() throws {
    let model = Sequential {
      Dense(6, 8, generator: generator, on: .cpu)
      Dense(8, 8, activation: .relu, biasInitializer: .constant(-50), generator: generator, on: .cpu)
      Dense(8, 6, generator: generator, on: .cpu)
    }
    let found = try kinds(trainer(model), try Small.dataset(.cpu), epochs: 1)
    #expect(found[.deadUnits]?.finding.hasPrefix("8 of 8 units of layer 1") == true, "\(found)")
    #expect(found[.vanishingGradients] == nil)
  }

  @Test("a diverging loss: a learning rate beyond stability")
  func diverging() throws {
    let x = Tensor.randomNormal([70, 6], generator: generator, on: .cpu)
    let y = x.sum(axes: [1], keepDims: true)
    try evaluate(x, y)
    let dataset = try ArrayDataset(features: x, labels: y)
    func found(_ rate: Double) throws -> [Diagnosis.Kind: Diagnosis] {
      let model = Sequential { Dense(6, 1, generator: RandomGenerator(seed: 8), on: .cpu) }
      let trainer = Trainer(model, optimizer: SGD(learningRate: rate)) { meanSquaredError($0, $1) }
      return try kinds(trainer, dataset, epochs: 40, batchSize: 70)
    }
    let diverged = try found(0.9)
    #expect(diverged[.divergingLoss]?.finding.hasPrefix("the loss grows") == true, "\(diverged)")
    let converged = try found(0.2)
    #expect(converged.isEmpty, "\(converged)")
  }

  @Test("a diagnosis is one line")
  func line() {
    #expect(
      "\(Diagnosis(.deadUnits, epoch: 1, step: 2, finding: "a", advice: "b"))" == "dead units (epoch 1, step 2): a; b")
  }
}
