import KilnEngine

/// How an optimizer keeps gradients within bounds before it uses them; the formulas are those of `clipByValue` and
/// `clipByGlobalNorm`, over all parameters of the optimizer. Keras' clipvalue and global_clipnorm.
public enum GradientClipping: Sendable, Hashable {
  /// Each element is held in -limit...limit.
  case value(Double)
  /// All gradients are scaled by one number, so that their common L2 norm is at most this.
  case globalNorm(Double)

  func clipped(_ gradients: [Tensor]) -> [Tensor] {
    switch self {
    case .value(let limit): clipByValue(gradients, limit: limit)
    case .globalNorm(let norm): clipByGlobalNorm(gradients, maxNorm: norm).gradients
    }
  }

  /// What tells it from any other in a recorded step.
  var signature: [Int] {
    func bits(_ number: Double) -> Int { Int(bitPattern: UInt(truncatingIfNeeded: number.bitPattern)) }
    return switch self {
    case .value(let limit): [1, bits(limit)]
    case .globalNorm(let norm): [2, bits(norm)]
    }
  }
}
