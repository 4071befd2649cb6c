import Foundation
import Kiln
import KilnOpenCL
import Testing

/// The devices that the suites run on.
enum TestDevices {
  static let all: [Device] = [.cpu] + OpenCLDriver.all.prefix(1).map { Device($0) }
}

/// What `recorder.py` recorded of one archive.
struct Golden: Sendable {
  let arrays: [String: HostArray]

  init(_ archive: String) throws { arrays = try readNPZArrays(Golden.path(archive)) }

  static func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/\(name)").path
  }

  func tensor(_ name: String, dtype: DType? = nil, on device: Device) throws -> Tensor {
    let array = try #require(arrays[name], "no '\(name)'")
    let tensor = Tensor(array, on: .cpu)
    let converted = tensor.dtype.isFloat ? tensor.cast(to: dtype ?? tensor.dtype) : tensor
    return converted.to(device)
  }

  /// The numbered tensors of a case: in.0, in.1, ...
  func tensors(_ prefix: String, dtype: DType, on device: Device) throws -> [Tensor] {
    var result: [Tensor] = []
    while arrays["\(prefix).\(result.count)"] != nil {
      result.append(try tensor("\(prefix).\(result.count)", dtype: dtype, on: device))
    }
    return result
  }

  /// Loads the parameters and buffers of a case by name; every one must be there, and none be left over.
  func load(_ module: some Module, _ name: String, dtype: DType, on device: Device) throws {
    for named in module.namedParameters {
      named.parameter.value = try tensor("\(name)/p.\(named.name)", dtype: dtype, on: device)
    }
    for named in module.namedBuffers {
      named.buffer.value = try tensor("\(name)/b.\(named.name)", dtype: dtype, on: device)
    }
    let known = Set(module.namedParameters.map { "\(name)/p.\($0.name)" })
    let recorded = arrays.keys.filter { $0.hasPrefix("\(name)/p.") }
    #expect(Set(recorded) == known, "parameters of \(name)")
  }

  /// Runs `call` on the inputs of a case and compares results and all gradients with PyTorch's: within 1e-5 of the
  /// greatest element in float32, 1e-10 in float64.
  func check(
    _ name: String, _ module: (some Module)?, dtype: DType, on device: Device,
    sourceLocation: SourceLocation = #_sourceLocation, call: ([Tensor]) -> [Tensor]
  ) throws {
    if let module { try load(module, name, dtype: dtype, on: device) }
    let inputs = try tensors("\(name)/in", dtype: dtype, on: device).map { $0.dtype.isFloat ? $0.watched() : $0 }
    let results = call(inputs)
    var loss = Tensor(0, dtype: dtype, on: device)
    let cotangents = try tensors("\(name)/g", dtype: dtype, on: device)
    #expect(!results.isEmpty && results.count == cotangents.count, "\(name)", sourceLocation: sourceLocation)
    for (y, g) in zip(results, cotangents) { loss = loss + (y * g).sum() }
    var wanted: [(String, Tensor)] = results.enumerated().map { ("\(name)/out.\($0.offset)", $0.element) }
    let leaves = inputs.enumerated().filter { $0.element.dtype.isFloat }
    let parameters = module?.namedParameters ?? []
    let gradients = try gradient(
      of: loss, withRespectTo: leaves.map(\.element) + parameters.map(\.parameter.value))
    let names = leaves.map { "\(name)/din.\($0.offset)" } + parameters.map { "\(name)/dp.\($0.name)" }
    wanted += zip(names, gradients)
    try evaluate(wanted.map(\.1))
    for (label, tensor) in wanted {
      try Golden.expectEqual(
        tensor, try #require(arrays[label]), label, bound: dtype == .float64 ? 1e-10 : 1e-5,
        sourceLocation: sourceLocation)
    }
  }

  /// Within `bound` of the expected values, in units of the greatest of them.
  static func expectEqual(
    _ actual: Tensor, _ expected: HostArray, _ label: String, bound: Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(actual.shape == expected.shape, "\(label)", sourceLocation: sourceLocation)
    let error = relativeError(try actual.doubles(), try Tensor(expected, on: .cpu).doubles())
    #expect(error <= bound, "\(label): \(error)", sourceLocation: sourceLocation)
  }

  /// The greatest distance, in units of the greatest expected value; infinite for NaN and for other counts.
  static func relativeError(_ x: [Double], _ y: [Double]) -> Double {
    guard x.count == y.count else { return .infinity }
    let scale = max(y.map { abs($0) }.max() ?? 0, 1e-30)
    let worst = zip(x, y).map { $0.isNaN || $1.isNaN ? .infinity : abs($0 - $1) }.max() ?? 0
    return worst == 0 ? 0 : worst / scale
  }
}

@Suite("The comparison can fail")
struct GoldenHelperTests {
  @Test func itSeesDifferences() {
    #expect(Golden.relativeError([1, 2], [1, 2]) == 0)
    #expect(Golden.relativeError([1, 2.02], [1, 2]) > 0.009)
    #expect(Golden.relativeError([1], [1, 2]) == .infinity)
    #expect(Golden.relativeError([1, .nan], [1, .nan]) == .infinity)
    #expect(Golden.relativeError([0, 1e-9], [0, 0]) > 1)
  }
}
