import Foundation
import KilnDevices
import KilnEngine
import OpCases
import Testing

/// A device and an operation's name, as a parametrised test's argument.
struct DeviceOp: Sendable, CustomTestStringConvertible {
  var device: Device
  var op: String
  var testDescription: String { "\(op) on \(device.name)" }

  static let all: [DeviceOp] = TestDevices.all.flatMap { device in
    OpTable.names.sorted().map { DeviceOp(device: device, op: $0) }
  }
}

/// Every run of every case on every device.
@Suite(.serialized) struct TableTests {
  @Test(arguments: DeviceOp.all)
  func resultsGradientsAndRefusalsAreAsExpected(_ argument: DeviceOp) {
    let runner = CaseRunner(argument.device)
    var count = 0
    for one in OpTable.cases(named: argument.op) {
      for run in one.runs(on: argument.device) {
        let result = runner.run(one, run)
        count += 1
        #expect(result.passed, "\(SelfTest.line(result))")
      }
    }
    #expect(count > 0, "no run of \(argument.op)")
  }

  @Test func thereAreAThousandRunsOnTheCPU() {
    let count = OpTable.all.reduce(0) { $0 + $1.runs(on: .cpu).count }
    #expect(count >= 1000, "only \(count) runs")
  }
}

/// The table lacks no operation.
@Suite struct Completeness {
  @Test func everyElementwiseOperationHasACase() {
    for op in UnaryOp.allCases { #expect(OpTable.names.contains(op.rawValue), "no case for \(op.rawValue)") }
    for op in BinaryOp.allCases { #expect(OpTable.names.contains(op.rawValue), "no case for \(op.rawValue)") }
  }

  @Test func everyDifferentiableRowIsCheckedToItsOrder() {
    for op in UnaryOp.allCases {
      guard case .rule = op.row.gradient else { continue }
      let order = OpTable.cases(named: op.rawValue).map(\.gradientOrder).max() ?? 0
      #expect(order >= 1, "no gradient check for \(op.rawValue)")
    }
    for op in BinaryOp.allCases {
      guard case .rule = op.row.gradient else { continue }
      let order = OpTable.cases(named: op.rawValue).map(\.gradientOrder).max() ?? 0
      #expect(order >= 1, "no gradient check for \(op.rawValue)")
    }
  }

  /// Public functions of KilnEngine/Ops that are no operations of their own, and why.
  static let exceptions: [String: String] = [
    "pow": "named power", "atan2": "named arctangent2", "concatenated": "concatenate's method",
    "item": "reading", "doubles": "reading", "contains": "Domain's", "explicit": "padding's shorthand",
    "symmetric": "padding's shorthand", "setSeed": "RandomChecks",
  ]

  /// Files of Ops whose public functions are not tensor operations.
  static let otherFiles: Set<String> = ["NPY.swift", "NPZ.swift"]

  @Test func everyPublicFunctionHasACase() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/KilnEngine/Ops")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "swift" && !Completeness.otherFiles.contains($0.lastPathComponent) }
    #expect(files.count > 15)
    var found = 0
    for file in files {
      for name in try Completeness.publicFunctions(in: String(contentsOf: file, encoding: .utf8)) {
        found += 1
        let isKnown = OpTable.names.contains(name) || Completeness.exceptions[name] != nil
        #expect(isKnown, "\(file.lastPathComponent) has \(name), the table has no case for it")
      }
    }
    #expect(found > 90, "only \(found) public functions were found")
  }

  /// Names after `public func` or `public static func`; `RowwisePlain`'s are the compositions of the table's own names.
  static func publicFunctions(in text: String) -> [String] {
    var names: [String] = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.first == "public", let place = words.firstIndex(of: "func"), place <= 2, place + 1 < words.count
      else {
        continue
      }
      let name = words[place + 1].prefix { $0.isLetter || $0.isNumber }
      if !name.isEmpty { names.append(String(name)) }
    }
    return names
  }

  @Test func aMissingCaseWouldBeFound() {
    #expect(Completeness.publicFunctions(in: "  public func frobnicated(axis: Int) -> Tensor {") == ["frobnicated"])
    #expect(Completeness.publicFunctions(in: "public static func wobble(_ x: Tensor)") == ["wobble"])
    #expect(Completeness.publicFunctions(in: "func internalOnly() {}").isEmpty)
    #expect(!OpTable.names.contains("frobnicated"))
  }

  @Test func namesAreUnique() {
    var seen: Set<String> = []
    for one in OpTable.all { #expect(seen.insert(one.id).inserted, "\(one.id) twice") }
  }
}
