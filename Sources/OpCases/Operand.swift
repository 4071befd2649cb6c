import Foundation
import KilnEngine

/// A small seeded generator (SplitMix64): the cases' inputs are the same in every run and on every machine.
public struct SeededBits: RandomNumberGenerator, Sendable {
  var state: UInt64
  public init(_ seed: UInt64) { state = seed }

  /// A generator that depends on a text, so that adding a case changes no other case's numbers.
  public init(_ text: String) {
    state = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in [0, 1).
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
  public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }
  public mutating func below(_ n: Int) -> Int { n <= 0 ? 0 : Int(next() % UInt64(n)) }
}

/// What one operand of a case is filled with.
public struct Operand: Sendable {
  /// The values for a shape, before rounding to the dtype.
  public var fill: @Sendable (inout SeededBits, [Int]) -> [Double]
  /// `nil`: the dtype that the case runs in.
  public var dtype: DType?
  /// Whether gradients are checked with respect to it (only where the dtype is the case's own).
  public var isDifferentiable = true
  /// Whether it is also given as views (transposed, sliced, ...) of other data.
  public var hasLayouts = true

  public init(dtype: DType? = nil, _ fill: @escaping @Sendable (inout SeededBits, [Int]) -> [Double]) {
    self.fill = fill
    self.dtype = dtype
  }

  static func each(_ dtype: DType? = nil, _ value: @escaping @Sendable (inout SeededBits) -> Double) -> Operand {
    Operand(dtype: dtype) { bits, shape in (0..<NDArray.count(shape)).map { _ in value(&bits) } }
  }

  public static func uniform(_ range: ClosedRange<Double>) -> Operand {
    .each { $0.uniform(range.lowerBound, range.upperBound) }
  }

  /// Uniform with both signs, at least `least` away from 0: for kinks and poles at 0.
  public static func awayFromZero(_ least: Double, _ most: Double) -> Operand {
    .each { bits in
      let value = bits.uniform(least, most)
      return bits.unit() < 0.5 ? -value : value
    }
  }

  /// At least 0.1 away from every multiple of `spacing`: for steps and remainders.
  public static func betweenSteps(_ range: ClosedRange<Double>, spacing: Double = 0.5) -> Operand {
    .each { bits in
      let n = ((range.upperBound - range.lowerBound) / spacing).rounded(.down)
      let step = Double(bits.below(Int(n))) * spacing
      return range.lowerBound + step + spacing * bits.uniform(0.2, 0.8)
    }
  }

  /// All different, in random order, at least 0.02 apart: no ties for max, sort and pooling.
  public static var distinct: Operand {
    Operand { bits, shape in
      let n = NDArray.count(shape)
      var values = (0..<n).map { (Double($0) - Double(n) / 2) * 0.0625 + 0.03125 * (Double($0 % 7) / 8) }
      values.shuffle(using: &bits)
      return values
    }
  }

  /// Few different values: many ties.
  public static func whole(_ range: ClosedRange<Int>) -> Operand {
    .each { bits in Double(range.lowerBound + bits.below(range.count)) }
  }

  public static var flags: Operand {
    var result = Operand.each(.bool) { $0.unit() < 0.5 ? 0 : 1 }
    result.isDifferentiable = false
    return result
  }

  /// Indices in 0..<length, with duplicates.
  public static func indices(_ length: Int) -> Operand {
    var result = Operand.each(.int64) { Double($0.below(length)) }
    result.isDifferentiable = false
    return result
  }

  /// This operand, always of `dtype`.
  public func fixed(_ dtype: DType) -> Operand {
    var result = self
    result.dtype = dtype
    if !dtype.isFloat { result.isDifferentiable = false }
    return result
  }

  /// This operand, left out of gradient checks.
  public var constant: Operand {
    var result = self
    result.isDifferentiable = false
    return result
  }
}

/// A value as the dtype holds it, back as a double.
public func rounded(_ value: Double, to dtype: DType) -> Double {
  switch dtype {
  case .float64: value
  case .float32: Double(Float(value))
  case .bool: value != 0 ? 1 : 0
  case .int64: value.isNaN ? 0 : Swift.min(Swift.max(value.rounded(.towardZero), -0x1p63), 0x1p63)
  // Whole numbers wrap to the dtype's width, as the engine's integer arithmetic does.
  case .int32: Double(Int32(truncatingIfNeeded: whole(value)))
  case .uint8: Double(UInt8(truncatingIfNeeded: whole(value)))
  }
}

/// Truncated towards zero; NaN is 0 and values out of range saturate.
func whole(_ value: Double) -> Int64 {
  if value.isNaN { return 0 }
  if value >= 0x1p63 { return Int64.max }
  return value < -0x1p63 ? Int64.min : Int64(value)
}
