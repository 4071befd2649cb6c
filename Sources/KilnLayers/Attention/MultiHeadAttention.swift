import KilnEngine

/// Attention in several heads (Vaswani et al., 2017), of a sequence to itself or to another one.
///
/// query [batch, queries, features], key [batch, keys, keyFeatures] and value [batch, keys, valueFeatures] to
/// [batch, queries, features]. Parameters as PyTorch's MultiheadAttention names them: in_proj_weight, in_proj_bias (or
/// q_proj_weight, k_proj_weight, v_proj_weight where keys or values have other features) and out_proj. Keras'
/// MultiHeadAttention. Causal and other masks, rotary positions, fewer key heads, a cache for decoding.
public struct MultiHeadAttention: Layer {
  /// [(heads + 2 keyHeads) * headFeatures, features]: rows for the queries, the keys, the values.
  public let inProjWeight: Parameter?
  /// [heads * headFeatures, features].
  public let qProjWeight: Parameter?
  /// [keyHeads * headFeatures, keyFeatures].
  public let kProjWeight: Parameter?
  /// [keyHeads * headFeatures, valueFeatures].
  public let vProjWeight: Parameter?
  /// [(heads + 2 keyHeads) * headFeatures].
  public let inProjBias: Parameter?
  public let outProj: Dense
  public let mode = LayerMode()
  public let features, heads, keyHeads: Int
  public let dropout: Double
  public let rotary: RotaryEmbedding?
  private let generator: RandomGenerator
  private var headFeatures: Int { heads > 0 ? features / heads : 0 }

  /// - Parameters:
  ///   - features: of the queries and the result; `heads` must divide it.
  ///   - keyHeads: of the keys and values; neighbours of the heads share one. `heads` by default.
  ///   - keyFeatures, valueFeatures: `features` by default.
  ///   - dropout: of the attention weights, while training.
  ///   - rotary: turns queries and keys by their positions.
  /// Initialized as PyTorch does: Glorot's uniform, biases 0.
  public init(
    _ features: Int, heads: Int, keyHeads: Int? = nil, keyFeatures: Int? = nil, valueFeatures: Int? = nil,
    dropout: Double = 0, bias: Bool = true, rotary: RotaryEmbedding? = nil, initializer: Initializer = .glorotUniform,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    (self.features, self.heads, self.keyHeads) = (features, heads, keyHeads ?? heads)
    (self.dropout, self.rotary, self.generator) = (dropout, rotary, generator)
    let (keyFeatures, valueFeatures) = (keyFeatures ?? features, valueFeatures ?? features)
    let keyRows = heads > 0 ? features / heads * self.keyHeads : 0
    func draw(_ rows: Int, _ columns: Int) -> Parameter {
      Parameter(initializer.draw([rows, columns], .init(inputs: columns, outputs: rows), dtype, device, generator))
    }
    let isUniform = keyFeatures == features && valueFeatures == features
    inProjWeight = isUniform ? draw(features + 2 * keyRows, features) : nil
    qProjWeight = isUniform ? nil : draw(features, features)
    kProjWeight = isUniform ? nil : draw(keyRows, keyFeatures)
    vProjWeight = isUniform ? nil : draw(keyRows, valueFeatures)
    inProjBias = bias ? Parameter(.zeros([features + 2 * keyRows], dtype: dtype, on: device)) : nil
    outProj = Dense(
      features, features, bias: bias, biasInitializer: .zeros, dtype: dtype, generator: generator, on: device)
  }

  /// Self-attention without a mask: x [batch, time, features], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

  /// Self-attention: x [batch, time, features], same shape out.
  ///
  /// - Parameters:
  ///   - mask: bool (true where a key takes part: the opposite of PyTorch's attn_mask) or float (added); [time, keys],
  ///     [batch, time, keys] or [batch, heads or 1, time, keys].
  ///   - keyMask: [batch, keys], bool, true for real keys: the opposite of PyTorch's key_padding_mask.
  ///   - isCausal: each token sees itself and those before it.
  public func callAsFunction(_ x: Tensor, mask: Tensor?, keyMask: Tensor? = nil, isCausal: Bool = false) -> Tensor {
    self(query: x, key: x, value: x, mask: mask, keyMask: keyMask, isCausal: isCausal)
  }

