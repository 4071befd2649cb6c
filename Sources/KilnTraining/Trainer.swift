import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers
import Synchronization

/// Fits a model to data: batches, loss, gradients, updates and metrics.
///
///     let trainer = try Trainer(model, optimizer: "adam", loss: "softmax_cross_entropy", metrics: ["accuracy"])
///     try trainer.fit(training, epochs: 5, batchSize: 32, seed: 1)
///     let result = try trainer.evaluate(test)
public final class Trainer: Sendable {
  public let model: any Layer
  public let optimizer: Optimizer
  public let loss: Loss
  public let metrics: [TrainingMetric]
  public let options: TrainerOptions
  private let classWeights: Tensor?

  /// What is under way between two updates, and what follows them.
  private struct Progress: ~Copyable {
    var accumulator = GradientAccumulator()
    var batches = 0
    var average: WeightAverage?
  }
  private let progress = Mutex(Progress())
  /// The recorded steps.
  private let compiled = Mutex<[StepForm: CompiledTrainingStep]>([:])
  /// Whether the step turned out to be one that cannot be replayed.
  private let isDirect = Atomic<Bool>(false)
  private let compileTime = Mutex(CompileTime())

  /// - Parameter metrics: by default the accuracy over validation and test data, where the loss is one of classes.
  public init(
    _ model: any Layer, optimizer rule: any UpdateRule, loss: Loss = .softmaxCrossEntropy(),
    metrics: [TrainingMetric]? = nil, options: TrainerOptions = TrainerOptions()
  ) {
    (self.model, self.loss, self.options) = (model, loss, options)
    self.metrics = metrics ?? (loss.predictions == .values ? [] : [.accuracy])
    measuresTraining = metrics != nil && options.measuresTraining
    optimizer = Optimizer(rule, for: model, schedule: options.schedule)
    optimizer.clipping = options.clipping
    let device = model.namedParameters.first?.parameter.value.device ?? .default
    classWeights = options.classWeights.map { Tensor($0.map { Float($0) }, on: device) }
  }

  /// With a loss that is a function of predictions and labels.
  public convenience init(
    _ model: any Layer, optimizer rule: any UpdateRule, metrics: [TrainingMetric]? = nil,
    options: TrainerOptions = TrainerOptions(),
    loss: @escaping @Sendable (_ predictions: Tensor, _ labels: Tensor) -> Tensor
  ) {
    let own = Loss("own") { predictions, labels, weights in
      let value = loss(predictions, labels)
      guard weights != nil else { return value }
      return .layerFailure(
        "Trainer", rule: "a loss of two arguments cannot use weights", operands: [("weights", weights ?? value)],
        fix: "write it as Loss(\"name\") { predictions, labels, weights in ... }", dtype: value.dtype)
    }
    self.init(model, optimizer: rule, loss: own, metrics: metrics, options: options)
  }

  /// On a device, where the model is moved to. Throws what that reports.
  public convenience init(
    _ model: any Layer, optimizer rule: any UpdateRule, loss: Loss = .softmaxCrossEntropy(),
    metrics: [TrainingMetric]? = nil, options: TrainerOptions = TrainerOptions(), device: Device
  ) throws {
    try model.move(to: device)
    self.init(model, optimizer: rule, loss: loss, metrics: metrics, options: options)
  }

  /// By names: "adam", "sparse_categorical_crossentropy", "accuracy"; see `UpdateRules.named`, `Loss.named` and
  /// `TrainingMetric.named`. Keras' `compile`. Throws a `TensorError` with near matches for a name that is not known, and
  /// one where the loss does not fit the model's last activation.
  public convenience init(
    _ model: any Layer, optimizer: String, loss: String, metrics: [String] = [], learningRate: Double? = nil,
    options: TrainerOptions = TrainerOptions(), device: Device? = nil
  ) throws {
    let rule = try UpdateRules.named(optimizer, learningRate: learningRate)
    let (loss, metrics) = (try Loss.named(loss), try metrics.map { try TrainingMetric.named($0) })
    if let device { try model.move(to: device) }
    self.init(model, optimizer: rule, loss: loss, metrics: metrics, options: options)
    try check()
  }

