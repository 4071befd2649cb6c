import KilnEngine

/// The sum of the gradients of several batches, for one step with what does not fit into memory at once:
///
///     var accumulator = GradientAccumulator()
///     for batch in parts { try accumulator.add(gradient(of: loss(batch), withRespectTo: optimizer.values)) }
///     try optimizer.step(gradients: accumulator.takeMean())
///
/// It cannot be copied, as it sums in place.
public struct GradientAccumulator: ~Copyable, Sendable {
  /// The sum of the weights so far.
  public private(set) var weight = 0.0
  private var sums: [Tensor] = []

  /// No gradients yet.
  public init() {}

  /// Adds `weight` times the gradients, in place, and evaluates the sums, with `others` (such as the loss). For the mean
  /// over samples, a batch's weight is its number of samples. Throws when the gradients are others than before.
  public mutating func add(_ gradients: [Tensor], weight: Double = 1, evaluating others: [Tensor] = []) throws {
    guard sums.isEmpty || sums.map(\.shape) == gradients.map(\.shape) else {
      throw TensorError(
        operation: "GradientAccumulator.add",
        rule: "needs \(sums.count) gradients of the same shapes as before, got \(gradients.count)",
        fix: "differentiate by the same parameters each time")
    }
    let weighted = gradients.map { $0.stopGradient() * weight }
    let new = sums.isEmpty ? weighted : zip(sums, weighted).map { $0 + $1 }
    try evaluate(new + others, donating: sums)
    sums = new
    self.weight += weight
  }

  /// The weighted mean of what was added; the accumulator is empty afterwards. Nothing added gives no gradients.
  public mutating func takeMean() -> [Tensor] {
    let total = weight
    return takeSum().map { $0 / total }
  }

  /// The weighted sum of what was added; the accumulator is empty afterwards.
  public mutating func takeSum() -> [Tensor] {
    defer { (sums, weight) = ([], 0) }
    return sums
  }
}
