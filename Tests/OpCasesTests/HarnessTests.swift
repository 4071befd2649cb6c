import KilnDevices
import KilnEngine
import OpCases
import Testing

/// The helpers can fail: each kind of wrong result is reported, and the bound is where it is said to be.
@Suite struct HarnessTests {
  private let runner = CaseRunner(.cpu)
  private let expected = NDArray([2, 3], [1, 2, 3, 4, 5, 6])

  private func verdict(_ y: Tensor, ulps: Double = 4, dtype: DType = .float32) throws -> Bool {
    try runner.checked(y, against: expected, dtype: dtype, ulps: ulps).passes
  }

  private func tensor(_ values: [Float], _ shape: Shape = [2, 3]) -> Tensor { Tensor(values, shape: shape, on: .cpu) }

  @Test func theRightResultPasses() throws { #expect(try verdict(tensor([1, 2, 3, 4, 5, 6]))) }

  @Test func aPermutedResultFails() throws { #expect(try !verdict(tensor([1, 2, 3, 4, 6, 5]))) }

  @Test func aShortResultFails() throws {
    #expect(try !verdict(tensor([1, 2, 3], [1, 3])))
    #expect(!compare([1, 2, 3], with: expected, dtype: .float32, ulps: 4).passes)
    #expect(!compare([1, 2, 3, 4, 5, 6, 7], with: expected, dtype: .float32, ulps: 4).passes)
  }

  @Test func anotherShapeOfTheSameCountFails() throws {
    #expect(try !verdict(tensor([1, 2, 3, 4, 5, 6], [3, 2])))
    #expect(try !verdict(tensor([1, 2, 3, 4, 5, 6], [1, 2, 3])))
  }

  @Test func anotherDTypeFails() throws {
    #expect(try !verdict(Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3], on: .cpu)))
    #expect(try verdict(Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3], on: .cpu), dtype: .float64))
  }

  @Test func aTensorWithAnErrorFails() throws { #expect(try !verdict(tensor([1, 2], [3]))) }

  @Test func notANumberIsMetByNotANumberOnly() throws {
    #expect(try !verdict(tensor([1, 2, .nan, 4, 5, 6])))
    let nan = NDArray([1], [.nan])
    #expect(compare([.nan], with: nan, dtype: .float32, ulps: 4).passes)
    #expect(!compare([1], with: nan, dtype: .float32, ulps: 4).passes)
    #expect(!compare([.infinity], with: nan, dtype: .float32, ulps: 4).passes)
  }

  @Test func infinitiesHaveSigns() {
    let infinite = NDArray([1], [.infinity])
    #expect(compare([.infinity], with: infinite, dtype: .float32, ulps: 4).passes)
    #expect(!compare([-.infinity], with: infinite, dtype: .float32, ulps: 4).passes)
    #expect(!compare([3.4e38], with: infinite, dtype: .float32, ulps: 4).passes)
    #expect(!compare([.infinity], with: NDArray([1], [3.4e38]), dtype: .float32, ulps: 4).passes)
  }

  @Test func zerosHaveSigns() {
    let zero = NDArray([1], [-0.0])
    #expect(compare([-0.0], with: zero, dtype: .float32, ulps: 4).passes)
    #expect(!compare([0.0], with: zero, dtype: .float32, ulps: 4).passes)
    #expect(compare([0.0], with: zero, dtype: .float32, ulps: 4, checksZeroSign: false).passes)
  }

  @Test func theBoundIsWhereItIsSaid() {
    let one = NDArray([1], [1])
    let unit = Double(Float(1).ulp)
    #expect(compare([1 + 3.99 * unit], with: one, dtype: .float32, ulps: 4).passes)
    #expect(!compare([1 + 4.01 * unit], with: one, dtype: .float32, ulps: 4).passes)
    #expect(!compare([1 - 4.01 * unit], with: one, dtype: .float32, ulps: 4).passes)
    #expect(!compare([1 + unit], with: one, dtype: .float32, ulps: 0).passes)
    let slack = NDArray([1], [1], slack: [10])
    #expect(compare([1 + 9.9 * unit], with: slack, dtype: .float32, ulps: 0).passes)
    #expect(!compare([1 + 10.1 * unit], with: slack, dtype: .float32, ulps: 0).passes)
    // float64 is held to its own units.
    #expect(!compare([1 + unit], with: one, dtype: .float64, ulps: 4).passes)
  }

  @Test func integersAreExact() {
    #expect(compare([3], with: NDArray([1], [3]), dtype: .int32, ulps: 9).passes)
    #expect(!compare([4], with: NDArray([1], [3]), dtype: .int32, ulps: 9).passes)
    #expect(compare([255], with: NDArray([1], [-1]), dtype: .uint8, ulps: 0).passes)
  }

  @Test func aSecondAnswerIsOnlyForWhatItIsGivenFor() {
    let exact = NDArray([1], [-90])
    let flushed = NDArray([1], [-.infinity])
    #expect(compare([-.infinity], with: exact, dtype: .float32, ulps: 4, alternative: flushed).passes)
    #expect(compare([-90], with: exact, dtype: .float32, ulps: 4, alternative: flushed).passes)
    #expect(!compare([-80], with: exact, dtype: .float32, ulps: 4, alternative: flushed).passes)
  }

  // MARK: whole runs

  /// tanh, with a reference or a call that can be replaced by a wrong one.
  private func tanhCase(
    call: @escaping @Sendable (Tensor) -> Tensor = { tanh($0) },
    reference: @escaping @Sendable (Double) -> Double = { ($0 * 2).tanhOfHalf }
  ) -> OpCase {
    OpCase(
      "tanh", on: [.uniform(-2...2)], shapes: [[[3, 4]]], ulps: 8, order: 2, call: { call($0[0]) },
      reference: { $0[0].map(reference) })
  }

  private func failures(_ one: OpCase) -> [String] {
    one.runs(on: .cpu).map { runner.run(one, $0) }.filter { !$0.passed }.map(\.variant)
  }

  @Test func aRightCasePasses() { #expect(failures(tanhCase()).isEmpty) }

  @Test func aWrongReferenceFailsForward() {
    #expect(failures(tanhCase(reference: { ($0 * 2).tanhOfHalf * (1 + 1e-5) })).contains { $0.hasPrefix("forward") })
  }

  @Test func aWrongGradientFails() {
    // The value of tanh, with a gradient that is 1 % too large.
    let wrong = tanhCase(call: { x in
      customGradient([x], forward: { tanh($0[0]) }, rule: { _, y, g in [g * ((1 - y * y) * 1.01)] })
    })
    let failed = failures(wrong)
    #expect(failed.contains { $0.hasPrefix("gradient") })
    #expect(!failed.contains { $0.hasPrefix("forward") })
  }

  @Test func aGradientThatIsRightOnlyOnAverageFails() {
    // The cotangents of neighbours are exchanged: sums of gradients stay what they are.
    let wrong = tanhCase(call: { x in
      customGradient([x], forward: { tanh($0[0]) }, rule: { _, y, g in [(g * (1 - y * y)).flipped(axes: [1])] })
    })
    #expect(failures(wrong).contains { $0.hasPrefix("gradient") })
  }

  @Test func aWrongSecondGradientFails() {
    // The first gradient is right, but its own way back stops at y.
    let wrong = tanhCase(call: { x in
      customGradient([x], forward: { tanh($0[0]) }, rule: { _, y, g in [g * (1 - y * y).stopGradient()] })
    })
    let failed = failures(wrong)
    #expect(failed.contains { $0.hasPrefix("second gradient") })
    #expect(!failed.contains { $0.hasPrefix("gradient") || $0.hasPrefix("forward") })
  }

  @Test func aCallThatChangesNothingWhereItShouldFails() {
    #expect(failures(tanhCase(call: { $0 })).contains { $0.hasPrefix("forward") })
  }

  @Test func whatMustBeRefusedAndIsNotFails() {
    let accepted = Refusal("nothing wrong", "tanh") { tanh(.zeros([2], on: $0)) }
    #expect(!runner.refusal(accepted).passes)
    let otherName = Refusal("another name", "tanh") { exp(.zeros([2], dtype: .int32, on: $0)) }
    #expect(!runner.refusal(otherName).passes)
    let refused = Refusal("integers", "tanh") { tanh(.zeros([2], dtype: .int32, on: $0)) }
    #expect(runner.refusal(refused).passes)
    let inRange = Refusal("an index in range", "gathered", atRunTime: true) {
      Tensor.zeros([3], on: $0).gathered(Tensor([2] as [Int], on: $0))
    }
    #expect(!runner.refusal(inRange).passes)
    let early = Refusal("refused too early", "tanh", atRunTime: true) { tanh(.zeros([2], dtype: .int32, on: $0)) }
    #expect(!runner.refusal(early).passes)
  }

  @Test func aThrowIsAFailureAndNotTheEnd() {
    let one = OpCase(
      "gathered", on: [.uniform(-1...1)], shapes: [[[3]]],
      call: { $0[0].gathered(Tensor([7] as [Int], on: $0[0].device)) }, reference: { $0[0] })
    let result = runner.run(one, .forward(shapes: 0, layout: .contiguous, dtype: .float32))
    #expect(!result.passed)
    let refused = tanhCase(call: { $0.cast(to: .int32) + tanh($0.cast(to: .int32)) })
    #expect(!failures(refused).isEmpty)
  }

  @Test func aReportCountsFailures() {
    let report = SelfTest.run(devices: [.cpu], pattern: "logicalNot")
    #expect(report.passed)
    #expect(report.cases > 3)
    #expect(!SelfTest.run(devices: [.cpu], pattern: "no such operation").passed)
    #expect(!SelfTest.run(devices: [], pattern: nil).passed)
  }
}

extension Double {
  /// tanh(x / 2) as (e^x - 1) / (e^x + 1).
  fileprivate var tanhOfHalf: Double {
    let e = expm1Series
    return e / (e + 2)
  }

  /// e^x - 1 by halving the argument and squaring: (e^(x/2) - 1)(e^(x/2) + 1).
  private var expm1Series: Double {
    if abs(self) < 0.01 {
      var term = self
      var total = 0.0
      for n in 2...9 {
        total += term
        term *= self / Double(n)
      }
      return total
    }
    let half = (self / 2).expm1Series
    return half * (half + 2)
  }
}
