import Foundation
import KilnData
import KilnDevices
import KilnEngine
import Testing

/// What committed scripts computed with PyTorch, beside these tests.
struct Golden: Sendable {
  static let optimizers = Golden("optimizers")
  static let schedules = Golden("schedules")
  static let losses = Golden("losses")
  static let metrics = Golden("metrics")

  private let values: Result<[String: Tensor], any Error>

  init(_ name: String) {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
    values = Result { try readNPZ(folder.appendingPathComponent("\(name).npz").path, on: .cpu) }
  }

  func names() throws -> [String] { try values.get().keys.sorted() }

  func callAsFunction(_ name: String, on device: Device = .cpu) throws -> Tensor {
    let tensor = try #require(try values.get()[name], "no golden '\(name)'")
    return device == .cpu ? tensor : tensor.to(device)
  }
}

/// Which differ by more than `bound`, absolute and relative; equal infinities and two NaN agree.
func expectClose(
  _ actual: [Double], _ expected: [Double], _ name: String, bound: Double,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.count == expected.count, "\(name)", sourceLocation: sourceLocation)
  let worst = zip(actual, expected).map { x, y in
    if x == y || (x.isNaN && y.isNaN) { return 0.0 }
    let error = abs(x - y) / (1 + abs(y))
    return error.isNaN ? .infinity : error
  }.max()
  #expect((worst ?? 0) <= bound, "\(name): off by \(worst ?? 0)", sourceLocation: sourceLocation)
}

@Test("a wrong value would be found")
func comparisonCanFail() {
  withKnownIssue { expectClose([1, 2], [1, 2.1], "", bound: 1e-6) }
  withKnownIssue { expectClose([1], [1, 2], "", bound: 1e-6) }
  withKnownIssue { expectClose([.nan], [1], "", bound: 1e-6) }
  withKnownIssue { expectClose([.infinity], [1], "", bound: 1e-6) }
}

/// The devices of the suites: both are required.
enum Place: CaseIterable, CustomTestStringConvertible {
  case cpu, openCL
  var testDescription: String { self == .cpu ? "cpu" : "opencl:0" }
  func device() throws -> Device { self == .cpu ? .cpu : try Device.named("opencl:0") }
}
