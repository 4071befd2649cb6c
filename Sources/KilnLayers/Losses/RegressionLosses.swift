import KilnEngine

/// (prediction - target)^2; both of one shape, any. PyTorch's MSELoss, Keras' MeanSquaredError.
///
/// In this as in the other losses, `weights` are those of the elements or, shorter by the last axes, of the samples; a
/// mean divides by the number of elements all the same, as PyTorch's losses with `weight` do.
public func meanSquaredError(
  _ predictions: Tensor, _ targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("meanSquaredError", predictions, targets, ("predictions", "targets")) { return bad }
  return reduction(square(predictions - targets), weights: weights, "meanSquaredError")
}

/// |prediction - target|; both of one shape, any; the slope at 0 is 0. PyTorch's L1Loss, Keras' MeanAbsoluteError.
public func meanAbsoluteError(
  _ predictions: Tensor, _ targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("meanAbsoluteError", predictions, targets, ("predictions", "targets")) { return bad }
  return reduction(abs(predictions - targets), weights: weights, "meanAbsoluteError")
}

/// d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), for d = prediction - target; one shape, any. PyTorch's
/// HuberLoss, Keras' Huber. `delta` must be positive.
public func huberLoss(
  _ predictions: Tensor, _ targets: Tensor, delta: Double = 1, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("huberLoss", predictions, targets, ("predictions", "targets")) { return bad }
  guard delta > 0 else {
    return .layerFailure(
      "huberLoss", rule: "delta must be positive, got \(delta)", operands: [("predictions", predictions)],
      fix: "use `meanAbsoluteError` for delta towards 0", dtype: predictions.dtype)
  }
  let distance = abs(predictions - targets)
  // The part within delta: no square of what is far away, which might overflow.
  let near = minimum(distance, delta)
  return reduction(near * (distance - near * 0.5), weights: weights, "huberLoss")
}

/// d^2 / (2 beta) where |d| < beta, else |d| - beta / 2: `huberLoss` divided by its delta; with beta 0 it is
/// `meanAbsoluteError`. One shape, any. PyTorch's SmoothL1Loss.
public func smoothL1Loss(
  _ predictions: Tensor, _ targets: Tensor, beta: Double = 1, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if beta == 0 { return meanAbsoluteError(predictions, targets, weights: weights, reduction: reduction) }
  return huberLoss(predictions, targets, delta: beta, weights: weights, reduction: reduction) / beta
}

/// The negative log likelihood of targets under normal distributions of the given means and variances:
///
///     (log(v) + (target - mean)^2 / v) / 2,  v = max(variance, epsilon);  with `full` also + log(2 pi) / 2
///
/// One shape, any, or the variances with a last axis of 1 or without it. The bound passes the gradient to the variance, as
/// PyTorch's GaussianNLLLoss does. Negative variances count as epsilon (an error in PyTorch).
public func gaussianNLL(
  means: Tensor, targets: Tensor, variances: Tensor, full: Bool = false, epsilon: Double = 1e-6,
  weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("gaussianNLL", means, targets, ("means", "targets")) { return bad }
  let spread =
    variances.rank == means.rank - 1 && variances.shape == Shape(means.shape.dimensions.dropLast())
    ? variances.expanded(axis: -1) : variances
  guard spread.error != nil || Shape.broadcast(spread.shape, means.shape) == means.shape else {
    return .layerFailure(
      "gaussianNLL", rule: "variances \(variances.shape) do not fit means \(means.shape)",
      operands: [("means", means), ("variances", variances)], fix: "give one variance for each mean or each row",
      dtype: means.dtype)
  }
  let bounded = customGradient([spread]) {
    maximum($0[0], epsilon)
  } rule: { _, _, g in
    [g]
  }
  let losses = (log(bounded) + square(means - targets) / bounded) * 0.5
  return reduction(full ? losses + 0.918_938_533_204_672_7 : losses, weights: weights, "gaussianNLL")
}
