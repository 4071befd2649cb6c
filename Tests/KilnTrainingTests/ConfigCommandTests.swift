import Foundation
import Kiln
import Testing

@Suite("The commands about configurations", .serialized)
struct ConfigCommandTests {
  private static func kiln(_ arguments: String...) throws -> RunCommandTests.Outcome {
    try RunCommandTests.run(RunCommandTests.kiln, arguments)
  }

  private static func object(_ path: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path))) as? [String: Any])
  }

  @Test("a new configuration trains, and evaluate, predict, runs, export and resume agree with it")
  func whole() throws {
    let folder = try TemporaryFolder()
    let (file, run) = (folder.path + "/digits.yaml", folder.path + "/runs/first")
    #expect(try Self.kiln("new", "--task", "image", "--output", file).status == 0)
    #expect(try Self.kiln("new", "--task", "image", "--output", file).status == 1)
    let trained = try Self.kiln(
      "train", file, "--set", "training.epochs=2", "--set", "training.average=0.9", "--set", "model.layers.0.conv=4",
      "--output", run, "--json", folder.path + "/train.json", "--losses", folder.path + "/losses.txt")
    #expect(trained.status == 0, "\(trained.errors)")
    #expect(trained.output.contains("Epoch 2/2: loss ") && trained.output.contains("validation accuracy"))
    let result = try Self.object(folder.path + "/train.json")
    #expect(result["recipe"] as? String == "digits" && (result["validation_losses"] as? [Double])?.count == 2)
    #expect((result["test_accuracy"] as? Double ?? 0) > 0.5)
    for name in ["config.yaml", "preparation.json", "run.json", "result.json"] {
      #expect(FileManager.default.fileExists(atPath: "\(run)/\(name)"), "\(name)")
    }
    #expect(try String(contentsOfFile: run + "/config.yaml", encoding: .utf8).contains("epochs: 2"))
    let header = try String(contentsOfFile: run + "/history.csv", encoding: .utf8).split(separator: "\n")[0]
    #expect(header == "epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate,seconds")

    // The file may change or go: the run keeps its own.
    try FileManager.default.removeItem(atPath: file)
    let evaluated = try Self.kiln("evaluate", run, "--json", folder.path + "/evaluate.json")
    #expect(evaluated.weights == trained.weights && trained.weights != nil, "\(evaluated.errors)")
    let again = try Self.object(folder.path + "/evaluate.json")
    #expect(again["test_accuracy"] as? Double == result["test_accuracy"] as? Double)
    #expect(again["test_loss"] as? Double == result["test_loss"] as? Double)
    #expect(try Self.kiln("resume", run).weights == trained.weights)

    let (_, test) = try Digits.split()
    try test.images.writeNPY(to: folder.path + "/samples.npy")
    let predicted = try Self.kiln(
      "predict", run, "--input", folder.path + "/samples.npy", "--json", folder.path + "/predict.json")
    #expect(predicted.status == 0, "\(predicted.errors)")
    let rows = try #require(try Self.object(folder.path + "/predict.json")["predictions"] as? [[String: Any]])
    let labels = try Tensor(test.labels, on: .cpu).doubles()
    let right = zip(rows, labels).count { ($0["class"] as? Double) == $1 }
    let share = Double(right) / Double(labels.count)
    #expect(rows.count == labels.count && abs(share - (result["test_accuracy"] as? Double ?? -1)) < 1e-9)
    #expect(try Self.kiln("predict", run, "--input", run + "/run.json").status == 1)
    #expect(
      try Self.kiln("export", run, "--to", "safetensors", "--output", folder.path + "/w.safetensors").status == 0)
    // What is exported is what was evaluated: the average.
    let exported = try readSafetensors(folder.path + "/w.safetensors", on: .cpu)
    let store = CheckpointStore(run + "/checkpoints")
    let checkpoint = try #require(try store.latest().checkpoint)
    let (own, averages) = (
      try readSafetensors(checkpoint.path + "/model.safetensors", on: .cpu),
      try readSafetensors(checkpoint.path + "/average.safetensors", on: .cpu)
    )
    for (name, tensor) in exported {
      let (values, average) = (try tensor.doubles(), try #require(averages[name]).doubles())
      #expect(try values != #require(own[name]).doubles(), "\(name)")
      #expect(zip(values, average).allSatisfy { abs($0 - $1) < 1e-3 }, "\(name)")
    }
    let runs = try Self.kiln("runs", folder.path + "/runs", "--json", folder.path + "/runs.json")
    #expect(runs.output.contains("digits") && runs.output.contains("2/2"))
    #expect(try Self.object(folder.path + "/runs.json")["runs"] is [Any])
  }

  /// The most memory that a process had, in MB, and how it ended.
  private static func peak(_ arguments: [String]) throws -> (megabytes: Int, status: Int32) {
    let process = Process()
    process.executableURL = RunCommandTests.kiln
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    var most = 0
    while process.isRunning {
      // Files of /proc have no size, which Foundation relies on.
      if let file = fopen("/proc/\(process.processIdentifier)/status", "r") {
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
          let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(whereSeparator: \.isWhitespace)
          if words.first == "VmHWM:", words.count > 1 { most = max(most, (Int(words[1]) ?? 0) >> 10) }
        }
        fclose(file)
      }
      usleep(20_000)
    }
    process.waitUntilExit()
    return (most, process.terminationStatus)
  }

  @Test("a set larger than the memory allowed trains, and is evaluated, with flat memory")
  func flat() throws {
    // KILN_DATA_MEGABYTES=4096 for the full claim: under 600 MB in all.
    let megabytes = ProcessInfo.processInfo.environment["KILN_DATA_MEGABYTES"].flatMap { Int($0) } ?? 300
    let folder = try TemporaryFolder()
    var state: UInt64 = 1
    let block = (0..<64 * 3072).map { _ -> UInt8 in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(state >> 56)
    }
    func run(_ megabytes: Int) throws -> (megabytes: Int, status: Int32) {
      let count = max(1, (megabytes << 20) / block.count) * 64
      let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (\(count), 3, 32, 32), }"
      let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
      let images = try #require(fopen("\(folder.path)/images.npy", "w"))
      let head: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(padded.utf8)
      fwrite(head, 1, head.count, images)
      for _ in 0..<count / 64 { #expect(fwrite(block, 1, block.count, images) == block.count) }
      fclose(images)
      try HostArray(dtype: .uint8, shape: [count], bytes: (0..<count).map { UInt8($0 % 10) })
        .writeNPY(to: "\(folder.path)/labels.npy")
      let text = """
        task: image
        data: {file: \(folder.path)/images.npy, labels: \(folder.path)/labels.npy, stream: true}
        model:
          layers:
            - average_pool: 4
            - flatten
        training: {epochs: 1, batch_size: 256}
        """
      try text.write(toFile: "\(folder.path)/large.yaml", atomically: true, encoding: .utf8)
      return try Self.peak(
        ["train", "\(folder.path)/large.yaml", "--device", "cpu", "--output", "\(folder.path)/run-\(megabytes)"])
    }
    let (small, large) = (try run(8), try run(megabytes))
    print("trained on 8 MB with at most \(small.megabytes) MB resident, on \(megabytes) MB with \(large.megabytes) MB")
    #expect(small.status == 0 && large.status == 0 && small.megabytes > 0)
    #expect(large.megabytes - small.megabytes < 150 + megabytes / 20 && large.megabytes < 600)
  }

  @Test("every mistake of a configuration is a line on standard error, and the exit code 2")
  func mistakes() throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/bad.yaml"
    try "task: image\nsed: 3\ndata: {set: digit}\nmodel: {layers: [dens: 4]}\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    let outcome = try Self.kiln("train", file, "--set", "training.epoch=3", "--output", folder.path + "/run")
    #expect(outcome.status == 2)
    let lines = outcome.errors.split(separator: "\n")
    #expect(lines.count == 4 && lines.allSatisfy { $0.hasPrefix("kiln: " + file) }, "\(outcome.errors)")
    #expect(lines.contains { $0.contains("line 2") && $0.contains("near it: 'seed'") })
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/run"))
    #expect(try Self.kiln("train", "digit").errors.contains("near it: 'digits'"))
    #expect(try Self.kiln("train", "digits", "--set", "a=b").status == 2)
    #expect(try Self.kiln("train", folder.path + "/none.yaml").status == 1)
    #expect(try Self.kiln("new").status == 2)
  }

  @Test("auto takes the device whose step was fastest, and says what was measured")
  func auto() throws {
    let folder = try TemporaryFolder()
    let outcome = try Self.kiln(
      "train", "digits", "--epochs", "1", "--device", "auto", "--output", folder.path + "/run", "--json",
      folder.path + "/train.json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let line = try #require(outcome.output.split(separator: "\n").first { $0.hasPrefix("Device auto: a step takes ") })
    let times = line.matches(of: /(\S+) ([0-9.]+) ms/).map { (String($0.1), Double($0.2) ?? 0) }
    let fastest = try #require(times.min { $0.1 < $1.1 })
    #expect(times.count == Device.all.count && line.hasSuffix("; \(fastest.0) is the fastest"))
    #expect(try Self.object(folder.path + "/train.json")["device"] as? String == fastest.0)
    // The trial leaves no trace in the weights.
    let plain = try Self.kiln(
      "train", "digits", "--epochs", "1", "--device", fastest.0, "--output", folder.path + "/plain")
    #expect(plain.weights == outcome.weights)
  }

  @Test(
    "every command of the tutorials runs",
    .enabled(
      if: ["iris", "names", "sst2", "etth1"].allSatisfy { name in
        NamedSet.all.contains { $0.name == name && $0.isPresent() }
      }),
    arguments: ["image", "tabular", "text", "series"])
  func tutorials(task: String) throws {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let outcome = try RunCommandTests.run(
      tests.appending(path: "Scripts/tutorial.sh"),
      [
        RunCommandTests.kiln.path(percentEncoded: false),
        tests.deletingLastPathComponent().appending(path: "docs/tutorials/\(task).md").path(percentEncoded: false),
      ])
    #expect(outcome.status == 0, "\(outcome.output)\n\(outcome.errors)")
  }
}
