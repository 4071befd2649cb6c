import KilnEngine

/// How an operand lies in memory.
public enum OperandLayout: String, Sendable, CaseIterable {
  /// Dense, row-major, from the buffer's start.
  case contiguous
  /// The transposed view of what is stored.
  case transposed
  /// Every second element, from 1, of a larger tensor whose other elements are poison.
  case sliced
  /// Stored back to front.
  case flipped
  /// One row for all along axis 0 (stride 0).
  case broadcast
}

/// An operand as it is given to an operation, and the memory behind it.
struct PlacedOperand {
  var tensor: Tensor
  var base: Tensor
  /// The values that the tensor must show.
  var values: NDArray
}

/// `values` (already rounded to `dtype`) as a view of other data; `broadcast` changes the values to repeat a row.
func place(_ values: NDArray, _ layout: OperandLayout, _ dtype: DType, _ device: Device) -> PlacedOperand {
  let rank = values.shape.count
  switch layout {
  case .contiguous:
    let tensor = makeTensor(values.values, values.shape, dtype, device)
    return PlacedOperand(tensor: tensor, base: tensor, values: values)
  case .transposed:
    guard rank >= 2 else { return place(values, .sliced, dtype, device) }
    let order = Array((0..<rank).reversed())
    let stored = Reference.permute(values, order)
    let base = makeTensor(stored.values, stored.shape, dtype, device)
    return PlacedOperand(tensor: base.permuted(order), base: base, values: values)
  case .sliced:
    let poison = dtype.isFloat ? Double.nan : dtype == .bool ? 1 : 77
    if rank == 0 {
      let base = makeTensor([poison, values.values[0], poison], [3], dtype, device)
      return PlacedOperand(tensor: base[1], base: base, values: values)
    }
    // Only the last two axes grow, so that high ranks stay small.
    let grown = Swift.max(0, rank - 2)..<rank
    let shape = values.shape.indices.map { grown.contains($0) ? 2 * values.shape[$0] + 3 : values.shape[$0] }
    let stored = NDArray(shape) { at in
      var index = at
      for axis in grown {
        if at[axis] % 2 == 0 || at[axis] > 2 * values.shape[axis] { return poison }
        index[axis] = (at[axis] - 1) / 2
      }
      return values[index]
    }
    let base = makeTensor(stored.values, shape, dtype, device)
    var view = base
    for axis in grown { view = view.sliced(axis: axis, from: 1, to: 1 + 2 * values.shape[axis], step: 2) }
    return PlacedOperand(tensor: view, base: base, values: values)
  case .flipped:
    let base = makeTensor(values.values.reversed(), values.shape, dtype, device)
    return PlacedOperand(
      tensor: rank == 0 ? base : base.flipped(axes: Array(0..<rank)), base: base, values: values)
  case .broadcast:
    guard rank >= 1, values.shape[0] > 1, values.count > 0 else { return place(values, .contiguous, dtype, device) }
    let row = Reference.pick(values, axis: 0, [0])
    let base = makeTensor(row.values, row.shape, dtype, device)
    let repeated = Reference.broadcast(row, to: values.shape)
    return PlacedOperand(tensor: base.broadcast(to: Shape(values.shape)), base: base, values: repeated)
  }
}

/// A tensor of any dtype from doubles that fit it.
public func makeTensor(_ values: [Double], _ shape: [Int], _ dtype: DType, _ device: Device) -> Tensor {
  let target = Shape(shape)
  return switch dtype {
  case .float32: Tensor(values.map { Float($0) }, shape: target, on: device)
  case .float64: Tensor(values, shape: target, on: device)
  case .int32: Tensor(values.map { Int32(truncatingIfNeeded: whole($0)) }, shape: target, on: device)
  case .int64: Tensor(values.map { whole($0) }, shape: target, on: device)
  case .uint8: Tensor(values.map { UInt8(truncatingIfNeeded: whole($0)) }, shape: target, on: device)
  case .bool: Tensor(values.map { $0 != 0 }, shape: target, on: device)
  }
}
