import Foundation
import KilnDevices
import KilnEngine
import OpCases
import Testing

/// Values from torch and numpy (Golden/make_golden.py) against the references, and against the engine.
@Suite struct GoldenTests {
  struct Array64: Decodable, Sendable {
    var shape: [Int]
    var values: [Number]
    var ndarray: NDArray { NDArray(shape, values.map(\.value)) }
  }

  /// A JSON number, or "nan", "inf", "-inf".
  struct Number: Decodable, Sendable {
    var value: Double
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Double.self) {
        value = number
      } else {
        let word = try container.decode(String.self)
        guard let known = ["nan": Double.nan, "inf": .infinity, "-inf": -.infinity][word] else {
          throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a number: \(word)")
        }
        value = known
      }
    }
  }

  struct Record: Decodable, Sendable {
    var `case`: String
    var inputs: [Array64]
    var output: Array64
    var cotangent: Array64?
    var gradients: [Array64?]?
  }

  struct Block: Decodable, Sendable { var counter, key, words: [UInt32] }

  struct File: Decodable, Sendable {
    var records: [Record]
    var philox: [Block]
  }

  static let file: Result<File, any Error> = Result {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/golden.json")
    return try JSONDecoder().decode(File.self, from: Data(contentsOf: path))
  }

  private func opCase(_ record: Record) throws -> OpCase {
    try #require(OpTable.all.first { $0.id == record.case }, "the table has no case \(record.case)")
  }

  @Test func referencesAgreeWithTorch() throws {
    let records = try GoldenTests.file.get().records
    #expect(records.count > 150)
    for record in records {
      let one = try opCase(record)
      let found = one.reference(record.inputs.map(\.ndarray), .float64)
      #expect(found.shape == record.output.shape, "\(record.case)")
      // Both sides may be off by the case's own bound.
      let wanted = NDArray(found.shape, record.output.ndarray.values, slack: found.slack.map { $0 * 2 })
      let dtype = one.resultDType(.float64)
      let outcome = compare(found.values, with: wanted, dtype: dtype, ulps: one.ulps * 2, checksZeroSign: false)
      #expect(outcome.passes, "\(record.case): the reference's \(outcome.message ?? "")")
    }
  }

  @Test(arguments: TestDevices.all)
  func theEngineAgreesWithTorch(_ device: Device) throws {
    let runner = CaseRunner(device)
    for record in try GoldenTests.file.get().records {
      let one = try opCase(record)
      for dtype in [DType.float64, .float32] where device.driver.supports(dtype) && one.dtypes.contains(dtype) {
        let inputs = record.inputs.map(\.ndarray)
        // float32 sees rounded operands, so only what rounding leaves alone can be compared.
        let kept = inputs.map { $0.map { rounded($0, to: dtype) } }
        if kept != inputs && dtype == .float32 && one.gradientOrder == 0 { continue }
        let tensors = zip(one.operands, inputs).map {
          makeTensor($1.values, $1.shape, $0.dtype ?? dtype, device)
        }
        var wanted = record.output.ndarray
        let own = one.reference(inputs, dtype)
        wanted.slack = own.slack
        if dtype == .float32 {
          // An operand's rounding is half a unit; the functions here change their value by at most a few times that.
          if inputs.contains(where: { $0.values.contains { !$0.isFinite || abs($0) > 100 } }) { continue }
          let scale = wanted.values.reduce(1) { max($0, $1.isFinite ? abs($1) : 0) }
          wanted.slack = wanted.values.indices.map { (own.slack.isEmpty ? 0 : own.slack[$0]) + 64 * scale }
        }
        let y = one.call(tensors, OpCase.Place(device: device, dtype: dtype))
        let outcome = try runner.checked(
          y, against: wanted, dtype: one.resultDType(dtype), ulps: one.ulps + 1, checksZeroSign: false)
        #expect(outcome.passes, "\(record.case) \(dtype): \(outcome.message ?? "")")
      }
    }
  }

  @Test(arguments: TestDevices.all)
  func gradientsAgreeWithTorch(_ device: Device) throws {
    var count = 0
    for record in try GoldenTests.file.get().records {
      guard let cotangent = record.cotangent, let gradients = record.gradients else { continue }
      let one = try opCase(record)
      let dtype: DType = device.driver.supports(.float64) ? .float64 : .float32
      var tensors = zip(one.operands, record.inputs).map {
        makeTensor($1.ndarray.values, $1.shape, $0.dtype ?? dtype, device)
      }
      let indices = gradients.indices.filter { gradients[$0] != nil && tensors[$0].dtype.isFloat }
      for i in indices { tensors[i] = tensors[i].watched() }
      let y = one.call(tensors, OpCase.Place(device: device, dtype: dtype))
      let loss = (y * makeTensor(cotangent.ndarray.values, cotangent.shape, dtype, device)).sum()
      let found = try gradient(of: loss, withRespectTo: indices.map { tensors[$0] })
      for (i, g) in zip(indices, found) {
        guard let wanted = gradients[i]?.ndarray else { continue }
        let largest = wanted.values.reduce(1e-300) { max($0, abs($1)) }
        let bounded = NDArray(wanted.shape, wanted.values, slack: wanted.values.map { _ in 64 * largest })
        let outcome = try CaseRunner(device).checked(g, against: bounded, dtype: dtype, ulps: 4, checksZeroSign: false)
        #expect(outcome.passes, "\(record.case), operand \(i): \(outcome.message ?? "")")
        count += 1
      }
    }
    #expect(count > 100, "only \(count) gradients were compared")
  }

  @Test func philoxHasItsKnownAnswers() throws {
    let blocks = try GoldenTests.file.get().philox
    #expect(blocks.count > 20)
    for block in blocks { #expect(Reference.philox(counter: block.counter, key: block.key) == block.words) }
  }

  @Test func aWrongGoldenValueWouldBeFound() throws {
    let record = try #require(try GoldenTests.file.get().records.first { $0.case == "tanh" })
    let one = try opCase(record)
    let found = one.reference(record.inputs.map(\.ndarray), .float64)
    var wrong = record.output.ndarray
    wrong.values[3] += 1e-12
    #expect(!compare(found.values, with: wrong, dtype: .float64, ulps: one.ulps * 2).passes)
  }
}
