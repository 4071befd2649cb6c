import Foundation
import Synchronization
import Testing

/// Trains in a process of its own, so that only training moves its resident memory, and watches that from outside.
@Suite("Memory over many training steps")
struct MemoryTests {
  private static let environment = ProcessInfo.processInfo.environment

  /// Steps to train for; `make endurance` sets 20,000.
  private static let steps = environment["KILN_ENDURANCE_STEPS"].flatMap(Int.init) ?? 18_000

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
    // One line for each epoch says how far the training is: what comes before it (start, data, kernels) may take longer.
    let text = Mutex("")
    output.fileHandleForReading.readabilityHandler = { handle in
      let new = String(decoding: handle.availableData, as: UTF8.self)
      text.withLock { $0 += new }
    }
    var samples: [(epoch: Int, bytes: Double)] = []
    while process.isRunning {
      let epoch = text.withLock { $0.split(separator: "\n").count { $0.hasPrefix("Epoch ") } }
      if let resident = Self.residentBytes(of: process.processIdentifier) { samples.append((epoch, resident)) }
      usleep(5_000)
    }
    output.fileHandleForReading.readabilityHandler = nil
    try #require(process.terminationStatus == 0, "kiln train failed:\n\(text.withLock { $0 })")
    func resident(from first: Double, to last: Double) throws -> Double {
      let part = samples.filter { first...last ~= Double($0.epoch) / Double(epochs) }.map(\.bytes).sorted()
      try #require(part.count >= 10, "the run was too short to be watched: \(samples.count) samples")
      return part[part.count / 2]
    }
    let (warm, late) = (try resident(from: 0.25, to: 0.35), try resident(from: 0.85, to: 0.95))
    #expect(abs(late / warm - 1) <= 0.02, "resident \(warm / 1e6) MB after warm-up, \(late / 1e6) MB at the end")
  }

  private static func residentBytes(of process: Int32) -> Double? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return nil }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Double(fields[1]), pages > 0 else { return nil }
    return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
  }
}
