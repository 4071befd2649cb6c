import KilnEngine

/// All gradients scaled by one number, so that their common L2 norm is at most `maxNorm`, and what the norm was:
///
///     norm = sqrt(sum of the squares of all elements)
///     gradients * min(1, maxNorm / (norm + 1e-6))
///
/// Lazy: both are computed in the run that uses them; the norm is a float scalar. A norm that is infinite or NaN makes the
/// gradients 0, infinite or NaN as the formula says; read `norm` to find out. No gradients have norm 0.
/// PyTorch's clip_grad_norm_, Keras' global_clipnorm (without the 1e-6).
public func clipByGlobalNorm(_ gradients: [Tensor], maxNorm: Double) -> (gradients: [Tensor], norm: Tensor) {
  let norm = globalNorm(gradients)
  let factor = minimum(maxNorm / (norm + 1e-6), 1)
  return (gradients.map { $0 * factor.cast(to: $0.dtype) }, norm)
}

/// The L2 norm of all elements of all tensors, a float scalar: sqrt(sum of squares). PyTorch's get_total_norm,
/// TensorFlow's global_norm. No tensors have norm 0.
public func globalNorm(_ tensors: [Tensor]) -> Tensor {
  guard let first = tensors.first else { return .zeros([]) }
  return sqrt(tensors.dropFirst().reduce(square(first).sum()) { $0 + square($1).sum() })
}

/// Each element held in -limit...limit; NaN stays. PyTorch's clip_grad_value_, Keras' clipvalue.
public func clipByValue(_ gradients: [Tensor], limit: Double) -> [Tensor] {
  gradients.map { $0.clamped(min: -limit, max: limit) }
}
