/// Scaled dot-product attention (Vaswani et al., 2017): softmax(query key^T * scale) value over the keys.
///
/// query [batch..., queries, features], key [batch..., keys, features] and value [batch..., keys, valueFeatures] to
/// [batch..., queries, valueFeatures], of one dtype, float32 or float64; the batch axes are equal. With `isCausal`
/// query i sees the keys 0...i; the scale is part of the program, not a number that may change from step to step.
/// Weights are those of `softmax`: shifted by the largest product, so that they never overflow. No keys give 0.
///
/// Devices with a kernel of their own hold no [queries, keys] matrix in memory, compute it a second time for the
/// gradient, and do not look at keys that a query does not see: what those hold, NaN as well, changes nothing.
/// Elsewhere, and with `EngineOptions.fusion` off, it is the composition of products and a softmax.
///
/// Errors: integers, ranks below 2, shapes that do not fit, dtypes that differ.
public func dotProductAttention(
  query: Tensor, key: Tensor, value: Tensor, isCausal: Bool = false, scale: Double, file: StaticString = #fileID,
  line: UInt = #line
) -> Tensor {
  let operands = [("query", query), ("key", key), ("value", value)]
  func refuse(_ rule: String) -> Tensor {
    .failure(
      "dotProductAttention", rule: rule, operands: operands,
      fix: "the axes are [batch..., time, features]; reshape or broadcast first", dtype: query.dtype, file: file,
      line: line)
  }
  for (_, operand) in operands where operand.error != nil { return operand }
  let rank = query.rank
  guard rank >= 2, key.rank == rank, value.rank == rank else {
    return refuse("query, key and value need one rank of at least 2, got \(rank), \(key.rank) and \(value.rank)")
  }
  let lead = Array(query.shape.dimensions.dropLast(2))
  guard lead == Array(key.shape.dimensions.dropLast(2)), lead == Array(value.shape.dimensions.dropLast(2)),
    key.shape[rank - 1] == query.shape[rank - 1], value.shape[rank - 2] == key.shape[rank - 2]
  else {
    return refuse(
      "batch axes must be equal, query and key have the same features, key and value the same length, got "
        + "\(query.shape), \(key.shape) and \(value.shape)")
  }
  let result = Shape(lead + [query.shape[rank - 2], value.shape[rank - 1]])
  if let bad = query.floatFailure("dotProductAttention", label: "query", shape: result, file: file, line: line) {
    return bad
  }
  if let bad = Tensor.dtypeFailure("dotProductAttention", operands, shape: result, file: file, line: line) {
    return bad
  }
  let attention = Attention(isGradient: false, isCausal: isCausal, scale: scale)
  let isEmpty = [query, key, value].contains { $0.count == 0 }
  guard EngineOptions.current.fusion, query.device.driver.fusesAttention, !isEmpty else {
    return attention.plain(query, key, value)
  }
  // The last batch axis, the heads, comes behind the rows, which is how the layer that follows wants them.
  let inputs = rank == 2 ? [query, key, value].map { $0.expanded(axis: 0) } : [query, key, value]
  let rows = attention.make(inputs, file: file, line: line)
  return Attention.swapped(rows).reshaped(to: result)
}

extension Attention {
  /// [batch..., rows, heads, features] as [batch..., heads, rows, features], and back.
  static func swapped(_ x: Tensor) -> Tensor { x.transposed(-3, -2) }

  /// Shape of the result: of the gradient, where query, key and value are of one shape, the three side by side as a
  /// packed projection has them, [batch..., time, 3, heads, features]; else one after another in a vector.
  func resultShape(_ q: Shape, _ k: Shape, _ v: Shape) -> Shape {
    let batch = Array(q.dimensions.dropLast(3))
    let (heads, queries) = (q[q.rank - 3], q[q.rank - 2])
    if !isGradient { return Shape(batch + [queries, heads, v[v.rank - 1]]) }
    if q == k, k == v { return Shape(batch + [queries, 3, heads, q[q.rank - 1]]) }
    return [q.count + k.count + v.count]
  }

  /// Where the gradients of query, key and value lie in the gradient's result, each over its own axes.
  static func gradientLayouts(_ q: Shape, _ k: Shape, _ v: Shape) -> [Layout] {
    guard q == k, k == v else {
      return [
        Layout(contiguous: q), Layout(contiguous: k, offset: q.count), Layout(contiguous: v, offset: q.count + k.count),
      ]
    }
    let rank = q.rank
    let (heads, width) = (q[rank - 3], q[rank - 1])
    var layout = Layout(contiguous: q)
    // Batch axes step by whole samples of three, rows by three times all heads, heads by their features.
    for axis in 0..<(rank - 3) { layout.strides[axis] *= 3 }
    layout.strides[rank - 3] = width
    layout.strides[rank - 2] = 3 * heads * width
    return (0..<3).map { part in
      var layout = layout
      layout.offset = part * heads * width
      return layout
    }
  }

  /// The operation's node; inputs have a rank of at least 3.
  func make(_ inputs: [Tensor], file: StaticString? = nil, line: UInt = 0) -> Tensor {
    let shapes = inputs.map(\.shape)
    return .make(
      .attention(self), inputs, shape: resultShape(shapes[0], shapes[1], shapes[2]), dtype: inputs[0].dtype,
      file: file, line: line)
  }

  // MARK: The plain composition

  /// softmax of the masked products: [batch..., heads, queries, keys].
  private func weights(_ q: Tensor, _ k: Tensor) -> Tensor {
    let products = matmul(q, k.transposed()) * scale
    guard isCausal else { return products.softmax() }
    let (queries, keys) = (q.shape[q.rank - 2], k.shape[k.rank - 2])
    let row = Tensor.arange(to: Double(queries), dtype: .int64, on: q.device).expanded(axis: 1)
    let isSeen = Tensor.arange(to: Double(keys), dtype: .int64, on: q.device) .<= row
    return select(isSeen, products, -.infinity).softmax()
  }

  /// What the fused operation must agree with: [batch..., queries, valueFeatures].
  func plain(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor { matmul(weights(q, k), v) }

  /// The gradient's result by products and sums; g as the forward result lies.
  private func plainGradient(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ g: Tensor) -> Tensor {
    let p = weights(q, k)
    let g = Self.swapped(g)
    let h = matmul(g, v.transposed())
    let slope = p * (h - (p * h).sum(axes: [-1], keepDims: true)) * scale
    let parts = [matmul(slope, k), matmul(slope.transposed(), q), matmul(p.transposed(), g)]
    if q.shape == k.shape, k.shape == v.shape { return stack(parts.map(Self.swapped), axis: q.rank - 2) }
    return concatenate(parts.map { $0.reshaped(to: [$0.count]) })
  }

  func cotangents(inputs: [Tensor], g: Tensor) -> Cotangents {
    if isGradient {
      return .ofPlain(inputs, g) { self.plainGradient($0[0], $0[1], $0[2], $0[3]) }
    }
    var gradient = self
    gradient.isGradient = true
    let all = gradient.make(inputs + [g])
    let shapes = inputs.map(\.shape)
    if shapes[0] == shapes[1], shapes[1] == shapes[2] {
      let axis = all.rank - 3
      return .rule((0..<3).map { Self.swapped(all.sliced(axis: axis, from: $0, to: $0 + 1).squeezed(axes: [axis])) })
    }
    var start = 0
    return .rule(
      inputs.map { input in
        defer { start += input.count }
        return all.sliced(axis: 0, from: start, to: start + input.count).reshaped(to: input.shape)
      })
  }
}