  /// With the optimizer's name and values beside it: `optimizer: "adam", loss: .softmaxCrossEntropy()`. Throws as above.
  public convenience init(
    _ model: any Layer, optimizer: String, loss: Loss, metrics: [TrainingMetric]? = nil, learningRate: Double? = nil,
    options: TrainerOptions = TrainerOptions(), device: Device? = nil
  ) throws {
    let rule = try UpdateRules.named(optimizer, learningRate: learningRate)
    if let device { try model.move(to: device) }
    self.init(model, optimizer: rule, loss: loss, metrics: metrics, options: options)
    try check()
  }

  /// The seconds that training steps took to be traced and compiled so far: 0 where all their programs were known, and
  /// the whole of a first step until there was a second one.
  public var compileSeconds: Double { compileTime.withLock { $0.seconds } }

  /// Where the model is.
  public var device: Device { model.namedParameters.first?.parameter.value.device ?? .default }

  /// The average of the weights, if there is to be one; made with the first update.
  public var average: WeightAverage? { progress.withLock { $0.average } }

  /// Whether metrics are computed in training too.
  let measuresTraining: Bool

  /// Throws where model, loss and options do not belong together.
  func check() throws {
    if let fault = loss.fault ?? metrics.lazy.compactMap(\.fault).first { throw fault }
    if let fault = options.fault() ?? ModelEnding.mismatch(model, loss) {
      throw TensorError(operation: "Trainer", rule: fault.rule, fix: fault.fix)
    }
  }

  /// One batch: an update, or with accumulation a part of one. The result is the loss before it, evaluated but not read:
  /// reading waits for the device.
  ///
  /// The step is traced once and replayed (see `CompiledTrainingStep`); a loss or model that cannot be, because it reads
  /// values or uses tensors of its own, is built anew for every step, with the same numbers.
  ///
  /// For the same batches it gives the weights that `fit` gives; call `finishUpdate` after an epoch's last batch if
  /// gradients are accumulated. `weights` [batch] say how much each sample counts.
  @discardableResult
  public func step(_ features: Tensor, _ labels: Tensor, weights: Tensor? = nil) throws -> Tensor {
    let batch = TrainingBatch(
      inputs: [features, labels] + (weights.map { [$0] } ?? []), count: features.shape.dimensions.first ?? 1,
      isWeighted: weights != nil)
    return try step(batch, isLast: false, measures: false).outputs[0]
  }

  /// An update by the gradients that were accumulated, if there are any.
  public func finishUpdate() throws {
    try progress.withLock { progress in
      if progress.batches > 0 { try take(&progress) }
    }
  }

  /// A batch in `fit`: loss and metric outputs, and whether the weights were updated.
  func step(_ batch: TrainingBatch, isLast: Bool, measures: Bool) throws -> (outputs: [Tensor], isUpdate: Bool) {
    let form = StepForm(
      isGathered: batch.isGathered, scale: batch.scale, isWeighted: batch.isWeighted,
      hasClassWeights: classWeights != nil, measures: measures)
    // All that a step reads beside the model is an input of its program.
    let inputs = batch.inputs + (classWeights.map { [$0] } ?? [])
    let (start, programs) = (ContinuousClock.now, ProgramCache.shared.compilations)
    let result = try update(inputs, form, samples: batch.count, endsGroup: isLast)
    let compiled = ProgramCache.shared.compilations != programs
    compileTime.withLock { $0.add(seconds(ContinuousClock.now - start), compiled: compiled) }
    return result
  }

  /// The loss and what metrics read, a pure function of the inputs (features, labels, weights of samples, of classes,
  /// indices) and the model.
  private func outputs(of inputs: [Tensor], _ form: StepForm) -> [Tensor] {
    var inputs = inputs
    let classWeights = form.hasClassWeights ? inputs.removeLast() : nil
    if form.isGathered { inputs = TrainingBatch.chosen(inputs, scale: form.scale) }
    let (predictions, labels) = (model(inputs[0]), inputs[1])
    let weights = Self.weights(of: labels, samples: form.isWeighted ? inputs[2] : nil, classes: classWeights)
    return [loss(predictions, labels, weights: weights)] + (form.measures ? measured(predictions, labels) : [])
  }

