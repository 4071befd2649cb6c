import Kiln

/// One of the nine reference workloads: a model and synthetic batches of the real shape. A step is forward, loss,
/// backward and Adam with learning rate 0.001.
struct Workload: Sendable {
  enum Task { case classification, regression }

  let name: String
  let task: Task
  /// Images, or tokens, in one step.
  let samples: Int
  let model: @Sendable (Device) -> any Layer
  let features: @Sendable (RandomGenerator, Device) -> Tensor
  let labels: @Sendable (RandomGenerator, Device) -> Tensor

  func loss(_ predictions: Tensor, _ labels: Tensor) -> Tensor {
    switch task {
    case .classification: softmaxCrossEntropy(logits: predictions, labels: labels)
    case .regression: meanSquaredError(predictions, labels)
    }
  }

  static func named(_ name: String) throws -> Workload {
    if let found = all.first(where: { $0.name == name }) { return found }
    throw BenchmarkFailure(
      description: "there is no workload '\(name)'; there are \(all.map(\.name).joined(separator: ", "))")
  }

  static let all: [Workload] = [
    images("mlp-mnist-b32", [32, 1, 28, 28]) { mnistPerceptron(on: $0) },
    images("mlp-mnist-b128", [128, 1, 28, 28]) { mnistPerceptron(on: $0) },
    images("mlp-wide-b256", [256, 1024]) { widePerceptron(on: $0) },
    images("cnn-mnist-b64", [64, 1, 28, 28]) { mnistConvolutional(on: $0) },
    images("resnet20-cifar-b64", [64, 3, 32, 32]) { residual20(on: $0) },
    Workload(
      name: "rnn-seed-b32", task: .regression, samples: 32, model: { SeriesModel(on: $0) },
      features: { .randomNormal([32, 50, 1], generator: $0, on: $1) },
      labels: { .randomNormal([32, 1], generator: $0, on: $1) }),
    text("lstm-char-b32", batch: 32, time: 64) { CharacterLSTM(on: $0) },
    text("gpt-nano-b12", batch: 12, time: 64) {
      CharacterDecoder(width: 128, layers: 4, heads: 4, time: 64, on: $0)
    },
    text("gpt-mini-b16", batch: 16, time: 128) {
      CharacterDecoder(width: 256, layers: 6, heads: 8, time: 128, on: $0)
    },
  ]

  private static func images(
    _ name: String, _ shape: Shape, _ model: @escaping @Sendable (Device) -> any Layer
  ) -> Workload {
    Workload(
      name: name, task: .classification, samples: shape[0], model: model,
      features: { .randomNormal(shape, generator: $0, on: $1) },
      labels: { .randomIntegers([shape[0]], high: 10, generator: $0, on: $1) })
  }

  private static func text(
    _ name: String, batch: Int, time: Int, _ model: @escaping @Sendable (Device) -> any Layer
  ) -> Workload {
    Workload(
      name: name, task: .classification, samples: batch * time, model: model,
      features: { .randomIntegers([batch, time], high: 65, generator: $0, on: $1) },
      labels: { .randomIntegers([batch, time], high: 65, generator: $0, on: $1) })
  }
}
