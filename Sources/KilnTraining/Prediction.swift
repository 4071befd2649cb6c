import KilnData
import KilnEngine

extension Trainer {
  /// The model's results for samples [count, ...], as [count, ...], in evaluation mode and in batches, so that memory
  /// does not grow with intermediate values of all samples.
  ///
  /// Keras' `predict`. Throws the tensors' errors, or the device's.
  public func predict(_ features: Tensor, batchSize: Int = 1000) throws -> Tensor {
    if let error = features.error { throw error }
    guard features.rank >= 1, batchSize >= 1, features.shape[0] > 0 else {
      throw TensorError(
        operation: "Trainer.predict",
        rule: "needs at least one sample and a batch size of at least 1, got \(batchSize)",
        operands: "features \(features.shape) \(features.dtype)", fix: "give samples along the first dimension")
    }
    return try model.evaluating {
      let count = features.shape[0]
      let parts = try stride(from: 0, to: count, by: batchSize).map { start in
        let part = model(features[start..<min(start + batchSize, count)]).stopGradient()
        try KilnEngine.evaluate(part)
        return part
      }
      let result = parts.count == 1 ? parts[0] : concatenate(parts, axis: 0)
      try KilnEngine.evaluate(result)
      return result
    }
  }
}
