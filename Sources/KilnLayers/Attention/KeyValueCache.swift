import KilnEngine

/// The keys and values of the tokens that a decoder has seen, so that each new token costs one row instead of all.
///
/// It has room for `capacity` tokens from the start: its shape never changes, so every token runs the same program.
/// Evaluate `tensors` together with what is read of a step, or the steps' graphs pile up.
public struct KeyValueCache: Sendable {
  /// [batch, keyHeads, capacity, features], 0 beyond `length`.
  public private(set) var keys: Tensor
  public private(set) var values: Tensor
  /// The tokens seen.
  public private(set) var length = 0
  public var capacity: Int { keys.rank == 4 ? keys.shape[2] : 0 }
  /// What the next step needs.
  public var tensors: [Tensor] { [keys, values] }

  /// An empty cache.
  public init(
    batch: Int, keyHeads: Int, capacity: Int, features: Int, dtype: DType = .float32, on device: Device = .default
  ) {
    keys = .zeros([batch, keyHeads, capacity, features], dtype: dtype, on: device)
    values = .zeros([batch, keyHeads, capacity, features], dtype: dtype, on: device)
  }

  /// Puts the keys and values [batch, keyHeads, tokens, features] of further tokens in. They are constants to
  /// differentiation. What does not fit becomes an error of the tensors.
  mutating func append(keys newKeys: Tensor, values newValues: Tensor) {
    keys = placed(newKeys.stopGradient(), in: keys)
    values = placed(newValues.stopGradient(), in: values)
    length += newKeys.rank == 4 ? newKeys.shape[2] : 0
  }

  private func placed(_ new: Tensor, in old: Tensor) -> Tensor {
    var wanted = old.shape
    if new.rank == 4, wanted.rank == 4 { wanted[2] = new.shape[2] }
    guard new.error == nil, old.error == nil, new.shape == wanted, length + new.shape[2] <= old.shape[2] else {
      return .layerFailure(
        "KeyValueCache", rule: "\(length) tokens are in \(old.shape), \(new.shape) do not fit",
        operands: [("new", new), ("old", old)], fix: "make a cache of a larger capacity, and of the model's sizes",
        shape: old.shape, dtype: old.dtype)
    }
    let tokens = new.shape[2]
    guard tokens > 0 else { return old }
    // The place is a number of the run, not of the program.
    let offset = Tensor.arange(to: Double(old.shape[2]), dtype: .int64, on: old.device) - Double(length)
    let rows = tokens == 1 ? new : new.gathered(offset.clamped(min: 0, max: Double(tokens - 1)), axis: 2)
    let isNew = ((offset .>= 0) .&& (offset .< Double(tokens))).reshaped(to: [old.shape[2], 1])
    return select(isNew, rows, old)
  }
}
