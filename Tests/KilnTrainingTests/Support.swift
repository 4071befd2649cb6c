import Foundation
import Kiln
import Testing

/// A folder that is removed with this.
final class TemporaryFolder {
  let path = NSTemporaryDirectory() + "kiln-" + UUID().uuidString

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A small problem with everything that has state: dropout (generator), batch normalization (buffers), Adam (slots).
enum Small {
  static func dataset(_ device: Device, seed: UInt64 = 3, count: Int = 70) throws -> ArrayDataset {
    let generator = RandomGenerator(seed: seed)
    let x = Tensor.randomNormal([count, 6], generator: generator, on: device)
    let y = x.argmax(axis: -1)
    try evaluate(x, y)
    return try ArrayDataset(features: x, labels: y)
  }

  static func trainer(_ device: Device, learningRate: Double = 0.01) -> Trainer {
    setSeed(11)
    let generator = RandomGenerator(seed: 5)
    let model = Sequential {
      Dense(6, 16, generator: generator, on: device)
      BatchNorm1D(16, on: device)
      ReLU()
      Dropout(0.2)
      Dense(16, 6, generator: generator, on: device)
    }
    return Trainer(model, optimizer: Adam(learningRate: learningRate))
  }

  /// Weights and buffers, bit for bit.
  static func bits(_ trainer: Trainer) throws -> [String: [UInt8]] {
    try trainer.model.stateDict.mapValues { try $0.hostBytes() }
  }
}

/// Keeps every checkpoint's number.
final class Recorder: TrainingCallback {
  var steps: [Int] = []
  var epochs: [EpochReport] = []
  var hashes: [String] = []
  func stepEnded(_ run: TrainingRun) { steps.append(run.state.step) }
  func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    epochs.append(report)
    hashes.append(try run.trainer.model.weightsHash())
  }
}
