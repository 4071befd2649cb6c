import Foundation
import Kiln
import Testing

@Suite("Numbers that are not finite are traced to where they began")
struct NonFiniteTests {
  /// 70 samples of six features, of which one is something else.
  private func dataset(_ index: Int, _ value: Float) throws -> ArrayDataset {
    var features = try Small.dataset(.cpu).features.scalars(as: Float.self)
    for column in 0..<6 { features[index * 6 + column] = value }
    let labels = try Small.dataset(.cpu).labels
    return try ArrayDataset(features: Tensor(features, shape: [70, 6], on: .cpu), labels: labels)
  }

  /// The update, from 1, that a sample takes part in.
  private func step(of index: Int) throws -> Int {
    let batches = try BatchIterator(count: 70, batchSize: 10, seed: 2, epoch: 0)
    return try #require(Array(batches).firstIndex { $0.contains(index) }) + 1
  }

  private func failure(_ model: Sequential, _ dataset: ArrayDataset) throws -> (rule: String, diagnoses: [Diagnosis]) {
    let trainer = Trainer(model, optimizer: SGD(learningRate: 0.01))
    let diagnostics = RunDiagnostics(dataset)
    let error = #expect(throws: TensorError.self) {
      try trainer.fit(dataset, epochs: 2, batchSize: 10, seed: 2, callbacks: [diagnostics])
    }
    return (error?.rule ?? "", diagnostics.diagnoses)
  }

  private func model(_ function: @escaping @Sendable (Tensor) -> Tensor) -> Sequential {
    let generator = RandomGenerator(seed: 5)
    return Sequential {
      Dense(6, 6, bias: false, generator: generator, on: .cpu)
      BatchFree(function: function)
      Dropout(0.2)
      Dense(6, 6, generator: generator, on: .cpu)
    }
  }

  /// A layer of one's own.
  private struct BatchFree: Layer {
    let function: @Sendable (Tensor) -> Tensor
    let identity = LayerIdentity()
    func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { function(x) } }
  }

  @Test("on the way there: the operation, its layer and its inputs")
  func forward() throws {
    let index = 33
    let (rule, diagnoses) = try failure(model { exp($0 * 2) }, try dataset(index, 1e4))
    #expect(
      rule.contains("at step \(try step(of: index)) (epoch 1): 'exp' in layer 1 gave inf from inputs of "), "\(rule)")
    #expect(diagnoses.map(\.kind) == [.notFinite])
    #expect(diagnoses.first?.finding.contains("'exp' in layer 1") == true)
  }

  @Test("on the way back: the gradient of the layer, in the step before")
  func backward() throws {
    let index = 33
    // The root of a square has no derivative at 0.
    let (rule, _) = try failure(model { sqrt(square($0)) }, try dataset(index, 0))
    let step = try step(of: index)
    #expect(
      rule.contains("at step \(step + 1)") && rule.contains("after step \(step) the weights are not finite"), "\(rule)")
    #expect(rule.contains("in the gradient of layer 1"), "\(rule)")
  }

  @Test("in the data: the sample; in the weights: the parameter")
  func data() throws {
    let (rule, _) = try failure(model { tanh($0) }, try dataset(12, .nan))
    #expect(rule.contains("the batch's features hold nan, first in sample "), "\(rule)")
    let broken = model { tanh($0) }
    broken.parameters[1].value = Tensor.full([6, 6], .infinity, on: .cpu)
    let (other, _) = try failure(broken, try dataset(12, 1))
    #expect(
      other.contains("at step 1 ") && other.contains("parameter 3.weight was not finite before this step"), "\(other)")
  }

  @Test("a step may be skipped: the weights stay finite, and the others count")
  func skipping() throws {
    let dataset = try dataset(33, .nan)
    let trainer = Trainer(model { tanh($0) }, optimizer: Adam(learningRate: 0.01))
    var said: [Diagnosis] = []
    let diagnostics = RunDiagnostics(dataset, nonFinite: .skipStep) { said.append($0) }
    let history = try trainer.fit(dataset, epochs: 3, batchSize: 10, seed: 2, callbacks: [diagnostics])
    #expect(history.stepLosses.count == 18 && history.stepLosses.allSatisfy(\.isFinite))
    #expect(trainer.optimizer.stepCount == 18)
    #expect(said.map(\.kind) == [.notFinite] && said[0].finding == "the loss is nan: the update was undone")
    #expect(try trainer.model.stateDict.values.allSatisfy { try $0.doubles().allSatisfy(\.isFinite) })
    // The mean is that of the samples that counted.
    let mean = history.stepLosses[..<6].reduce(0, +) / 6
    #expect(abs(history.epochs[0].loss - mean) < 1e-12)
  }

  @Test("a skipped step leaves the average of the weights as it was")
  func skippingWithAverage() throws {
    /// Every batch is one sample, so that a skipped one is as if it had never been there.
    func trained(_ dataset: ArrayDataset, _ positions: [Int]) throws -> (trainer: Trainer, averages: [[Double]]) {
      let generator = RandomGenerator(seed: 5)
      let model = Sequential { Dense(6, 6, generator: generator, on: .cpu) }
      let trainer = Trainer(
        model, optimizer: Adam(learningRate: 0.01),
        options: TrainerOptions(averaging: .init(decay: 0.8, correctsBias: true)))
      let loader = try DataLoader(
        HostDataset(features: HostArray(dataset.features), labels: HostArray(dataset.labels)).subset(positions),
        batchSize: 1, sampler: .sequential)
      try trainer.fit(loader, epochs: 2, callbacks: [RunDiagnostics(dataset, nonFinite: .skipStep)])
      let averages = try #require(trainer.average).values().sorted { $0.key < $1.key }
      return (trainer, try averages.map { try $0.value.doubles() })
    }
    for bad in [0, 33, 69] {
      let dataset = try dataset(bad, .nan)
      let (skipped, averages) = try trained(dataset, Array(0..<70))
      let (clean, expected) = try trained(dataset, Array(0..<70).filter { $0 != bad })
      #expect(averages == expected && averages.joined().allSatisfy(\.isFinite), "sample \(bad)")
      #expect(try Small.bits(skipped) == Small.bits(clean), "sample \(bad)")
    }
  }

  @Test("gradients that are not finite are undone as well, and ten updates in a row end the training")
  func skippingWeights() throws {
    let zero = try dataset(33, 0)
    let trainer = Trainer(model { sqrt(square($0)) }, optimizer: SGD(learningRate: 0.01))
    try trainer.fit(
      zero, epochs: 2, batchSize: 10, seed: 2, callbacks: [RunDiagnostics(zero, nonFinite: .skipStep)])
    #expect(try trainer.model.stateDict.values.allSatisfy { try $0.doubles().allSatisfy(\.isFinite) })
    #expect(trainer.optimizer.stepCount == 12)
    let broken = model { $0 * Double.infinity }
    let other = Trainer(broken, optimizer: SGD(learningRate: 0.01))
    let error = #expect(throws: TensorError.self) {
      try other.fit(zero, epochs: 4, batchSize: 10, seed: 2, callbacks: [RunDiagnostics(zero, nonFinite: .skipStep)])
    }
    #expect(error?.rule.hasPrefix("10 updates in a row were undone") == true)
  }
}
