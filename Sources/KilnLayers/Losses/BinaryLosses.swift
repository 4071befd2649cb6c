import KilnEngine

/// -(t log(p) + (1 - t) log(1 - p)) for probabilities p and targets t in 0...1; one shape, any. PyTorch's BCELoss, Keras'
/// BinaryCrossentropy.
///
/// Logarithms are held at -100 and the gradient's divisor p (1 - p) at 1e-12, as PyTorch does, so that p = 0 and p = 1 give
/// finite numbers. Logits should go to `binaryCrossEntropy(logits:)`, which is exact. p outside 0...1 gives NaN.
public func binaryCrossEntropy(
  probabilities: Tensor, targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("binaryCrossEntropy", probabilities, targets, ("probabilities", "targets")) { return bad }
  @Sendable func bounded(_ logarithm: Tensor) -> Tensor { maximum(logarithm, -100) }
  let losses = customGradient([probabilities, targets.cast(to: probabilities.dtype)]) { x in
    let (p, t) = (x[0], x[1])
    return (t - 1) * bounded(log1p(0 - p)) - t * bounded(log(p))
  } rule: { x, _, g in
    let (p, t) = (x[0], x[1])
    return [g * (p - t) / maximum(p * (1 - p), leastVariance), g * (bounded(log1p(0 - p)) - bounded(log(p)))]
  }
  return reduction(losses, weights: weights, "binaryCrossEntropy")
}

/// The same of the logits x of the probabilities, finite for any finite x:
///
///     (1 - t) * x + (1 + (positiveWeight - 1) * t) * log(1 + exp(-x))
///
/// logits and targets of one shape, any; `positiveWeight` broadcasts ([classes] for the last axis). PyTorch's
/// BCEWithLogitsLoss (`pos_weight`), Keras' BinaryCrossentropy(from_logits).
public func binaryCrossEntropy(
  logits: Tensor, targets: Tensor, positiveWeight: Tensor? = nil, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("binaryCrossEntropy", logits, targets, ("logits", "targets")) { return bad }
  let t = targets.cast(to: logits.dtype)
  return reduction(logitLosses(logits, t, positiveWeight), weights: weights, "binaryCrossEntropy")
}

/// 1e-12 as a single: PyTorch's constant in either precision.
private let leastVariance = Double(Float(1e-12))

private func logitLosses(_ x: Tensor, _ t: Tensor, _ positiveWeight: Tensor?) -> Tensor {
  let cost = softplus(0 - x)
  guard let positiveWeight else { return (1 - t) * x + cost }
  return (1 - t) * x + (1 + (positiveWeight - 1) * t) * cost
}

/// Binary cross-entropy of logits, with less weight on what is right already (Lin et al., 2017):
///
///     a * (1 - q)^gamma * crossEntropy,  q = t p + (1 - t)(1 - p),  a = alpha t + (1 - alpha)(1 - t)
///
/// logits and targets of one shape, any; `alpha` nil leaves `a` out. Finite for any finite logit. torchvision's
/// sigmoid_focal_loss, Keras' BinaryFocalCrossentropy.
public func focalLoss(
  logits: Tensor, targets: Tensor, alpha: Double? = 0.25, gamma: Double = 2, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("focalLoss", logits, targets, ("logits", "targets")) { return bad }
  let t = targets.cast(to: logits.dtype)
  // 1 - q without a difference of near numbers, and held above 0, where a power below 1 has no slope.
  let wrong = maximum(sigmoid(logits) * (1 - t) + sigmoid(0 - logits) * t, 1e-30)
  var losses = logitLosses(logits, t, nil)
  if gamma != 0 { losses = losses * pow(wrong, gamma) }
  if let alpha { losses = losses * (t * alpha + (1 - t) * (1 - alpha)) }
  return reduction(losses, weights: weights, "focalLoss")
}

/// max(0, 1 - t y) for predictions y and targets t of -1 and 1; one shape, any; `isSquared` squares it. Keras' Hinge and
/// SquaredHinge.
public func hingeLoss(
  _ predictions: Tensor, _ targets: Tensor, isSquared: Bool = false, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("hingeLoss", predictions, targets, ("predictions", "targets")) { return bad }
  let losses = (1 - predictions * targets.cast(to: predictions.dtype)).positivePart
  return reduction(isSquared ? square(losses) : losses, weights: weights, "hingeLoss")
}
