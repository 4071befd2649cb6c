extension Tensor {
  /// An assembly node of pieces that the caller knows to fit. Pieces without elements are left out.
  static func assembled(
    _ pieces: [Tensor], at starts: [[Int]], steps: [[Int]]? = nil, into shape: Shape, fill: Double, dtype: DType,
    device: Device, file: StaticString? = nil, line: UInt = 0
  ) -> Tensor {
    for piece in pieces {
      if let error = piece.error { return carrying(error, shape: shape, dtype: dtype, device: device) }
    }
    let used = pieces.indices.filter { pieces[$0].count > 0 }
    let value = Scalar(fill, dtype)
    guard !used.isEmpty, Shape.isRepresentable(shape.dimensions) else {
      return make(.constant(value), [], shape: shape, dtype: dtype, device: device, file: file, line: line)
    }
    let ones = [Int](repeating: 1, count: shape.rank)
    let assembly = Assembly(
      shape: shape, starts: used.map { starts[$0] }, steps: used.map { steps?[$0] ?? ones }, fill: value)
    return make(
      .assemble(assembly), used.map { pieces[$0] }, shape: shape, dtype: dtype, device: device, file: file, line: line)
  }

  /// This tensor followed by others along an axis; see the free function `concatenate(_:axis:)`.
  public func concatenated(
    _ others: [Tensor], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { concatenate([self] + others, axis: axis, file: file, line: line) }

  /// Parts of sizes `counts` along an axis, in order.
  ///
  /// The parts are views. Errors (every part carries it): counts that are negative or do not add up to the axis.
  public func split(counts: [Int], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    let parts = Swift.max(counts.count, 1)
    if let bad = axisFailure("split", [axis], file: file, line: line) { return [Tensor](repeating: bad, count: parts) }
    let length = shape.axis(axis).map { shape[$0] } ?? 0
    var total = 0
    for count in counts where total >= 0 {
      let (sum, overflow) = total.addingReportingOverflow(count)
      total = overflow || count < 0 ? -1 : sum
    }
    guard total == length, let axis = shape.axis(axis) else {
      let bad = Tensor.failure(
        "split", rule: "counts \(counts) must be non-negative and add up to \(length), the size of axis \(axis)",
        operands: [("x", self)], fix: "change the counts, or slice first", dtype: dtype, file: file, line: line)
      return [Tensor](repeating: bad, count: parts)
    }
    var start = 0
    return counts.map { count in
      defer { start += count }
      return sliced(axis: axis, start: count == 0 ? 0 : start, count: count)
    }
  }

  /// `parts` parts of equal size along an axis.
  ///
  /// Errors (every part carries it): the axis is no multiple of `parts`, or `parts` is not positive.
  public func split(into parts: Int, axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    if let bad = axisFailure("split", [axis], file: file, line: line) {
      return [Tensor](repeating: bad, count: Swift.min(Swift.max(parts, 1), 1 << 16))
    }
    let length = shape.axis(axis).map { shape[$0] } ?? 0
    guard parts > 0, length % parts == 0, parts <= Swift.max(length, 1 << 16) else {
      let bad = Tensor.failure(
        "split", rule: "axis \(axis) of size \(length) cannot be split into \(parts) equal parts",
        operands: [("x", self)], fix: "use `split(counts:axis:)` for parts of different sizes", dtype: dtype,
        file: file, line: line)
      return [Tensor](repeating: bad, count: Swift.min(Swift.max(parts, 1), 1 << 16))
    }
    return split(counts: [Int](repeating: length / parts, count: parts), axis: axis, file: file, line: line)
  }
}

/// Tensors one after another along an existing axis.
///
/// n x [..., a_i, ...] -> [..., sum of a_i, ...]. Dtypes promote (bool < uint8 < int32 < int64 < float32 < float64).
/// Errors: no tensors, an axis out of range, ranks or other dimensions that differ.
public func concatenate(
  _ tensors: [Tensor], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  guard let first = tensors.first else {
    return .failure(
      "concatenate", rule: "there are no tensors", fix: "give at least one, or use `Tensor.zeros` for an empty one",
      file: file, line: line)
  }
  let operands = tensors.prefix(8).enumerated().map { ("operand \($0.offset)", $0.element) }
  let dtype = tensors.dropFirst().reduce(first.dtype) { DType.promote($0, $1.dtype) }
  for tensor in tensors {
    if let error = tensor.error { return .carrying(error, shape: first.shape, dtype: dtype, device: first.device) }
  }
  if let bad = first.axisFailure("concatenate", [axis], label: "operand 0", dtype: dtype, file: file, line: line) {
    return bad
  }
  guard let axis = first.shape.axis(axis) else { return first }
  var shape = first.shape
  var starts: [[Int]] = []
  shape[axis] = 0
  for (position, tensor) in tensors.enumerated() {
    guard tensor.rank == first.rank, (0..<first.rank).allSatisfy({ $0 == axis || tensor.shape[$0] == first.shape[$0] })
    else {
      return .failure(
        "concatenate",
        rule: "operand \(position) has shape \(tensor.shape), which differs from \(first.shape) beyond axis \(axis)",
        operands: operands, fix: "make all other dimensions equal, or concatenate along another axis", dtype: dtype,
        file: file, line: line)
    }
    var start = [Int](repeating: 0, count: first.rank)
    start[axis] = shape[axis]
    starts.append(start)
    let (sum, overflow) = shape[axis].addingReportingOverflow(tensor.shape[axis])
    shape[axis] = overflow ? -1 : sum
    if overflow { break }
  }
  guard Shape.isRepresentable(shape.dimensions) else {
    return .failure(
      "concatenate", rule: "the result would have too many elements", operands: operands,
      fix: "concatenate fewer or smaller tensors", dtype: dtype, file: file, line: line)
  }
  if let other = tensors.first(where: { $0.device != first.device }) {
    return .failure(
      "concatenate", rule: "all operands must be on one device, got \(first.device) and \(other.device)",
      operands: operands, fix: "move them together with `.to(device)`", shape: shape, dtype: dtype, file: file,
      line: line)
  }
  if tensors.count == 1 { return first }
  return .assembled(
    tensors.map { $0.dtype == dtype ? $0 : $0.cast(to: dtype) }, at: starts, into: shape, fill: 0, dtype: dtype,
    device: first.device, file: file, line: line)
}

/// Tensors of one shape along a new axis.
///
/// n x [a, b] with axis 0 -> [n, a, b]; -1 is the last axis of the result. Dtypes promote.
/// Errors: no tensors, shapes that differ, an axis out of range.
public func stack(_ tensors: [Tensor], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
  guard let first = tensors.first else {
    return .failure("stack", rule: "there are no tensors", fix: "give at least one", file: file, line: line)
  }
  if let position = tensors.firstIndex(where: { $0.shape != first.shape }) {
    return .failure(
      "stack", rule: "all shapes must be equal, operand \(position) has \(tensors[position].shape), not \(first.shape)",
      operands: tensors.prefix(8).enumerated().map { ("operand \($0.offset)", $0.element) },
      fix: "reshape or broadcast them first, or use `concatenate`", dtype: first.dtype, file: file, line: line)
  }
  let position = axis < 0 ? axis + first.rank + 1 : axis
  guard position >= 0, position <= first.rank else {
    return .failure(
      "stack", rule: "axis \(axis) is out of range for a result of rank \(first.rank + 1)",
      operands: [("operand 0", first)], fix: "use an axis in -\(first.rank + 1)...\(first.rank)", dtype: first.dtype,
      file: file, line: line)
  }
  return concatenate(tensors.map { $0.expanded(axis: position) }, axis: position, file: file, line: line)
}

extension Assembly {
  /// Each piece's cotangent is the part of `g` where the piece was placed.
  func cotangents(inputs: [Tensor], g: Tensor) -> [Tensor] {
    inputs.indices.map { i in
      g.viewed(.slice(starts: starts[i], counts: inputs[i].shape.dimensions, steps: steps[i]))
    }
  }
}
