/// Views change the shape or the order of a tensor and move no data. All keep the dtype, accept every dtype and empty
/// tensors, and are linear: the gradient is the inverse view (or the sum over what a broadcast repeated).
extension Tensor {
  /// A view node, or the tensor itself when the view changes nothing.
  func viewed(_ view: View, file: StaticString? = nil, line: UInt = 0) -> Tensor {
    let result = view.resultShape(shape)
    switch view {
    case .reshape, .broadcast: if result == shape { return self }
    case .permute(let axes): if axes == Array(0..<rank) { return self }
    case .slice(let starts, _, let steps):
      if result == shape, starts.allSatisfy({ $0 == 0 }), steps.allSatisfy({ $0 == 1 }) { return self }
    }
    return .make(.view(view), [self], shape: result, dtype: dtype, file: file, line: line)
  }

  /// The same elements in row-major order under another shape.
  ///
  /// x [any] -> [shape], of the same count. One dimension may be -1: it is what the others leave.
  /// Errors: counts that differ, more than one -1, a -1 beside a 0.
  public func reshaped(to target: Shape, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      .failure(
        "reshaped", rule: rule, operands: [("x", self)], fix: fix, shape: target, dtype: dtype, file: file, line: line)
    }
    var dimensions = target.dimensions
    let free = dimensions.indices.filter { dimensions[$0] == -1 }
    if free.count > 1 { return refuse("at most one dimension may be -1, got \(target)", "name all dimensions but one") }
    if let axis = free.first {
      dimensions[axis] = 1
      guard let known = Shape.checkedCount(dimensions) else {
        return refuse("\(target) is not a shape", "use non-negative dimensions and at most one -1")
      }
      guard known > 0 else {
        return refuse("-1 beside a dimension of 0 could be anything in \(target)", "name all dimensions")
      }
      guard count % known == 0 else {
        return refuse(
          "\(count) elements cannot be divided into \(target): \(count) is no multiple of \(known)",
          "use dimensions whose product divides \(count)")
      }
      dimensions[axis] = count / known
    }
    guard let wanted = Shape.checkedCount(dimensions) else {
      return refuse("\(target) is not a shape", "use non-negative dimensions and at most one -1")
    }
    guard wanted == count else {
      return refuse(
        "\(shape) has \(count) elements, \(target) has \(wanted)",
        "use a shape of \(count) elements, or -1 for one axis")
    }
    return viewed(.reshape(Shape(dimensions)), file: file, line: line)
  }

  /// The axes in another order: axis `d` of the result is axis `axes[d]` of `self`, as numpy's `transpose`.
  ///
  /// Errors: `axes` is no permutation of all axes (each may be counted from the back).
  public func permuted(_ axes: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    guard axes.count == rank, let order = shape.resolve(axes) else {
      return .failure(
        "permuted", rule: "axes must name each of \(rank) axes once, got \(axes)", operands: [("x", self)],
        fix: "use an order of \(Array(0..<rank))", shape: shape, dtype: dtype, file: file, line: line)
    }
    return viewed(.permute(order), file: file, line: line)
  }

  /// Two axes exchanged, by default the last two.
  ///
  /// Errors: an axis out of range.
  public func transposed(_ a: Int = -2, _ b: Int = -1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    for axis in [a, b] {
      if let bad = axisFailure("transposed", [axis], file: file, line: line) { return bad }
    }
    var order = Array(0..<rank)
    guard let first = shape.axis(a), let second = shape.axis(b) else { return self }
    order.swapAt(first, second)
    return viewed(.permute(order), file: file, line: line)
  }

  /// Repeated along axes of size 1 and new leading axes, by numpy's rule, without a copy.
  ///
  /// Errors: a dimension that is neither 1 nor the target's.
  public func broadcast(to target: Shape, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    guard Shape.isRepresentable(target.dimensions), Shape.broadcast(shape, target) == target else {
      return .failure(
        "broadcast", rule: "\(shape) does not broadcast to \(target)", operands: [("x", self)],
        fix: "from the right, each dimension must be 1 or the target's; use `.expanded(axis:)` to line them up",
        shape: target, dtype: dtype, file: file, line: line)
    }
    return viewed(.broadcast(target), file: file, line: line)
  }

  /// A part of one axis, by Python's rules: `from` and `to` may count from the back and are cut to the axis; a negative
  /// `step` walks backwards.
  ///
  /// Example: `x.sliced(axis: 0, step: -1)` flips axis 0. Errors: an axis out of range, a step of 0.
  public func sliced(
    axis: Int, from: Int? = nil, to: Int? = nil, step: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("sliced", [axis], file: file, line: line) { return bad }
    guard step != 0 else {
      return .failure(
        "sliced", rule: "step must not be 0", operands: [("x", self)], fix: "use 1, or -1 to walk backwards",
        shape: shape, dtype: dtype, file: file, line: line)
    }
    guard let axis = shape.axis(axis) else { return self }
    let length = shape[axis]
    // Where a bound may lie: 0...length forwards, -1...length-1 backwards.
    let (low, high) = step > 0 ? (0, length) : (-1, length - 1)
    func bound(_ given: Int?, _ otherwise: Int) -> Int {
      guard let given else { return otherwise }
      return Swift.min(Swift.max(given < 0 ? given + length : given, low), high)
    }
    let start = bound(from, step > 0 ? low : high)
    let stop = bound(to, step > 0 ? high : low)
    let span = step > 0 ? stop - start : start - stop
    let taken = span <= 0 ? 0 : Int(UInt(span - 1) / step.magnitude) + 1
    return sliced(axis: axis, start: taken == 0 ? 0 : start, count: taken, step: taken < 2 ? 1 : step)
  }

  /// `count` elements from `start`, `step` apart, along one axis; all known to be right.
  func sliced(axis: Int, start: Int, count: Int, step: Int = 1) -> Tensor {
    var starts = [Int](repeating: 0, count: rank)
    var steps = [Int](repeating: 1, count: rank)
    var counts = shape.dimensions
    (starts[axis], counts[axis], steps[axis]) = (start, count, step)
    return viewed(.slice(starts: starts, counts: counts, steps: steps))
  }

  /// Row `index` of axis 0, without that axis; negative indices count from the back.
  ///
  /// Errors: a scalar, an index out of range.
  public subscript(index: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if let bad = axisFailure("subscript", [0], file: file, line: line) { return bad }
    let length = shape[0]
    let row = index < 0 ? index + length : index
    let rest = Shape(Array(shape.dimensions.dropFirst()))
    guard row >= 0, row < length else {
      return .failure(
        "subscript", rule: "index \(index) is out of range for an axis of \(length)", operands: [("x", self)],
        fix: length == 0 ? "the axis is empty" : "use an index in -\(length)..<\(length)", shape: rest, dtype: dtype,
        file: file, line: line)
    }
    return sliced(axis: 0, start: row, count: 1).viewed(.reshape(rest))
  }

  /// Rows of axis 0. Unlike `sliced(axis:from:to:step:)` the bounds must lie inside the axis.
  ///
  /// Errors: a scalar, a bound out of range.
  public subscript(range: Range<Int>, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rows(range.lowerBound, range.upperBound, "\(range)", file, line)
  }

  public subscript(range: ClosedRange<Int>, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rows(range.lowerBound, range.upperBound &+ 1, "\(range)", file, line)
  }

  public subscript(range: PartialRangeFrom<Int>, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rows(range.lowerBound, nil, "\(range.lowerBound)...", file, line)
  }

  public subscript(range: PartialRangeUpTo<Int>, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rows(0, range.upperBound, "..<\(range.upperBound)", file, line)
  }

  public subscript(range: PartialRangeThrough<Int>, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rows(0, range.upperBound &+ 1, "...\(range.upperBound)", file, line)
  }

  private func rows(_ low: Int, _ high: Int?, _ words: String, _ file: StaticString, _ line: UInt) -> Tensor {
    if let bad = axisFailure("subscript", [0], file: file, line: line) { return bad }
    let high = high ?? shape[0]
    guard low >= 0, low <= high, high <= shape[0] else {
      return .failure(
        "subscript", rule: "range \(words) is not inside 0..<\(shape[0])", operands: [("x", self)],
        fix: "use a range inside it, or `.sliced(axis:from:to:)`, which cuts its bounds", dtype: dtype, file: file,
        line: line)
    }
    return sliced(axis: 0, start: low == high ? 0 : low, count: high - low)
  }

  /// The elements in reverse order along `axes`.
  ///
  /// Errors: an axis out of range or named twice.
  public func flipped(axes: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if let bad = axisFailure("flipped", axes, file: file, line: line) { return bad }
    let flip = shape.resolve(axes) ?? []
    let starts = (0..<rank).map { flip.contains($0) ? Swift.max(shape[$0] - 1, 0) : 0 }
    let steps = (0..<rank).map { flip.contains($0) && shape[$0] > 1 ? -1 : 1 }
    return viewed(.slice(starts: starts, counts: shape.dimensions, steps: steps), file: file, line: line)
  }

  /// Without the listed axes, each of which must have size 1.
  ///
  /// Errors: an axis out of range, named twice, or of another size.
  public func squeezed(axes: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if let bad = axisFailure("squeezed", axes, file: file, line: line) { return bad }
    let listed = shape.resolve(axes) ?? []
    if let axis = listed.first(where: { shape[$0] != 1 }) {
      return .failure(
        "squeezed", rule: "axis \(axis) has size \(shape[axis]), not 1", operands: [("x", self)],
        fix: "leave it out, or pick one row of it with `.sliced(axis:from:to:)`", shape: shape.removing(listed),
        dtype: dtype, file: file, line: line)
    }
    return viewed(.reshape(shape.removing(listed)), file: file, line: line)
  }

  /// Without all axes of size 1.
  public func squeezed() -> Tensor { viewed(.reshape(shape.removing((0..<rank).filter { shape[$0] == 1 }))) }

  /// With a new axis of size 1 at position `axis` of the result; -1 is the last.
  ///
  /// Errors: a position out of range.
  public func expanded(axis: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    let position = axis < 0 ? axis + rank + 1 : axis
    guard position >= 0, position <= rank else {
      return .failure(
        "expanded", rule: "axis \(axis) is out of range for a result of rank \(rank + 1)", operands: [("x", self)],
        fix: "use an axis in -\(rank + 1)...\(rank)", dtype: dtype, file: file, line: line)
    }
    var dimensions = shape.dimensions
    dimensions.insert(1, at: position)
    return viewed(.reshape(Shape(dimensions)), file: file, line: line)
  }

  /// The axes from `first` on made one, row-major. A scalar becomes [1].
  ///
  /// x [a, b, c, d] with `from: 1` -> [a, b * c * d]. Errors: an axis out of range.
  public func flattened(from first: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if rank == 0 && (first == 0 || first == -1) { return viewed(.reshape([1]), file: file, line: line) }
    if let bad = axisFailure("flattened", [first], file: file, line: line) { return bad }
    let axis = shape.axis(first) ?? 0
    let tail = shape.dimensions[axis...].reduce(1, *)
    return viewed(.reshape(Shape(Array(shape.dimensions[..<axis]) + [tail])), file: file, line: line)
  }

  /// Repeated as a whole `counts[d]` times along axis `d`, as numpy's `tile`; shorter lists are filled with 1 in front.
  ///
  /// x [2, 3] tiled [4, 1] -> [8, 3]. Errors: a negative count, a result too large.
  public func tiled(_ counts: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    let depth = Swift.max(rank, counts.count)
    let times = [Int](repeating: 1, count: depth - counts.count) + counts
    let sizes = [Int](repeating: 1, count: depth - rank) + shape.dimensions
    var result: [Int] = []
    for (n, size) in zip(times, sizes) {
      let (product, overflow) = n.multipliedReportingOverflow(by: size)
      result.append(overflow ? -1 : product)
    }
    guard times.allSatisfy({ $0 >= 0 }), Shape.isRepresentable(result) else {
      return .failure(
        "tiled", rule: "counts \(counts) give no shape", operands: [("x", self)], fix: "use non-negative counts",
        dtype: dtype, file: file, line: line)
    }
    if times.allSatisfy({ $0 == 1 }) { return viewed(.reshape(Shape(sizes)), file: file, line: line) }
    // [a, b] -> [1, a, 1, b] -> [m, a, n, b] -> [m * a, n * b]
    return viewed(.reshape(Shape(sizes.flatMap { [1, $0] })), file: file, line: line)
      .viewed(.broadcast(Shape(zip(times, sizes).flatMap { [$0, $1] })))
      .viewed(.reshape(Shape(result)))
  }
}

