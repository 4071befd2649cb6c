import Foundation
import Kiln
import Testing

@testable import KilnConfiguration

/// One rare sample for fifty common ones, in two clusters that reach into them.
@Suite("Rare classes", .serialized)
struct BalanceTests {
  private static func rows(_ count: Int) -> String {
    var state: UInt64 = 5
    func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Double(state >> 11) + 0.5) * 0x1p-53
    }
    func normal(_ mean: Double, _ deviation: Double) -> Double {
      mean + deviation * (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
    }
    var text = "a,b,c,label\n"
    for row in 0..<count {
      let isRare = row % 51 == 50
      let side = uniform() < 0.5 ? 1.6 : -1.6
      let x =
        isRare
        ? [normal(side, 0.6), normal(1.6, 0.6), normal(0.5, 1)] : [normal(0, 1), normal(0, 1), normal(0, 1)]
      text += x.map { "\($0)" }.joined(separator: ",") + (isRare ? ",rare\n" : ",common\n")
    }
    return text
  }

  @Test("class weights and SMOTE find more of them, by far more than 0.1 of recall, and AUROC is not lower")
  func recall() throws {
    let text = """
      task: tabular
      data: {file: none, validation: 0, test: 0.4}
      model:
        layers:
          - dense: {units: 16, activation: relu}
      metrics: [recall, auroc]
      optimizer: {name: adam, learning_rate: 0.005}
      training: {epochs: 5, measure_training: false}
      """
    let path = try ConfiguredDataTests.file("rare.csv", Self.rows(15_300))
    var recall: [String: Double] = [:]
    var auroc: [String: Double] = [:]
    let seeds = 5
    for balance in ["none", "weights", "smote"] {
      for seed in 0..<seeds {
        let (configuration, data) = try ConfiguredDataTests.prepared(
          text, ["data.file=\(path)", "preparation.balance=\(balance)", "seed=\(seed)"])
        let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
        try trainer.fit(data.training, epochs: configuration.epochs, batchSize: 32, seed: UInt64(seed))
        let result = try trainer.evaluate(try #require(data.test))
        recall[balance, default: 0] += (result.metrics["recall"] ?? .nan) / Double(seeds)
        auroc[balance, default: 0] += (result.metrics["auroc"] ?? .nan) / Double(seeds)
      }
    }
    let (plain, before) = (try #require(recall["none"]), try #require(auroc["none"]))
    for balance in ["weights", "smote"] {
      #expect(try #require(recall[balance]) >= plain + 0.1, "\(recall)")
      #expect(try #require(auroc[balance]) >= before, "\(auroc)")
    }
  }
}
