import Foundation
import Kiln
import Testing

@testable import KilnConfiguration

@Suite("Data and models of configurations", .serialized)
struct ConfiguredDataTests {
  static func prepared(_ text: String, _ settings: [String] = []) throws -> (Configuration, PreparedData) {
    let configuration = try Configuration(text: text, file: "a.yaml", settings: settings)
    return (configuration, try PreparedData(configuration, folder: DataFolder("/nowhere")))
  }

  static func file(_ name: String, _ text: String) throws -> String {
    let folder = NSTemporaryDirectory() + "kiln-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
    return "\(folder)/\(name)"
  }

  static let rows =
    "size,colour,label\n"
    + (0..<60).map { "\($0 % 7 == 3 ? "" : "\($0)"),\(["red", "green"][$0 % 2]),\($0 < 30 ? "small" : "large")\n" }
    .joined()

  @Test("a table with missing numbers and words trains, and predicts what it learned")
  func table() throws {
    let path = try Self.file("rows.csv", Self.rows)
    let (configuration, data) = try Self.prepared(
      ConfigTests.small, ["data.file=\(path)", "training.epochs=40", "optimizer.learning_rate=0.05"])
    let training = try #require(data.training.array)
    #expect(training.features.shape == [42, 3])
    #expect(data.validation?.count == 6 && data.test?.count == 12)
    #expect(data.preparation.classes == ["large", "small"])
    let all = try training.features.doubles()
    #expect(all.allSatisfy { $0.isFinite })
    // Scaled by the training part alone.
    let sizes = stride(from: 0, to: all.count, by: 3).map { all[$0] }
    #expect(abs(sizes.reduce(0, +)) < 1e-3)
    let model = try configuration.model(for: data.preparation, on: .cpu)
    let trainer = try configuration.trainer(model, data.preparation)
    try trainer.fit(data.training, epochs: configuration.epochs, batchSize: 8, seed: 1)
    #expect(try trainer.evaluate(try #require(data.test)).accuracy > 0.8)

    // As a new process would, from what was saved.
    let saved = (path as NSString).deletingLastPathComponent + "/preparation.json"
    try data.preparation.save(to: saved)
    let again = try Preparation(contentsOf: saved)
    let unseen = try Self.file("new.csv", "colour,size\nred,2\nblue,55\ngreen,\n")
    let lines = try configuration.predict(unseen, trainer, again, length: 0).rows
    #expect(lines.map { $0[1] }.prefix(2) == ["small", "large"])
    #expect(lines.count == 3 && lines[2][0] == "2")
    let wrong = try Self.file("wrong.csv", "colour\nred\n")
    #expect(throws: DataError.self) { try configuration.predict(wrong, trainer, again, length: 0) }
    try "{".write(toFile: saved, atomically: true, encoding: .utf8)
    #expect(throws: DataError.self) { try Preparation(contentsOf: saved) }
  }

  @Test("smote and weights balance the training part alone; drop leaves rows out")
  func balance() throws {
    let rows = "a,b,label\n" + (0..<100).map { "\($0),\($0 % 9 == 0 ? "?" : "1"),\($0 < 80 ? 0 : 1)\n" }.joined()
    let path = "data.file=" + (try Self.file("rows.csv", rows))
    let plain = try Self.prepared(ConfigTests.small, [path]).1
    let made = try Self.prepared(ConfigTests.small, [path, "preparation.balance=smote"]).1
    func counts(_ data: TrainingData) throws -> [Int] {
      let labels = try #require(data.array).labels.scalars(as: Int.self)
      return (0..<2).map { label in labels.count { $0 == label } }
    }
    #expect(try counts(plain.training) == [56, 14] && counts(made.training) == [56, 56])
    #expect(try counts(try #require(made.test)) == counts(try #require(plain.test)))
    let weighted = try Self.prepared(ConfigTests.small, [path, "preparation.balance=weights"]).1
    #expect(weighted.preparation.classWeights == [70.0 / 112, 70.0 / 28])
    let dropped = try Self.prepared(ConfigTests.small, [path, "preparation.missing=drop"]).1
    #expect(dropped.training.count < plain.training.count)
  }

  @Test("a regression gives numbers in their own units")
  func regression() throws {
    let rows = "x,y\n" + (0..<80).map { "\($0),\(1000 + 10 * $0)\n" }.joined()
    let (configuration, data) = try Self.prepared(
      ConfigTests.small,
      [
        "data.file=" + (try Self.file("rows.csv", rows)), "data.label=y", "data.answers=numbers", "training.epochs=200",
        "optimizer.learning_rate=0.02", "metrics=[r2]",
      ])
    let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    try trainer.fit(data.training, epochs: configuration.epochs, batchSize: 16)
    let lines = try configuration.predict(Self.file("new.csv", "x\n40\n"), trainer, data.preparation, length: 0)
    #expect(lines.header == ["sample", "y"])
    #expect(abs((Double(lines.rows[0][1]) ?? 0) - 1400) < 60)
  }

