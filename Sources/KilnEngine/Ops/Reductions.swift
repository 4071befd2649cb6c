extension Tensor {
  /// A reduction node over axes that the caller knows to be right; the reduced axes stay with size 1.
  func reduced(_ kind: Reduction, _ axes: [Int], file: StaticString? = nil, line: UInt = 0) -> Tensor {
    let result = shape.keepingDims(reducing: axes)
    let dtype: DType = kind == .argmax || kind == .argmin ? .int64 : self.dtype
    return .make(.reduce(kind, axes: axes.sorted()), [self], shape: result, dtype: dtype, file: file, line: line)
  }

  /// Drops the axes that a reduction kept with size 1, unless they are to stay.
  func dropping(_ axes: [Int], unless keepDims: Bool) -> Tensor {
    keepDims || axes.isEmpty ? self : viewed(.reshape(shape.removing(axes)))
  }

  /// The axes that `axes` means: all for `nil`.
  func resolved(_ axes: [Int]?) -> [Int] { axes.map { shape.resolve($0) ?? [] } ?? Array(0..<rank) }

  /// bool and small integers as int64, so that sums do not overflow, as in PyTorch.
  private var widened: Tensor { dtype.isFloat || dtype == .int64 ? self : cast(to: .int64) }

  /// The sum over `axes` (all when `nil`): y = sum of x.
  ///
  /// x [a, b, c] over [1] -> [a, c], or [a, 1, c] with `keepDims`. bool, uint8 and int32 give int64, other dtypes stay.
  /// The sum of nothing is 0. The order of summation depends on the shape alone. Errors: axes out of range or doubled.
  public func sum(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("sum", axes ?? [], file: file, line: line) { return bad }
    let axes = resolved(axes)
    if axes.isEmpty { return widened }
    return widened.reduced(.sum, axes, file: file, line: line).dropping(axes, unless: keepDims)
  }

  /// The product over `axes` (all when `nil`). Shapes, dtypes and errors as `sum`; the product of nothing is 1.
  ///
  /// The gradient is the product of the other elements, right where elements are 0.
  public func product(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("product", axes ?? [], file: file, line: line) { return bad }
    let axes = resolved(axes)
    if axes.isEmpty { return widened }
    return widened.reduced(.product, axes, file: file, line: line).dropping(axes, unless: keepDims)
  }

  /// The greatest element over `axes` (all when `nil`); NaN if there is one. Keeps the dtype.
  ///
  /// Equal greatest elements share the gradient evenly. Errors: as `sum`, and the maximum of nothing.
  public func max(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { extreme("max", .max, axes, keepDims, file, line) }

  /// The least element over `axes` (all when `nil`); otherwise as `max`.
  public func min(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { extreme("min", .min, axes, keepDims, file, line) }

  /// The int64 position of the greatest element along `axis`, or in row-major order of all when `nil`.
  ///
  /// The first of equals wins; NaN counts as greatest. No gradient. Errors: as `max`.
  public func argmax(
    axis: Int? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { extreme("argmax", .argmax, axis.map { [$0] }, keepDims, file, line) }

  /// The int64 position of the least element; NaN counts as least. Otherwise as `argmax`.
  public func argmin(
    axis: Int? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { extreme("argmin", .argmin, axis.map { [$0] }, keepDims, file, line) }

  private func extreme(
    _ name: String, _ kind: Reduction, _ axes: [Int]?, _ keepDims: Bool, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    let isPosition = kind == .argmax || kind == .argmin
    let result: DType = isPosition ? .int64 : dtype
    if let bad = axisFailure(name, axes ?? [], dtype: result, file: file, line: line) { return bad }
    let axes = resolved(axes)
    if let empty = axes.first(where: { shape[$0] == 0 }) {
      return .failure(
        name, rule: "axis \(empty) is empty: nothing has no \(name)", operands: [("x", self)],
        fix: "check that there is data before reducing it",
        shape: keepDims ? shape.keepingDims(reducing: axes) : shape.removing(axes), dtype: result, file: file,
        line: line)
    }
    if axes.isEmpty && !isPosition { return self }
    let source = isPosition && dtype == .bool ? cast(to: .uint8) : self
    if axes.isEmpty { return source.expanded(axis: -1).reduced(kind, [rank]).dropping([rank], unless: false) }
    return source.reduced(kind, axes, file: file, line: line).dropping(axes, unless: keepDims)
  }

  /// Whether any element over `axes` is not 0 (NaN is not 0): bool. Of nothing it is false.
  public func any(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { truth("any", .max, axes, keepDims, ofNothing: 0, file, line) }

  /// Whether all elements over `axes` are not 0: bool. Of nothing it is true.
  public func all(
    axes: [Int]? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { truth("all", .min, axes, keepDims, ofNothing: 1, file, line) }

  private func truth(
    _ name: String, _ kind: Reduction, _ axes: [Int]?, _ keepDims: Bool, ofNothing: Double, _ file: StaticString,
    _ line: UInt
  ) -> Tensor {
    if let bad = axisFailure(name, axes ?? [], dtype: .bool, file: file, line: line) { return bad }
    let axes = resolved(axes)
    let flags = dtype == .bool ? self : self .!= 0
    if axes.isEmpty || flags.error != nil { return flags }
    if axes.contains(where: { shape[$0] == 0 }) {
      let result = shape.keepingDims(reducing: axes)
      return .constant(Scalar(ofNothing, .bool), shape: result, device: device).dropping(axes, unless: keepDims)
    }
    return flags.reduced(kind, axes, file: file, line: line).dropping(axes, unless: keepDims)
  }
}

extension Reduction {
  /// `y` and `g` have the reduced axes with size 1.
  func cotangents(x: Tensor, y: Tensor, g: Tensor, axes: [Int]) -> Cotangents {
    switch self {
    case .sum: return .rule([g.broadcast(to: x.shape)])
    case .max, .min:
      let isExtreme = x .== y
      let ties = isExtreme.cast(to: x.dtype).sum(axes: axes, keepDims: true)
      return .rule([select(isExtreme, g.broadcast(to: x.shape), 0) / ties])
    case .product:
      // Product of the elements before times product of those after: no division, so zeros are harmless.
      let kept = (0..<x.rank).filter { !axes.contains($0) }
      let order = kept + axes
      let rowShape = Shape(kept.map { x.shape[$0] } + [axes.map { x.shape[$0] }.reduce(1, *)])
      let rows = x.permuted(order).reshaped(to: rowShape)
      let others = rows.exclusiveProduct(reverse: false) * rows.exclusiveProduct(reverse: true)
      let column = g.permuted(order).reshaped(to: Shape(rowShape.dimensions.dropLast() + [1]))
      let back = order.indices.map { axis in order.firstIndex(of: axis) ?? axis }
      let result = (column * others).reshaped(to: Shape(order.map { x.shape[$0] })).permuted(back)
      return .rule([result])
    case .argmax, .argmin: return .zero
    }
  }
}
