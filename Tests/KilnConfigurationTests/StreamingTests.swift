import Foundation
import Kiln
import Testing

@testable import KilnConfiguration

/// What is read as it is needed gives the batches that it would give in memory.
@Suite("Streamed data of configurations", .serialized)
struct StreamingTests {
  private static let images = """
    task: image
    data: {file: none, labels: none, validation: 0.2, test: 0.2}
    model:
      layers:
        - conv: {filters: 4, activation: relu}
        - flatten
    training: {epochs: 3, batch_size: 16}
    """

  private static func fitted(_ text: String, _ settings: [String]) throws -> (
    weights: String, history: TrainingHistory, test: Evaluation?, data: PreparedData
  ) {
    let (configuration, data) = try ConfiguredDataTests.prepared(text, settings)
    let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    let history = try trainer.fit(
      data.training, epochs: configuration.epochs, batchSize: configuration.batchSize, seed: configuration.seed,
      lastBatch: configuration.lastBatch, validation: data.validation, augmentation: configuration.augmentation)
    return (try trainer.model.weightsHash(), history, try data.test.map { try trainer.evaluate($0) }, data)
  }

  /// 200 pictures of two classes, as bytes and as floats.
  private static func pictures(_ folder: String) throws -> (bytes: String, floats: String, labels: String) {
    let labels = (0..<200).map { ($0 * 7 + $0 / 3) % 2 }
    let pixels = labels.enumerated().flatMap { index, label in
      (0..<48).map { UInt8(($0 * 5 + index) % 60 + 150 * label) }
    }
    let files = ["images.npy", "floats.npy", "labels.npy"].map { "\(folder)/\($0)" }
    try HostArray(dtype: .uint8, shape: [200, 3, 4, 4], bytes: pixels).writeNPY(to: files[0])
    try HostArray(pixels.map { Float($0) / 255 }, shape: [200, 3, 4, 4]).writeNPY(to: files[1])
    try HostArray(Tensor(labels, on: .cpu)).writeNPY(to: files[2])
    return (files[0], files[1], files[2])
  }

