/// What padding puts around a tensor.
public enum PaddingMode: Hashable, Sendable {
  /// One value; converted to the tensor's dtype.
  case constant(Double)
  /// The elements mirrored at the edge, which is not repeated: cb|abc|ba.
  case reflect
  /// The edge element repeated: aa|abc|cc.
  case edge
}

extension Tensor {
  /// Elements added before and after each axis.
  ///
  /// x [d0, d1, ...] -> [low0 + d0 + high0, ...]; `low` and `high` have one entry for each axis. Keeps the dtype.
  /// Linear; the gradient of a repeated element is the sum over its copies.
  /// Errors: list lengths, negative amounts, reflection by more than size - 1, edge of an empty axis.
  public func padded(
    low: [Int], high: [Int], mode: PaddingMode = .constant(0), file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      .failure("padded", rule: rule, operands: [("x", self)], fix: fix, dtype: dtype, file: file, line: line)
    }
    guard low.count == rank, high.count == rank else {
      return refuse(
        "low and high need one entry for each of \(rank) axes, got \(low) and \(high)",
        "use 0 for axes that stay as they are")
    }
    guard (low + high).allSatisfy({ $0 >= 0 && $0 < Int.max / 64 }) else {
      return refuse("amounts must not be negative, got \(low) and \(high)", "use `.sliced(axis:from:to:)` to cut")
    }
    switch mode {
    case .constant(let value):
      if (low + high).allSatisfy({ $0 == 0 }) { return self }
      let target = Shape((0..<rank).map { low[$0] + shape[$0] + high[$0] })
      return .assembled(
        [self], at: [low], into: target, fill: value, dtype: dtype, device: device, file: file, line: line)
    case .reflect:
      for axis in 0..<rank where Swift.max(low[axis], high[axis]) > Swift.max(shape[axis] - 1, 0) {
        return refuse(
          "axis \(axis) of size \(shape[axis]) can be reflected by at most \(Swift.max(shape[axis] - 1, 0)), "
            + "got \(low[axis]) and \(high[axis])", "pad less, or use mode .edge")
      }
    case .edge:
      for axis in 0..<rank where shape[axis] == 0 && low[axis] + high[axis] > 0 {
        return refuse("axis \(axis) is empty, it has no edge", "use mode .constant(0)")
      }
    }
    var result = self
    for axis in 0..<rank where low[axis] + high[axis] > 0 {
      result = concatenate(result.border(axis, low[axis], high[axis], mode), axis: axis, file: file, line: line)
    }
    return result
  }

  /// What goes before, this tensor, and what goes after, along one axis.
  private func border(_ axis: Int, _ low: Int, _ high: Int, _ mode: PaddingMode) -> [Tensor] {
    let length = shape[axis]
    var parts: [Tensor] = [self]
    if mode == .reflect {
      if low > 0 { parts.insert(sliced(axis: axis, start: low, count: low, step: low > 1 ? -1 : 1), at: 0) }
      if high > 0 { parts.append(sliced(axis: axis, start: length - 2, count: high, step: high > 1 ? -1 : 1)) }
      return parts
    }
    var wide = shape
    if low > 0 {
      wide[axis] = low
      parts.insert(sliced(axis: axis, start: 0, count: 1).broadcast(to: wide), at: 0)
    }
    if high > 0 {
      wide[axis] = high
      parts.append(sliced(axis: axis, start: length - 1, count: 1).broadcast(to: wide))
    }
    return parts
  }
}
