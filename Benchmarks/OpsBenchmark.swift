import ArgumentParser
import Foundation
import Kiln
import KilnEngine
import OpCases

/// Every operation of the table by itself, beside what the device's memory and its matrix products allow.
struct OpsBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops", abstract: "Times single operations, their operands in memory.",
    discussion: """
      The share is that of the time that the operation's bytes take at the speed of a copy, or its arithmetic at that \
      of a 1024 x 1024 product, whichever is longer; operands that fit a cache may give more than 100 %.
      """)

  @Argument(help: "Names of operations, * for any part; by default all.")
  var patterns: [String] = []
  @Option(help: "Devices, divided by commas; by default the CPU and the first OpenCL device, if there is one.")
  var devices: String?
  @Option(help: "Seconds for each operation on each device.")
  var seconds = 0.2
  @Option(help: "Writes the figures as JSON.")
  var json: String?

  func validate() throws {
    if !(seconds > 0 && seconds <= 600) { throw ValidationError("--seconds must lie in 0...600, got \(seconds)") }
  }

  struct Figure: Codable {
    var op: String
    var variant: String
    var device: String
    var shapes: [[Int]]
    var ms: Double
    var gbPerS: Double
    var gflops: Double
    var share: Double
  }

  func run() throws {
    let chosen = OpTable.all.filter { one in
      one.isLead && (patterns.isEmpty || patterns.contains { PathPattern(stringLiteral: $0).matches(one.name) })
    }
    guard !chosen.isEmpty else {
      throw BenchmarkFailure(description: "no operation is called \(patterns.joined(separator: " or "))")
    }
    if let json { try Files.write(Data(), to: json) }
    var figures: [Figure] = []
    for device in try BenchmarkDevices.named(devices) {
      let limits = try Limits(of: device)
      print(
        "\(device.name): copies \(Self.fixed(limits.bytesPerSecond / 1e9)) GB/s, "
          + "products \(Self.fixed(limits.flopsPerSecond / 1e9)) GFLOP/s")
      print("op                        shapes                                     ms     GB/s  GFLOP/s  share")
      for one in chosen {
        let figure = try measure(one, on: device, limits)
        print(Self.line(figure))
        figures.append(figure)
      }
    }
    if let json { try Files.write(KilnBench.encode(figures, pretty: true), to: json) }
  }

  /// What the device can do at best, measured.
  struct Limits {
    let bytesPerSecond: Double
    let flopsPerSecond: Double

    init(of device: Device) throws {
      let x = Tensor.randomUniform([1 << 24], generator: RandomGenerator(seed: 1), on: device)
      try evaluate(x)
      // Negation, as a copy would be no work; one read and one write of each element.
      let copy = try OpsBenchmark.time(0.3, on: device) { -x }
      bytesPerSecond = 2 * Double(x.count * 4) / copy
      flopsPerSecond = 2 * 1024 * 1024 * 1024 / (try MatmulBenchmark.seconds(size: 1024, repeats: 20, on: device))
    }
  }

  private func measure(_ one: OpCase, on device: Device, _ limits: Limits) throws -> Figure {
    let size = OpSize(one)
    let dtype = one.dtypes.contains(.float32) ? DType.float32 : one.dtypes.first ?? .float32
    var bits = SeededBits(one.id)
    let inputs = size.shapes.enumerated().map { i, shape in
      Self.tensor(size.operands[i] ?? one.operands[i], shape, dtype, &bits, device)
    }
    try evaluate(inputs)
    let time = try Self.time(seconds, on: device) {
      one.call(inputs, OpCase.Place(device: device, dtype: dtype))
    }
    let (bytes, flops) = (one.bytes(size.shapes, dtype), one.flops(size.shapes))
    let least = max(bytes / limits.bytesPerSecond, flops / limits.flopsPerSecond)
    return Figure(
      op: one.name, variant: one.variant, device: device.name, shapes: size.shapes, ms: time * 1e3,
      gbPerS: bytes / time / 1e9, gflops: flops / time / 1e9, share: least / time)
  }

  /// Values of the operand's kind; a few thousand that are repeated, as making millions would take longer than timing.
  private static func tensor(
    _ operand: OpCases.Operand, _ shape: [Int], _ dtype: DType, _ bits: inout SeededBits, _ device: Device
  ) -> Tensor {
    let count = shape.reduce(1, *)
    let some = operand.fill(&bits, [min(count, 65536)])
    let values = (0..<count).map { some[$0 % some.count] }
    return Tensor(values, shape: Shape(shape), on: device).cast(to: operand.dtype ?? dtype)
  }

  /// The median time of an evaluation, of as many as fit into the seconds, at least 3 after 2 that compile and warm up.
  static func time(_ seconds: Double, on device: Device, _ work: () -> Tensor) throws -> Double {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    var times: [Double] = []
    while times.count < 5 || clock.now < end {
      try device.synchronize()
      times.append(
        try clock.measure {
          try evaluate(work())
          try device.synchronize()
        }.inSeconds)
    }
    return median(Array(times.dropFirst(2)))
  }

  private static func fixed(_ value: Double) -> String { String(format: "%.1f", value) }

  private static func line(_ figure: Figure) -> String {
    func padded(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    let shapes = figure.shapes.map { $0.map(String.init).joined(separator: "x") }.joined(separator: ", ")
    return padded(figure.op, 25) + " " + padded(shapes, 38)
      + String(
        format: "%10.3f %8.1f %8.1f %5.0f%%", figure.ms, figure.gbPerS, figure.gflops, figure.share * 100)
  }
}

/// The devices that benchmarks run on.
enum BenchmarkDevices {
  /// Those of a list with commas; by default the CPU and the first OpenCL device.
  static func named(_ list: String?) throws -> [Device] {
    guard let list else { return Array(Device.all.prefix(2)) }
    return try list.split(separator: ",").map { try Device.named($0.trimmingCharacters(in: .whitespaces)) }
  }
}
