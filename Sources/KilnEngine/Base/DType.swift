/// The type of a tensor's elements.
///
/// `float32` is the default everywhere. Code that branches on a dtype does so with an exhaustive `switch` or through
/// the properties below, so that a 16-bit float can be added without a hunt.
public enum DType: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  case float32, float64, int32, int64, uint8, bool

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    case .uint8, .bool: 1
    }
  }

  public var isFloat: Bool { self == .float32 || self == .float64 }
  public var isInteger: Bool { self == .int32 || self == .int64 || self == .uint8 }

  public var description: String { rawValue }

  /// Order for promotion: bool < uint8 < int32 < int64 < float32 < float64.
  private var rank: Int {
    switch self {
    case .bool: 0
    case .uint8: 1
    case .int32: 2
    case .int64: 3
    case .float32: 4
    case .float64: 5
    }
  }

  /// The dtype of a binary operation's result: the higher of the two in the order
  /// bool < uint8 < int32 < int64 < float32 < float64, as in PyTorch.
  public static func promote(_ lhs: DType, _ rhs: DType) -> DType { lhs.rank >= rhs.rank ? lhs : rhs }
}

/// One number with its dtype: a constant of the graph, bound when a program runs, so that a changed value (a learning
/// rate, a random counter) never recompiles anything.
public struct Scalar: Hashable, Sendable {
  public let dtype: DType
  /// The value's bits: a `Double`'s pattern for float dtypes, an `Int64`'s for the others.
  public let bits: UInt64

  public init(_ value: Double, _ dtype: DType) {
    self.dtype = dtype
    switch dtype {
    case .float32: bits = Double(Float(value)).bitPattern
    case .float64: bits = value.bitPattern
    case .bool: bits = value != 0 ? 1 : 0
    case .uint8: bits = UInt64(UInt8(truncatingIfNeeded: Scalar.integer(value)))
    case .int32: bits = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: Scalar.integer(value))))
    case .int64: bits = UInt64(bitPattern: Scalar.integer(value))
    }
  }

  public init(_ value: Int, _ dtype: DType) {
    self.dtype = dtype
    switch dtype {
    case .float32: bits = Double(Float(value)).bitPattern
    case .float64: bits = Double(value).bitPattern
    case .bool: bits = value != 0 ? 1 : 0
    case .uint8: bits = UInt64(UInt8(truncatingIfNeeded: value))
    case .int32: bits = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value)))
    case .int64: bits = UInt64(bitPattern: Int64(value))
    }
  }

  /// A raw 64-bit pattern, typed int64: random keys and counters.
  public init(bits: UInt64) {
    dtype = .int64
    self.bits = bits
  }

  public var double: Double { dtype.isFloat ? Double(bitPattern: bits) : Double(Int64(bitPattern: bits)) }
  public var int: Int { dtype.isFloat ? Int(Scalar.integer(double)) : Int(Int64(bitPattern: bits)) }

  /// Truncation towards zero; NaN gives 0 and values out of range saturate, so that no conversion traps.
  static func integer(_ value: Double) -> Int64 {
    if value.isNaN { return 0 }
    if value >= 9.2e18 { return Int64.max }
    if value <= -9.2e18 { return Int64.min }
    return Int64(value)
  }
}
