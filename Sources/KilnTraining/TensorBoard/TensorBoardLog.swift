import KilnData
import KilnEngine

/// Writes what a training does for TensorBoard: the loss of each step, and for each epoch loss, validation, learning
/// rate, samples per second and histograms of the weights and of their gradients. Shown by `tensorboard --logdir FOLDER`.
///
/// A run that is resumed writes another file into the folder; what was written after the checkpoint that it goes on from
/// is marked as void.
public final class TensorBoardLog: TrainingCallback {
  public let folder: String
  /// Histograms after every so many epochs; 0 for none. They read all weights, and gradients, from the device.
  public let histogramEpochs: Int
  public let histogramsOfGradients: Bool
  private let given: (features: Tensor, labels: Tensor)?
  /// Those that the gradients are of: the same ones after every epoch, so that they can be compared.
  private var samples: (features: Tensor, labels: Tensor)?
  private static let sampleLimit = 256
  private var writer: TensorBoardWriter?
  /// Losses that are in the file, or in an older one: batches, which is what all steps in the files count.
  private var lossCount = 0

  /// - Parameters:
  ///   - histogramsOfGradients: beside those of the weights; a forward and a backward pass an epoch, in evaluation mode, so
  ///     that the training is the same with and without them.
  ///   - samples: those over which the loss is differentiated, on the model's device; by default the training's first
  ///     batch, of which at most 256 samples.
  public init(
    _ folder: String, histogramEpochs: Int = 1, histogramsOfGradients: Bool = true,
    gradientsOf samples: (features: Tensor, labels: Tensor)? = nil
  ) {
    (self.folder, self.histogramEpochs, given) = (folder, histogramEpochs, samples)
    self.histogramsOfGradients = histogramsOfGradients || samples != nil
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    lossCount = run.state.history.stepLosses.count
    samples = given
    writer = try TensorBoardWriter(folder, purging: run.isResumed ? lossCount + 1 : nil)
  }

  public func stepEnded(_ run: TrainingRun) throws { try writeLosses(run) }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    try writeLosses(run)
    var values = [(tag: "epoch/loss", value: report.loss), ("learning_rate", report.learningRate)]
    let names = run.trainer.metrics.map(\.name)
    values += names.compactMap { name in report.metrics[name].map { (tag: "epoch/\(name)", value: $0) } }
    if let validation = report.validation {
      values.append((tag: "epoch/validation_loss", value: validation.loss))
      values += names.compactMap { name in validation.metrics[name].map { (tag: "epoch/validation_\(name)", value: $0) }
      }
    }
    if report.seconds > 0, run.sampleCount > 0 {
      values.append(("samples_per_second", Double(run.sampleCount) / report.seconds))
    }
    try writer?.scalars(values, step: lossCount)
    if histogramEpochs > 0, (report.epoch + 1) % histogramEpochs == 0 {
      // Slashes make groups: a layer's weights under its name.
      let weights = run.trainer.model.namedParameters.map { named in
        (tag: "weights/" + named.name, tensor: named.parameter.value.stopGradient())
      }
      try writer?.histograms(weights + gradients(run), step: lossCount)
    }
  }

  private func gradients(_ run: TrainingRun) throws -> [(tag: String, tensor: Tensor)] {
    guard histogramsOfGradients else { return [] }
    do {
      samples = try samples ?? run.firstSamples(Self.sampleLimit)
      guard let samples else { return [] }
      let trainer = run.trainer
      let loss = trainer.model.evaluating { trainer.loss(trainer.model(samples.features), samples.labels) }
      let gradients = try gradient(of: loss, withRespectTo: trainer.optimizer.values)
      try evaluate(gradients)
      return zip(trainer.optimizer.parameters, gradients).map { ("gradients/" + $0.name, $1.stopGradient()) }
    } catch  where given == nil {
      // Nobody asked for them: a model that cannot be differentiated like this trains none the worse.
      return []
    }
  }

  public func trainingEnded(_ run: TrainingRun) throws {
    try writeLosses(run)
    try writer?.flush()
    writer = nil
  }

  /// Losses are read from the device some at a time, and written then.
  private func writeLosses(_ run: TrainingRun) throws {
    let losses = run.state.history.stepLosses
    guard losses.count > lossCount else { return }
    try writer?.scalars("loss", losses[lossCount...], from: lossCount + 1)
    lossCount = losses.count
  }
}