  @Test("a column of weights says how much a row counts, in training alone")
  func sampleWeights() throws {
    // The same features with both answers: the heavier one is learned.
    let rows = "x,w,label\n" + (0..<200).map { "\($0 % 5),\($0 % 2 == 0 ? 3 : 0.5),\($0 % 2)\n" }.joined()
    let path = "data.file=" + (try Self.file("rows.csv", rows))
    let (configuration, data) = try Self.prepared(ConfigTests.small, [path, "data.weights=w", "training.epochs=5"])
    let training = try #require(data.training.array)
    #expect(training.features.shape == [140, 1] && data.test?.array?.weights == nil)
    let pairs = zip(try #require(training.weights).doubles(), try training.labels.doubles())
    #expect(pairs.allSatisfy { $0 == ($1 == 0 ? 3 : 0.5) })
    let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    try trainer.fit(data.training, epochs: 20)
    #expect(try trainer.predict(training.features).argmax(axis: -1).doubles().allSatisfy { $0 == 0 })
    let bad = try Self.file("bad.csv", "x,w,label\n1,1,0\n2,-1,1\n3,1,0\n4,1,1\n")
    do {
      _ = try Self.prepared(ConfigTests.small, ["data.file=\(bad)", "data.weights=w"])
      Issue.record("nothing was thrown")
    } catch let error as DataError {
      #expect(error.description.contains("bad.csv, line 3, column 2: a sample's weight"), "\(error)")
    }
  }

  @Test("settings of a loss are those of the loss by value")
  func losses() throws {
    let (x, y) = (Tensor([0.3, -1.2, 2, 0.5] as [Float], shape: [2, 2], on: .cpu), Tensor([1, 0], on: .cpu))
    for (setting, expected) in [
      ("loss={label_smoothing: 0.2}", Loss.softmaxCrossEntropy(labelSmoothing: 0.2)),
      ("loss={name: cross_entropy, label_smoothing: 0.1}", .softmaxCrossEntropy(labelSmoothing: 0.1)),
      ("loss=softmax_cross_entropy", .softmaxCrossEntropy()),
    ] {
      let loss = try Configuration(text: ConfigTests.small, file: "a.yaml", settings: [setting]).loss()
      #expect(try loss(x, y).item() == expected(x, y).item(), "\(setting)")
    }
    let numbers = ["data.answers=numbers"]
    let target = Tensor([3, 0, 0, 0] as [Float], shape: [2, 2], on: .cpu)
    for (setting, expected) in [
      ("loss={name: huber, delta: 0.5}", Loss.huber(delta: 0.5)),
      ("loss={name: smooth_l1, beta: 2}", .smoothL1(beta: 2)),
    ] {
      let loss = try Configuration(text: ConfigTests.small, file: "a.yaml", settings: numbers + [setting]).loss()
      #expect(try loss(x, target).item() == expected(x, target).item(), "\(setting)")
    }
    #expect(ConfigTests.faults(ConfigTests.small, ["loss.delta=2"]).contains { $0.rule == "is a setting of huber" })
    let skipping = try Configuration(text: ConfigTests.small, file: "a.yaml", settings: ["training.not_finite=skip"])
    #expect(skipping.nonFinite == .skipStep)
  }

  @Test("texts are classified line by line", arguments: ["global_average_pool", "lstm: 16", "transformer: 2"])
  func sentences(layer: String) throws {
    let (good, bad) = (["fine", "great", "lovely"], ["dull", "awful", "boring"])
    let rows = (0..<240).map { i in
      "\"the film, no. \(i % 9), was \(i % 2 == 0 ? good[i % 3] : bad[i % 3])\",\(i % 2 == 0 ? "yes" : "no")\n"
    }
    let path = try Self.file("films.csv", "review,liked\n" + rows.joined())
    let pooling = layer.hasPrefix("transformer") ? "\(layer), global_average_pool" : layer
    let text = """
      task: text
      data: {file: \(path), text: review, label: liked, context: 16}
      preparation: {vocabulary: 400, balance: weights}
      model: {layers: [embedding: 16, \(pooling)]}
      optimizer: {name: adam, learning_rate: 0.01}
      """
    let (configuration, data) = try Self.prepared(text)
    #expect(data.preparation.classes == ["no", "yes"] && data.preparation.classWeights?.count == 2)
    let training = try #require(data.training.array)
    #expect(training.features.shape == [168, 16] && training.labels.shape == [168])
    let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    try trainer.fit(data.training, epochs: 10, batchSize: 16, seed: 1)
    #expect(try trainer.evaluate(try #require(data.test)).accuracy > 0.95)
    let lines = try Self.file("new.txt", "the film was lovely\nit was awful, no. 3\n")
    let predictions = try configuration.predict(lines, trainer, data.preparation, length: 0)
    #expect(predictions.rows.map { $0[1] } == ["yes", "no"] && predictions.header[1] == "class")
    #expect(throws: DataError.self) {
      try configuration.predict(Self.file("empty.txt", "\n"), trainer, data.preparation, length: 0)
    }
    #expect(throws: DataError.self) {
      try Self.prepared(text.replacingOccurrences(of: "text: review", with: "text: no"))
    }
  }

  @Test("a series is cut in the order of time and forecast in its own units")
  func series() throws {
    let rows = "date,a,b\n" + (0..<200).map { "day \($0),\($0 % 10),\(100 + $0 % 5)\n" }.joined()
    let text = "task: series\ndata: {file: none, history: 10, horizon: 2, targets: [b]}\nmodel: {layers: [flatten]}\n"
    let (configuration, data) = try Self.prepared(
      text, ["data.file=" + (try Self.file("rows.csv", rows)), "training.epochs=60", "optimizer.learning_rate=0.02"])
    let training = try #require(data.training.array)
    #expect(training.features.shape == [129, 10, 2] && training.labels.shape == [129, 2, 1])
    let trainer = try configuration.trainer(configuration.model(for: data.preparation, on: .cpu), data.preparation)
    try trainer.fit(data.training, epochs: configuration.epochs, batchSize: 16)
    let seen = "date,a,b\n" + (0..<13).map { "x,\($0 % 10),\(100 + $0 % 5)\n" }.joined()
    let path = try Self.file("seen.csv", seen)
    let lines = try configuration.predict(path, trainer, data.preparation, length: 0)
    #expect(lines.header == ["step", "b"])
    #expect(zip(lines.rows, [103.0, 104]).allSatisfy { abs((Double($0[1]) ?? 0) - $1) < 0.5 }, "\(lines.rows)")
    let short = try Self.file("short.csv", "date,a,b\nx,1,100\n")
    #expect(throws: DataError.self) { try configuration.predict(short, trainer, data.preparation, length: 0) }
  }

  @Test("a text model looks back alone and continues what it learned", arguments: ["gru: 24", "transformer: 4"])
  func text(layer: String) throws {
    let text =
      "task: text\ndata: {file: none, context: 12, stride: 3}\n"
      + "model: {layers: [embedding: 16, position, \(layer)]}\nmetrics: [accuracy]\n"
    let (configuration, data) = try Self.prepared(
      text,
      [
        "data.file=" + (try Self.file("a.txt", String(repeating: "abcdefgh ", count: 60))), "training.epochs=30",
        "optimizer.learning_rate=0.01",
      ])
    let model = try configuration.model(for: data.preparation, on: .cpu)
    let trainer = try configuration.trainer(model, data.preparation)
    // What comes later changes nothing before it.
    let x = Tensor((0..<12).map { $0 % 9 }, shape: [1, 12], on: .cpu)
    let y = Tensor((0..<12).map { $0 < 6 ? $0 % 9 : 0 }, shape: [1, 12], on: .cpu)
    let (a, b) = (try trainer.predict(x)[0][0..<6].doubles(), try trainer.predict(y)[0][0..<6].doubles())
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-6 })
    try trainer.fit(data.training, epochs: configuration.epochs, batchSize: 16)
    let start = try Self.file("start.txt", "abcdefgh abc")
    let result = try configuration.predict(start, trainer, data.preparation, length: 15).text
    #expect(result == "abcdefgh abcdefgh abcdefgh \n")
    #expect(throws: DataError.self) {
      try configuration.predict(Self.file("odd.txt", "xyz"), trainer, data.preparation, length: 1)
    }
  }

  @Test(
    "layers that do not fit are faults with the line of the layer",
    arguments: [
      ("conv: 4", "needs images [channels, height, width], got samples of shape [3]"), ("lstm: 4", "needs sequences"),
      ("transformer: 3", "needs sequences"), ("embedding: 4", "is for text models"), ("max_pool: 2", "needs images"),
    ])
  func misfits(layer: String, part: String) throws {
    let path = try Self.file("rows.csv", Self.rows)
    let text = "task: tabular\ndata: {file: \(path)}\nmodel:\n  layers:\n    - \(layer)\n"
    let (configuration, data) = try Self.prepared(text)
    do {
      _ = try configuration.model(for: data.preparation, on: .cpu)
      Issue.record("nothing was thrown")
    } catch let error as ConfigError {
      #expect(error.faults.first?.line == 5 && error.description.contains(part), "\(error)")
    }
    let images = "task: image\ndata: {set: digits}\nmodel:\n  layers:\n    - conv: 4\n"
    let (second, digits) = try Self.prepared(images)
    #expect(throws: ConfigError.self) { try second.model(for: digits.preparation, on: .cpu) }
  }

  @Test("schedules count the updates of the data that there is")
  func schedule() throws {
    let (configuration, _) = try Self.prepared(
      "task: image\ndata: {set: digits}\nmodel: {layers: [flatten]}\n",
      [
        "training.epochs=4", "training.batch_size=10", "training.accumulation=2",
        "schedule={name: cosine, warmup_epochs: 1}",
      ])
    // 100 samples: 10 batches, 5 updates an epoch.
    let schedule = try #require(configuration.schedule(samples: 100))
    #expect(schedule.learningRate(step: 0, base: 1) > 0)
    #expect(schedule.learningRate(step: 5, base: 1) == 1)
    #expect(schedule.learningRate(step: 4, base: 1) < 1)
    #expect(abs(schedule.learningRate(step: 20, base: 1)) < 1e-12)
  }
}
