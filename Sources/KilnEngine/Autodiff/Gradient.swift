/// The gradients of `y` with respect to each of `xs`, lazily: tensors of the shapes and dtypes of `xs`, themselves
/// differentiable. A tensor that `y` does not depend on has gradient zero.
///
/// - Parameters:
///   - y: a float tensor; a scalar, unless `seed` is given.
///   - seed: the cotangent of `y`, in its shape; 1 for a scalar.
/// - Throws: an error that `y` carries; a `TensorError` when `y` is not a scalar or not float, an `x` is not float,
///   an operation on the way has no gradient, or part of the way was evaluated and let go (see `Tensor.watched()`).
public func gradient(of y: Tensor, withRespectTo xs: [Tensor], seed: Tensor? = nil) throws -> [Tensor] {
  if let error = y.error { throw error }
  if let error = seed?.error { throw error }
  for x in xs { if let error = x.error { throw error } }
  guard y.dtype.isFloat else {
    throw TensorError(
      operation: "gradient", rule: "y must be float32 or float64, got \(y.dtype)", operands: "y \(y.shape) \(y.dtype)",
      fix: "differentiate a float value")
  }
  if let seed {
    guard seed.shape == y.shape, seed.dtype == y.dtype else {
      throw TensorError(
        operation: "gradient", rule: "the seed must have y's shape and dtype",
        operands: "y \(y.shape) \(y.dtype), seed \(seed.shape) \(seed.dtype)", fix: "pass a seed of shape \(y.shape)")
    }
  } else if y.count != 1 {
    throw TensorError(
      operation: "gradient", rule: "y must have one element when no seed is given, got \(y.count)",
      operands: "y \(y.shape) \(y.dtype)", fix: "reduce it with `.sum()` or `.mean()`, or pass `seed:`")
  }
  for x in xs where !x.dtype.isFloat {
    throw TensorError(
      operation: "gradient", rule: "x must be float32 or float64, got \(x.dtype)", operands: "x \(x.shape) \(x.dtype)",
      fix: "only float tensors have gradients")
  }
  var tape = try Tape(from: y.node, to: xs.map(\.node))
  let start = seed ?? .constant(Scalar(1, y.dtype), shape: y.shape, device: y.device)
  return try tape.pullBack(start)
}

/// The gradient with respect to one tensor.
public func gradient(of y: Tensor, withRespectTo x: Tensor, seed: Tensor? = nil) throws -> Tensor {
  try gradient(of: y, withRespectTo: [x], seed: seed)[0]
}

/// The value of `function` at `xs`, and its gradients there. The arguments are watched, so `function` may read values
/// on its way.
public func valueAndGradient(at xs: [Tensor], of function: ([Tensor]) throws -> Tensor) throws -> (
  value: Tensor, gradients: [Tensor]
) {
  let watched = xs.map { $0.watched() }
  let value = try function(watched)
  return (value, try gradient(of: value, withRespectTo: watched))
}

/// The product of the Hessian of a scalar `function` at `x` with `vector` (both of x's shape), by double reverse.
public func hessianVectorProduct(of function: (Tensor) throws -> Tensor, at x: Tensor, vector: Tensor) throws -> Tensor
{
  let watched = x.watched()
  let first = try gradient(of: function(watched), withRespectTo: watched)
  return try gradient(of: (first * vector.stopGradient()).sum(), withRespectTo: watched)
}

/// A function with a gradient rule of its own.
///
/// - Parameters:
///   - arguments: what `forward` and the rule are given.
///   - rule: (arguments, result, cotangent of the result) -> a cotangent for each argument, in its shape and dtype.
///     Written with tensor functions, it is differentiable in turn.
public func customGradient(
  _ arguments: [Tensor], forward: ([Tensor]) -> Tensor,
  rule: @escaping @Sendable (_ arguments: [Tensor], _ result: Tensor, _ g: Tensor) -> [Tensor]
) -> Tensor {
  let result = forward(arguments)
  return .make(
    .identity(.custom(CustomGradient(rule))), [result] + arguments, shape: result.shape, dtype: result.dtype)
}
