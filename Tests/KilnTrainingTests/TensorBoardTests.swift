import Foundation
import Kiln
import KilnProtobuf
import Testing

@testable import KilnTraining

/// The framing and the contents of event files. That TensorBoard's own reader agrees is for `make test-onnx`, which runs
/// these with a folder to keep the files in.
@Suite("TensorBoard", .serialized)
struct TensorBoardTests {
  /// The records of a file whose checksums are right, up to the first that is not whole.
  private static func events(_ path: String) throws -> [TensorBoardEvent] {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    var found: [TensorBoardEvent] = []
    var position = 0
    while position + 12 <= bytes.count {
      let length = bytes[position..<position + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
      guard position + 16 + length <= bytes.count else { break }
      let data = Array(bytes[position + 12..<position + 12 + length])
      #expect(Array(bytes[position..<position + 16 + length]) == TFRecord.framed(data))
      found.append(try TensorBoardEvent(serializedBytes: data))
      position += 16 + length
    }
    return found
  }

  /// Where a test's files go: kept, with what is expected of them, if `KILN_TENSORBOARD_FOLDER` names a folder.
  private static func folder(_ name: String, _ temporary: TemporaryFolder) -> String {
    (ProcessInfo.processInfo.environment["KILN_TENSORBOARD_FOLDER"] ?? temporary.path) + "/" + name
  }

  private static func expect(
    _ folder: String, scalars: [String: [[Double]]] = [:], histograms: [String: Int] = [:],
    images: [String: [Int]] = [:]
  ) throws {
    let object: [String: Any] = ["scalars": scalars, "histograms": histograms, "images": images]
    try JSONSerialization.data(withJSONObject: object).write(to: URL(filePath: folder + ".json"))
  }

  private static func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
  }

  @Test("CRC-32C gives RFC 3720's values")
  func checksum() {
    #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(CRC32C.checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(CRC32C.checksum(Array(0..<32)) == 0x46dd_794e)
    #expect(CRC32C.checksum([]) == 0)
  }

  @Test("a record is framed as TensorFlow frames it")
  func framing() {
    // Golden/tfrecord.py printed the value.
    let framed = TFRecord.framed(Array("kiln".utf8))
    #expect(framed.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == Self.goldenRecord)
  }
  private static let goldenRecord = "0400000000000000424552046b696c6ef7f4cdce"

  @Test("scalars, histograms and images are what was written")
  func contents() throws {
    let temporary = try TemporaryFolder()
    let folder = Self.folder("contents", temporary)
    let writer = try TensorBoardWriter(folder)
    for step in 1...3 { try writer.scalar("loss", 1 / Double(step), step: step) }
    try writer.scalars([("a", 0.5), ("b", -2)], step: 7)
    let weights = Tensor((0..<100).map { Float($0) } + [.nan], on: .cpu)
    try writer.histogram("weights", weights, step: 2)
    try writer.histogram("equal", Tensor.ones([4], on: .cpu), step: 2)
    try writer.histogram("nothing", Tensor([Float.infinity], on: .cpu), step: 2)
    try writer.image("picture", Tensor.arange(to: 12, on: .cpu).reshaped(to: [3, 2, 2]) / 11, step: 5)
    try writer.image("gray", Tensor.zeros([4, 3], dtype: .uint8, on: .cpu), step: 5)
    try writer.flush()

    let events = try Self.events(writer.path)
    #expect(events.first?.fileVersion == "brain.Event:2")
    let values = events.flatMap(\.summary.value)
    #expect(values.map(\.tag) == ["loss", "loss", "loss", "a", "b", "weights", "equal", "picture", "gray"])
    #expect(events.dropFirst().map(\.step) == [1, 2, 3, 7, 2, 2, 5, 5])
    #expect(values[2].simpleValue == Float(1.0 / 3))
    let histogram = values[5].histo
    #expect(histogram.num == 100)
    #expect((histogram.min, histogram.max) == (0, 99))
    #expect(histogram.sum == 4950)
    #expect(histogram.sumSquares == 328_350)
    #expect(histogram.bucket.reduce(0, +) == 100)
    #expect(histogram.bucket.count == 30 && histogram.bucketLimit.last == 99)
    #expect(histogram.bucket.allSatisfy { $0 == 3 || $0 == 4 })
    #expect(values[6].histo.bucket == [4])
    #expect((values[7].image.height, values[7].image.width, values[7].image.colorspace) == (2, 2, 3))
    // The PNG through the project's own reader: pixels [height, width, channels] of a ramp [channels, height, width].
    let png = folder + "-picture.png"
    try values[7].image.encodedImageString.write(to: URL(filePath: png))
    defer { try? FileManager.default.removeItem(atPath: png) }
    let picture = try Picture(contentsOf: png)
    #expect((picture.height, picture.width, picture.channels) == (2, 2, 3))
    let ramp = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map { UInt8((Double($0) * 255 / 11).rounded()) }
    #expect(zip(picture.pixels, ramp).allSatisfy { abs(Int($0) - Int($1)) <= 1 } && picture.pixels.count == 12)
    try Self.expect(
      folder, scalars: ["loss": [[1, 1], [2, 0.5], [3, 1.0 / 3]], "a": [[7, 0.5]], "b": [[7, -2]]],
      histograms: ["weights": 100, "equal": 4], images: ["picture": [2, 2], "gray": [4, 3]])
  }

