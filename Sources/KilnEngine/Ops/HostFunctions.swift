import Foundation

/// Python's %: the remainder with the divisor's sign.
func floorRemainder<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
  let r = a.truncatingRemainder(dividingBy: b)
  return r != 0 && (r < 0) != (b < 0) ? r + b : r
}

/// The inverse of erf on (-1, 1): a starting value from Giles, "Approximating the erfinv function" (2012), then Halley.
func inverseErrorFunction(_ x: Double) -> Double {
  if x.isNaN || Swift.abs(x) > 1 { return .nan }
  if Swift.abs(x) == 1 { return x * .infinity }
  let w = -Foundation.log((1 - x) * (1 + x))
  func polynomial(_ coefficients: [Double], _ t: Double) -> Double { coefficients.reduce(0) { $0 * t + $1 } }
  var y =
    w < 5
    ? polynomial(
      [
        2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
        0.246640727, 1.50140941,
      ], w - 2.5)
    : polynomial(
      [
        -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
        1.00167406, 2.83297682,
      ], w.squareRoot() - 3)
  y *= x
  for _ in 0..<4 {
    // Near +-1 erf has no digits left; near 0 erfc has none.
    let residual = x > 0.5 ? (1 - x) - erfc(y) : x < -0.5 ? erfc(-y) - (1 + x) : erf(y) - x
    let step = -residual * 0.886226925452758 * Foundation.exp(y * y)
    if !step.isFinite { break }
    // Halley's step: the starting value is 3 % off where |x| is within 1e-12 of 1.
    y += step / (1 - y * step)
    if Swift.abs(step) < 1e-16 * Swift.abs(y) { break }
  }
  return y
}
