import Foundation
import Testing

/// Trains in a process of its own, so that only training moves its resident memory, and watches that from outside.
@Suite("Memory over many training steps")
struct MemoryTests {
  private static let environment = ProcessInfo.processInfo.environment

  /// Steps to train for; `make endurance` sets 20,000.
  private static let steps = environment["KILN_ENDURANCE_STEPS"].flatMap(Int.init) ?? 9_000

  /// MNIST's perceptron if its files are at hand and the run is a long one, else the embedded digits.
  private static let recipe: (name: String, stepsPerEpoch: Int) =
    steps >= 20_000 && environment["KILN_DATA"] != nil ? ("mnist-mlp", 1_875) : ("digits", 45)

  @Test("resident memory is flat within 2 %", arguments: ["cpu", "opencl:0"])
  func residentMemory(device: String) throws {
    let epochs = (Self.steps + Self.recipe.stepsPerEpoch - 1) / Self.recipe.stepsPerEpoch
    let process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: "kiln")
    process.arguments = [
      "train", Self.recipe.name, "--device", device, "--epochs", String(epochs), "--batch-size", "32",
    ]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    var samples: [Double] = []
    while process.isRunning {
      if let resident = Self.residentBytes(of: process.processIdentifier) { samples.append(resident) }
      usleep(5_000)
    }
    // One line for each epoch: less than a pipe holds for the runs above, so nothing had to be read before.
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    try #require(process.terminationStatus == 0, "kiln train failed:\n\(text)")
    try #require(samples.count >= 100, "the run was too short to be watched: \(samples.count) samples\n\(text)")

    let warm = Self.median(samples[samples.count * 25 / 100..<samples.count * 35 / 100])
    let late = Self.median(samples[samples.count * 85 / 100..<samples.count * 95 / 100])
    #expect(abs(late / warm - 1) <= 0.02, "resident \(warm / 1e6) MB after warm-up, \(late / 1e6) MB at the end")
  }

  private static func residentBytes(of process: Int32) -> Double? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return nil }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Double(fields[1]), pages > 0 else { return nil }
    return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
  }

  private static func median(_ values: ArraySlice<Double>) -> Double {
    let sorted = values.sorted()
    return sorted[sorted.count / 2]
  }
}