  @Test("a picture of another shape or dtype is refused")
  func pictures() throws {
    let temporary = try TemporaryFolder()
    let writer = try TensorBoardWriter(temporary.path)
    for shape: Shape in [[2, 4, 4], [4], [1, 3, 4, 4], [3, 0, 4]] {
      #expect(throws: TensorError.self) { try writer.image("x", Tensor.zeros(shape, on: .cpu), step: 0) }
    }
    #expect(throws: TensorError.self) { try writer.image("x", Tensor.zeros([4, 4], dtype: .int64, on: .cpu), step: 0) }
    #expect(throws: DataError.self) { try TensorBoardWriter("/proc/nowhere") }
  }

  @Test("a file that a kill cut short is read up to there, and the resumed run's file goes on")
  func killed() throws {
    let temporary = try TemporaryFolder()
    let folder = Self.folder("killed", temporary)
    let writer = try TensorBoardWriter(folder)
    for step in 1...5 { try writer.scalar("loss", Double(step), step: step) }
    let whole = try Data(contentsOf: URL(filePath: writer.path))
    try whole.dropLast(3).write(to: URL(filePath: writer.path))
    #expect(try Self.events(writer.path).count == 5)

    // From a checkpoint at step 3: steps 4 and 5 come anew.
    let resumed = try TensorBoardWriter(folder, purging: 4)
    #expect(resumed.path != writer.path)
    for step in 4...6 { try resumed.scalar("loss", 10 * Double(step), step: step) }
    #expect(try Self.events(resumed.path)[1].sessionLog.status == .start)
    #expect(try Self.files(folder).count == 2)
    try Self.expect(folder, scalars: ["loss": [[1, 1], [2, 2], [3, 3], [4, 40], [5, 50], [6, 60]]])
  }

