import KilnEngine

/// Attention (Vaswani et al., 2017): softmax(query key^T * scale + mask) value over the keys.
///
/// query [batch..., heads, queries, features], key [batch..., keyHeads, keys, features] and value
/// [batch..., keyHeads, keys, valueFeatures] to [batch..., heads, queries, valueFeatures], float32 or float64.
/// PyTorch's scaled_dot_product_attention.
///
/// - Parameters:
///   - mask: broadcasts to [batch..., heads, queries, keys]. Bool: true where a key takes part, as in PyTorch's function
///     and in Keras (PyTorch's MultiheadAttention means the opposite). Float: added to the scaled products.
///     A query without any key gives 0.
///   - isCausal: a query sees the keys up to its own position; with fewer queries than keys both begin at 0.
///   - scale: 1 / sqrt(features) by default.
///   - dropout: the probability with which a weight is dropped; pass 0 in evaluation.
///   - keyHeads may be fewer, if they divide the heads: neighbours share a key head (grouped-query attention, Ainslie
///     et al., 2023).
///
/// Without mask and dropout, and with as many key heads as heads, it is `dotProductAttention`, one operation where the
/// device has a kernel for it. Else the products' kernel scales and masks, and a softmax follows. Errors: shapes that
/// do not fit, a mask of integers.
public func scaledDotProductAttention(
  query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil,
  dropout: Double = 0, generator: RandomGenerator = .default
) -> Tensor {
  let isBool = mask?.dtype == .bool
  return attention(
    query: query, key: key, value: value, bias: isBool ? nil : mask, allowed: isBool ? mask : nil, isCausal: isCausal,
    mayBeBlind: isBool, scale: scale, dropout: dropout, generator: generator
  ).output
}

/// [queries, keys] bool: whether key j is not beyond position `from` + i. The number is bound at run time.
func positionMask(queries: Int, keys: Int, from start: Int, on device: Device) -> Tensor {
  let row = Tensor.arange(to: Double(queries), dtype: .int64, on: device).expanded(axis: 1)
  let column = Tensor.arange(to: Double(keys), dtype: .int64, on: device)
  return column .<= (row + Double(start))
}

/// The result and the weights [batch..., heads, queries, keys]. `bias` is added to the scaled products; keys that are
/// not `allowed`, or that come after the query if `isCausal`, have no weight. `mayBeBlind`: a query may have no key at
/// all.
func attention(
  query: Tensor, key: Tensor, value: Tensor, bias: Tensor?, allowed: Tensor?, isCausal: Bool, mayBeBlind: Bool,
  scale: Double?, dropout: Double, generator: RandomGenerator
) -> (output: Tensor, weights: Tensor) {
  let name = "scaledDotProductAttention"
  let masks = [bias, allowed].compactMap { mask in mask.map { ("mask", $0) } }
  let operands = [("query", query), ("key", key), ("value", value)] + masks
  func refuse(_ rule: String, _ fix: String) -> (output: Tensor, weights: Tensor) {
    let bad = Tensor.layerFailure(name, rule: rule, operands: operands, fix: fix, dtype: query.dtype)
    return (bad, bad)
  }
  for (_, operand) in operands where operand.error != nil { return (operand, operand) }
  guard query.rank >= 2, key.rank == query.rank, value.rank == query.rank else {
    return refuse(
      "query, key and value need one rank of at least 2, got \(query.rank), \(key.rank) and \(value.rank)",
      "use [batch, heads, time, features]")
  }
  let rank = query.rank
  let (queries, keys, features) = (query.shape[rank - 2], key.shape[rank - 2], query.shape[rank - 1])
  guard key.shape[rank - 1] == features, value.shape[rank - 2] == keys else {
    return refuse(
      "query and key must have the same features, key and value the same length, got \(query.shape), \(key.shape) "
        + "and \(value.shape)", "the axes are [batch, heads, time, features]")
  }
  let heads = rank > 2 ? query.shape[rank - 3] : 1
  let keyHeads = rank > 2 ? key.shape[rank - 3] : 1
  guard key.shape.dimensions.dropLast(2) == value.shape.dimensions.dropLast(2),
    Array(key.shape.dimensions.dropLast(3)) == Array(query.shape.dimensions.dropLast(3)),
    keyHeads == heads || (keyHeads > 0 && heads % keyHeads == 0)
  else {
    return refuse(
      "batches must be equal and the key heads divide the heads, got \(query.shape), \(key.shape) and \(value.shape)",
      "the axes are [batch, heads, time, features]")
  }
  guard dropout >= 0, dropout < 1 else {
    return refuse("dropout must be in 0..<1, got \(dropout)", "divide percentages by 100")
  }
  let shape = Shape(query.shape.dimensions.dropLast(1) + [keys])
  for (_, mask) in masks {
    guard mask.dtype == .bool || mask.dtype.isFloat, Shape.broadcast(mask.shape, shape) == shape else {
      return refuse(
        "the mask must be bool or float and broadcast to \(shape), got \(mask.shape) \(mask.dtype)",
        "compare integers first, as in `mask .!= 0`")
    }
  }

  let scale = scale ?? 1 / Double(max(features, 1)).squareRoot()
  let isPlain = bias == nil && allowed == nil && dropout == 0 && keyHeads == heads
  var allowed = allowed
  if isCausal {
    let causal = positionMask(queries: queries, keys: keys, from: 0, on: query.device)
    allowed = allowed.map { causal .&& $0 } ?? causal
  }

  // Heads that share keys are more rows of one product: no key is repeated.
  let lead = Array(query.shape.dimensions.dropLast(3))
  let group = keyHeads == 0 ? 1 : heads / keyHeads
  let folded = group == 1 ? query : query.reshaped(to: Shape(lead + [keyHeads, group * queries, features]))
  var scores = matmul(folded, key.transposed()) * scale
  if group != 1 { scores = scores.reshaped(to: shape) }
  if let bias { scores = scores + bias.cast(to: scores.dtype) }
  // A finite number: a row of which nothing is allowed stays finite, and so does its gradient.
  let lowest = query.dtype == .float64 ? -Double.greatestFiniteMagnitude : -Double(Float.greatestFiniteMagnitude)
  if let allowed { scores = select(allowed, scores, lowest) }
  var weights = scores.softmax(axis: -1)
  if dropout > 0 { weights = Dropout(dropout, generator: generator)(weights) }
  // Weights that nobody reads are not computed.
  if isPlain {
    return (dotProductAttention(query: query, key: key, value: value, isCausal: isCausal, scale: scale), weights)
  }
  let rows = group == 1 ? weights : weights.reshaped(to: Shape(lead + [keyHeads, group * queries, keys]))
  var output = matmul(rows, value)
  let valueFeatures = value.shape[rank - 1]
  if group != 1 { output = output.reshaped(to: Shape(lead + [heads, queries, valueFeatures])) }
  if mayBeBlind, keys > 0, let allowed {
    output = select(allowed.cast(to: .int32).max(axes: [-1], keepDims: true) .> 0, output, 0)
  }
  return (output, weights)
}
