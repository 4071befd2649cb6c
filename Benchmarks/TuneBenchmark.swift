import ArgumentParser
import Foundation
import Kiln
import KilnOpenCL

/// Searches the tiles of matrix products and of convolutions for an OpenCL device, and stores the best for later processes.
struct TuneBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Searches tile sizes for an OpenCL device and stores the best.",
    discussion: """
      Each candidate's result is compared with a float64 product on the CPU before its time counts. The winners lie in the \
      folder of built kernels; 'kiln devices' says whether a device uses them. The order of sums depends on tiles: results \
      are the same to the bit as long as the file is. To go back to the default tiles, delete it.
      """)

  @Option(help: "The device, an OpenCL one.")
  var device = "opencl:0"
  @Option(help: "Seconds for each product, in which the candidates take turns.")
  var seconds = 3.0
  @Option(
    help: "Tune only products of this kind: \(ProductShape.Kind.allCases.map(\.rawValue).joined(separator: ", ")).")
  var kind: String?
  @Option(help: "Tune only the first so many products of a kind.")
  var limit: Int?
  @Flag(help: "Prints a line of JSON for each product instead of text.")
  var json = false
  @Flag(help: "Stores nothing.")
  var dryRun = false

  func validate() throws {
    if !(seconds > 0 && seconds <= 600) { throw ValidationError("--seconds must lie in 0...600, got \(seconds)") }
    if let kind, ProductShape.Kind(rawValue: kind) == nil { throw ValidationError("there is no kind '\(kind)'") }
  }

  /// What was found for one product.
  private struct Line: Codable {
    var product: String
    var device: String
    var tile: String
    var segments: Int
    var ms: Double
    var gflops: Double
    /// The default's time by this one's.
    var gain: Double
    /// Candidates that were timed, and that gave wrong numbers.
    var candidates, wrong: Int
  }

  func run() throws {
    guard let driver = try Device.named(device).driver as? OpenCLDriver else {
      throw BenchmarkFailure(description: "'\(device)' is no OpenCL device; only their tiles can be tuned")
    }
    if !json { print("\(driver.name): \(driver.summary)") }
    let reference = TiledDriver(driver)
    var candidates: [Candidate] = []
    var entries: [TuningTable.Entry] = []
    for work in TuningWork.list(for: driver.style, kind: kind, limit: limit) {
      if candidates.isEmpty { candidates = Candidate.all(of: driver) }
      let operands = try work.operands()
      let bound = work.bound
      let standard = try Timed(work, operands, on: reference)
      guard standard.error <= bound else {
        throw BenchmarkFailure(
          description: "\(work.text): the default tiles are off by \(standard.error), \(bound) allowed")
      }
      var wrong = 0
      var timed: [(candidate: Candidate, run: Timed)] = []
      let clock = ContinuousClock()
      let end = clock.now + .seconds(seconds)
      for candidate in candidates where candidate.suits(work.shape) {
        if clock.now > end && timed.count >= 4 { break }
        let run: Timed
        do { run = try Timed(work, operands, on: candidate.driver) } catch is DeviceError {
          wrong += 1  // A tile that this device cannot hold.
          continue
        }
        guard run.error <= bound else {
          wrong += 1
          continue
        }
        timed.append((candidate, run))
      }
      // The best few again, in turn with the default, as clocks drift.
      let finalists = timed.sorted { $0.run.seconds < $1.run.seconds }.prefix(3)
      var times = [[Double]](repeating: [], count: finalists.count + 1)
      for _ in 0..<5 {
        times[0].append(try standard.again())
        for (i, finalist) in finalists.enumerated() { times[i + 1].append(try finalist.run.again()) }
      }
      let medians = times.map { median($0) }
      var line = Line(
        product: work.text, device: driver.name, tile: reference.tile(for: work.shape).tile.text,
        segments: reference.tile(for: work.shape).segments, ms: medians[0] * 1e3, gflops: 0, gain: 1,
        candidates: timed.count, wrong: wrong)
      if let best = finalists.indices.min(by: { medians[$0 + 1] < medians[$1 + 1] }),
        medians[best + 1] < 0.97 * medians[0]
      {
        let winner = finalists[best].candidate
        (line.tile, line.segments) = (winner.tile.text, winner.segments)
        (line.ms, line.gain) = (medians[best + 1] * 1e3, medians[0] / medians[best + 1])
        entries.append(TuningTable.Entry(work.shape, tile: winner.tile, segments: winner.segments))
      } else {
        // So that a neighbour's winner is not taken here.
        let kept = reference.tile(for: work.shape)
        entries.append(TuningTable.Entry(work.shape, tile: kept.tile, segments: kept.segments))
      }
      line.gflops = work.operations / line.ms / 1e6
      print(json ? String(decoding: try KilnBench.encode(line), as: UTF8.self) : Self.text(line))
    }
    if !dryRun && !entries.isEmpty {
      let path = try driver.storeTiles(entries)
      if !json { print("stored \(entries.count) products in \(path)") }
    }
  }

  private static func text(_ line: Line) -> String {
    let product = line.product.padding(toLength: 40, withPad: " ", startingAt: 0)
    let tile = "\(line.tile) in \(line.segments)".padding(toLength: 22, withPad: " ", startingAt: 0)
    return product + tile
      + String(format: "%9.3f ms %8.1f GFLOP/s  %.2f of the default's speed, ", line.ms, line.gflops, line.gain)
      + "\(line.candidates) tried, \(line.wrong) wrong"
  }
}

/// A tile, whose kernels are built once for all products of a kind.
private struct Candidate {
  let tile: TileShape
  let segments: Int
  let driver: TiledDriver

  static func all(of driver: OpenCLDriver) -> [Candidate] {
    TileShape.candidates(driver.style).flatMap { tile in
      [1, 4, 16].map { segments in
        Candidate(tile: tile, segments: segments, driver: TiledDriver(driver, tile: tile, segments: segments))
      }
    }
  }

  /// Tiles that are not much larger than the product; split sums only where they are long.
  func suits(_ shape: ProductShape) -> Bool {
    if segments > 1 && (shape.k < 128 * segments || shape.batches * shape.m * shape.n > 1 << 20) { return false }
    guard case .tile(let rows, let columns, _, _, _) = tile else { return true }
    return rows < 2 * max(shape.m, 16) && columns < 2 * max(shape.n, 16)
  }
}

/// One product on one driver: how far its result is off, and its time.
private struct Timed {
  private let work: TuningWork
  private let inputs: [Tensor]
  private let device: Device
  let error: Double
  private(set) var seconds = 0.0
  private var repeats = 1

  init(_ work: TuningWork, _ operands: TuningWork.Operands, on driver: TiledDriver) throws {
    self.work = work
    let device = Device(driver)
    self.device = device
    inputs = operands.inputs.map { $0.to(device) }
    try evaluate(inputs)
    let result = try work.result(inputs).to(.cpu).cast(to: .float64)
    error = try abs(result - operands.expected).max().item()
    let once = try again()
    repeats = max(1, min(200, Int(0.004 / once)))
    seconds = try again()
  }

  /// The time of one product now.
  func again() throws -> Double {
    try device.synchronize()
    return try ContinuousClock().measure {
      for _ in 0..<repeats { try evaluate(work.result(inputs)) }
      try device.synchronize()
    }.inSeconds / Double(repeats)
  }
}