  @Test("images of a file: the same weights, history and test, with a limit and augmentation too")
  func images() throws {
    let folder = (try ConfiguredDataTests.file("x", "") as NSString).deletingLastPathComponent
    let (bytes, floats, labels) = try Self.pictures(folder)
    for more in [[], ["data.limit=70", "preparation.augmentation=[horizontal_flip, crop: 1]", "data.workers=0"]] {
      for file in [bytes, floats] {
        let settings = ["data.file=\(file)", "data.labels=\(labels)"] + more
        let memory = try Self.fitted(Self.images, settings + ["data.stream=false"])
        let stream = try Self.fitted(Self.images, settings + ["data.stream=true"])
        #expect(memory.data.training.array != nil && stream.data.training.array == nil)
        #expect(memory.weights == stream.weights)
        #expect(memory.history.stepLosses == stream.history.stepLosses)
        #expect(memory.history.epochs.map(\.validation) == stream.history.epochs.map(\.validation))
        #expect(memory.test == stream.test && memory.test != nil)
        #expect(stream.data.training.count == memory.data.training.count && stream.data.test?.count == 40)
        #expect(more.isEmpty || stream.data.training.count == 70)
      }
    }
    let plain = try Self.fitted(Self.images, ["data.file=\(bytes)", "data.labels=\(labels)", "training.epochs=20"])
    #expect(plain.test?.accuracy ?? 0 > 0.9)
    // CIFAR's records need no labels.
    let records = (0..<40).flatMap { index in [UInt8(index % 10)] + [UInt8](repeating: UInt8(index), count: 3072) }
    try Data(records).write(to: URL(filePath: "\(folder)/cifar.bin"))
    let cifar = "task: image\ndata: {file: \(folder)/cifar.bin}\nmodel: {layers: [flatten]}\ntraining: {epochs: 2}\n"
    let (memory, stream) = (
      try Self.fitted(cifar, ["data.stream=false"]), try Self.fitted(cifar, ["data.stream=true"])
    )
    #expect(memory.weights == stream.weights && stream.data.preparation.classes == CIFAR.classes10)

    for (settings, part) in [
      (["data.labels=\(bytes)"], "labels must be integers [200], one for each image"),
      (["data.file=\(labels)"], "is no image"),
      (["data.file=\(folder)/none.npy"], "none.npy: cannot be opened"),
    ] {
      let all = ["data.file=\(bytes)", "data.labels=\(labels)"] + settings
      #expect(throws: DataError.self, "\(part)") {
        do { _ = try Self.fitted(Self.images, all) } catch let error as DataError {
          #expect(error.description.contains(part), "\(error)")
          throw error
        }
      }
    }
  }

  @Test("texts as bytes: the same weights, with a limit too")
  func bytes() throws {
    let path = try ConfiguredDataTests.file("a.txt", String(repeating: "abcdefgh, ijkl. ", count: 90))
    let text = """
      task: text
      data: {file: \(path), context: 12, stride: 5}
      preparation: {tokenizer: byte}
      model: {layers: [embedding: 8, gru: 8]}
      training: {epochs: 2, batch_size: 16}
      """
    for more in [[], ["data.limit=50"]] {
      let memory = try Self.fitted(text, more)
      let stream = try Self.fitted(text, more + ["data.stream=true"])
      #expect(stream.data.training.array == nil && memory.weights == stream.weights)
      #expect(memory.history.stepLosses == stream.history.stepLosses && memory.test == stream.test)
    }
  }

  private static let table = """
    task: tabular
    data: {file: none, stream: true, validation: 0.2, test: 0.1}
    model:
      layers:
        - dense: {units: 16, activation: relu}
    optimizer: {name: adam, learning_rate: 0.01}
    training: {epochs: 6, batch_size: 32}
    """

  @Test("a table: parts by seed, prepared by its training rows, learned, resumed in the middle of an epoch")
  func table() throws {
    var rows = "a,b,colour,label\n"
    for i in 0..<3000 {
      let (a, b) = (Double(i % 97) / 97, Double((i * 31) % 89) / 89)
      rows += "\(i % 50 == 7 ? "" : "\(100 * a)"),\(b),\(["red", "green"][i % 2]),\(a + b > 1 ? "high" : "low")\n"
    }
    let path = try ConfiguredDataTests.file("rows.csv", rows)
    let settings = ["data.file=\(path)", "seed=3"]
    let first = try Self.fitted(Self.table, settings)
    #expect(try first.weights == Self.fitted(Self.table, settings).weights)
    #expect(try first.weights != Self.fitted(Self.table, ["data.file=\(path)", "seed=4"]).weights)
    #expect(first.test?.accuracy ?? 0 > 0.9 && first.history.epochs.last?.validation?.accuracy ?? 0 > 0.9)
    #expect(first.data.preparation.classes == ["high", "low"] && first.data.preparation.inputShape == [4])
    // Every row is in one part, and the parts are as large as they should be.
    let counts = try [first.data.training, first.data.validation, first.data.test].compactMap { $0 }
      .map { try $0.samples(10_000).count }
    #expect(counts.reduce(0, +) == 3000 && counts[0] == first.data.preparation.trainingCount)
    #expect(abs(counts[1] - 600) < 100 && abs(counts[2] - 300) < 80)
    let samples = try first.data.training.samples(10_000).features.doubles()
    let scaled = stride(from: 0, to: samples.count, by: 4).map { samples[$0] }
    #expect(abs(scaled.reduce(0, +) / Double(scaled.count)) < 1e-4)

    let (configuration, data) = try ConfiguredDataTests.prepared(Self.table, settings)
    func trainer() throws -> Trainer {
      try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    }
    let folder = (path as NSString).deletingLastPathComponent + "/checkpoints"
    let store = CheckpointStore(folder, keep: 100)
    let whole = try trainer()
    try whole.fit(data.training, epochs: 2, callbacks: [Checkpointing(store, everySteps: 25)])
    let resumed = try trainer()
    let state = try resumed.restore(try #require(try store.all().first { $0.step == 25 }))
    try resumed.fit(data.training, epochs: 2, from: state)
    #expect(try resumed.model.weightsHash() == whole.model.weightsHash())

    let unseen = try ConfiguredDataTests.file("new.csv", "colour,b,a\nred,0.9,90\ngreen,0.1,5\n")
    let lines = try configuration.predict(unseen, whole, data.preparation, length: 0).rows
    #expect(lines.map { $0[1] } == ["high", "low"])
  }

  @Test("a table of numbers, of rare classes, and what cannot be streamed")
  func more() throws {
    let numbers = "x,y\n" + (0..<2000).map { "\($0),\(1000 + 10 * $0)\n" }.joined()
    let path = try ConfiguredDataTests.file("numbers.csv", numbers)
    let regression = try Self.fitted(
      Self.table, ["data.file=\(path)", "data.label=y", "data.answers=numbers", "metrics=[r2]", "training.epochs=10"])
    #expect(regression.test?.metrics["r2"] ?? 0 > 0.95)
    let rare = "x,label\n" + (0..<1000).map { "\($0),\($0 % 10 == 0 ? 1 : 0)\n" }.joined()
    let weighted = try Self.fitted(
      Self.table,
      ["data.file=" + (try ConfiguredDataTests.file("rare.csv", rare)), "preparation.balance=weights"])
    let weights = try #require(weighted.data.preparation.classWeights)
    #expect(weights.count == 2 && weights[0] < 0.6 && weights[1] > 4)
    let ragged = try ConfiguredDataTests.file("ragged.csv", "x,label\n1,0\n2,1\n3\n")
    #expect(throws: DataError.self) { try Self.fitted(Self.table, ["data.file=\(ragged)"]) }
    for (settings, part) in [
      (["data.limit=3"], "does not go with data.stream"), (["preparation.balance=smote"], "weights do"),
      (["data.weights=w"], "does not go with data.stream"),
    ] {
      #expect(ConfigTests.faults(Self.table, settings).contains { $0.rule.contains(part) })
    }
    #expect(
      ConfigTests.faults("task: series\ndata: {file: a.csv, stream: true}\nmodel: {layers: [flatten]}\n")
        .contains { $0.rule.contains("is a setting of image and tabular and text") })
  }
}
