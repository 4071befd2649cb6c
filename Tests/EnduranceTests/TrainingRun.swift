import Kiln

/// A small classifier on made-up data whose every step is the same program: what the long runs are made of.
struct TrainingRun {
  let model: Sequential
  let optimizer: Optimizer
  private let features: Tensor
  private let labels: Tensor

  init(seed: UInt64, on device: Device) throws {
    let generator = RandomGenerator(seed: seed)
    model = Sequential([
      Dense(32, 64, activation: .relu, generator: generator, on: device),
      Dense(64, 10, generator: generator, on: device),
    ])
    optimizer = Optimizer(Adam(learningRate: 0.001), for: model)
    features = .randomUniform([48, 32], generator: generator, on: device)
    labels = .randomIntegers([48], low: 0, high: 10, generator: generator, on: device)
    // In memory, as a data set is (the optimizer has put the parameters there): the first step's program is then the one
    // of all steps.
    try evaluate([features, labels])
  }

  /// One step; returns the loss before it, which is evaluated in the same run.
  @discardableResult
  func step() throws -> Tensor {
    let loss = softmaxCrossEntropy(logits: model(features), labels: labels)
    try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values), evaluating: [loss])
    return loss
  }

  /// The bytes of every parameter.
  func weights() throws -> [[UInt8]] { try model.parameters.map { try $0.value.hostBytes() } }
}
