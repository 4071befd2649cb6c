// Arithmetic and comparison of tensors, broadcasting as numpy does. Operands of two dtypes are promoted
// (bool < uint8 < int32 < int64 < float32 < float64); a Swift number takes the tensor's dtype. Integers wrap;
// `/` of integers gives float32.

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence
infix operator .&& : LogicalConjunctionPrecedence
infix operator .|| : LogicalDisjunctionPrecedence
infix operator .^^ : LogicalDisjunctionPrecedence
prefix operator .!

extension Tensor {
  /// The sum of each pair. A cotangent passes to both sides, summed over broadcast axes.
  public static func + (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.add, lhs, rhs) }
  public static func + (lhs: Tensor, rhs: Double) -> Tensor { binary(.add, lhs, rhs) }
  public static func + (lhs: Double, rhs: Tensor) -> Tensor { binary(.add, lhs, rhs) }
  /// The difference of each pair.
  public static func - (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.subtract, lhs, rhs) }
  public static func - (lhs: Tensor, rhs: Double) -> Tensor { binary(.subtract, lhs, rhs) }
  public static func - (lhs: Double, rhs: Tensor) -> Tensor { binary(.subtract, lhs, rhs) }
  /// The product of each pair.
  public static func * (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.multiply, lhs, rhs) }
  public static func * (lhs: Tensor, rhs: Double) -> Tensor { binary(.multiply, lhs, rhs) }
  public static func * (lhs: Double, rhs: Tensor) -> Tensor { binary(.multiply, lhs, rhs) }
  /// The quotient of each pair; integers are divided as float32. x / 0 is infinite, 0 / 0 is NaN.
  public static func / (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.divide, lhs, rhs) }
  public static func / (lhs: Tensor, rhs: Double) -> Tensor { binary(.divide, lhs, rhs) }
  public static func / (lhs: Double, rhs: Tensor) -> Tensor { binary(.divide, lhs, rhs) }
  /// Each element with its sign changed; any number dtype.
  public static prefix func - (x: Tensor) -> Tensor { x.unary(.negate) }

  /// Whether each pair is equal, as bool; NaN equals nothing.
  public static func .== (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.equal, lhs, rhs) }
  public static func .== (lhs: Tensor, rhs: Double) -> Tensor { binary(.equal, lhs, rhs) }
  /// Whether each pair differs, as bool; NaN differs from everything.
  public static func .!= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.notEqual, lhs, rhs) }
  public static func .!= (lhs: Tensor, rhs: Double) -> Tensor { binary(.notEqual, lhs, rhs) }
  /// Whether each left element is less, as bool; false for NaN.
  public static func .< (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.less, lhs, rhs) }
  public static func .< (lhs: Tensor, rhs: Double) -> Tensor { binary(.less, lhs, rhs) }
  /// Whether each left element is less or equal, as bool; false for NaN.
  public static func .<= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.lessEqual, lhs, rhs) }
  public static func .<= (lhs: Tensor, rhs: Double) -> Tensor { binary(.lessEqual, lhs, rhs) }
  /// Whether each left element is greater, as bool; false for NaN.
  public static func .> (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.greater, lhs, rhs) }
  public static func .> (lhs: Tensor, rhs: Double) -> Tensor { binary(.greater, lhs, rhs) }
  /// Whether each left element is greater or equal, as bool; false for NaN.
  public static func .>= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.greaterEqual, lhs, rhs) }
  public static func .>= (lhs: Tensor, rhs: Double) -> Tensor { binary(.greaterEqual, lhs, rhs) }

  /// Whether both are true; bool tensors only.
  public static func .&& (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.and, lhs, rhs) }
  /// Whether one or both are true; bool tensors only.
  public static func .|| (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.or, lhs, rhs) }
  /// Whether exactly one is true; bool tensors only.
  public static func .^^ (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.xor, lhs, rhs) }
  /// The other truth value of each element; bool tensors only.
  public static prefix func .! (x: Tensor) -> Tensor { x.unary(.logicalNot) }
}
