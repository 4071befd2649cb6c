extension Tensor {
  /// The running sum along an axis: y[i] = x[0] + ... + x[i], from the end with `reverse`.
  ///
  /// Keeps the shape. bool, uint8 and int32 give int64, other dtypes stay. Errors: an axis out of range.
  public func cumulativeSum(
    axis: Int, reverse: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { scanned(.sum(reverse: reverse), "cumulativeSum", axis, file, line) }

  /// The running product along an axis: y[i] = x[0] * ... * x[i], from the end with `reverse`.
  ///
  /// Shapes, dtypes and errors as `cumulativeSum`. The gradient is right where elements are 0.
  public func cumulativeProduct(
    axis: Int, reverse: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { scanned(.product(reverse: reverse), "cumulativeProduct", axis, file, line) }

  private func scanned(_ kind: Scan, _ name: String, _ axis: Int, _ file: StaticString, _ line: UInt) -> Tensor {
    let result: DType = dtype.isFloat ? dtype : .int64
    if let bad = axisFailure(name, [axis], dtype: result, file: file, line: line) { return bad }
    guard let axis = shape.axis(axis) else { return self }
    let source = dtype == result ? self : cast(to: result)
    return .make(.scan(kind, axis: axis), [source], shape: shape, dtype: result, file: file, line: line)
  }

  /// Along the last axis, the product of the elements before (after, with `reverse`) each one; 1 at the end.
  func exclusiveProduct(reverse: Bool) -> Tensor {
    let axis = rank - 1
    let length = shape[axis]
    if length == 0 { return self }
    let part = sliced(axis: axis, start: reverse ? 1 : 0, count: length - 1)
    let running = part.cumulativeProduct(axis: axis, reverse: reverse)
    return running.shifted(axis: axis, by: reverse ? -1 : 1, length: length, fill: 1)
  }

  /// Placed in an axis of `length`, `by` elements to the right (left end kept for 0, left for negative), the rest `fill`.
  func shifted(axis: Int, by amount: Int, length: Int, fill: Double) -> Tensor {
    var start = [Int](repeating: 0, count: rank)
    start[axis] = Swift.max(amount, 0)
    var wide = shape
    wide[axis] = length
    return .assembled([self], at: [start], into: wide, fill: fill, dtype: dtype, device: device)
  }
}

extension Scan {
  func cotangents(x: Tensor, y: Tensor, g: Tensor, axis: Int) -> Cotangents {
    switch self {
    case .sum(let reverse): return .rule([g.cumulativeSum(axis: axis, reverse: !reverse)])
    case .product(let reverse):
      // dx[i] = (product before i) * h[i] with h[i] = g[i] + x[i + 1] * h[i + 1]: no division, so zeros are harmless.
      let order = (0..<x.rank).filter { $0 != axis } + [axis]
      let back = order.indices.map { order.firstIndex(of: $0) ?? $0 }
      let turn = reverse ? [x.rank - 1] : []
      let rows = x.permuted(order).flipped(axes: turn)
      let h = Scan.recurrence(rows, g.permuted(order).flipped(axes: turn))
      return .rule([(rows.exclusiveProduct(reverse: false) * h).flipped(axes: turn).permuted(back)])
    }
  }

  /// h[i] = g[i] + x[i + 1] * h[i + 1] along the last axis, in log2(length) doubling steps of elementwise work.
  private static func recurrence(_ x: Tensor, _ g: Tensor) -> Tensor {
    let axis = x.rank - 1
    let length = x.shape[axis]
    /// Element i + amount at i, `fill` beyond the end.
    func ahead(_ t: Tensor, _ amount: Int, _ fill: Double) -> Tensor {
      t.sliced(axis: axis, start: amount, count: length - amount)
        .shifted(axis: axis, by: -amount, length: length, fill: fill)
    }
    if length < 2 { return g }
    var sum = g
    var factor = ahead(x, 1, 0)
    var reach = 1
    while reach < length {
      sum = sum + factor * ahead(sum, reach, 0)
      factor = factor * ahead(factor, reach, 0)
      reach *= 2
    }
    return sum
  }
}
