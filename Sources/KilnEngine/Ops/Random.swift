import Foundation

/// Random tensors: pure functions of the generator's key and counter and of each element's position, so they fuse into
/// what uses them and repeat exactly. All take a shape, a generator and a device. No gradients.
extension Tensor {
  private static func draw(
    _ name: String, _ distribution: Distribution, _ shape: Shape, _ dtype: DType, _ generator: RandomGenerator,
    _ device: Device,
    _ file: StaticString, _ line: UInt
  ) -> Tensor {
    if let bad = sizeFailure(name, shape, dtype, device, file, line) { return bad }
    let state = generator.takeState()
    let result = make(
      .random(distribution, key: state.key, counter: state.counter), [], shape: shape, dtype: dtype, device: device,
      file: file, line: line)
    Recorder.current?.note(result.node, from: generator, before: state)
    return result
  }

  private static func refuse(
    _ name: String, _ rule: String, _ fix: String, _ shape: Shape, _ dtype: DType, _ device: Device,
    _ file: StaticString, _ line: UInt
  ) -> Tensor {
    failure(name, rule: rule, fix: fix, shape: shape, dtype: dtype, device: device, file: file, line: line)
  }

  /// Uniform in low ..< high, float32 or float64.
  ///
  /// Errors: integer dtypes, bounds that are not finite or in the wrong order.
  public static func randomUniform(
    _ shape: Shape, low: Double = 0, high: Double = 1, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    guard dtype.isFloat else {
      return refuse(
        "randomUniform", "needs float32 or float64, got \(dtype)", "use `randomIntegers`", shape, dtype, device, file,
        line)
    }
    guard low.isFinite, high.isFinite, low <= high else {
      return refuse(
        "randomUniform", "low must not exceed high, and both be finite, got \(low) and \(high)", "exchange them", shape,
        dtype, device, file, line)
    }
    let unit = draw("randomUniform", .uniform, shape, dtype, generator, device, file, line)
    if low == 0 && high == 1 { return unit }
    let scaled = unit * (high - low) + low
    // Rounding may reach high, which is excluded.
    let below = dtype == .float64 ? high.nextDown : Double(Float(high).nextDown)
    return low < below ? minimum(scaled, below) : scaled
  }

  /// Normal with the given mean and standard deviation, by Box and Muller's method, float32 or float64.
  ///
  /// Errors: integer dtypes, a negative deviation.
  public static func randomNormal(
    _ shape: Shape, mean: Double = 0, standardDeviation: Double = 1, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    guard dtype.isFloat else {
      return refuse(
        "randomNormal", "needs float32 or float64, got \(dtype)", "use `randomIntegers`", shape, dtype, device, file,
        line)
    }
    guard standardDeviation >= 0 else {
      return refuse(
        "randomNormal", "the standard deviation must not be negative, got \(standardDeviation)", "use its magnitude",
        shape, dtype, device, file, line)
    }
    var result = draw("randomNormal", .normal, shape, dtype, generator, device, file, line)
    if standardDeviation != 1 { result = result * standardDeviation }
    return mean == 0 ? result : result + mean
  }

  /// Normal, limited to `low` ... `high` standard deviations from the mean, by the inverse of the distribution function.
  ///
  /// mean + deviation * sqrt(2) * erfInverse(u), u uniform between erf(low / sqrt(2)) and erf(high / sqrt(2)).
  /// Errors: integer dtypes, a negative deviation, low not below high.
  public static func randomTruncatedNormal(
    _ shape: Shape, mean: Double = 0, standardDeviation: Double = 1, low: Double = -2, high: Double = 2,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    guard dtype.isFloat else {
      return refuse(
        "randomTruncatedNormal", "needs float32 or float64, got \(dtype)", "use `randomIntegers`", shape, dtype, device,
        file, line)
    }
    guard standardDeviation >= 0, low < high else {
      return refuse(
        "randomTruncatedNormal",
        "the standard deviation must not be negative and low be below high, got \(standardDeviation), \(low), \(high)",
        "low and high are in standard deviations from the mean", shape, dtype, device, file, line)
    }
    let (least, greatest) = (Foundation.erf(low / 2.0.squareRoot()), Foundation.erf(high / 2.0.squareRoot()))
    let unit = draw("randomTruncatedNormal", .uniform, shape, dtype, generator, device, file, line)
    let normal = erfInverse(unit * (greatest - least) + least) * 2.0.squareRoot()
    return normal.clamped(min: low, max: high) * standardDeviation + mean
  }

  /// 1 with the given probability, else 0, in any dtype.
  ///
  /// Errors: a probability outside 0...1.
  public static func randomBernoulli(
    _ shape: Shape, probability: Double = 0.5, dtype: DType = .float32, generator: RandomGenerator = .default,
    on device: Device = .default, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    guard probability >= 0, probability <= 1 else {
      return refuse(
        "randomBernoulli", "the probability must be in 0...1, got \(probability)", "divide percentages by 100", shape,
        dtype, device, file, line)
    }
    let hits = draw("randomBernoulli", .uniform, shape, .float32, generator, device, file, line) .< probability
    return dtype == .bool ? hits : hits.cast(to: dtype)
  }

  /// Whole numbers in low ..< high, each equally likely to within 2^-63.
  ///
  /// Errors: low not below high, a range that the dtype cannot hold, float32 or float64 beyond whole numbers, bool.
  public static func randomIntegers(
    _ shape: Shape, low: Int = 0, high: Int, dtype: DType = .int64, generator: RandomGenerator = .default,
    on device: Device = .default, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    func bad(_ rule: String, _ fix: String) -> Tensor {
      refuse("randomIntegers", rule, fix, shape, dtype, device, file, line)
    }
    guard low < high else { return bad("low must be below high, got \(low) and \(high)", "high is excluded") }
    let (span, overflow) = high.subtractingReportingOverflow(low)
    let limits: ClosedRange<Int>? =
      switch dtype {
      case .uint8: 0...255
      case .int32: Int(Int32.min)...Int(Int32.max)
      case .int64: Int.min...Int.max
      case .float32: -(1 << 24)...(1 << 24)
      case .float64: -(1 << 53)...(1 << 53)
      case .bool: nil
      }
    guard let limits else { return bad("bool cannot hold integers", "use `randomBernoulli`") }
    guard !overflow, limits.contains(low), limits.contains(high - 1) else {
      return bad("\(dtype) cannot hold all of \(low)..<\(high)", "use dtype: .int64, or a smaller range")
    }
    let bits = randomBits("randomIntegers", shape, generator, device, file, line)
    func whole(_ value: Int) -> Tensor { .constant(Scalar(value, .int64), shape: [], device: device) }
    let result = remainder(bits, whole(span)) + whole(low)
    return result.cast(to: dtype)
  }

  /// The numbers 0 ..< n in random order: [n], int64.
  ///
  /// Errors: a negative n.
  public static func randomPermutation(
    _ n: Int, generator: RandomGenerator = .default, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    randomBits("randomPermutation", [n], generator, device, file, line).argsorted(axis: 0, file: file, line: line)
  }

  /// 64 random bits as int64, of two draws.
  private static func randomBits(
    _ name: String, _ shape: Shape, _ generator: RandomGenerator, _ device: Device, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    let high = draw(name, .bits, shape, .int64, generator, device, file, line)
    let low = draw(name, .bits, shape, .int64, generator, device, file, line)
    return high * .constant(Scalar(1 << 32, .int64), shape: [], device: device) + low
  }
}
