extension Tensor {
  /// As int64, which is what devices read.
  var asIndices: Tensor { dtype == .int64 ? self : cast(to: .int64) }

  /// Rows of an axis, chosen by an index tensor of any shape.
  ///
  /// x [a..., n, b...], indices [i...] (int32, int64 or uint8) -> [a..., i..., b...]; keeps the dtype. The gradient is
  /// `scatterAdd`: rows chosen twice get both. Errors: an axis out of range, float indices, an empty axis.
  /// An index outside 0..<n is an error of the run.
  public func gathered(
    _ indices: Tensor, axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { gathered("gathered", indices, axis, file, line) }

  fileprivate func gathered(
    _ name: String, _ indices: Tensor, _ axis: Int, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    if let bad = axisFailure(name, [axis], file: file, line: line) { return bad }
    guard let axis = shape.axis(axis) else { return self }
    let (lead, tail) = (shape.dimensions[..<axis], shape.dimensions[(axis + 1)...])
    let result = Shape(lead + indices.shape.dimensions + tail)
    if let bad = indices.indexFailure(name, shape: result, dtype: dtype, file: file, line: line) { return bad }
    guard shape[axis] > 0 || indices.count == 0 else {
      return .failure(
        name, rule: "axis \(axis) is empty: there is nothing to choose", operands: [("x", self), ("indices", indices)],
        fix: "check that there is data before choosing from it", shape: result, dtype: dtype, file: file, line: line)
    }
    let geometry = Gather(
      kind: .rows, outer: lead.reduce(1, *), length: shape[axis], inner: tail.reduce(1, *), count: indices.count)
    return geometry.node(.rows, self, indices.asIndices, file: file, line: line).viewed(.reshape(result))
  }

  /// One element for each index, along an axis: y[i, j, k] = x[i, indices[i, j, k], k] for axis 1, as numpy's
  /// `take_along_axis`.
  ///
  /// x [a, n, b], indices [a, m, b] (the other axes broadcast) -> [a, m, b]; keeps the dtype. The gradient is
  /// `scatterAddAlong`. Errors: ranks, other axes that do not broadcast, float indices.
  /// An index outside 0..<n is an error of the run.
  public func takenAlong(
    _ indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if let bad = axisFailure("takenAlong", [axis], file: file, line: line) { return bad }
    guard let axis = shape.axis(axis) else { return self }
    let operands = [("x", self), ("indices", indices)]
    func others(_ shape: Shape) -> Shape { shape.keepingDims(reducing: [axis]) }
    guard indices.rank == rank, let common = Shape.broadcast(others(shape), others(indices.shape)) else {
      return .failure(
        "takenAlong", rule: "indices \(indices.shape) do not fit \(shape) beyond axis \(axis)", operands: operands,
        fix: "give indices x's rank, the other axes equal or 1; to choose whole rows use `gathered`", dtype: dtype,
        file: file, line: line)
    }
    var (source, chosen) = (common, common)
    source[axis] = shape[axis]
    chosen[axis] = indices.shape[axis]
    if let bad = indices.indexFailure("takenAlong", shape: chosen, dtype: dtype, file: file, line: line) { return bad }
    guard shape[axis] > 0 || chosen.count == 0 else {
      return .failure(
        "takenAlong", rule: "axis \(axis) is empty: there is nothing to choose", operands: operands,
        fix: "check that there is data before choosing from it", shape: chosen, dtype: dtype, file: file, line: line)
    }
    let geometry = Gather(along: axis, kind: .along, shape: source, count: indices.shape[axis])
    let x = broadcast(to: source, file: file, line: line).reshaped(to: [
      geometry.outer, geometry.length, geometry.inner,
    ])
    let positions = indices.asIndices.broadcast(to: chosen, file: file, line: line)
      .reshaped(to: [geometry.outer, geometry.count, geometry.inner])
    return geometry.node(.along, x, positions, file: file, line: line).viewed(.reshape(chosen))
  }
}

/// Rows of a table: table [words, features], indices [i...] -> [i..., features]; see `gathered`.
public func embedding(
  _ table: Tensor, _ indices: Tensor, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  guard table.rank == 2 else {
    return .failure(
      "embedding", rule: "the table must have 2 axes, got \(table.rank)",
      operands: [("table", table), ("indices", indices)],
      fix: "the table is [words, features], and comes first", dtype: table.dtype, file: file, line: line)
  }
  return table.gathered("embedding", indices, 0, file, line)
}

/// The reverse of `gathered`: rows of `source` are added into zeros at the rows that `indices` names.
///
/// source [a..., i..., b...], indices [i...] -> [a..., count, b...], with i... at `axis`. Rows with one index are added in
/// their order, so the result never varies. Keeps the dtype (any but bool). The gradient is `gathered`.
/// Errors: shapes that do not fit, float indices, a negative count. An index outside 0..<count is an error of the run.
public func scatterAdd(
  _ source: Tensor, _ indices: Tensor, axis: Int = 0, count: Int, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  let operands = [("source", source), ("indices", indices)]
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .failure("scatterAdd", rule: rule, operands: operands, fix: fix, dtype: source.dtype, file: file, line: line)
  }
  let rank = source.rank - indices.rank + 1  // of the result
  let position = axis < 0 ? axis + Swift.max(rank, 0) : axis
  guard rank > 0, position >= 0, position < rank else {
    return refuse(
      "axis \(axis) does not fit a source of rank \(source.rank) and indices of rank \(indices.rank)",
      "source is [a..., i..., b...] with the shape of indices at the axis")
  }
  let dimensions = source.shape.dimensions
  let (lead, tail) = (dimensions[..<position], dimensions[(position + indices.rank)...])
  guard Array(dimensions[position..<(position + indices.rank)]) == indices.shape.dimensions else {
    return refuse(
      "source \(source.shape) must have the shape of indices \(indices.shape) at axis \(position)",
      "give one row of source for each index")
  }
  guard count >= 0, Shape.isRepresentable(Array(lead) + [count] + Array(tail)) else {
    return refuse("count \(count) gives no shape", "count is the size of the result's axis \(position)")
  }
  let result = Shape(lead + [count] + tail)
  if let bad = indices.indexFailure("scatterAdd", shape: result, dtype: source.dtype, file: file, line: line) {
    return bad
  }
  guard source.dtype != .bool else { return refuse("bool has no sums", "use `.cast(to: .int32)`") }
  let geometry = Gather(
    kind: .scatterAddRows, outer: lead.reduce(1, *), length: count, inner: tail.reduce(1, *), count: indices.count)
  return geometry.node(.scatterAddRows, source, indices.asIndices, file: file, line: line).viewed(.reshape(result))
}

