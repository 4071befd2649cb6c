import KilnEngine
import KilnLayers

/// strength * sum of |w| over all parameters, to be added to a loss; the gradient at 0 is 0. Keras' L1 regularizer.
public func l1Penalty(_ parameters: [Parameter], strength: Double) -> Tensor {
  total(parameters.map { abs($0.value).sum() }) * strength
}

/// strength * sum of w^2 over all parameters, to be added to a loss. Keras' L2 regularizer; a `weightDecay` of 2 *
/// strength does the same to SGD. The sum is a float scalar; no parameters give 0.
public func l2Penalty(_ parameters: [Parameter], strength: Double) -> Tensor {
  total(parameters.map { square($0.value).sum() }) * strength
}

private func total(_ sums: [Tensor]) -> Tensor {
  guard let first = sums.first else { return .zeros([]) }
  return sums.dropFirst().reduce(first, +)
}
