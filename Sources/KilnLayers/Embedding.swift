import KilnEngine

/// Rows of a table: indices [...] (integers in 0..<words) to [..., features]. PyTorch's and Keras' Embedding.
///
/// The row of `paddingIndex` starts as 0 and has no gradient. The gradient adds the rows of equal indices in their order.
/// Errors: float indices; an index outside the table is an error of the run that names it.
public struct Embedding: Layer {
  /// [words, features].
  public let weight: Parameter
  public let words: Int
  public let features: Int
  /// In 0..<words.
  public let paddingIndex: Int?

  /// By default drawn from the standard normal distribution, as in PyTorch; see `Initializer.Defaults`. A negative
  /// `paddingIndex` counts from the back.
  public init(
    _ words: Int, _ features: Int, paddingIndex: Int? = nil, initializer: Initializer = .embeddingDefault,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    (self.words, self.features) = (words, features)
    let padding = paddingIndex.map { $0 < 0 ? $0 &+ words : $0 }
    self.paddingIndex = padding
    let table = initializer.draw(
      [words, features], Initializer.Fan(inputs: words, outputs: features), dtype, device, generator)
    guard let padding, table.error == nil else {
      weight = Parameter(table)
      return
    }
    guard padding >= 0, padding < words else {
      weight = Parameter(
        .layerFailure(
          "Embedding", rule: "paddingIndex must be in -\(words)..<\(words), got \(padding)",
          operands: [("table", table)],
          fix: "name a row of the table", shape: table.shape, dtype: dtype))
      return
    }
    let rows = Tensor.arange(to: Double(words), dtype: .int64, on: device).expanded(axis: 1)
    weight = Parameter(select(rows .== Double(padding), 0, table))
  }

  /// Indices [...] of any integer dtype to [..., features].
  public func callAsFunction(_ indices: Tensor) -> Tensor {
    observed(indices) {
      let rows = embedding(weight.value, indices)
      guard let paddingIndex, rows.error == nil else { return rows }
      let isPadding = (indices.cast(to: .int64) .== Double(paddingIndex)).expanded(axis: -1)
      return select(isPadding, rows.stopGradient(), rows)
    }
  }
}
