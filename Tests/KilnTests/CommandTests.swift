import Foundation
import Testing

/// Runs the built `kiln`, which lies beside the test bundle.
@Suite("The command kiln")
struct CommandTests {
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String
  }

  static func kiln(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: "kiln")
    process.arguments = arguments
    var merged = ProcessInfo.processInfo.environment
    merged["KILN_DATA"] = nil
    process.environment = merged.merging(environment) { $1 }
    // Files, as a pipe that nobody reads could fill up.
    let folder = FileManager.default.temporaryDirectory
    let names = [UUID().uuidString, UUID().uuidString].map { folder.appending(path: $0) }
    defer { for name in names { try? FileManager.default.removeItem(at: name) } }
    for name in names { try Data().write(to: name) }
    process.standardOutput = try FileHandle(forWritingTo: names[0])
    process.standardError = try FileHandle(forWritingTo: names[1])
    try process.run()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: try String(contentsOf: names[0], encoding: .utf8),
      errors: try String(contentsOf: names[1], encoding: .utf8))
  }

  @Test("train writes its result, and the same seed gives the same weights")
  func train() throws {
    let json = NSTemporaryDirectory() + UUID().uuidString
    let losses = NSTemporaryDirectory() + UUID().uuidString
    let runs = NSTemporaryDirectory() + UUID().uuidString
    defer { for path in [json, losses, runs] { try? FileManager.default.removeItem(atPath: path) } }
    let arguments = ["train", "digits", "--device", "cpu", "--epochs", "2", "--seed", "3"]
    let first = try Self.kiln(
      arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], arguments[6], arguments[7],
      "--json", json, "--losses", losses, "--output", runs + "/first")
    #expect(first.status == 0)
    // No progress bar: standard error is no terminal.
    #expect(first.errors == "")
    let lines = first.output.split(separator: "\n").map(String.init)
    #expect(lines.count { $0.hasPrefix("Epoch ") } == 2)
    #expect(lines.contains("Parameters: 4810"))
    #expect(lines.contains { $0.hasPrefix("Test accuracy: 0.") })
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: json))) as? [String: Any]
    let result = try #require(object)
    for key in [
      "recipe", "device", "seed", "epochs", "parameters", "train_seconds", "compile_seconds", "test_accuracy",
      "test_loss",
    ] {
      #expect(result[key] != nil, "\(key)")
    }
    #expect(result["recipe"] as? String == "digits")
    #expect(result["seed"] as? Int == 3)
    #expect((result["epoch_losses"] as? [Double])?.count == 2)
    #expect(
      try String(contentsOfFile: losses, encoding: .utf8).split(separator: "\n").compactMap { Double($0) }.count == 90)

    let second = try Self.kiln(
      "train", "digits", "--device", "cpu", "--epochs", "2", "--seed", "3", "--output", runs + "/second")
    let hash = lines.first { $0.hasPrefix("Weights: ") }
    #expect(hash != nil)
    #expect(second.output.split(separator: "\n").map(String.init).first { $0.hasPrefix("Weights: ") } == hash)
  }

  @Test("wrong usage exits with 2 and says what is right")
  func usage() throws {
    let recipe = try Self.kiln("train", "mnist")
    #expect(recipe.status == 2)
    #expect(recipe.output == "")
    #expect(recipe.errors.contains("there is no recipe 'mnist', nor a file of that name; near it: 'mnist-mlp'"))
    #expect(recipe.errors.contains("choose one of digits, mnist-mlp"))
    #expect(try Self.kiln("train", "digits", "--epochs", "-1").status == 2)
    #expect(try Self.kiln("train", "digits", "--batch-size", "0").status == 2)
    #expect(try Self.kiln("train", "digits", "--learning-rate", "nan").status == 2)
    #expect(try Self.kiln("train", "digits", "--no-such-option").status == 2)
    #expect(try Self.kiln("fly").status == 2)
    #expect(try Self.kiln("--help").status == 0)
  }

  @Test("failures exit with 1 and one line")
  func failures() throws {
    let data = try Self.kiln("train", "mnist-mlp", "--data", "/nowhere", "--device", "cpu")
    #expect(data.status == 1)
    #expect(data.errors.split(separator: "\n").count == 1)
    #expect(data.errors.hasPrefix("kiln: /nowhere/mnist: has no file 'train-images-idx3-ubyte'"))
    let device = try Self.kiln("train", "digits", "--device", "cpuu")
    #expect(device.status == 1)
    #expect(device.errors.contains("did you mean 'cpu'?"))
    let file = try Self.kiln("train", "digits", "--device", "cpu", "--json", "/nowhere/result.json")
    #expect(file.status == 1)
    #expect(file.errors.hasPrefix("kiln: /nowhere/result.json: cannot be created"))
    #expect(try Self.kiln("selftest", "--device", "cpu", "--op", "no-such-op").status == 1)
  }

  @Test("a truncated data file is named")
  func truncated() throws {
    let folder = NSTemporaryDirectory() + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28]
    try Data(header + [1, 2, 3]).write(to: URL(filePath: folder + "/train-images-idx3-ubyte"))
    try Data([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]).write(to: URL(filePath: folder + "/train-labels-idx1-ubyte"))
    let outcome = try Self.kiln("train", "mnist-mlp", "--device", "cpu", environment: ["KILN_DATA": folder])
    #expect(outcome.status == 1)
    #expect(
      outcome.errors
        == "kiln: \(folder)/train-images-idx3-ubyte, byte 19: [2, 28, 28] of uint8 needs 1584 bytes, the file has 19; "
        + "the file is cut short; fetch it again\n")
  }

  @Test("devices lists the CPU first, quickly")
  func devices() throws {
    let outcome = try Self.kiln("devices")
    #expect(outcome.status == 0)
    #expect(outcome.output.hasPrefix("cpu"))
  }
}
