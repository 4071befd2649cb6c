// Functions composed of elementwise operations, and those with more than one operand. The plain unary ones stand with
// their rows in UnaryOp.swift, the binary rows in BinaryOp.swift.

/// x above 0, `slope` * x below; the gradient at 0 is `slope`.
public func leakyReLU(_ x: Tensor, slope: Double = 0.01) -> Tensor {
  let x = x.requiringFloat("leakyReLU")
  return select(x .> 0, x, x * slope)
}

/// x above 0, `alpha` * (exp(x) - 1) below; the gradient at 0 is `alpha`.
public func elu(_ x: Tensor, alpha: Double = 1) -> Tensor {
  let x = x.requiringFloat("elu")
  let isPositive = x .> 0
  return select(isPositive, x, expm1(select(isPositive, 0, x)) * alpha)
}

/// How `gelu` is computed.
public enum GELUApproximation: Sendable {
  /// x * Phi(x) by the error function.
  case none
  /// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  case tanh
}

/// The Gaussian error linear unit (Hendrycks and Gimpel, 2016).
public func gelu(_ x: Tensor, approximation: GELUApproximation = .none) -> Tensor {
  let x = x.requiringFloat("gelu")
  return switch approximation {
  case .none: x.unary(.gelu)
  case .tanh: x * 0.5 * (tanh((x + x * square(x) * 0.044715) * 0.7978845608028654) + 1)
  }
}

/// The derivative of `gelu` by the error function: Phi(x) + x phi(x), between -0.13 and 1.13.
public func geluDerivative(_ x: Tensor) -> Tensor { x.requiringFloat("geluDerivative").unary(.geluDerivative) }

/// x * sigmoid(x), also called swish.
public func silu(_ x: Tensor) -> Tensor {
  let x = x.requiringFloat("silu")
  return x * sigmoid(x)
}

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
