import KilnDevices
import KilnEngine

/// Carries out single runs of cases on one device.
public struct CaseRunner: Sendable {
  public var device: Device
  /// Where the float64 gradients are computed that float32 ones are held against.
  public var oracle: Device

  public init(_ device: Device, oracle: Device = .cpu) {
    self.device = device
    self.oracle = oracle
  }

  /// Runs one check; what is thrown on the way is a failure with its text.
  public func run(_ one: OpCase, _ run: CaseRun) -> CaseResult {
    var outcome: Comparison
    do {
      outcome = try withDevice(device) { try comparison(one, run) }
    } catch {
      outcome = Comparison(worst: .infinity, message: "threw: \(error)")
    }
    // JSON has no infinity.
    let worst = outcome.worst.isFinite ? outcome.worst : 1e300
    return CaseResult(
      op: one.name, variant: (one.variant.isEmpty ? "" : one.variant + ": ") + run.words(one), device: device.name,
      dtype: run.dtype?.description ?? "", worstErrorInBounds: worst,
      verdict: outcome.passes ? .passed : .failed, message: outcome.message ?? "")
  }

  private func comparison(_ one: OpCase, _ run: CaseRun) throws -> Comparison {
    switch run {
    case .forward(let i, let layout, let dtype): return try forward(one, i, layout, dtype)
    case .unfused(let dtype):
      let change: (inout EngineOptions.Flags) -> Void = { $0.fusion = false }
      return try EngineOptions.with(change) { try forward(one, 0, .contiguous, dtype) }
    case .eager(let dtype):
      let change: (inout EngineOptions.Flags) -> Void = { $0.eager = true }
      return try EngineOptions.with(change) { try forward(one, 0, .contiguous, dtype) }
    case .specials(let dtype): return try specials(one, dtype)
    case .gradient(let i): return try firstOrder(one, i)
    case .secondGradient(let i): return try secondOrder(one, i)
    case .gradientPrecision(let i): return try float32Precision(one, i)
    case .refusal(let i): return refusal(one.refusals[i])
    }
  }

  // MARK: forward

  private func forward(_ one: OpCase, _ i: Int, _ layout: OperandLayout, _ dtype: DType) throws -> Comparison {
    let operands = zip(one.operands, one.values(shapes: i, dtype: dtype, "forward")).map { operand, values in
      place(values, operand.hasLayouts ? layout : .contiguous, operand.dtype ?? dtype, device)
    }
    let before = try operands.map { try $0.base.hostBytes() }
    let expected = one.reference(operands.map(\.values), dtype)
    let y = one.call(operands.map(\.tensor), OpCase.Place(device: device, dtype: dtype))
    var result = try checked(
      y, against: expected, dtype: one.resultDType(dtype), ulps: one.ulps, checksZeroSign: one.checksZeroSign)
    for (operand, bytes) in zip(operands, before) where try operand.base.hostBytes() != bytes {
      result = Comparison(worst: .infinity, message: "the operation changed its operand's memory")
    }
    return result
  }

  /// Shape, dtype and every element. Public for the suite that proves that it can fail.
  public func checked(
    _ y: Tensor, against expected: NDArray, dtype: DType, ulps: Double, checksZeroSign: Bool = true,
    alternative: NDArray? = nil
  ) throws -> Comparison {
    if let error = y.error { return Comparison(worst: .infinity, message: "was refused: \(error)") }
    guard y.dtype == dtype else {
      return Comparison(worst: .infinity, message: "dtype \(y.dtype) instead of \(dtype)")
    }
    guard y.shape.dimensions == expected.shape else {
      return Comparison(worst: .infinity, message: "shape \(y.shape) instead of \(expected.shape)")
    }
    return compare(
      try y.doubles(), with: expected, dtype: dtype, ulps: ulps, checksZeroSign: checksZeroSign,
      alternative: alternative)
  }

  private func specials(_ one: OpCase, _ dtype: DType) throws -> Comparison {
    let rows = one.specials
    let smallest = dtype == .float32 ? Double(Float.leastNormalMagnitude) : Double.leastNormalMagnitude
    var exact: [NDArray] = []
    var flushed: [NDArray] = []
    for operand in one.operands.indices {
      let values = rows.map { rounded($0[operand], to: dtype) }
      exact.append(NDArray([rows.count], values))
      flushed.append(NDArray([rows.count], values.map { abs($0) < smallest ? $0 * 0 : $0 }))
    }
    let tensors = exact.map { makeTensor($0.values, $0.shape, dtype, device) }
    let y = one.call(tensors, OpCase.Place(device: device, dtype: dtype))
    var result = try checked(
      y, against: one.reference(exact, dtype), dtype: one.resultDType(dtype), ulps: one.ulps,
      checksZeroSign: one.checksZeroSign, alternative: one.reference(flushed, dtype))
    if let message = result.message, let i = Int(message.split(separator: " ").dropFirst().first ?? "") {
      result.message = "of \(exact.map { $0.values[i] }): " + message
    }
    return result
  }

  // MARK: refusals

  /// A wrong call must give an error that names the operation, at once or (for wrong values) when it runs.
  public func refusal(_ refusal: Refusal) -> Comparison {
    let y = refusal.call(device)
    func failed(_ message: String) -> Comparison { Comparison(worst: .infinity, message: message) }
    if refusal.atRunTime {
      if let error = y.error { return failed("was refused before it ran: \(error)") }
      do {
        let values = try y.doubles()
        return failed("was accepted and gave \(values.prefix(4))")
      } catch DeviceError.indexOutOfRange {
        return Comparison()
      } catch {
        return failed("threw something else: \(error)")
      }
    }
    guard let error = y.error else { return failed("was accepted") }
    guard let known = error as? TensorError else { return failed("carries something else: \(error)") }
    guard known.operation == refusal.operation else {
      return failed("the error names '\(known.operation)' instead of '\(refusal.operation)'")
    }
    guard !known.rule.isEmpty, !known.fix.isEmpty else { return failed("the error lacks a rule or a fix") }
    guard (try? y.doubles()) == nil else { return failed("could be read in spite of its error") }
    return Comparison()
  }
}
