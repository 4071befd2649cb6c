import ArgumentParser
import Kiln

/// Square float32 matrix products: the median time of a product whose operands are in memory.
struct MatmulBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "matmul", abstract: "GFLOP/s of size x size matrix products.")

  @Option(help: "Rows and columns of both matrices.")
  var size = 1024
  @Option(name: .customLong("device"), help: "A device, several times for several; by default all.")
  var devices: [String] = []
  @Option(help: "Timed products, of which the median counts.")
  var repeats = 20
  @Flag(help: "Prints a line of JSON for each device instead of text.")
  var json = false

  func validate() throws {
    if size < 1 || size > 32768 { throw ValidationError("--size must lie in 1...32768, got \(size)") }
    if repeats < 1 { throw ValidationError("--repeats must be at least 1, got \(repeats)") }
  }

  func run() throws {
    for device in devices.isEmpty ? Device.all : try devices.map({ try Device.named($0) }) {
      let seconds = try Self.seconds(size: size, repeats: repeats, on: device)
      let gigaflops = 2 * Double(size) * Double(size) * Double(size) / seconds / 1e9
      if json {
        let subject = "\"work\": \"matmul\", \"size\": \(size), \"device\": \"\(device.name)\""
        print("{\(subject), \"ms\": \(seconds * 1e3), \"gflops\": \(gigaflops)}")
      } else {
        print("matmul \(size): \(device.name) \(rounded(seconds * 1e3)) ms, \(rounded(gigaflops)) GFLOP/s")
      }
    }
  }

  /// The median time of one product.
  static func seconds(size: Int, repeats: Int, on device: Device) throws -> Double {
    let generator = RandomGenerator(seed: 1)
    let a = Tensor.randomUniform([size, size], low: -1, high: 1, generator: generator, on: device)
    let b = Tensor.randomUniform([size, size], low: -1, high: 1, generator: generator, on: device)
    try evaluate(a, b)
    let clock = ContinuousClock()
    var times: [Double] = []
    for round in 0..<repeats + 3 {
      try device.synchronize()
      let time = try clock.measure {
        let product = matmul(a, b)
        try evaluate(product)
        try device.synchronize()
      }
      // The first rounds compile and warm up.
      if round >= 3 { times.append(time.inSeconds) }
    }
    return median(times)
  }

  private func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}
