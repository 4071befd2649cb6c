import KilnData
import KilnEngine
import KilnLayers

extension Trainer {
  /// The mean loss and the metrics over a data set, without an update, the model in evaluation mode; with the averages of
  /// the weights, if there are any that evaluation is to use. Weights of samples count in the loss, class weights do not.
  public func evaluate(_ dataset: ArrayDataset, batchSize: Int = 1000) throws -> Evaluation {
    let dataset = try dataset.to(device)
    var batches = try BatchIterator(count: dataset.count, batchSize: batchSize, shuffles: false)
    return try evaluate {
      batches.next().map { positions in
        let (features, labels) = dataset.batch(positions)
        let weights = dataset.weights?.gathered(Tensor(Array(positions), on: dataset.device))
        return TrainingBatch(
          inputs: [features, labels] + (weights.map { [$0] } ?? []), count: positions.count, isWeighted: weights != nil)
      }
    }
  }

  /// The same over one epoch of a loader.
  public func evaluate(_ loader: DataLoader) throws -> Evaluation {
    let batches = try loader.batches(epoch: 0)
    return try evaluate {
      try batches.next().map { batch in
        let (features, labels) = batch.tensors(on: device)
        return TrainingBatch(inputs: [features, labels], count: batch.count, isWeighted: false)
      }
    }
  }

  private func evaluate(_ next: () throws -> TrainingBatch?) throws -> Evaluation {
    try check()
    return try withAverage {
      try model.evaluating {
        var (sum, count, sums) = (0.0, 0, MetricSums(metrics))
        while let batch = try next() {
          let (predictions, labels) = (model(batch.inputs[0]), batch.inputs[1])
          let weights = batch.isWeighted ? batch.inputs[2] : nil
          let loss = self.loss(predictions, labels, weights: weights).stopGradient()
          let outputs = measured(predictions, labels)
          try KilnEngine.evaluate([loss] + outputs)
          sum += try loss.item() * Double(batch.count)
          count += batch.count
          try sums.add(outputs)
        }
        return Evaluation(loss: sum / Double(count), metrics: sums.values)
      }
    }
  }

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
    let count = features.shape[0]
    let features = features.to(device)
    var start = 0
    return try predict {
      guard start < count else { return nil }
      defer { start += batchSize }
      return features[start..<min(start + batchSize, count)]
    }
  }

  /// The same for a data set in memory, whose samples are made batch by batch where they are bytes.
  func predict(_ dataset: ArrayDataset, batchSize: Int = 1000) throws -> Tensor {
    let dataset = try dataset.to(device)
    var batches = try BatchIterator(count: dataset.count, batchSize: batchSize, shuffles: false)
    return try predict { batches.next().map { dataset.batch($0).features } }
  }

  /// The model's results for the samples of a loader, in its order; give it the sampler `.sequential`.
  public func predict(_ loader: DataLoader) throws -> Tensor {
    let batches = try loader.batches(epoch: 0)
    return try predict { try batches.next().map { $0.tensors(on: device).features } }
  }

  private func predict(_ next: () throws -> Tensor?) throws -> Tensor {
    try withAverage {
      try model.evaluating {
        var parts: [Tensor] = []
        while let features = try next() {
          let part = model(features).stopGradient()
          try KilnEngine.evaluate(part)
          parts.append(part)
        }
        guard !parts.isEmpty else {
          throw TensorError(
            operation: "Trainer.predict", rule: "needs at least one sample, got none", fix: "check the loader's data")
        }
        let result = parts.count == 1 ? parts[0] : concatenate(parts, axis: 0)
        try KilnEngine.evaluate(result)
        return result
      }
    }
  }
}
