// Scalar maths as free functions of tensors [any shape]. Each keeps shape and dtype (predicates give bool); float
// functions take float32 and float64 and carry an error for other dtypes. The rows in UnaryOp.swift say what each
// computes and how it differentiates.

/// |x|; the gradient at 0 is 0.
public func abs(_ x: Tensor) -> Tensor { x.unary(.abs) }
/// -1, 0 or 1; NaN stays NaN. The gradient is zero.
public func sign(_ x: Tensor) -> Tensor { x.unary(.sign) }
/// x * x.
public func square(_ x: Tensor) -> Tensor { x.unary(.square) }
/// 1 / x; infinite at 0.
public func reciprocal(_ x: Tensor) -> Tensor { x.unary(.reciprocal) }
/// The square root; NaN below 0, gradient infinite at 0.
public func sqrt(_ x: Tensor) -> Tensor { x.unary(.sqrt) }
/// 1 / sqrt(x); infinite at 0, NaN below.
public func rsqrt(_ x: Tensor) -> Tensor { x.unary(.rsqrt) }
/// e to the x; float32 overflows to infinity above 88.72.
public func exp(_ x: Tensor) -> Tensor { x.unary(.exp) }
/// exp(x) - 1 without cancellation near 0.
public func expm1(_ x: Tensor) -> Tensor { x.unary(.expm1) }
/// The natural logarithm; -infinity at 0, NaN below.
public func log(_ x: Tensor) -> Tensor { x.unary(.log) }
/// log(1 + x) without cancellation near 0; -infinity at -1, NaN below.
public func log1p(_ x: Tensor) -> Tensor { x.unary(.log1p) }
/// The sine of radians; NaN at +-infinity.
public func sin(_ x: Tensor) -> Tensor { x.unary(.sin) }
/// The cosine of radians; NaN at +-infinity.
public func cos(_ x: Tensor) -> Tensor { x.unary(.cos) }
/// The tangent of radians.
public func tan(_ x: Tensor) -> Tensor { x.unary(.tan) }
/// The hyperbolic tangent, -1...1.
public func tanh(_ x: Tensor) -> Tensor { x.unary(.tanh) }
/// 1 / (1 + exp(-x)), 0...1.
public func sigmoid(_ x: Tensor) -> Tensor { x.unary(.sigmoid) }
/// The error function, -1...1.
public func erf(_ x: Tensor) -> Tensor { x.unary(.erf) }
/// The inverse of `erf` on -1...1: infinite at the ends, NaN outside.
public func erfInverse(_ x: Tensor) -> Tensor { x.unary(.erfInverse) }
/// max(x, 0); NaN passes through, the gradient at 0 is 0. Any number dtype.
public func relu(_ x: Tensor) -> Tensor { x.unary(.relu) }
/// log(1 + exp(x)), exact at both ends.
public func softplus(_ x: Tensor) -> Tensor { x.unary(.softplus) }
/// The nearest whole number below; gradient zero.
public func floor(_ x: Tensor) -> Tensor { x.unary(.floor) }
/// The nearest whole number above; gradient zero.
public func ceil(_ x: Tensor) -> Tensor { x.unary(.ceil) }
/// The nearest whole number, halves to even; gradient zero.
public func round(_ x: Tensor) -> Tensor { x.unary(.round) }
/// Whether each element is NaN, as bool.
public func isNaN(_ x: Tensor) -> Tensor { x.unary(.isNaN) }
/// Whether each element is neither NaN nor infinite, as bool.
public func isFinite(_ x: Tensor) -> Tensor { x.unary(.isFinite) }
/// The other truth value of a bool tensor.
public func logicalNot(_ x: Tensor) -> Tensor { x.unary(.logicalNot) }

/// x above 0, `slope` * x below; the gradient at 0 is `slope`.
public func leakyReLU(_ x: Tensor, slope: Double = 0.01) -> Tensor { select(x .> 0, x, x * slope) }

/// x above 0, `alpha` * (exp(x) - 1) below.
public func elu(_ x: Tensor, alpha: Double = 1) -> Tensor { select(x .> 0, x, expm1(minimum(x, 0)) * alpha) }

/// How `gelu` is computed.
public enum GELUApproximation: Sendable {
  /// x * Phi(x) by the error function.
  case none
  /// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  case tanh
}

/// The Gaussian error linear unit (Hendrycks and Gimpel, 2016).
public func gelu(_ x: Tensor, approximation: GELUApproximation = .none) -> Tensor {
  switch approximation {
  case .none: x * 0.5 * (erf(x * 0.7071067811865476) + 1)
  case .tanh: x * 0.5 * (tanh((x + x * square(x) * 0.044715) * 0.7978845608028654) + 1)
  }
}

