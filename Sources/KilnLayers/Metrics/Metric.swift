import KilnEngine

/// A figure of merit over as many batches as one likes: exact, as if all had been one batch.
///
/// A metric is a value: counts in Int64 and sums in Double (or, where only that is exact, the samples). `merge` takes in
/// what another has seen, such as a part of the data set on another device. `update` reads its tensors, and so waits for
/// the device; it throws their errors and those of shapes that do not fit, and has then changed nothing. What it has seen
/// is `Codable`, so that a training that is resumed within an epoch reports that whole epoch.
public protocol Metric: Sendable, Codable {
  associatedtype Value
  /// NaN where nothing was seen that it could be computed from.
  var value: Value { get }
  mutating func merge(_ other: Self) throws
}

/// The error of operands that do not fit a metric.
func metricError(_ name: String, _ rule: String, _ operands: [(String, Tensor)], fix: String) -> TensorError {
  TensorError(
    operation: name, rule: rule,
    operands: operands.map { "\($0.0) \($0.1.shape) \($0.1.dtype)" }.joined(separator: ", "),
    fix: fix)
}

/// Both as Doubles, in one run; throws unless they have one shape.
func pairs(_ name: String, _ a: Tensor, _ b: Tensor) throws -> (a: [Double], b: [Double]) {
  if let error = a.error ?? b.error { throw error }
  guard a.shape == b.shape else {
    throw metricError(
      name, "both must have one shape, got \(a.shape) and \(b.shape)", [("first", a), ("second", b)],
      fix: "reshape one of them")
  }
  let (x, y) = (a.stopGradient(), b.stopGradient())
  try evaluate(x, y)
  return (try x.doubles(), try y.doubles())
}

/// Class indices: integers as they are, scores [..., classes] by their greatest (the first of equals).
func classIndices(_ name: String, _ predictions: Tensor, like labels: Tensor) throws -> (
  predicted: [Int], actual: [Int]
) {
  if let error = predictions.error ?? labels.error { throw error }
  let classes = predictions.dtype.isFloat && predictions.rank > 0 ? predictions.argmax(axis: -1) : predictions
  guard !classes.dtype.isFloat, !labels.dtype.isFloat, classes.shape == labels.shape else {
    throw metricError(
      name, "predictions must be class indices of the labels' shape, or scores with one more axis",
      [("predictions", predictions), ("labels", labels)], fix: "labels are integers: use `.cast(to: .int64)`")
  }
  let (a, b) = (classes.cast(to: .int64).stopGradient(), labels.cast(to: .int64).stopGradient())
  try evaluate(a, b)
  return (try a.scalars(as: Int.self), try b.scalars(as: Int.self))
}
