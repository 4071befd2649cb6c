extension Tensor {
  /// An error tensor when an axis is out of range or named twice; `nil` when all are fine.
  func axisFailure(
    _ operation: String, _ axes: [Int], label: String = "x", dtype: DType? = nil, file: StaticString, line: UInt
  ) -> Tensor? {
    var seen: [Int] = []
    for given in axes {
      let rule: String
      let fix: String
      if let axis = shape.axis(given) {
        guard seen.contains(axis) else {
          seen.append(axis)
          continue
        }
        rule = "axis \(given) is named twice in \(axes)"
        fix = "name each axis once"
      } else {
        rule = "axis \(given) is out of range for rank \(rank)"
        fix = rank == 0 ? "a scalar has no axes; reshape it to [1] first" : "use an axis in -\(rank)..<\(rank)"
      }
      return .failure(
        operation, rule: rule, operands: [(label, self)], fix: fix, dtype: dtype ?? self.dtype, file: file, line: line)
    }
    return nil
  }

  /// An error tensor when this is no float tensor.
  func floatFailure(
    _ operation: String, label: String = "x", shape: Shape? = nil, file: StaticString, line: UInt
  ) -> Tensor? {
    if dtype.isFloat { return nil }
    return .failure(
      operation, rule: "needs float32 or float64, got \(dtype)", operands: [(label, self)],
      fix: "use `.cast(to: .float32)`", shape: shape ?? self.shape, dtype: .float32, file: file, line: line)
  }

  /// An error tensor when this cannot hold indices.
  func indexFailure(
    _ operation: String, label: String = "indices", shape: Shape, dtype: DType, file: StaticString, line: UInt
  ) -> Tensor? {
    if self.dtype.isInteger { return nil }
    return .failure(
      operation, rule: "\(label) must be integers, got \(self.dtype)", operands: [(label, self)],
      fix: "use `.cast(to: .int64)`", shape: shape, dtype: dtype, file: file, line: line)
  }

  /// An error tensor when the operands' dtypes differ.
  static func dtypeFailure(
    _ operation: String, _ operands: [(String, Tensor)], shape: Shape, file: StaticString, line: UInt
  ) -> Tensor? {
    guard let first = operands.first, let other = operands.first(where: { $0.1.dtype != first.1.dtype }) else {
      return nil
    }
    return .failure(
      operation, rule: "operands must have one dtype, got \(first.1.dtype) and \(other.1.dtype)", operands: operands,
      fix: "use `.cast(to: .\(DType.promote(first.1.dtype, other.1.dtype)))` on \(cheaper(first, other))",
      shape: shape, dtype: first.1.dtype, file: file, line: line)
  }

  private static func cheaper(_ a: (String, Tensor), _ b: (String, Tensor)) -> String {
    DType.promote(a.1.dtype, b.1.dtype) == a.1.dtype ? b.0 : a.0
  }
}