  /// Attention of `query` to `key` and `value` (`key` by default). Masks as above.
  public func callAsFunction(
    query: Tensor, key: Tensor, value: Tensor? = nil, mask: Tensor? = nil, keyMask: Tensor? = nil,
    isCausal: Bool = false
  ) -> Tensor {
    observed(query, key) {
      attend(query: query, key: key, value: value, mask: mask, keyMask: keyMask, isCausal: isCausal).output
    }
  }

  /// As `callAsFunction`, with the weights [batch, heads, queries, keys].
  public func attend(
    query: Tensor, key: Tensor, value: Tensor? = nil, mask: Tensor? = nil, keyMask: Tensor? = nil,
    isCausal: Bool = false
  ) -> (output: Tensor, weights: Tensor) {
    let value = value ?? key
    if let bad = refusal(query, key, value) { return (bad, bad) }
    var (q, k, v) = projected(query, key, value)
    for part in [q, k, v] where part.error != nil { return (part, part) }
    if let rotary { (q, k) = (rotary(q), rotary(k)) }
    var allowed: Tensor?
    let mask = mask.map { $0.rank == 3 ? $0.expanded(axis: 1) : $0 }
    let isBool = mask?.dtype == .bool
    let masks = [isBool ? mask : nil, keyMask.map(perKey)].compactMap { $0 }
    for mask in masks { allowed = allowed.map { $0 .&& mask } ?? mask }
    return finished(
      q, k, v, bias: isBool ? nil : mask, allowed: allowed, isCausal: isCausal, mayBeBlind: !masks.isEmpty)
  }

  /// Causal self-attention of further tokens x [batch, tokens, features] to themselves and to those in `cache`, which
  /// they join. Same shape out.
  public func callAsFunction(_ x: Tensor, cache: inout KeyValueCache) -> Tensor {
    if let bad = refusal(x, x, x) { return bad }
    var (q, k, v) = projected(x, x, x)
    for part in [q, k, v] where part.error != nil { return part }
    let start = cache.length
    if let rotary { (q, k) = (rotary(q, from: start), rotary(k, from: start)) }
    cache.append(keys: k, values: v)
    let allowed = positionMask(queries: q.shape[2], keys: cache.capacity, from: start, on: q.device)
    return finished(
      q, cache.keys, cache.values, bias: nil, allowed: allowed, isCausal: false, mayBeBlind: false
    ).output
  }

  /// An empty cache for `batch` sequences of up to `capacity` tokens.
  public func makeCache(batch: Int, capacity: Int) -> KeyValueCache {
    let weight = outProj.weight.value
    return KeyValueCache(
      batch: batch, keyHeads: keyHeads, capacity: capacity, features: headFeatures, dtype: weight.dtype,
      on: weight.device)
  }

  // MARK: Parts