extension View {
  /// The cotangent of `x` given that of the view of `x`.
  func cotangent(of x: Tensor, g: Tensor) -> Tensor {
    switch self {
    case .reshape: return g.reshaped(to: x.shape)
    case .permute(let axes):
      var inverse = axes
      for (position, axis) in axes.enumerated() { inverse[axis] = position }
      return g.permuted(inverse)
    case .broadcast(let target):
      let lead = target.rank - x.rank
      let repeated = (0..<target.rank).filter { $0 < lead || (x.shape[$0 - lead] == 1 && target[$0] != 1) }
      return g.sum(axes: repeated, keepDims: true).reshaped(to: x.shape)
    case .slice(let starts, let counts, let steps):
      if g.count == 0 { return .zeros(x.shape, dtype: g.dtype, on: g.device) }
      // An assembly places pieces forwards: where the slice walked backwards, g is turned round.
      let backwards = steps.indices.filter { steps[$0] < 0 }
      let forwards = steps.indices.map { axis in
        steps[axis] < 0 ? starts[axis] + (counts[axis] - 1) * steps[axis] : starts[axis]
      }
      return .assembled(
        [g.flipped(axes: backwards)], at: [forwards], steps: [steps.map { Swift.abs($0) }], into: x.shape, fill: 0,
        dtype: g.dtype, device: g.device)
    }
  }
}
