import Kiln

/// Learns to tell whether two bits differ, and returns the share of right answers.
func learnXOR(on device: Device) throws -> Double {
  let x = Tensor([0, 0, 0, 1, 1, 0, 1, 1] as [Float], shape: [4, 2], on: device)
  let labels = Tensor([0, 1, 1, 0], on: device)
  let model = Sequential([Dense(2, 16, activation: .tanh, on: device), Dense(16, 2, on: device)])
  let optimizer = Optimizer(Adam(learningRate: 0.05), for: model)
  for _ in 0..<200 {
    let loss = softmaxCrossEntropy(logits: model(x), labels: labels)
    try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
  }
  return try accuracy(logits: model(x), labels: labels).item()
}
