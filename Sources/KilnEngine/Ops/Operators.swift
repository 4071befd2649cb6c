// Arithmetic and comparison of tensors, broadcasting as numpy does. Operands of two dtypes are promoted
// (bool < uint8 < int32 < int64 < float32 < float64); a Swift number takes the tensor's dtype. Integers wrap;
// `/` of integers gives float32.

infix operator .==: ComparisonPrecedence
infix operator .!=: ComparisonPrecedence
infix operator .<: ComparisonPrecedence
infix operator .<=: ComparisonPrecedence
infix operator .>: ComparisonPrecedence
infix operator .>=: ComparisonPrecedence
infix operator .&&: LogicalConjunctionPrecedence
infix operator .||: LogicalDisjunctionPrecedence
infix operator .^^: LogicalDisjunctionPrecedence
prefix operator .!

extension Tensor {
  public static func + (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.add, lhs, rhs) }
  public static func + (lhs: Tensor, rhs: Double) -> Tensor { binary(.add, lhs, rhs) }
  public static func + (lhs: Double, rhs: Tensor) -> Tensor { binary(.add, lhs, rhs) }
  public static func - (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.subtract, lhs, rhs) }
  public static func - (lhs: Tensor, rhs: Double) -> Tensor { binary(.subtract, lhs, rhs) }
  public static func - (lhs: Double, rhs: Tensor) -> Tensor { binary(.subtract, lhs, rhs) }
  public static func * (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.multiply, lhs, rhs) }
  public static func * (lhs: Tensor, rhs: Double) -> Tensor { binary(.multiply, lhs, rhs) }
  public static func * (lhs: Double, rhs: Tensor) -> Tensor { binary(.multiply, lhs, rhs) }
  public static func / (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.divide, lhs, rhs) }
  public static func / (lhs: Tensor, rhs: Double) -> Tensor { binary(.divide, lhs, rhs) }
  public static func / (lhs: Double, rhs: Tensor) -> Tensor { binary(.divide, lhs, rhs) }
  public static prefix func - (x: Tensor) -> Tensor { x.unary(.negate) }

  public static func .== (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.equal, lhs, rhs) }
  public static func .== (lhs: Tensor, rhs: Double) -> Tensor { binary(.equal, lhs, rhs) }
  public static func .!= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.notEqual, lhs, rhs) }
  public static func .!= (lhs: Tensor, rhs: Double) -> Tensor { binary(.notEqual, lhs, rhs) }
  public static func .< (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.less, lhs, rhs) }
  public static func .< (lhs: Tensor, rhs: Double) -> Tensor { binary(.less, lhs, rhs) }
  public static func .<= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.lessEqual, lhs, rhs) }
  public static func .<= (lhs: Tensor, rhs: Double) -> Tensor { binary(.lessEqual, lhs, rhs) }
  public static func .> (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.greater, lhs, rhs) }
  public static func .> (lhs: Tensor, rhs: Double) -> Tensor { binary(.greater, lhs, rhs) }
  public static func .>= (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.greaterEqual, lhs, rhs) }
  public static func .>= (lhs: Tensor, rhs: Double) -> Tensor { binary(.greaterEqual, lhs, rhs) }

  public static func .&& (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.and, lhs, rhs) }
  public static func .|| (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.or, lhs, rhs) }
  public static func .^^ (lhs: Tensor, rhs: Tensor) -> Tensor { binary(.xor, lhs, rhs) }
  public static prefix func .! (x: Tensor) -> Tensor { x.unary(.logicalNot) }
}