/// x * sigmoid(x), also called swish.
public func silu(_ x: Tensor) -> Tensor { x * sigmoid(x) }

/// `a` to the power `b`, broadcasting; float dtypes. pow(x, 0) is 1 for every x; NaN for a negative base to a
/// fractional power.
public func pow(_ a: Tensor, _ b: Tensor) -> Tensor { .binary(.power, a, b) }
public func pow(_ a: Tensor, _ b: Double) -> Tensor {
  switch b {
  case 1: a
  case 2: square(a)
  case 3: a * square(a)
  case 0.5: sqrt(a)
  case -1: reciprocal(a)
  case -0.5: rsqrt(a)
  default: .binary(.power, a, b)
  }
}
public func pow(_ a: Double, _ b: Tensor) -> Tensor { .binary(.power, a, b) }

/// The greater of each pair, broadcasting; NaN if either is. Equal elements share the gradient evenly.
public func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { .binary(.maximum, a, b) }
public func maximum(_ a: Tensor, _ b: Double) -> Tensor { .binary(.maximum, a, b) }
public func maximum(_ a: Double, _ b: Tensor) -> Tensor { .binary(.maximum, a, b) }
/// The lesser of each pair, broadcasting; NaN if either is. Equal elements share the gradient evenly.
public func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { .binary(.minimum, a, b) }
public func minimum(_ a: Tensor, _ b: Double) -> Tensor { .binary(.minimum, a, b) }
public func minimum(_ a: Double, _ b: Tensor) -> Tensor { .binary(.minimum, a, b) }
/// The remainder with the divisor's sign, as Python's %; NaN for a float division by 0, 0 for an integer one.
public func remainder(_ a: Tensor, _ b: Tensor) -> Tensor { .binary(.remainder, a, b) }
public func remainder(_ a: Tensor, _ b: Double) -> Tensor { .binary(.remainder, a, b) }
/// The angle of the point (b, a) in radians, -pi...pi.
public func atan2(_ a: Tensor, _ b: Tensor) -> Tensor { .binary(.arctangent2, a, b) }

/// `a` where `condition` (bool) holds, else `b`, all broadcast together; the dtypes of `a` and `b` are promoted.
/// The gradient goes to the chosen side only, so an infinite derivative on the other side does no harm there.
public func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor, file: StaticString = #fileID, line: UInt = #line)
  -> Tensor
{
  let operands = [("condition", condition), ("a", a), ("b", b)]
  let dtype = DType.promote(a.dtype, b.dtype)
  guard condition.dtype == .bool else {
    return .failure(
      "select", rule: "the condition must be bool, got \(condition.dtype)", operands: operands,
      fix: "compare it first, as in `x .!= 0`", shape: condition.shape, dtype: dtype, file: file, line: line)
  }
  guard let ab = Shape.broadcast(a.shape, b.shape), let shape = Shape.broadcast(ab, condition.shape) else {
    return .failure(
      "select", rule: "shapes \(condition.shape), \(a.shape) and \(b.shape) do not broadcast", operands: operands,
      fix: "aligned at the right, dimensions must be equal or 1", shape: condition.shape, dtype: dtype, file: file,
      line: line)
  }
  return .make(
    .select, [condition.operand(.bool, shape), a.operand(dtype, shape), b.operand(dtype, shape)], shape: shape,
    dtype: dtype)
}
public func select(_ condition: Tensor, _ a: Tensor, _ b: Double) -> Tensor { select(condition, a, a.like(b)) }
public func select(_ condition: Tensor, _ a: Double, _ b: Tensor) -> Tensor { select(condition, b.like(a), b) }
/// Two numbers, in the dtype given.
public func select(_ condition: Tensor, _ a: Double, _ b: Double, dtype: DType = .float32) -> Tensor {
  select(
    condition, .constant(Scalar(a, dtype), shape: [], device: condition.device),
    .constant(Scalar(b, dtype), shape: [], device: condition.device))
}
public func select(_ condition: Tensor, _ a: Double, _ b: Tensor, dtype: DType) -> Tensor {
  select(condition, .constant(Scalar(a, dtype), shape: [], device: condition.device), b)
}

extension Tensor {
  /// The elements limited to `min`...`max`; NaN stays NaN. The gradient is 0 outside and half at a limit.
  public func clamped(min: Double? = nil, max: Double? = nil) -> Tensor {
    var result = self
    if let min { result = maximum(result, min) }
    if let max { result = minimum(result, max) }
    return result
  }
}
