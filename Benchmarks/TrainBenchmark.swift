import ArgumentParser
import Foundation
import Kiln

/// The nine training workloads, on several devices in turn.
struct TrainBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Times whole training steps: forward, loss, backward and Adam.",
    discussion: """
      Workloads: \(Workload.all.map(\.name).joined(separator: ", ")).
      A workload whose first losses differ between the devices gets no figure, and the command exits 1.
      """)

  @Argument(help: "Workloads to run; by default all.")
  var workloads: [String] = []
  @Option(help: "Devices, divided by commas; by default the CPU and the first OpenCL device, if there is one.")
  var devices: String?
  @Option(help: "Seconds of timed steps for each workload on each device.")
  var seconds = 4.0
  @Flag(help: "Also times the first step without kernels cached on disk.")
  var cold = false
  @Option(help: "Writes the figures as JSON.")
  var json: String?
  @Option(help: "Figures of an earlier run, to print ratios to.")
  var compare: String?

  func validate() throws {
    if !(seconds > 0 && seconds <= 3600) { throw ValidationError("--seconds must lie in 0...3600, got \(seconds)") }
  }

  func run() throws {
    let chosen = try workloads.isEmpty ? Workload.all : workloads.map { try Workload.named($0) }
    let names = try BenchmarkDevices.named(devices).map(\.name)
    let earlier = try compare.map { try KilnBench.decode([Figure].self, Files.read($0)) } ?? []
    if let json { try Files.write(Data(), to: json) }
    var figures: [Figure] = []
    var disagreements: [String] = []
    print(Table.head)
    for workload in chosen {
      var row: [Figure] = []
      for name in names {
        var figure = try measure(workload.name, name, [])
        if cold { figure.firstStepColdS = try coldFirstStep(workload.name, name) }
        row.append(figure)
      }
      if let words = Self.disagreement(row) {
        disagreements.append("\(workload.name): \(words)")
        print("\(workload.name): no time, because its losses differ: \(words)")
        continue
      }
      for figure in row {
        let before = earlier.first { $0.workload == figure.workload && $0.device == figure.device }
        print(Table.line(figure, beside: row[0], before: before))
      }
      figures += row
      if let json { try Files.write(KilnBench.encode(figures, pretty: true), to: json) }
    }
    if !disagreements.isEmpty {
      throw BenchmarkFailure(description: "losses differ between devices: \(disagreements.joined(separator: "; "))")
    }
  }

  /// Runs a worker process.
  private func measure(
    _ workload: String, _ device: String, _ options: [String], environment: [String: String] = [:]
  ) throws -> Figure {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
      process.executableURL = URL(fileURLWithPath: own)
    }
    process.arguments = ["train-worker", workload, "--device", device, "--seconds", "\(seconds)"] + options
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw BenchmarkFailure(description: "\(workload) failed on \(device) (exit code \(process.terminationStatus))")
    }
    return try KilnBench.decode(Figure.self, data)
  }

  private func coldFirstStep(_ workload: String, _ device: String) throws -> Double {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kiln-bench-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try measure(
      workload, device, ["--first-step-only"],
      environment: ["KILN_CACHE_DIR": folder, "POCL_CACHE_DIR": folder, "cl_cache_dir": folder]
    ).firstStepS
  }

  /// How the first losses of two devices differ by more than a thousandth, if they do. Four of them: a wrong kernel shows in
  /// the first two, while rounding grows with each step. By the fifth, the residual network's losses differ by that much
  /// between two instruction sets of one CPU.
  static func disagreement(_ row: [Figure]) -> String? {
    guard let first = row.first else { return nil }
    for other in row {
      for (step, (a, b)) in zip(first.losses, other.losses).prefix(4).enumerated()
      where !(abs(a - b) <= 1e-3 * max(abs(a), abs(b))) {
        return "step \(step) gives \(a) on \(first.device) and \(b) on \(other.device)"
      }
    }
    return nil
  }
}

/// The file that `--json` and `--compare` name.
enum Files {
  static func read(_ path: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw BenchmarkFailure(description: "\(path): cannot be read; --compare takes a file that --json wrote")
    }
    return data
  }
  static func write(_ data: Data, to path: String) throws {
    do { try data.write(to: URL(fileURLWithPath: path)) } catch {
      throw BenchmarkFailure(description: "\(path): cannot be written (\(error.localizedDescription))")
    }
  }
}

/// The printed table.
private enum Table {
  static let head = row([
    "workload", "device", "ms/step", "per s", "first s", "cold s", "GFLOP/s", "of peak", "launches", "MB", "spread",
    "/ first", "/ before",
  ])

  static func line(_ figure: Figure, beside first: Figure, before: Figure?) -> String {
    row([
      figure.workload, figure.device, number(figure.msPerStep, 3), number(figure.perS, 0), number(figure.firstStepS, 2),
      figure.firstStepColdS.map { number($0, 2) } ?? "", number(figure.gflops, 1), number(figure.peakShare, 2),
      "\(figure.launches)", number(Double(figure.peakBytes) / 1e6, 1), number(figure.spread, 2),
      number(figure.msPerStep / first.msPerStep, 2), before.map { number(figure.msPerStep / $0.msPerStep, 2) } ?? "",
    ])
  }

  private static func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
  private static func row(_ cells: [String]) -> String {
    let widths = [19, 10, 9, 9, 8, 7, 8, 8, 9, 7, 7, 8, 9]
    return zip(cells, widths).enumerated().map { index, cell in
      let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
      return index < 2 ? cell.0 + space : space + cell.0
    }.joined(separator: " ")
  }
}
