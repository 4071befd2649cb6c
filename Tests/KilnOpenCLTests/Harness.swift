import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

// Foundation has one too.
typealias Expression = KilnEngine.Expression

/// The first device in both styles; a missing device fails every test.
struct Drivers {
  static let both: [OpenCLDriver] = {
    guard let first = OpenCLDriver.all.first else { return [] }
    return KernelStyle.allCases.compactMap { try? OpenCLDriver(first, style: $0) }
  }()

  static func required() throws -> [OpenCLDriver] {
    try #require(both.count == 2, "no OpenCL device: \(OpenCLDriver.problems)")
    return both
  }
}

/// Host values of one dtype, as doubles or integers.
enum HostValues {
  static func bytes(_ values: [Double], _ dtype: DType) -> [UInt8] {
    var result: [UInt8] = []
    func add<T>(_ value: T) { withUnsafeBytes(of: value) { result += Array($0) } }
    for value in values {
      switch dtype {
      case .float32: add(Float(value))
      case .float64: add(value)
      case .int32: add(Int32(value))
      case .int64: add(Int64(value))
      case .uint8, .bool: add(UInt8(value))
      }
    }
    return result
  }

  static func doubles(_ bytes: [UInt8], _ dtype: DType) -> [Double] {
    bytes.withUnsafeBytes { raw in
      (0..<(bytes.count / dtype.size)).map { i in
        let at = i * dtype.size
        return switch dtype {
        case .float32: Double(raw.loadUnaligned(fromByteOffset: at, as: Float.self))
        case .float64: raw.loadUnaligned(fromByteOffset: at, as: Double.self)
        case .int32: Double(raw.loadUnaligned(fromByteOffset: at, as: Int32.self))
        case .int64: Double(raw.loadUnaligned(fromByteOffset: at, as: Int64.self))
        case .uint8, .bool: Double(raw[at])
        }
      }
    }
  }
}

/// One input or output of a hand-made program.
struct HostTensor {
  var values: [Double]
  var dtype: DType = .float32
}

let canary: UInt8 = 0xA5

/// Runs steps on a driver; every buffer is longer than needed and the rest must stay as it was.
func run(
  _ driver: any DeviceDriver, _ steps: [Step], inputs: [HostTensor], outputs: [(count: Int, dtype: DType)],
  scalars: [Scalar] = [], arenaBytes: Int = 0, runs: Int = 1
) throws -> [[Double]] {
  var program = Program()
  program.steps = steps
  program.scalars = scalars.map(\.dtype)
  program.arenaBytes = arenaBytes
  for input in inputs { program.inputs.append(.init(dtype: input.dtype, shape: [input.values.count])) }
  for output in outputs { program.outputs.append(.init(dtype: output.dtype, shape: [output.count])) }
  let compiled = try driver.compile(program)
  let margin = 256
  func upload(_ bytes: [UInt8]) throws -> Buffer {
    let buffer = try driver.allocate(byteCount: bytes.count + margin)
    let all = bytes + [UInt8](repeating: canary, count: margin)
    try all.withUnsafeBytes { try driver.write($0, to: buffer, byteOffset: 0) }
    return buffer
  }
  func download(_ buffer: Buffer) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: buffer.byteCount)
    try bytes.withUnsafeMutableBytes { try driver.read(buffer, byteOffset: 0, into: $0) }
    #expect(bytes.suffix(margin).allSatisfy { $0 == canary }, "memory after a buffer was written")
    return bytes.dropLast(margin)
  }
  let inputBuffers = try inputs.map { try upload(HostValues.bytes($0.values, $0.dtype)) }
  let outputBuffers = try outputs.map {
    try upload([UInt8](repeating: canary, count: $0.count * $0.dtype.size))
  }
  let arena = arenaBytes > 0 ? try driver.allocate(byteCount: arenaBytes) : nil
  for _ in 0..<runs {
    try compiled.run(
      Bindings(
        inputs: inputBuffers.map { ($0, 0) }, outputs: outputBuffers, arena: arena, scalars: scalars))
  }
  let results = try zip(outputBuffers, outputs).map { try HostValues.doubles(Array(download($0)), $1.dtype) }
  for (buffer, input) in zip(inputBuffers, inputs) {
    #expect(try download(buffer) == HostValues.bytes(input.values, input.dtype), "an input was changed")
  }
  return results
}

/// Dense operand of a slot.
func dense(_ slot: Program.Slot, _ shape: [Int], _ dtype: DType = .float32, offset: Int = 0) -> Operand {
  Operand(slot: slot, dtype: dtype, offset: offset, strides: Layout.contiguousStrides(Shape(shape)))
}

func identityEpilogue(_ dtype: DType) -> Expression {
  var epilogue = Expression()
  epilogue.outputs = [epilogue.append(.result, dtype)]
  return epilogue
}

/// Numbers in -1...1 that are the same every time.
func samples(_ count: Int, seed: UInt64 = 1, scale: Double = 1) -> [Double] {
  var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
  return (0..<count).map { _ in
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Double(Float((Double(state >> 11) / 9_007_199_254_740_992 * 2 - 1) * scale))
  }
}

func whole(_ count: Int, below: Int, seed: UInt64 = 1) -> [Double] {
  samples(count, seed: seed).map { (($0 + 1) / 2 * Double(below)).rounded(.down).clamped(0, Double(below - 1)) }
}

extension Double {
  func clamped(_ low: Double, _ high: Double) -> Double { Swift.min(Swift.max(self, low), high) }
}

/// Equal within `tolerance` of max(1, |expected|); NaN equals NaN; lengths must agree.
func expectClose(
  _ actual: [Double], _ expected: [Double], tolerance: Double = 1e-5, _ what: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.count == expected.count, "\(what): count", sourceLocation: sourceLocation)
  for (i, (a, e)) in zip(actual, expected).enumerated() {
    if a.isNaN && e.isNaN || a == e { continue }
    if !(abs(a - e) <= tolerance * max(1, abs(e))) {
      Issue.record("\(what): element \(i) is \(a), expected \(e)", sourceLocation: sourceLocation)
      return
    }
  }
}
