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
      if: ["iris", "names", "etth1"].allSatisfy { name in NamedSet.all.contains { $0.name == name && $0.isPresent() } }),
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
