import ArgumentParser
import Foundation
import Kiln
import KilnEngine
import OpCases

/// Measures one workload on one device and prints a line of JSON. A process of its own for each, so that memory, caches
/// and first steps are of this workload alone.
struct TrainWorker: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "train-worker", shouldDisplay: false)

  @Argument var workload: String
  @Option var device = "cpu"
  @Option var seconds = 4.0
  @Flag(help: "Only the time of the first step.")
  var firstStepOnly = false

  private static let compared = 5
  private static let windows = 8

  func run() throws {
    let (workload, device) = (try Workload.named(workload), try Device.named(device))
    let figure = try measure(workload, on: device)
    print(String(decoding: try KilnBench.encode(figure), as: UTF8.self))
  }

  private func measure(_ workload: Workload, on device: Device) throws -> Figure {
    let clock = ContinuousClock()
    var figure = Figure(
      workload: workload.name, device: device.name, msPerStep: 0, perS: 0, firstStepS: 0, gflops: 0, peakShare: 0,
      launches: 0, peakBytes: 0, spread: 0, losses: [])
    let batches = try Self.batches(workload, on: device)
    var trainer: Trainer?
    figure.firstStepS = try clock.measure {
      let made = Self.trainer(workload, on: device)
      trainer = made
      figure.losses.append(try made.step(batches[0].features, batches[0].labels).item())
    }.inSeconds
    guard let trainer, !firstStepOnly else { return figure }
    func steps(_ range: Range<Int>) throws {
      for i in range { try trainer.step(batches[i % batches.count].features, batches[i % batches.count].labels) }
      try device.synchronize()
    }
    for i in 1..<Self.compared {
      figure.losses.append(try trainer.step(batches[i].features, batches[i].labels).item())
    }
    let one = try clock.measure { try steps(0..<2) }.inSeconds / 2
    let count = max(1, Int(seconds / Double(Self.windows) / one))
    var times: [Double] = []
    for _ in 0..<Self.windows {
      times.append(try clock.measure { try steps(0..<count) }.inSeconds / Double(count))
    }
    let time = median(times)
    figure.msPerStep = time * 1e3
    figure.perS = Double(workload.samples) / time
    figure.spread = (times.max() ?? .nan) / (times.min() ?? .nan)
    figure.peakBytes = device.driver.memoryUse().peak
    figure.gflops = Double(try Self.operations(workload, trainer, batches[0])) / time / 1e9
    let product = try MatmulBenchmark.seconds(size: 1024, repeats: 10, on: device)
    figure.peakShare = figure.gflops / (2 * 1024 * 1024 * 1024 / product / 1e9)
    figure.launches = try Self.launches(workload, on: device)
    return figure
  }

  typealias Batch = (features: Tensor, labels: Tensor)

  static func batches(_ workload: Workload, on device: Device) throws -> [Batch] {
    let generator = RandomGenerator(seed: 7)
    return try (0..<8).map { _ in
      let batch = (workload.features(generator, device), workload.labels(generator, device))
      try evaluate(batch.0, batch.1)
      return batch
    }
  }

  static func trainer(_ workload: Workload, on device: Device) -> Trainer {
    setSeed(1)
    return Trainer(
      workload.model(device), optimizer: Adam(learningRate: 0.001), loss: { workload.loss($0, $1) })
  }

  /// Floating-point operations of the forward and the backward pass.
  private static func operations(_ workload: Workload, _ trainer: Trainer, _ batch: Batch) throws -> Int {
    let loss = workload.loss(trainer.model(batch.features), batch.labels)
    let gradients = try gradient(of: loss, withRespectTo: trainer.optimizer.values)
    // One element of each, so that one value depends on all and its own sum counts for nothing.
    let all = gradients.reduce(loss) { $0 + $1.reshaped(to: [$1.count])[0] }
    return all.operationCount()
  }

  private static func launches(_ workload: Workload, on device: Device) throws -> Int {
    let counter = CountingDriver(device)
    let counted = Device(counter)
    let batch = try batches(workload, on: counted)[0]
    let trainer = trainer(workload, on: counted)
    // The first steps also make what is not there yet.
    for _ in 0..<3 { try trainer.step(batch.features, batch.labels) }
    let before = counter.launches.load(ordering: .relaxed)
    try trainer.step(batch.features, batch.labels)
    return counter.launches.load(ordering: .relaxed) - before
  }
}