  /// [batch, heads, time, headFeatures] of each.
  private func projected(_ query: Tensor, _ key: Tensor, _ value: Tensor) -> (Tensor, Tensor, Tensor) {
    let rows = [heads, keyHeads, keyHeads].map { $0 * headFeatures }
    let starts = [0, rows[0], rows[0] + rows[1], rows[0] + rows[1] + rows[2]]
    /// Parts `range` of queries, keys, values from one product.
    func product(_ x: Tensor, _ range: Range<Int>) -> Tensor {
      let (from, to) = (starts[range.lowerBound], starts[range.upperBound])
      let weight: Tensor
      if let inProjWeight {
        weight = inProjWeight.value.sliced(axis: 0, from: from, to: to)
      } else {
        weight = [qProjWeight, kProjWeight, vProjWeight][range.lowerBound]?.value ?? outProj.weight.value
      }
      return affine(x, weight, inProjBias?.value.sliced(axis: 0, from: from, to: to))
    }
    func split(_ x: Tensor, _ heads: Int) -> Tensor {
      guard x.error == nil, x.rank == 3 else { return x }
      return x.reshaped(to: [x.shape[0], x.shape[1], heads, headFeatures]).permuted([0, 2, 1, 3])
    }
    let isShared = inProjWeight != nil
    if isShared, query.isSame(as: key), key.isSame(as: value) {
      let all = product(query, 0..<3).split(counts: rows, axis: -1)
      return (split(all[0], heads), split(all[1], keyHeads), split(all[2], keyHeads))
    }
    let q = split(product(query, 0..<1), heads)
    if isShared, key.isSame(as: value) {
      let both = product(key, 1..<3).split(counts: Array(rows[1...]), axis: -1)
      return (q, split(both[0], keyHeads), split(both[1], keyHeads))
    }
    return (q, split(product(key, 1..<2), keyHeads), split(product(value, 2..<3), keyHeads))
  }

  private func finished(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, bias: Tensor?, allowed: Tensor?, isCausal: Bool, mayBeBlind: Bool
  ) -> (output: Tensor, weights: Tensor) {
    let (output, weights) = attention(
      query: q, key: k, value: v, bias: bias, allowed: allowed, isCausal: isCausal, mayBeBlind: mayBeBlind,
      scale: nil, dropout: mode.isTraining ? dropout : 0, generator: generator)
    guard output.error == nil else { return (output, weights) }
    let joined = output.permuted([0, 2, 1, 3]).reshaped(to: [output.shape[0], output.shape[2], features])
    return (outProj(joined), weights)
  }

  /// [batch, keys] as [batch, 1, 1, keys].
  private func perKey(_ keyMask: Tensor) -> Tensor {
    guard keyMask.error == nil, keyMask.rank == 2, keyMask.dtype == .bool else {
      return .layerFailure(
        "MultiHeadAttention", rule: "keyMask must be bool [batch, keys], got \(keyMask.shape) \(keyMask.dtype)",
        operands: [("keyMask", keyMask)], fix: "compare it first, as in `keyMask .!= 0`", dtype: .bool)
    }
    return keyMask.reshaped(to: [keyMask.shape[0], 1, 1, keyMask.shape[1]])
  }

  private func refusal(_ query: Tensor, _ key: Tensor, _ value: Tensor) -> Tensor? {
    let operands = [("query", query), ("key", key), ("value", value)]
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      .layerFailure(
        "MultiHeadAttention", rule: rule, operands: operands, fix: fix, shape: query.shape, dtype: query.dtype)
    }
    guard heads > 0, keyHeads > 0, features % heads == 0, heads % keyHeads == 0 else {
      return refuse(
        "heads must divide the features, key heads the heads, got \(features), \(heads) and \(keyHeads)",
        "choose heads that do")
    }
    let keyFeatures = kProjWeight?.shape[1] ?? features
    let valueFeatures = vProjWeight?.shape[1] ?? features
    guard operands.allSatisfy({ $0.1.error == nil && $0.1.rank == 3 }), query.shape[2] == features,
      key.shape[2] == keyFeatures, value.shape[2] == valueFeatures
    else {
      return refuse(
        "needs query [batch, queries, \(features)], key [batch, keys, \(keyFeatures)] and value "
          + "[batch, keys, \(valueFeatures)], got \(query.shape), \(key.shape) and \(value.shape)",
        "put the features on the last axis")
    }
    guard key.shape[0] == query.shape[0], value.shape[0] == query.shape[0], key.shape[1] == value.shape[1] else {
      return refuse(
        "batches and lengths must fit, got \(query.shape), \(key.shape) and \(value.shape)",
        "key and value have one length, all three one batch")
    }
    return nil
  }
}
