import KilnEngine

/// How far results are from what was expected, in units of the allowed error.
public struct Comparison: Sendable {
  /// 1 is just within the bound; infinite for a wrong NaN, infinity, sign of zero or exact value.
  public var worst = 0.0
  public var message: String?
  public var passes: Bool { message == nil }
}

/// Holds every element of `actual` against `expected`.
///
/// - `ulps` units in the last place of the expected value plus `expected.slack` epsilons are allowed; with neither,
///   the value must be the expected one rounded to `dtype`.
/// - NaN must be met by NaN, an infinity by the same infinity, and a zero by a zero of the same sign when
///   `checksZeroSign`. Where the expected value is below the smallest normal number, a flush to 0 is allowed.
/// - `alternative` is a second accepted answer: what flushing denormal operands to 0 gives.
public func compare(
  _ actual: [Double], with expected: NDArray, dtype: DType, ulps: Double, checksZeroSign: Bool = true,
  alternative: NDArray? = nil
) -> Comparison {
  var result = Comparison()
  guard actual.count == expected.count else {
    result.worst = .infinity
    result.message = "\(actual.count) elements instead of \(expected.count)"
    return result
  }
  for i in actual.indices {
    let slack = expected.slack.isEmpty ? 0 : expected.slack[i]
    var error = distance(actual[i], expected.values[i], slack, dtype, ulps, checksZeroSign)
    if error > 1, let alternative {
      let other = alternative.slack.isEmpty ? 0 : alternative.slack[i]
      error = min(error, distance(actual[i], alternative.values[i], other, dtype, ulps, checksZeroSign))
    }
    if error > result.worst || error.isNaN {
      result.worst = error.isNaN ? .infinity : error
      if !(error <= 1) {
        let wanted = rounded(expected.values[i], to: dtype)
        result.message =
          "element \(i) of \(actual.count) is \(actual[i]) instead of \(wanted)"
          + (error.isFinite ? ", \(short(error)) times the allowed error" : "")
      }
    }
  }
  return result
}

/// The error of one element in units of its bound.
private func distance(
  _ actual: Double, _ exact: Double, _ slack: Double, _ dtype: DType, _ ulps: Double, _ checksZeroSign: Bool
) -> Double {
  let expected = rounded(exact, to: dtype)
  if expected.isNaN || actual.isNaN { return expected.isNaN && actual.isNaN ? 0 : .infinity }
  if expected.isInfinite || actual.isInfinite { return expected == actual ? 0 : .infinity }
  guard dtype.isFloat else { return expected == actual ? 0 : .infinity }
  let smallest = dtype == .float32 ? Double(Float.leastNormalMagnitude) : Double.leastNormalMagnitude
  if actual == 0 && expected == 0 {
    let isExact = slack == 0 && exact == 0
    return checksZeroSign && isExact && actual.sign != expected.sign ? .infinity : 0
  }
  if ulps == 0 && slack == 0 {
    return expected == actual || (abs(expected) < smallest && actual == 0) ? 0 : .infinity
  }
  // In float64 the reference's own functions are off by up to a unit.
  let units = dtype == .float64 && ulps > 0.5 ? ulps + 1 : ulps
  let unit = dtype == .float32 ? Double(Float(expected).ulp) : expected.ulp
  let epsilon = dtype == .float32 ? Double(Float.ulpOfOne) : Double.ulpOfOne
  var bound = units * unit + slack * epsilon
  if abs(expected) < smallest { bound = max(bound, smallest) }
  return abs(actual - exact) / bound
}

func short(_ value: Double) -> String {
  if !value.isFinite { return "\(value)" }
  let digits = value >= 100 ? 1.0 : 1000.0
  return "\((value * digits).rounded() / digits)"
}
