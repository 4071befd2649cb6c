import Kiln

extension Configuration {
  static func defaultMetrics(isRegression: Bool, isContinuingText: Bool) -> [String] {
    isRegression ? ["mae"] : isContinuingText ? ["accuracy", "perplexity"] : ["accuracy"]
  }

  /// Whether the next token of a text is learned.
  var isContinuingText: Bool { task == .text && !isClassifyingText }

  var isRegression: Bool { task == .series || root["data"]?["answers"]?.text == "numbers" }

  /// The loss: what was named, else cross-entropy of logits for classes and tokens, the squared error for numbers.
  func loss() throws -> Loss {
    let own = root["loss"]
    let smoothing = own?["label_smoothing"]?.number ?? 0
    switch try own?["name"]?.text.map({ try Loss.named($0).name }) ?? (isRegression ? "" : "softmax_cross_entropy") {
    case "": return .meanSquaredError
    case "softmax_cross_entropy": return .softmaxCrossEntropy(labelSmoothing: smoothing)
    case "sparse_categorical_crossentropy": return .sparseCategoricalCrossEntropy(labelSmoothing: smoothing)
    case "huber": return .huber(delta: own?["delta"]?.number ?? 1)
    case "smooth_l1": return .smoothL1(beta: own?["beta"]?.number ?? 1)
    case let name: return try .named(name)
    }
  }

  func metrics() throws -> [TrainingMetric] {
    let names = root["metrics"]?.list?.compactMap(\.text)
    return try (names ?? Self.defaultMetrics(isRegression: isRegression, isContinuingText: isContinuingText)).map {
      try TrainingMetric.named($0)
    }
  }

  func rule() throws -> any UpdateRule {
    let own = root["optimizer"]
    let name = own?["name"]?.text ?? "adam"
    var rule = try UpdateRules.named(name, learningRate: own?["learning_rate"]?.number)
    if name == "sgd" {
      rule = SGD(
        learningRate: rule.learningRate, momentum: own?["momentum"]?.number ?? 0,
        nesterov: own?["nesterov"]?.flag ?? false)
    }
    if let decay = own?["weight_decay"]?.number { rule.weightDecay = decay }
    return rule
  }

  /// The optimizer's, before its schedule.
  public func learningRate() throws -> Double { try rule().learningRate }

  /// Updates of an epoch of so many samples.
  private func updates(_ samples: Int) -> Int {
    let drops = root["training"]?["last_batch"]?.text == "drop"
    let batches = drops ? samples / batchSize : (samples + batchSize - 1) / batchSize
    let group = root["training"]?["accumulation"]?.integer ?? 1
    return max((batches + group - 1) / group, 1)
  }

  func schedule(samples: Int) -> (any Schedule)? {
    guard let own = root["schedule"] else { return nil }
    let perEpoch = updates(samples)
    let total = max(perEpoch * epochs, 1)
    let warmup = min(Int((own["warmup_epochs"]?.number ?? 0) * Double(perEpoch)), total)
    let rest = max(total - warmup, 1)
    let main: any Schedule
    switch own["name"]?.text ?? "constant" {
    case "cosine": main = CosineSchedule(steps: rest, minimum: own["minimum"]?.number ?? 0)
    case "linear": main = PolynomialSchedule(steps: rest)
    case "step":
      let every = Int((own["every_epochs"]?.number ?? 10) * Double(perEpoch))
      main = StepSchedule(every: every, factor: own["factor"]?.number ?? 0.1)
    case "exponential":
      let factor = own["factor"]?.number ?? 0.95
      main = FunctionSchedule { step in power(factor, Double(step) / Double(perEpoch)) }
    case "one_cycle": main = OneCycleSchedule(steps: rest)
    default: main = ConstantSchedule()
    }
    guard warmup > 0 else { return main }
    // The first step is one of the way, not 0.
    let rise = LinearWarmup(steps: warmup, from: 1 / Double(warmup + 1), to: 1)
    return SequentialSchedule([rise, main], milestones: [warmup])
  }

