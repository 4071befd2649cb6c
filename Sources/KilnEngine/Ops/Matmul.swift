/// The matrix product, by numpy's rules: the last two axes are matrices, those before broadcast.
///
/// a [batch..., m, k], b [batch..., k, n] -> [batch..., m, n]. A vector a [k] counts as [1, k], a vector b [k] as
/// [k, 1]; the added axis is dropped again. Both of one dtype, any but bool, which is kept; integers wrap. k = 0 gives 0.
/// Transposed operands are read in place. Errors: scalars, inner dimensions that differ, batches that do not broadcast,
/// dtypes that differ, bool.
public func matmul(_ a: Tensor, _ b: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
  let operands = [("lhs", a), ("rhs", b)]
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .failure("matmul", rule: rule, operands: operands, fix: fix, dtype: a.dtype, file: file, line: line)
  }
  guard a.rank > 0, b.rank > 0 else {
    return refuse("operands need at least one axis, got ranks \(a.rank) and \(b.rank)", "use `*` to scale by a number")
  }
  let lhs = a.rank == 1 ? a.expanded(axis: 0) : a
  let rhs = b.rank == 1 ? b.expanded(axis: 1) : b
  let (m, k) = (lhs.shape[lhs.rank - 2], lhs.shape[lhs.rank - 1])
  let (inner, n) = (rhs.shape[rhs.rank - 2], rhs.shape[rhs.rank - 1])
  guard k == inner else {
    let fix =
      b.rank > 1 && b.shape[b.rank - 1] == k
      ? "use `matmul(lhs, rhs.transposed())`"
      : a.rank > 1 && a.shape[a.rank - 2] == inner
        ? "use `matmul(lhs.transposed(), rhs)`" : "reshape one so that lhs is [..., m, k] and rhs [..., k, n]"
    return refuse("inner dimensions must be equal, got \(k) and \(inner)", fix)
  }
  let lhsBatch = Shape(Array(lhs.shape.dimensions.dropLast(2)))
  let rhsBatch = Shape(Array(rhs.shape.dimensions.dropLast(2)))
  guard let batch = Shape.broadcast(lhsBatch, rhsBatch) else {
    return refuse(
      "batch dimensions \(lhsBatch) and \(rhsBatch) do not broadcast",
      "from the right, each pair must be equal or one of them 1")
  }
  var result = batch.dimensions
  if a.rank > 1 { result.append(m) }
  if b.rank > 1 { result.append(n) }
  if let bad = Tensor.dtypeFailure("matmul", operands, shape: Shape(result), file: file, line: line) { return bad }
  guard a.dtype != .bool else { return refuse("bool has no products", "use `.cast(to: .float32)`") }
  for operand in [a, b] {
    if let error = operand.error {
      return .carrying(error, shape: Shape(result), dtype: a.dtype, device: a.device)
    }
  }
  // One large product is faster than a batch of small ones, and so is its gradient.
  if rhsBatch.count == 1 && lhs.rank > 2 && rhsBatch.rank <= lhsBatch.rank {
    let rows = lhsBatch.count * m
    let flat = Tensor.make(
      .matmul, [lhs.viewed(.reshape([rows, k])), rhs.viewed(.reshape([k, n]))], shape: [rows, n], dtype: a.dtype,
      file: file, line: line)
    return flat.viewed(.reshape(Shape(result)))
  }
  let product = Tensor.make(
    .matmul,
    [
      lhs.viewed(.broadcast(Shape(batch.dimensions + [m, k]))),
      rhs.viewed(.broadcast(Shape(batch.dimensions + [k, n]))),
    ], shape: Shape(batch.dimensions + [m, n]), dtype: a.dtype, file: file, line: line)
  return product.viewed(.reshape(Shape(result)))
}

enum MatmulGradient {
  /// lhs [batch..., m, k], rhs [batch..., k, n], g [batch..., m, n].
  static func cotangents(lhs: Tensor, rhs: Tensor, g: Tensor) -> Cotangents {
    .rule([matmul(g, rhs.transposed()), matmul(lhs.transposed(), g)])
  }
}
