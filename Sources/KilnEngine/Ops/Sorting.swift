extension Tensor {
  /// The positions (int64) that sort an axis: a stable order; NaN counts as greatest, as in numpy.
  ///
  /// Keeps the shape. No gradient. Errors: an axis out of range.
  public func argsorted(
    axis: Int = -1, descending: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("argsorted", [axis], dtype: .int64, file: file, line: line) { return bad }
    guard let axis = shape.axis(axis) else { return self }
    let last = rank - 1
    let keys = (dtype == .bool ? cast(to: .uint8) : self).transposed(axis, last)
    let order = Tensor.make(
      .argsort(descending: descending), [keys], shape: keys.shape, dtype: .int64, file: file, line: line)
    return order.transposed(axis, last)
  }

  /// The elements of an axis in ascending or descending order; NaN counts as greatest. Keeps shape and dtype.
  ///
  /// The gradient goes back to where each element came from. Errors: an axis out of range.
  public func sorted(
    axis: Int = -1, descending: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("sorted", [axis], file: file, line: line) { return bad }
    return takenAlong(argsorted(axis: axis, descending: descending, file: file, line: line), axis: axis)
  }

  /// The `k` greatest elements of an axis, greatest first, and their positions (int64).
  ///
  /// x [a, n] -> values and indices [a, k]. Equal elements keep their order; NaN counts as greatest. `largest: false`
  /// gives the least, least first. Errors (both carry it): an axis out of range, k outside 0...n.
  public func topK(
    _ k: Int, axis: Int = -1, largest: Bool = true, file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, indices: Tensor) {
    if let bad = axisFailure("topK", [axis], file: file, line: line) { return (bad, bad) }
    guard let axis = shape.axis(axis), k >= 0, k <= shape[axis] else {
      let length = shape.axis(axis).map { shape[$0] } ?? 0
      let bad = Tensor.failure(
        "topK", rule: "k must be in 0...\(length), the size of axis \(axis), got \(k)", operands: [("x", self)],
        fix: "use a smaller k", dtype: dtype, file: file, line: line)
      return (bad, bad)
    }
    let order = argsorted(axis: axis, descending: largest, file: file, line: line)
    let indices = order.sliced(axis: axis, start: 0, count: k)
    return (takenAlong(indices, axis: axis, file: file, line: line), indices)
  }
}