  /// The trainer of a model for prepared data.
  public func trainer(_ model: Sequential, _ preparation: Preparation) throws -> Trainer {
    let own = root["training"]
    var clipping = own?["clip_norm"]?.number.map { GradientClipping.globalNorm($0) }
    if let limit = own?["clip_value"]?.number { clipping = .value(limit) }
    var averaging: TrainerOptions.Averaging?
    if let average = own?["average"] {
      averaging = .init(
        decay: average["decay"]?.number ?? 0.999, correctsBias: true,
        isUsedForEvaluation: average["evaluate"]?.flag ?? true)
    }
    let classWeights = own?["class_weights"]?.list?.compactMap(\.number) ?? preparation.classWeights
    if let given = own?["class_weights"], let count = classWeights?.count, count != preparation.outputs {
      throw fault(
        given.line, "training.class_weights", "there are \(preparation.outputs) classes, got \(count) weights")
    }
    let options = TrainerOptions(
      schedule: schedule(samples: preparation.trainingCount), clipping: clipping,
      accumulation: own?["accumulation"]?.integer ?? 1, averaging: averaging, classWeights: classWeights,
      measuresTraining: own?["measure_training"]?.flag ?? true)
    return Trainer(model, optimizer: try rule(), loss: try loss(), metrics: try metrics(), options: options)
  }

  /// Early stopping and plateau, as they are configured.
  public func callbacks() throws -> [any TrainingCallback] {
    var result: [any TrainingCallback] = []
    let own = root["callbacks"]
    if let plateau = own?["plateau"] {
      result.append(
        ReducingOnPlateau(
          monitor: try monitor(plateau["monitor"]?.text ?? "validation_loss"),
          ReduceOnPlateau(
            factor: plateau["factor"]?.number ?? 0.1, patience: plateau["patience"]?.integer ?? 10,
            minimum: plateau["minimum"]?.number ?? 0)))
    }
    if let stopping = own?["early_stopping"] {
      result.append(
        EarlyStopping(
          monitor: try monitor(stopping["monitor"]?.text ?? "validation_loss"),
          patience: stopping["patience"]?.integer ?? 3, minimumChange: stopping["minimum_change"]?.number ?? 0))
    }
    return result
  }

  private func monitor(_ name: String) throws -> MonitoredValue { try .named(name) }

  /// Checkpoints within epochs: after so many updates.
  public var checkpointEvery: Int? { root["callbacks"]?["checkpoint"]?["every_steps"]?.integer }
  /// Checkpoints that are kept.
  public var checkpointsKept: Int { root["callbacks"]?["checkpoint"]?["keep"]?.integer ?? 3 }
  /// What the best checkpoint is judged by.
  public func checkpointMonitor() throws -> MonitoredValue? {
    try root["callbacks"]?["checkpoint"]?["monitor"]?.text.map { try monitor($0) }
  }

  /// What becomes of an update whose loss is not finite.
  public var nonFinite: RunDiagnostics.NonFinite { root["training"]?["not_finite"]?.text == "skip" ? .skipStep : .stop }

  public var lastBatch: LastBatch { root["training"]?["last_batch"]?.text == "drop" ? .drop : .keep }

  /// What changes training images.
  public var augmentation: Augmentation? {
    guard let list = root["preparation"]?["augmentation"]?.list, !list.isEmpty else { return nil }
    let steps = list.compactMap { value -> Augmentation.Step? in
      guard case .variant(let name, let own) = value.content else { return nil }
      switch name {
      case "horizontal_flip": return .horizontalFlip(probability: own["probability"]?.number ?? 0.5)
      case "vertical_flip": return .verticalFlip(probability: own["probability"]?.number ?? 0.5)
      case "crop": return .crop(padding: own["padding"]?.integer ?? 2)
      case "rotation": return .rotation(degrees: own["degrees"]?.number ?? 10)
      case "cutout": return .cutout(size: own["size"]?.integer ?? 4)
      default: return nil
      }
    }
    return Augmentation(steps, seed: seed)
  }
}
