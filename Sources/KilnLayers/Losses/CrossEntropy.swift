import KilnEngine

/// -log softmax(logits)[label], from logits [..., classes] and integer labels [...]: finite for any finite logits.
///
/// Samples whose label is `ignoreIndex` count neither in the sum nor in the mean's divisor. Any other label outside
/// 0..<classes is an error that names its position, thrown when the loss is evaluated.
///
/// `labelSmoothing` s trains towards (1 - s) of the label and s / classes of every class. `classWeights` [classes] multiply
/// each class' term; the mean is then divided by the sum of the labels' weights, as PyTorch does. `weights` [...] are the
/// samples', and do not change the divisor. Where all labels are ignored (or there are no samples) the mean is 0 / 0 =
/// NaN, as PyTorch's. PyTorch's CrossEntropyLoss (there the classes are axis 1), Keras' SparseCategoricalCrossentropy.
public func softmaxCrossEntropy(
  logits: Tensor, labels: Tensor, classWeights: Tensor? = nil, ignoreIndex: Int? = nil, labelSmoothing: Double = 0,
  weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  let labels = labels.dtype.isFloat || labels.dtype == .int64 ? labels : labels.cast(to: .int64)
  // No label has this value where none is to be ignored.
  var losses = crossEntropy(logits: logits, labels: labels, ignoreIndex: ignoreIndex ?? Int.min)
  guard losses.error == nil else { return reduction(losses) }
  if let bad = optionFailure(logits, classWeights, labelSmoothing) { return bad }
  let classes = logits.shape[logits.rank - 1]
  let counted = ignoreIndex.map { (labels .!= Double($0)).cast(to: losses.dtype) }
  // 0 for ignored labels, and no gather: a label out of range is then crossEntropy's error.
  let ofLabel = classWeights.map { weights in
    let own = (oneHot(labels, depth: classes, dtype: losses.dtype) * weights.cast(to: losses.dtype)).sum(axes: [-1])
    return counted.map { own * $0 } ?? own
  }
  if let ofLabel { losses = losses * ofLabel }
  if labelSmoothing > 0 {
    let logs = logits.logSoftmax()
    var spread = 0 - (classWeights.map { logs * $0.cast(to: logs.dtype) } ?? logs).sum(axes: [-1])
    if let counted { spread = select(counted .!= 0, spread, spread * 0) }
    losses = losses * (1 - labelSmoothing) + spread * (labelSmoothing / Double(classes))
  }
  guard reduction == .mean, let divisor = ofLabel ?? counted else {
    return reduction(losses, weights: weights, "softmaxCrossEntropy")
  }
  return LossReduction.sum(losses, weights: weights, "softmaxCrossEntropy") / divisor.sum()
}

/// -sum(p log softmax(logits)) over the last axis, from logits and target probabilities p, both [..., classes]: finite for
/// any finite logits. The mean is over the rows; `classWeights` [classes] do not change its divisor. PyTorch's
/// CrossEntropyLoss with probabilities, Keras' CategoricalCrossentropy(from_logits).
public func softmaxCrossEntropy(
  logits: Tensor, probabilities: Tensor, classWeights: Tensor? = nil, labelSmoothing: Double = 0,
  weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  let name = "softmaxCrossEntropy"
  if let bad = shapeFailure(name, logits, probabilities, ("logits", "probabilities")) { return bad }
  if let bad = rankFailure(name, logits, "logits", atLeast: 1) { return bad }
  if let bad = optionFailure(logits, classWeights, labelSmoothing) { return bad }
  var p = probabilities.cast(to: logits.dtype)
  if labelSmoothing > 0 { p = p * (1 - labelSmoothing) + labelSmoothing / Double(logits.shape[logits.rank - 1]) }
  if let classWeights { p = p * classWeights.cast(to: logits.dtype) }
  return reduction(0 - (p * logits.logSoftmax()).sum(axes: [-1]), weights: weights, name)
}

private func optionFailure(_ logits: Tensor, _ classWeights: Tensor?, _ smoothing: Double) -> Tensor? {
  guard logits.error == nil else { return nil }
  let classes = logits.shape[logits.rank - 1]
  if let classWeights, classWeights.error == nil, classWeights.shape != [classes] {
    return .layerFailure(
      "softmaxCrossEntropy", rule: "classWeights must have shape [\(classes)], got \(classWeights.shape)",
      operands: [("logits", logits), ("classWeights", classWeights)], fix: "give one weight for each class",
      dtype: logits.dtype)
  }
  if smoothing >= 0, smoothing <= 1 { return nil }
  return .layerFailure(
    "softmaxCrossEntropy", rule: "labelSmoothing must be in 0...1, got \(smoothing)", operands: [("logits", logits)],
    fix: "0.1 is usual", dtype: logits.dtype)
}

/// max(0, 1 + greatest score of a wrong class - score of the right one), from scores and one-hot targets, both
/// [..., classes]. Keras' CategoricalHinge.
public func categoricalHinge(
  _ scores: Tensor, _ targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("categoricalHinge", scores, targets, ("scores", "targets")) { return bad }
  if let bad = rankFailure("categoricalHinge", scores, "scores", atLeast: 1) { return bad }
  let t = targets.cast(to: scores.dtype)
  let right = (scores * t).sum(axes: [-1])
  let wrong = (scores * (1 - t)).max(axes: [-1])
  return reduction((wrong - right + 1).positivePart, weights: weights, "categoricalHinge")
}

/// t (log(t) - y) for log-probabilities y and target probabilities t, 0 where t is 0; with `isLogTarget` the targets are
/// log-probabilities too: exp(t) (t - y). One shape, any. PyTorch's KLDivLoss; `.batchMean` is the mathematical mean, and
/// `.mean` divides by the number of elements. Keras' KLDivergence takes probabilities.
public func klDivergence(
  logProbabilities: Tensor, targets: Tensor, isLogTarget: Bool = false, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("klDivergence", logProbabilities, targets, ("logProbabilities", "targets")) { return bad }
  if isLogTarget {
    return reduction(exp(targets) * (targets - logProbabilities), weights: weights, "klDivergence")
  }
  // t log(t) is 0 at 0, and without a NaN in its gradient there.
  let entropy = targets * log(select(targets .== 0, 1, targets))
  return reduction(entropy - targets * logProbabilities, weights: weights, "klDivergence")
}
