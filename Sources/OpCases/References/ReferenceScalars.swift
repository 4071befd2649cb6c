import Foundation

/// Scalar functions that Foundation lacks, each by a road of its own.
extension Reference {
  /// By bisection on erf and erfc.
  public static func erfInverse(_ x: Double) -> Double {
    if x.isNaN || abs(x) > 1 { return .nan }
    if abs(x) == 1 { return x * .infinity }
    if x == 0 { return x }
    let target = abs(x)
    // erfInverse(x) is at least 0.886 x, and below 0.96 x for x up to 0.5.
    var low = 0.88 * target
    var high = target > 0.5 ? 6.0 : 0.97 * target
    for _ in 0..<70 {
      let middle = (low + high) / 2
      // Near 1 erf has no digits left, so the complement is compared there.
      let below = target > 0.5 ? erfc(middle) > 1 - target : erf(middle) < target
      if below { low = middle } else { high = middle }
    }
    let y = (low + high) / 2
    return x < 0 ? -y : y
  }

  /// Written from the smaller exponential, so that neither end loses digits.
  public static func sigmoid(_ x: Double) -> Double {
    if x >= 0 { return 1 / (1 + exp(-x)) }
    let e = exp(x)
    return e / (1 + e)
  }

  public static func softplus(_ x: Double) -> Double { x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)) }

  public static func gelu(_ x: Double) -> Double { x * erfc(-x / 2.0.squareRoot()) / 2 }

  public static func geluDerivative(_ x: Double) -> Double {
    erfc(-x / 2.0.squareRoot()) / 2 + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
  }

  public static func geluTanh(_ x: Double) -> Double {
    x / 2 * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  public static func silu(_ x: Double) -> Double { x == -.infinity ? .nan : x * sigmoid(x) }

  public static func elu(_ x: Double, _ alpha: Double) -> Double { x > 0 ? x : alpha * expm1(x) }

  public static func sign(_ x: Double) -> Double {
    if x.isNaN { return .nan }
    return x > 0 ? 1 : (x < 0 ? -1 : 0)
  }

  /// Half to even by the definition.
  public static func round(_ x: Double) -> Double {
    let down = Foundation.floor(x)
    let part = x - down
    if !part.isFinite || part == 0 { return x }
    var result = down
    if part > 0.5 || (part == 0.5 && down.truncatingRemainder(dividingBy: 2) != 0) { result = down + 1 }
    return result == 0 && x < 0 ? -0.0 : result
  }

  /// x - y * floor(x / y), with the sign of y, exact.
  public static func remainder(_ x: Double, _ y: Double) -> Double {
    let r = fmod(x, y)
    return r != 0 && (r < 0) != (y < 0) ? r + y : r
  }

  /// One block of Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
  public static func philox(counter: [UInt32], key: [UInt32]) -> [UInt32] {
    var c = counter
    var k = key
    for round in 0..<10 {
      if round > 0 { k = [k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85] }
      let first = UInt64(0xD251_1F53) * UInt64(c[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(c[2])
      c = [
        UInt32(second >> 32) ^ c[1] ^ k[0], UInt32(truncatingIfNeeded: second),
        UInt32(first >> 32) ^ c[3] ^ k[1], UInt32(truncatingIfNeeded: first),
      ]
    }
    return c
  }
}
