import KilnEngine

/// The distance of rows: (sum of |x1 - x2 + epsilon|^order)^(1 / order) over the last axis: [..., features] to [...].
/// PyTorch's PairwiseDistance; its epsilon gives equal rows a gradient.
public func pairwiseDistance(_ x1: Tensor, _ x2: Tensor, order: Double = 2, epsilon: Double = 1e-6) -> Tensor {
  if let bad = shapeFailure("pairwiseDistance", x1, x2, ("x1", "x2")) { return bad }
  if let bad = rankFailure("pairwiseDistance", x1, "x1", atLeast: 1) { return bad }
  return (x1 - x2 + epsilon).norm(order: order, axes: [-1])
}

/// x1 . x2 / (max(|x1|, epsilon) max(|x2|, epsilon)) over an axis, between -1 and 1. PyTorch's CosineSimilarity; Keras'
/// loss of this name is its negative.
public func cosineSimilarity(_ x1: Tensor, _ x2: Tensor, axis: Int = -1, epsilon: Double = 1e-8) -> Tensor {
  if let bad = shapeFailure("cosineSimilarity", x1, x2, ("x1", "x2")) { return bad }
  func length(_ x: Tensor) -> Tensor { maximum(x.norm(axes: [axis]), epsilon) }
  return (x1 * x2).sum(axes: [axis]) / (length(x1) * length(x2))
}

/// 1 - cos where the target is 1, max(0, cos - margin) where it is -1, for the cosine of rows x1 and x2 [..., features]
/// and targets [...]. PyTorch's CosineEmbeddingLoss (which adds 1e-12 to the squares of the lengths).
public func cosineEmbeddingLoss(
  _ x1: Tensor, _ x2: Tensor, targets: Tensor, margin: Double = 0, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  let name = "cosineEmbeddingLoss"
  if let bad = shapeFailure(name, x1, x2, ("x1", "x2")) { return bad }
  if let bad = rankFailure(name, x1, "x1", atLeast: 1) { return bad }
  func length(_ x: Tensor) -> Tensor { square(x).sum(axes: [-1]) + 1e-12 }
  let cosine = (x1 * x2).sum(axes: [-1]) / sqrt(length(x1) * length(x2))
  if let bad = shapeFailure(name, cosine, targets, ("rows", "targets")) { return bad }
  return reduction(select(targets .> 0, 1 - cosine, (cosine - margin).positivePart), weights: weights, name)
}

/// max(0, |anchor - positive| - |anchor - negative| + margin) by `pairwiseDistance`, all [..., features]; with `swaps` the
/// nearer of anchor and positive counts for the negative. PyTorch's TripletMarginLoss.
public func tripletMarginLoss(
  anchors: Tensor, positives: Tensor, negatives: Tensor, margin: Double = 1, order: Double = 2, swaps: Bool = false,
  weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  let near = pairwiseDistance(anchors, positives, order: order)
  var far = pairwiseDistance(anchors, negatives, order: order)
  if swaps { far = minimum(far, pairwiseDistance(positives, negatives, order: order)) }
  return reduction((near - far + margin).positivePart, weights: weights, "tripletMarginLoss")
}

/// d^2 for rows that belong together (target 1), max(0, margin - d)^2 for others (target 0), d being the
/// `pairwiseDistance` of x1 and x2 [..., features]; targets [...] (Hadsell et al., 2006, without its factor 1/2).
/// TensorFlow Addons' ContrastiveLoss.
public func contrastiveLoss(
  _ x1: Tensor, _ x2: Tensor, targets: Tensor, margin: Double = 1, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  let distance = pairwiseDistance(x1, x2)
  if let bad = shapeFailure("contrastiveLoss", distance, targets, ("rows", "targets")) { return bad }
  let t = targets.cast(to: distance.dtype)
  let losses = t * square(distance) + (1 - t) * square((margin - distance).positivePart)
  return reduction(losses, weights: weights, "contrastiveLoss")
}

/// max(0, margin - t (x1 - x2)) for scores of one shape, any, and targets of 1 (the first is to rank higher) and -1.
/// PyTorch's MarginRankingLoss.
public func marginRankingLoss(
  _ x1: Tensor, _ x2: Tensor, targets: Tensor, margin: Double = 0, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  if let bad = shapeFailure("marginRankingLoss", x1, x2, ("x1", "x2")) { return bad }
  if let bad = shapeFailure("marginRankingLoss", x1, targets, ("x1", "targets")) { return bad }
  return reduction(
    (margin - targets.cast(to: x1.dtype) * (x1 - x2)).positivePart, weights: weights, "marginRankingLoss")
}