  /// The one place where weights change.
  private func update(
    _ inputs: [Tensor], _ form: StepForm, samples: Int, endsGroup: Bool
  ) throws -> (outputs: [Tensor], isUpdate: Bool) {
    try progress.withLock { try startAverage(&$0) }
    guard options.accumulation > 1 else {
      let outputs =
        try replayed(inputs, form) ?? built(inputs, form) { try optimizer.step(gradients: $0, evaluating: $1) }
      try progress.withLock { try $0.average?.update() }
      return (outputs, true)
    }
    return try progress.withLock { progress in
      let outputs = try built(inputs, form) { gradients, results in
        try progress.accumulator.add(gradients, weight: Double(samples), evaluating: results)
      }
      progress.batches += 1
      guard progress.batches >= options.accumulation || endsGroup else { return (outputs, false) }
      try take(&progress)
      return (outputs, true)
    }
  }

  /// Loss and gradients by a graph of this step's own, handed to `use` with what is to be evaluated with them.
  private func built(
    _ inputs: [Tensor], _ form: StepForm, _ use: (_ gradients: [Tensor], _ results: [Tensor]) throws -> Void
  ) throws -> [Tensor] {
    let outputs = outputs(of: inputs, form)
    let gradients = try gradient(of: outputs[0], withRespectTo: optimizer.values)
    // Without their history, or the whole step's graph would live as long as the loss does.
    let results = outputs.map { $0.stopGradient() }
    try use(gradients, results)
    return results
  }

  /// The update as a recorded step; `nil` where it cannot be one.
  private func replayed(_ inputs: [Tensor], _ form: StepForm) throws -> [Tensor]? {
    if isDirect.load(ordering: .relaxed) { return nil }
    let step = compiled.withLock { known in
      if let step = known[form] { return step }
      let step = CompiledTrainingStep(model, optimizer) { [unowned self] in outputs(of: $0, form) }
      known[form] = step
      return step
    }
    do {
      return try step(inputs)
    } catch let error as TensorError where error.operation == "CompiledFunction" {
      isDirect.store(true, ordering: .relaxed)
      return nil
    }
  }

  /// Has recorded steps compared with what the model does now, after code ran that may have changed it.
  func recheck() { compiled.withLock { for step in $0.values { step.recheck() } } }

  private func take(_ progress: inout Progress) throws {
    progress.batches = 0
    try optimizer.step(gradients: progress.accumulator.takeMean())
    try progress.average?.update()
  }

  /// It begins with the weights before the first update.
  private func startAverage(_ progress: inout Progress) throws {
    guard let averaging = options.averaging, progress.average == nil else { return }
    progress.average = try WeightAverage(of: model, decay: averaging.decay, correctsBias: averaging.correctsBias)
  }

  /// Takes up an average that was saved; `nil` stands for the time before the first update.
  func restoreAverage(_ saved: (averages: [String: Tensor], updates: Int)?) throws {
    try progress.withLock { progress in
      guard let saved else {
        progress.average = nil
        return
      }
      try startAverage(&progress)
      try progress.average?.restore(averages: saved.averages, updates: saved.updates)
    }
  }

  /// What the metrics read of a batch.
  func measured(_ predictions: Tensor, _ labels: Tensor) -> [Tensor] {
    let predictions = predictions.stopGradient()
    return metrics.flatMap { $0.outputs(predictions, labels, loss.predictions) }.map { $0.stopGradient() }
  }

  /// How much each label counts; `nil` where all count alike.
  private static func weights(of labels: Tensor, samples: Tensor?, classes: Tensor?) -> Tensor? {
    guard let classes else { return samples }
    let places = labels.cast(to: .int64)
    let own = classes.gathered(places.reshaped(to: [-1])).reshaped(to: labels.shape)
    guard let samples else { return own }
    let ones = [Int](repeating: 1, count: max(labels.rank - samples.rank, 0))
    return own * samples.reshaped(to: Shape(samples.shape.dimensions + ones))
  }

  /// `body` with the averages of the weights in their place, if evaluation is to use them: the model as it is to be used.
  public func withAverage<Result>(_ body: () throws -> Result) throws -> Result {
    guard options.averaging?.isUsedForEvaluation == true, let average else { return try body() }
    return try average.whileSwappedIn(body)
  }
}

/// Which program a step is: batches of one form and shape share it.
struct StepForm: Hashable {
  var isGathered: Bool
  var scale: Double?
  var isWeighted, hasClassWeights, measures: Bool
}
