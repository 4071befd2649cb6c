import KilnEngine

/// What becomes of the losses of single samples or elements. PyTorch's and Keras' `reduction`.
public enum LossReduction: Sendable, Hashable {
  case none
  /// The sum divided by the number of elements (NaN where there are none).
  case mean
  case sum
  /// The sum divided by the size of the first axis. PyTorch's "batchmean", Keras' "sum_over_batch_size" of element losses.
  case batchMean

  func callAsFunction(_ losses: Tensor) -> Tensor {
    switch self {
    case .none: losses
    case .mean: losses.mean()
    case .sum: losses.sum()
    case .batchMean: losses.sum() / Double(losses.shape.dimensions.first ?? 1)
    }
  }

  /// The losses times the weights, reduced. The divisor stays the number of losses, as with PyTorch's `weight`.
  func callAsFunction(_ losses: Tensor, weights: Tensor?, _ name: String) -> Tensor {
    guard let weights else { return self(losses) }
    // Weights of samples stand at the left: [batch] beside [batch, ...].
    let missing = losses.rank - weights.rank
    let padded = missing > 0 ? Shape(weights.shape.dimensions + [Int](repeating: 1, count: missing)) : weights.shape
    guard weights.error != nil || losses.error != nil || Shape.broadcast(padded, losses.shape) == losses.shape else {
      return .layerFailure(
        name, rule: "weights \(weights.shape) do not fit losses \(losses.shape)",
        operands: [("losses", losses), ("weights", weights)],
        fix: "give one weight for each sample or for each element",
        dtype: losses.dtype)
    }
    return self(losses * weights.reshaped(to: padded).cast(to: losses.dtype))
  }
}

/// An error tensor unless both have one shape: a loss that broadcasts is nearly always a mistake.
func shapeFailure(_ name: String, _ a: Tensor, _ b: Tensor, _ labels: (String, String)) -> Tensor? {
  if a.shape == b.shape || a.error != nil || b.error != nil { return nil }
  return .layerFailure(
    name, rule: "\(labels.0) and \(labels.1) must have one shape, got \(a.shape) and \(b.shape)",
    operands: [(labels.0, a), (labels.1, b)], fix: "reshape one of them; a loss does not broadcast", dtype: a.dtype)
}

/// An error tensor unless x has axes enough.
func rankFailure(_ name: String, _ x: Tensor, _ label: String, atLeast rank: Int) -> Tensor? {
  if x.rank >= rank || x.error != nil { return nil }
  return .layerFailure(
    name, rule: "\(label) must have at least \(rank) axes, got \(x.shape)", operands: [(label, x)],
    fix: "add the missing axes with `.expanded(axis: 0)`", dtype: x.dtype)
}

extension Tensor {
  /// max(0, x), whose slope at 0 is 0.
  var positivePart: Tensor { relu(self) }
}