  @Test("histograms of gradients do not change the training")
  func gradients() throws {
    let temporary = try TemporaryFolder()
    let folder = Self.folder("gradients", temporary)
    let data = try Small.dataset(.cpu)
    let (plain, logged) = (Small.trainer(.cpu), Small.trainer(.cpu))
    setSeed(1)
    try plain.fit(data, epochs: 3, batchSize: 16, seed: 2)
    setSeed(1)
    let log = TensorBoardLog(folder, histogramEpochs: 2, gradientsOf: (data.features, data.labels))
    try logged.fit(data, epochs: 3, batchSize: 16, seed: 2, callbacks: [log])
    #expect(try Small.bits(plain) == Small.bits(logged))
    let values = try Self.events(try #require(try Self.files(folder).first)).flatMap(\.summary.value)
    let histograms = values.filter { $0.tag.hasPrefix("gradients/") }
    #expect(histograms.map(\.tag) == plain.optimizer.parameters.map { "gradients/" + $0.name })
    #expect(histograms.first?.histo.num == 96)
    #expect(histograms.allSatisfy { $0.histo.sumSquares > 0 || $0.tag == "gradients/0.bias" })
    try Self.expect(folder, histograms: ["gradients/0.weight": 96, "weights/0.weight": 96])
  }

  @Test("a training's losses, epochs and weights are in the file; a resumed one appends another")
  func training() throws {
    let temporary = try TemporaryFolder()
    let folder = Self.folder("training", temporary)
    let store = CheckpointStore(temporary.path + "/checkpoints", keep: 100)
    let trainer = Small.trainer(.cpu)
    let data = try Small.dataset(.cpu)
    let history = try trainer.fit(
      data, epochs: 2, batchSize: 16, seed: 2, validation: Small.dataset(.cpu, seed: 4),
      callbacks: [TensorBoardLog(folder), Checkpointing(store, everySteps: 7)])
    let first = try Self.events(try #require(try Self.files(folder).first)).flatMap(\.summary.value)
    #expect(first.filter { $0.tag == "loss" }.map(\.simpleValue) == history.stepLosses.map { Float($0) })
    #expect(first.count { $0.tag == "weights/0.weight" } == 2)
    #expect(first.first { $0.tag == "weights/0.weight" }?.histo.num == 96)
    // Of the gradients too, unless they are not wanted, and whatever the data come from.
    let gradients = first.filter { $0.tag.hasPrefix("gradients/") }
    #expect(gradients.count == 2 * trainer.optimizer.parameters.count)
    #expect(gradients.first { $0.tag == "gradients/0.weight" }?.histo.num == 96)
    for (wanted, count) in [(true, 1), (false, 0)] {
      let log = TensorBoardLog("\(temporary.path)/\(wanted)", histogramsOfGradients: wanted)
      let loader = try DataLoader(
        HostDataset(features: HostArray(data.features), labels: HostArray(data.labels)), batchSize: 16)
      try Small.trainer(.cpu).fit(loader, epochs: 1, callbacks: [log])
      let values = try Self.events(try #require(try Self.files("\(temporary.path)/\(wanted)").first))
        .flatMap(\.summary.value)
      #expect(
        values.count { $0.tag == "gradients/4.weight" } == count && values.contains { $0.tag == "weights/4.weight" })
    }

    let again = Small.trainer(.cpu)
    let checkpoint = try #require(try store.all().first { $0.step == 7 })
    let log = TensorBoardLog(folder, histogramEpochs: 0)
    let state = try again.restore(checkpoint, callbacks: [log])
    let resumed = try again.fit(
      data, epochs: 2, batchSize: 16, seed: 2, validation: Small.dataset(.cpu, seed: 4), callbacks: [log], from: state)
    #expect(resumed.stepLosses == history.stepLosses)
    let files = try Self.files(folder)
    #expect(files.count == 2)
    let newest = files.map { try? Self.events($0) }.compactMap { $0 }.first { $0.count > 1 && $0[1].hasSessionLog_ }
    let second = try #require(newest)
    #expect(second[1].step == 8)
    #expect(
      second.flatMap(\.summary.value).filter { $0.tag == "loss" }.map(\.simpleValue)
        == history.stepLosses.dropFirst(7).map { Float($0) })
    try Self.expect(
      folder,
      scalars: [
        "loss": history.stepLosses.enumerated().map { [Double($0.offset + 1), $0.element] },
        "epoch/loss": history.epochs.enumerated().map { [Double(5 * ($0.offset + 1)), $0.element.loss] },
        "epoch/validation_accuracy": history.epochs.enumerated().map {
          [Double(5 * ($0.offset + 1)), $0.element.validation?.accuracy ?? -1]
        },
      ], histograms: ["weights/0.weight": 96])
  }
}

extension TensorBoardEvent {
  fileprivate var hasSessionLog_: Bool { if case .sessionLog = what { true } else { false } }
}
