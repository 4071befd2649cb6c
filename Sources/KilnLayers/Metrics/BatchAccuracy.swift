import KilnEngine

/// The share of samples whose greatest logit is at the label, as a float32 scalar: logits [..., classes], labels [...].
public func accuracy(logits: Tensor, labels: Tensor) -> Tensor { isCorrect(logits: logits, labels: labels).mean() }

/// 1 for each sample whose greatest logit is at the label, else 0 (float32): logits [..., classes], labels [...].
public func isCorrect(logits: Tensor, labels: Tensor) -> Tensor {
  (logits.argmax(axis: -1) .== labels.cast(to: .int64)).cast(to: .float32)
}