/// The reverse of `takenAlong`: y[i, indices[i, j, k], k] += source[i, j, k] for axis 1, into zeros.
///
/// source and indices [a, m, b] -> [a, count, b]. Equal indices add in their order. Keeps the dtype (any but bool).
/// Errors and gradient as `scatterAdd`.
public func scatterAddAlong(
  _ source: Tensor, _ indices: Tensor, axis: Int, count: Int, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  let operands = [("source", source), ("indices", indices)]
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .failure("scatterAddAlong", rule: rule, operands: operands, fix: fix, dtype: source.dtype, file: file, line: line)
  }
  if let bad = source.axisFailure("scatterAddAlong", [axis], label: "source", file: file, line: line) { return bad }
  guard let axis = source.shape.axis(axis), indices.shape == source.shape else {
    return refuse(
      "source \(source.shape) and indices \(indices.shape) must have one shape", "broadcast the smaller one first")
  }
  var result = source.shape
  result[axis] = count
  guard count >= 0, Shape.isRepresentable(result.dimensions) else {
    return refuse("count \(count) gives no shape", "count is the size of the result's axis \(axis)")
  }
  if let bad = indices.indexFailure("scatterAddAlong", shape: result, dtype: source.dtype, file: file, line: line) {
    return bad
  }
  guard source.dtype != .bool else { return refuse("bool has no sums", "use `.cast(to: .int32)`") }
  let geometry = Gather(along: axis, kind: .scatterAddAlong, shape: result, count: source.shape[axis])
  return geometry.node(.scatterAddAlong, source, indices.asIndices, file: file, line: line).viewed(.reshape(result))
}

/// 1 at each index and 0 elsewhere: indices [i...] -> [i..., depth]. An index outside 0..<depth gives a row of zeros.
///
/// Errors: float indices, a negative depth.
public func oneHot(
  _ indices: Tensor, depth: Int, dtype: DType = .float32, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  let result = Shape(indices.shape.dimensions + [Swift.max(depth, 0)])
  if let bad = indices.indexFailure("oneHot", shape: result, dtype: dtype, file: file, line: line) { return bad }
  guard depth >= 0 else {
    return .failure(
      "oneHot", rule: "depth must not be negative, got \(depth)", operands: [("indices", indices)],
      fix: "depth is the number of classes", shape: result, dtype: dtype, file: file, line: line)
  }
  let classes = Tensor.make(.position, [], shape: [depth], dtype: .int64, device: indices.device)
  let hits = indices.asIndices.expanded(axis: -1) .== classes
  return dtype == .bool ? hits : hits.cast(to: dtype)
}

extension Gather {
  /// The geometry of the two kinds that go along an axis of `shape`.
  fileprivate init(along axis: Int, kind: Kind, shape: Shape, count: Int) {
    self.init(
      kind: kind, outer: shape.dimensions[..<axis].reduce(1, *), length: shape[axis],
      inner: shape.dimensions[(axis + 1)...].reduce(1, *), count: count)
  }

  /// A node of any kind over this geometry; zeros where nothing is read or added.
  func node(
    _ kind: Kind, _ data: Tensor, _ indices: Tensor, file: StaticString? = nil, line: UInt = 0
  ) -> Tensor {
    var gather = self
    gather.kind = kind
    let (dataShape, shape): (Shape, Shape) =
      switch kind {
      case .rows, .along: ([outer, length, inner], [outer, count, inner])
      case .scatterAddRows, .scatterAddAlong: ([outer, count, inner], [outer, length, inner])
      }
    let indexShape: Shape =
      switch kind {
      case .rows, .scatterAddRows: [count]
      case .along, .scatterAddAlong: [outer, count, inner]
      }
    if data.error == nil, indices.error == nil, data.device == indices.device, data.count == 0 {
      return .constant(Scalar(0, data.dtype), shape: shape, device: data.device)
    }
    return .make(
      .gather(gather), [data.reshaped(to: dataShape), indices.reshaped(to: indexShape)], shape: shape,
      dtype: data.dtype, file: file, line: line)
  }

  /// Reading and adding are each other's transpose.
  func cotangents(inputs: [Tensor], y: Tensor, g: Tensor) -> Cotangents {
    let transpose: Kind =
      switch kind {
      case .rows: .scatterAddRows
      case .scatterAddRows: .rows
      case .along: .scatterAddAlong
      case .scatterAddAlong: .along
      }
    return .rule([node(transpose, g, inputs[1]), nil])
  }
}
