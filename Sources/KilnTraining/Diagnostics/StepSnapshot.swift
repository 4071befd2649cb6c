import KilnEngine
import KilnLayers
import KilnOptimizers

/// Weights, their average, buffers, optimizer and generators as they were after some update, to go back to. It holds the tensors
/// themselves: the next update then writes elsewhere, so that this costs memory and hardly any time.
struct StepSnapshot {
  /// Batches trained on by then, over all epochs.
  let batches: Int
  /// Where in the data that was: batches of the epoch.
  let epoch: Int
  let batch: Int
  private let weights: [(Parameter, Tensor)]
  private let buffers: [(LayerBuffer, Tensor)]
  /// `nil` before the first update, which makes it.
  private let average: (averages: [String: Tensor], updates: Int)?
  private let optimizer: OptimizerState
  private let generators: [(RandomGenerator, RandomGenerator.State)]

  init(_ trainer: Trainer, batches: Int, epoch: Int, batch: Int, generators: [RandomGenerator]) throws {
    (self.batches, self.epoch, self.batch) = (batches, epoch, batch)
    weights = trainer.model.parameters.map { ($0, $0.value.stopGradient()) }
    buffers = trainer.model.namedBuffers.map { ($0.buffer, $0.buffer.value.stopGradient()) }
    try evaluate(weights.map(\.1) + buffers.map(\.1))
    average = try trainer.average?.saved()
    optimizer = trainer.optimizer.state
    self.generators = ([.default] + generators).map { ($0, $0.state) }
  }

  func restore(_ trainer: Trainer) throws {
    // What was accumulated is used up: it belongs to an update that is undone.
    try trainer.finishUpdate()
    for (parameter, value) in weights { parameter.value = value }
    for (buffer, value) in buffers { buffer.value = value }
    try trainer.restoreAverage(average)
    for (generator, state) in generators { generator.state = state }
    // The rates may have been changed since, by a schedule of epochs; they are not part of the step.
    let rate = trainer.optimizer.learningRate
    try trainer.optimizer.restore(optimizer)
    trainer.optimizer.learningRate = rate
  }
}

extension Module {
  /// The name of the first parameter that holds a number that is not finite.
  func firstNotFinite() throws -> String? {
    let sums = namedParameters.filter { $0.parameter.dtype.isFloat }.map { named in
      (named.name, isFinite(named.parameter.value.stopGradient()).cast(to: .float32).min0())
    }
    try evaluate(sums.map(\.1))
    return try sums.first { try $0.1.item() == 0 }?.0
  }
}

extension Tensor {
  /// The least element, 1 where there is none.
  fileprivate func min0() -> Tensor { count == 0 ? .ones([], dtype: dtype, on: device) : min() }
}
