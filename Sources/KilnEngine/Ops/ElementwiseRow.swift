/// Which dtypes an elementwise row accepts.
public enum Domain: Sendable {
  case float, number, any, bool
  /// Whether tensors of `dtype` belong to it.
  public func contains(_ dtype: DType) -> Bool {
    switch self {
    case .float: dtype.isFloat
    case .number: dtype != .bool
    case .any: true
    case .bool: dtype == .bool
    }
  }
  /// For error messages.
  public var words: String {
    switch self {
    case .float: "float32 or float64"
    case .number: "a number dtype (not bool)"
    case .any: "any dtype"
    case .bool: "bool"
    }
  }
}

/// How an operation answers the question for its gradient. Nothing is dropped silently.
public enum UnaryGradient: Sendable {
  /// (input, result, cotangent of the result) -> cotangent of the input.
  case rule(@Sendable (_ x: Tensor, _ y: Tensor, _ g: Tensor) -> Tensor)
  /// Zero wherever it exists (steps, integer results).
  case zero
  case undefined(String)
}

public enum BinaryGradient: Sendable {
  /// (lhs, rhs, result, cotangent) -> cotangents of lhs and rhs, in the result's shape.
  case rule(
    lhs: @Sendable (_ a: Tensor, _ b: Tensor, _ y: Tensor, _ g: Tensor) -> Tensor,
    rhs: @Sendable (_ a: Tensor, _ b: Tensor, _ y: Tensor, _ g: Tensor) -> Tensor)
  case zero
  case undefined(String)
}

/// All there is to one unary operation. A device may have a faster loop under the row's name; the closures here are
/// what it falls back on, and what it must agree with.
public struct UnaryRow: Sendable {
  public var domain: Domain
  /// Whether the result is bool instead of the input's dtype.
  public var isPredicate = false
  /// OpenCL C expression of `x`, of type `T`; float constants are written `(T)1`.
  public var openCL: String
  /// OpenCL C expression for integer dtypes where it differs.
  public var openCLInteger: String? = nil
  public var float: @Sendable (Float) -> Float
  public var double: @Sendable (Double) -> Double
  public var integer: (@Sendable (Int64) -> Int64)? = nil
  /// Roughly the additions it costs; the fuser does not repeat dear ones.
  public var cost: Int
  public var gradient: UnaryGradient
}

/// All there is to one binary operation on two operands of one dtype.
public struct BinaryRow: Sendable {
  public var domain: Domain
  public var isPredicate = false
  /// OpenCL C expression of `a` and `b`, of type `T`.
  public var openCL: String
  public var openCLInteger: String? = nil
  public var float: @Sendable (Float, Float) -> Float
  public var double: @Sendable (Double, Double) -> Double
  public var integer: (@Sendable (Int64, Int64) -> Int64)? = nil
  public var cost: Int
  public var gradient: BinaryGradient
}
