/// Reductions composed of others: their gradients follow from the parts.
extension Tensor {
  /// The mean over `axes` (all when `nil`): sum / n.
  ///
  /// Shapes as `sum`. float32 or float64, kept. The mean of nothing is NaN. Errors: integers, axes out of range.
  public func mean(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = statisticFailure("mean", axes, keepDims, file, line) { return bad }
    let axes = resolved(axes)
    return sum(axes: axes, keepDims: keepDims, file: file, line: line) / Double(elementCount(axes))
  }

  /// The variance over `axes` (all when `nil`): mean of (x - mean)^2, in two passes, so that a large mean costs no digits.
  ///
  /// `unbiased` divides by n - 1 instead of n (NaN for n = 1). Shapes, dtypes and errors as `mean`.
  public func variance(
    axes: [Int]? = nil, unbiased: Bool = false, keepDims: Bool = false, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    if let bad = statisticFailure("variance", axes, keepDims, file, line) { return bad }
    let axes = resolved(axes)
    let n = Double(elementCount(axes))
    let centred = self - mean(axes: axes, keepDims: true)
    let squares = square(centred).sum(axes: axes, keepDims: keepDims, file: file, line: line)
    return squares / (unbiased ? Swift.max(n - 1, 0) : n)
  }

  /// The square root of `variance`. Its gradient is 0 where the variance is 0.
  public func standardDeviation(
    axes: [Int]? = nil, unbiased: Bool = false, keepDims: Bool = false, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    if let bad = statisticFailure("standardDeviation", axes, keepDims, file, line) { return bad }
    return variance(axes: axes, unbiased: unbiased, keepDims: keepDims, file: file, line: line).rootWithFlatZero
  }

  /// log(sum(exp(x))) over `axes` (all when `nil`), shifted by the maximum, so that it never overflows.
  ///
  /// Rows of -inf alone, and of nothing, give -inf (their gradient is 0); a row with +inf gives +inf.
  /// Shapes, dtypes and errors as `mean`.
  public func logSumExp(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = statisticFailure("logSumExp", axes, keepDims, file, line) { return bad }
    let axes = resolved(axes)
    if axes.isEmpty { return self }
    if axes.contains(where: { shape[$0] == 0 }) {
      let result = keepDims ? shape.keepingDims(reducing: axes) : shape.removing(axes)
      return .constant(Scalar(-Double.infinity, dtype), shape: result, device: device)
    }
    let greatest = stopGradient().max(axes: axes, keepDims: true, file: file, line: line)
    let shift = select(isFinite(greatest), greatest, 0)
    let total = exp(self - shift).sum(axes: axes, keepDims: true)
    let isNothing = total .== 0
    let result = select(isNothing, -Double.infinity, log(select(isNothing, 1, total)) + shift)
    return result.dropping(axes, unless: keepDims)
  }

  /// The vector norm over `axes` (all when `nil`): (sum of |x|^order)^(1/order).
  ///
  /// Order 2 is Euclid's, 1 the sum of magnitudes, `.infinity` the greatest and `-.infinity` the least magnitude, 0 the
  /// count of non-zeros. The gradient at 0 is 0. Squares may overflow where the norm itself would not.
  /// Shapes, dtypes and errors as `mean`; also a NaN order.
  public func norm(
    order: Double = 2, axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = statisticFailure("norm", axes, keepDims, file, line) { return bad }
    if order.isNaN {
      return .failure(
        "norm", rule: "order is NaN", operands: [("x", self)], fix: "use 1, 2 or .infinity", dtype: dtype, file: file,
        line: line)
    }
    let axes = resolved(axes)
    func total(_ x: Tensor) -> Tensor { x.sum(axes: axes, keepDims: keepDims, file: file, line: line) }
    switch order {
    case 0: return total((self .!= 0).cast(to: dtype))
    case 1: return total(abs(self))
    case 2: return total(square(self)).rootWithFlatZero
    case .infinity: return abs(self).extremeNorm("norm", .max, axes, keepDims, file, line)
    case -.infinity: return abs(self).extremeNorm("norm", .min, axes, keepDims, file, line)
    default:
      // pow has an infinite slope at 0 for orders below 1: zeros are kept out of it.
      let isZero = self .== 0
      let powers = select(isZero, order > 0 ? 0 : .infinity, pow(abs(select(isZero, 1, self)), order))
      let sum = total(powers)
      let isFlat = sum .== 0
      return select(isFlat, order > 0 ? 0 : .infinity, pow(select(isFlat, 1, sum), 1 / order))
    }
  }

  private func extremeNorm(
    _ name: String, _ kind: Reduction, _ axes: [Int], _ keepDims: Bool, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    kind == .max
      ? max(axes: axes, keepDims: keepDims, file: file, line: line)
      : min(axes: axes, keepDims: keepDims, file: file, line: line)
  }

  /// sqrt whose gradient at 0 is 0 instead of infinity.
  private var rootWithFlatZero: Tensor {
    let isZero = self .== 0
    return select(isZero, 0, sqrt(select(isZero, 1, self)))
  }

  private func elementCount(_ axes: [Int]) -> Int { axes.map { shape[$0] }.reduce(1, *) }

  private func statisticFailure(
    _ name: String, _ axes: [Int]?, _ keepDims: Bool, _ file: StaticString, _ line: UInt
  ) -> Tensor? {
    if let bad = axisFailure(name, axes ?? [], file: file, line: line) { return bad }
    let axes = resolved(axes)
    return floatFailure(
      name, shape: keepDims ? shape.keepingDims(reducing: axes) : shape.removing(axes), file: file, line: line)
  }
}
