import Foundation
import Kiln
import KilnProtobuf
import Testing

/// Runs the built `kiln`, which lies beside the test bundle.
@Suite("The commands about runs", .serialized)
struct RunCommandTests {
  static let kiln = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    .appending(path: "kiln")

  struct Outcome {
    var status: Int32
    var output: String
    var errors: String
    var weights: Substring? {
      output.split(separator: "\n").first { $0.hasPrefix("Weights: ") }?.dropFirst("Weights: ".count)
    }
  }

  static func run(_ program: URL = kiln, _ arguments: [String]) throws -> Outcome {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    let folder = try TemporaryFolder()
    // Files, as a pipe that nobody reads could fill up.
    let names = ["out", "err"].map { URL(filePath: "\(folder.path)/\($0)") }
    for name in names { try Data().write(to: name) }
    process.standardOutput = try FileHandle(forWritingTo: names[0])
    process.standardError = try FileHandle(forWritingTo: names[1])
    try process.run()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: try String(contentsOf: names[0], encoding: .utf8),
      errors: try String(contentsOf: names[1], encoding: .utf8))
  }

  static func kiln(_ arguments: String...) throws -> Outcome { try run(arguments) }
  private static func run(_ arguments: [String]) throws -> Outcome { try run(kiln, arguments) }

  @Test(
    "kill -9, damage, a full disk and SIGINT: every resumed run ends with the same weights",
    arguments: [("cpu", "4"), ("opencl:0", "2")])
  func killResume(device: String, epochs: String) throws {
    let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Scripts/kill-resume.sh")
    let outcome = try Self.run(script, [Self.kiln.path(percentEncoded: false), device, "3", epochs])
    #expect(outcome.status == 0, "\(outcome.output)\n\(outcome.errors)")
    #expect(outcome.output.contains("3 kills"))
  }

  @Test("the same of a configuration with clipping, accumulation, schedule, average, dropout, metrics and a plateau")
  func killConfigured() throws {
    let scripts = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Scripts")
    let outcome = try Self.run(
      scripts.appending(path: "kill-resume.sh"),
      [
        Self.kiln.path(percentEncoded: false), "cpu", "3", "4", "2",
        scripts.appending(path: "kill-resume.yaml").path(percentEncoded: false),
      ])
    #expect(outcome.status == 0, "\(outcome.output)\n\(outcome.errors)")
    #expect(outcome.output.contains("3 kills"))
  }

  @Test("train, evaluate, predict, export, inspect and runs agree with each other")
  func commands() throws {
    let folder = try TemporaryFolder()
    let run = folder.path + "/first"
    let trained = try Self.kiln("train", "digits", "--device", "cpu", "--epochs", "3", "--output", run)
    #expect(trained.status == 0, "\(trained.errors)")
    let hash = try #require(trained.weights)
    for name in ["run.json", "result.json", "history.csv", "log.jsonl", "checkpoints", "tensorboard", "report.html"] {
      #expect(FileManager.default.fileExists(atPath: "\(run)/\(name)"), "\(name)")
    }

    let line = try #require(trained.output.split(separator: "\n").first { $0.hasPrefix("Training step compiled in ") })
    #expect(Double(line.split(separator: " ")[4]) ?? 0 > 0)

    let evaluated = try Self.kiln("evaluate", run)
    #expect(evaluated.weights == hash)
    func accuracy(_ outcome: Outcome) -> Substring? {
      outcome.output.split(separator: "\n").first { $0.hasPrefix("Test accuracy: ") }
    }
    #expect(accuracy(evaluated) == accuracy(trained) && accuracy(trained) != nil)
    // A finished run resumed changes nothing.
    let again = try Self.kiln("resume", run)
    #expect(again.status == 0 && again.weights == hash)

    let (_, test) = try Digits.split()
    let samples = folder.path + "/samples.npy"
    try test.images.writeNPY(to: samples)
    let predicted = try Self.kiln("predict", run, "--input", samples)
    #expect(predicted.status == 0, "\(predicted.errors)")
    let lines = predicted.output.split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
    let labels = try Tensor(test.labels, on: .cpu).doubles()
    #expect(lines.count == labels.count)
    let right = zip(lines, labels).count { Double($0.0[1]) == $0.1 }
    #expect(accuracy(trained) == "Test accuracy: \(String(format: "%.4f", Double(right) / Double(labels.count)))")

    for format in ["safetensors", "npz"] {
      let file = "\(folder.path)/weights.\(format)"
      #expect(try Self.kiln("export", run, "--to", format, "--output", file).status == 0)
      let model = digitsMLP(on: .cpu)
      try model.load(from: file)
      #expect(try model.weightsHash() == hash)
      let listed = try Self.kiln("inspect", file)
      #expect(listed.output.contains("[64, 64]") && listed.output.contains("4 tensors, 4810 elements, 19240 bytes"))
    }
    let file = folder.path + "/model.onnx"
    let exported = try Self.kiln("export", run, "--to", "onnx", "--output", file)
    #expect(exported.output.contains("input [batch, 8, 8] to output [batch, 10]"), "\(exported.errors)")
    let model = try ONNXModelProto(serializedBytes: [UInt8](Data(contentsOf: URL(filePath: file))))
    #expect(model.graph.initializer.contains { $0.name == "1.weight" && $0.dims == [64, 64] })
    let inspected = try Self.kiln("inspect", run)
    #expect(inspected.output.contains("whole; step 135"))

    for file in ["\(run)/report.html", folder.path + "/other.html"] {
      if file.hasSuffix("other.html") { #expect(try Self.kiln("report", run, "--output", file).status == 0) }
      let page = try String(contentsOfFile: file, encoding: .utf8)
      #expect(
        page.contains("Confusion matrix") && page.contains("data:image/png;base64,") && page.contains("<polyline"))
    }

    let runs = try Self.kiln("runs", folder.path)
    #expect(runs.output.split(separator: "\n").count == 2)
    #expect(runs.output.contains("3/3") && runs.output.contains("finished"))
  }

  @Test("failures exit with 1 and one line that names the file; wrong usage with 2")
  func failures() throws {
    let folder = try TemporaryFolder()
    let run = folder.path + "/first"
    #expect(try Self.kiln("train", "digits", "--device", "cpu", "--epochs", "0", "--output", run).status == 0)
    let samples = folder.path + "/samples.npy"
    try HostArray(Tensor.zeros([2, 7], on: .cpu)).writeNPY(to: samples)
    for (arguments, part) in [
      (["train", "digits", "--device", "cpu", "--output", run], "holds a run already"),
      (["resume", folder.path], "is no run: it has no run.json"),
      (["evaluate", folder.path], "is no run"),
      (["inspect", folder.path + "/none"], "does not exist"),
      (["inspect", run + "/run.json"], "run.json"),
      (["predict", run, "--input", folder.path + "/none.npy"], "cannot be opened"),
      (["predict", run, "--input", samples], "[2, 7] float32 does not fit the model"),
    ] {
      let outcome = try Self.run(arguments)
      #expect(outcome.status == 1, "\(arguments)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains(part), "\(outcome.errors)")
    }
    #expect(try Self.kiln("export", run, "--to", "onyx", "--output", "x").status == 2)
    #expect(try Self.kiln("train", "digits", "--checkpoint-every", "0").status == 2)
  }
}
