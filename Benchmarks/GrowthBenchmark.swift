import ArgumentParser
import Foundation
import Kiln

/// How the cost of a training step grows with batch, length and depth, and that of compiling with the size of the graph.
struct GrowthBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "growth", abstract: "Times training steps over sizes, and compiling over the size of the graph.",
    discussion: "Sweeps: \(Sweep.allCases.map(\.rawValue).joined(separator: ", ")).")

  @Argument(help: "Sweeps; by default all.")
  var sweeps: [Sweep] = []
  @Option(help: "Devices, divided by commas; by default the CPU.")
  var devices = "cpu"
  @Option(help: "Seconds for each point.")
  var seconds = 1.0
  @Option(help: "Writes the figures as JSON.")
  var json: String?
  @Option(help: "A folder for the plots, one .svg for each sweep.")
  var plots: String?

  enum Sweep: String, CaseIterable, ExpressibleByArgument {
    case batch = "mlp-batch"
    case time = "gpt-time"
    case layers = "gpt-layers"
    case compile

    var words: (title: String, x: String, y: String) {
      switch self {
      case .batch: ("Perceptron 784-128-10", "batch", "ms per step")
      case .time: ("Decoder of 4 layers, width 128, batch 4", "tokens in a sequence", "ms per step")
      case .layers: ("Decoder of width 128, batch 4, 64 tokens", "layers", "ms per step")
      case .compile: ("First step less a later one, perceptron of width 16", "layers", "ms to trace and compile")
      }
    }
    var sizes: [Int] {
      switch self {
      case .batch: (0...12).map { 1 << $0 }
      case .time: [32, 64, 128, 256, 512, 1024]
      case .layers: [2, 4, 8, 12, 16, 24]
      case .compile: (2...9).map { 1 << $0 }
      }
    }
  }

  struct Point: Codable {
    var sweep: String
    var device: String
    var size: Int
    var ms: Double
  }

  func validate() throws {
    if !(seconds > 0 && seconds <= 600) { throw ValidationError("--seconds must lie in 0...600, got \(seconds)") }
  }

  func run() throws {
    if let json { try Files.write(Data(), to: json) }
    var points: [Point] = []
    for sweep in sweeps.isEmpty ? Sweep.allCases : sweeps {
      print("\(sweep.words.title): \(sweep.words.y) over \(sweep.words.x)")
      for device in try BenchmarkDevices.named(devices) {
        for size in sweep.sizes {
          let ms = try Self.milliseconds(sweep, size, seconds, on: device)
          print("  \(device.name) \(size): \(String(format: "%.3f", ms))")
          points.append(Point(sweep: sweep.rawValue, device: device.name, size: size, ms: ms))
        }
      }
      if let plots {
        let lines = Dictionary(grouping: points.filter { $0.sweep == sweep.rawValue }, by: \.device)
        let plot = LogPlot(
          title: sweep.words.title, x: sweep.words.x, y: sweep.words.y,
          lines: lines.sorted { $0.key < $1.key }.map { ($0.key, $0.value.map { (Double($0.size), $0.ms) }) })
        try Files.write(Data(plot.svg.utf8), to: "\(plots)/\(sweep.rawValue).svg")
      }
    }
    if let json { try Files.write(KilnBench.encode(points, pretty: true), to: json) }
  }

  private static func milliseconds(_ sweep: Sweep, _ size: Int, _ seconds: Double, on device: Device) throws -> Double {
    setSeed(1)
    let generator = RandomGenerator(seed: 7)
    func images(_ rows: Int, _ columns: Int) throws -> [Tensor] {
      let x = Tensor.randomNormal([rows, columns], generator: generator, on: device)
      let y = Tensor.randomIntegers([rows], high: 10, generator: generator, on: device)
      try evaluate(x, y)
      return [x, y]
    }
    func decoder(_ layers: Int, _ time: Int) throws -> (any Layer, [Tensor]) {
      let x = Tensor.randomIntegers([4, time], high: 65, generator: generator, on: device)
      let y = Tensor.randomIntegers([4, time], high: 65, generator: generator, on: device)
      try evaluate(x, y)
      return (CharacterDecoder(width: 128, layers: layers, heads: 4, time: time, on: device), [x, y])
    }
    let (model, batch): (any Layer, [Tensor]) =
      switch sweep {
      case .batch: (mnistPerceptron(on: device), try images(size, 784))
      case .time: try decoder(4, size)
      case .layers: try decoder(size, 64)
      case .compile:
        (
          Sequential((0..<size).map { _ in Dense(16, 16, activation: .relu, on: device) as any Layer }),
          try images(8, 16)
        )
      }
    let trainer = Trainer(model, optimizer: Adam(learningRate: 0.001))
    let clock = ContinuousClock()
    func step() throws -> Double {
      try clock.measure {
        try trainer.step(batch[0], batch[1])
        try device.synchronize()
      }.inSeconds
    }
    let first = try step()
    // The second one traces again, to compare.
    _ = try step()
    var times: [Double] = []
    let end = clock.now + .seconds(sweep == .compile ? min(seconds, 0.2) : seconds)
    while times.count < 3 || clock.now < end { times.append(try step()) }
    return (sweep == .compile ? first - median(times) : median(times)) * 1e3
  }
}
