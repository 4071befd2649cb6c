import KilnEngine

/// What becomes of the losses of single samples.
public enum LossReduction: Sendable, Hashable {
  case none, mean, sum

  func callAsFunction(_ losses: Tensor) -> Tensor {
    switch self {
    case .none: losses
    case .mean: losses.mean()
    case .sum: losses.sum()
    }
  }
}

/// -log softmax(logits)[label], from logits [..., classes] and integer labels [...]: finite for any finite logits.
///
/// Samples whose label is `ignoreIndex` count neither in the sum nor in the mean's divisor. Any other label outside
/// 0..<classes is an error that names its position, thrown when the loss is evaluated.
public func softmaxCrossEntropy(
  logits: Tensor, labels: Tensor, ignoreIndex: Int? = nil, reduction: LossReduction = .mean
) -> Tensor {
  // No label has this value where none is to be ignored.
  let losses = crossEntropy(
    logits: logits, labels: labels.dtype == .int64 ? labels : labels.cast(to: .int64),
    ignoreIndex: ignoreIndex ?? Int.min)
  guard let ignoreIndex, reduction == .mean else { return reduction(losses) }
  let counted = (labels .!= Double(ignoreIndex)).cast(to: losses.dtype).sum()
  return losses.sum() / counted
}

/// (prediction - target)^2; both of one shape.
public func meanSquaredError(_ predictions: Tensor, _ targets: Tensor, reduction: LossReduction = .mean) -> Tensor {
  reduction(square(predictions - targets))
}
