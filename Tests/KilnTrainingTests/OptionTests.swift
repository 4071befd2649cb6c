import Foundation
import Kiln
import Testing

@Suite("The trainer's options", .serialized)
struct OptionTests {
  static func model(_ generator: RandomGenerator = RandomGenerator(seed: 5)) -> Sequential {
    Sequential {
      Dense(6, 16, activation: .tanh, generator: generator, on: .cpu)
      Dense(16, 6, generator: generator, on: .cpu)
    }
  }

  static func trained(_ options: TrainerOptions, batchSize: Int = 16, rule: any UpdateRule = SGD(learningRate: 0.1))
    throws -> Trainer
  {
    let trainer = Trainer(model(), optimizer: rule, options: options)
    try trainer.fit(Small.dataset(.cpu), epochs: 2, batchSize: batchSize, seed: 9)
    return trainer
  }

  @Test("clipping, schedule and average do what an own loop with them does, bit for bit")
  func ownLoop() throws {
    let data = try Small.dataset(.cpu)
    let schedule = CosineSchedule(steps: 8)
    let options = TrainerOptions(
      schedule: schedule, clipping: .globalNorm(0.05), averaging: .init(decay: 0.9, correctsBias: true))
    let trainer = try Self.trained(options, rule: Adam(learningRate: 0.01))
    let own = Self.model()
    let optimizer = Optimizer(Adam(learningRate: 0.01), for: own, schedule: schedule)
    optimizer.clipping = .globalNorm(0.05)
    let average = try WeightAverage(of: own, decay: 0.9, correctsBias: true)
    var clipped = 0
    for epoch in 0..<2 {
      for positions in try BatchIterator(count: data.count, batchSize: 16, seed: 9, epoch: epoch) {
        let batch = data.batch(positions)
        let gradients = try gradient(
          of: softmaxCrossEntropy(logits: own(batch.features), labels: batch.labels),
          withRespectTo: optimizer.values)
        if try globalNorm(gradients).item() > 0.05 { clipped += 1 }
        try optimizer.step(gradients: gradients)
        try average.update()
      }
    }
    #expect(clipped > 0)
    #expect(try trainer.model.weightsHash() == own.weightsHash())
    #expect(trainer.optimizer.scheduledLearningRates == optimizer.scheduledLearningRates)
    let averaged = try average.whileSwappedIn { try own(data.features).doubles() }
    #expect(try trainer.predict(data.features).doubles() == averaged)
    #expect(try own(data.features).doubles() != averaged)
    // Not asked for: the weights themselves.
    var plain = options
    plain.averaging?.isUsedForEvaluation = false
    let other = try Self.trained(plain, rule: Adam(learningRate: 0.01))
    #expect(try other.predict(data.features).doubles() == own(data.features).doubles())
  }

  @Test("clipping by value is elementwise")
  func clipValue() throws {
    let data = try Small.dataset(.cpu)
    let trainer = Trainer(
      Self.model(), optimizer: SGD(learningRate: 1), options: TrainerOptions(clipping: .value(1e-3)))
    let before = try trainer.model.stateDict.mapValues { try $0.doubles() }
    try trainer.step(data.features, data.labels)
    var atLimit = 0
    for (name, values) in before {
      for (old, new) in zip(values, try #require(trainer.model.stateDict[name]).doubles()) {
        #expect(abs(old - new) <= 1.001e-3)
        if abs(old - new) > 0.99e-3 { atLimit += 1 }
      }
    }
    #expect(atLimit > 10)
  }

  @Test("accumulated batches give the update of one large batch, the last ones too")
  func accumulation() throws {
    // 70 samples: 2 updates of 4 batches of 10, with 3 batches in the last; as a batch of 40 and one of 30.
    let parts = try Self.trained(TrainerOptions(accumulation: 4), batchSize: 10)
    let whole = try Self.trained(TrainerOptions(), batchSize: 40)
    #expect(parts.optimizer.stepCount == 4 && whole.optimizer.stepCount == 4)
    for (name, tensor) in whole.model.stateDict {
      let other = try #require(parts.model.stateDict[name]).doubles()
      #expect(try zip(tensor.doubles(), other).allSatisfy { abs($0 - $1) < 1e-6 }, "\(name)")
    }
    // An own loop.
    let own = Trainer(Self.model(), optimizer: SGD(learningRate: 0.1), options: TrainerOptions(accumulation: 4))
    let data = try Small.dataset(.cpu)
    for epoch in 0..<2 {
      for positions in try BatchIterator(count: data.count, batchSize: 10, seed: 9, epoch: epoch) {
        let batch = data.batch(positions)
        try own.step(batch.features, batch.labels)
      }
      try own.finishUpdate()
    }
    #expect(try own.model.weightsHash() == parts.model.weightsHash())
  }

  @Test("weights of samples and of classes count as the loss says")
  func weights() throws {
    let data = try Small.dataset(.cpu)
    let labels = try data.labels.scalars(as: Int.self)
    let classWeights: [Double] = [1, 0, 2, 1, 0.5, 3]
    let own = labels.map { Float(classWeights[$0]) }
    let weighted = try ArrayDataset(features: data.features, labels: data.labels, weights: Tensor(own, on: .cpu))
    let (byClass, bySample) = (
      Trainer(Self.model(), optimizer: SGD(learningRate: 0.1), options: TrainerOptions(classWeights: classWeights)),
      Trainer(Self.model(), optimizer: SGD(learningRate: 0.1))
    )
    try byClass.fit(data, epochs: 2, batchSize: 16, seed: 9)
    let history = try bySample.fit(weighted, epochs: 2, batchSize: 16, seed: 9)
    #expect(try byClass.model.weightsHash() == bySample.model.weightsHash())
    #expect(try byClass.model.weightsHash() != Self.trained(TrainerOptions()).model.weightsHash())

    // The first batch's loss, by hand.
    let positions = try #require(try BatchIterator(count: 70, batchSize: 16, seed: 9).first { _ in true })
    let logs = try Self.model()(data.features).logSoftmax(axis: -1).doubles()
    let expected = positions.reduce(0.0) { $0 - classWeights[labels[$1]] * logs[$1 * 6 + labels[$1]] } / 16
    #expect(abs(history.stepLosses[0] - expected) < 1e-6)
    // Class weights are for training alone, weights of samples also for evaluation.
    #expect(try byClass.evaluate(data).loss != bySample.evaluate(weighted).loss)
    #expect(try byClass.evaluate(weighted) == bySample.evaluate(weighted))
  }

  @Test("metrics of training and validation are those of the library over the same predictions")
  func metrics() throws {
    let data = try Small.dataset(.cpu)
    let names = ["accuracy", "f1", "recall", "precision", "iou", "top_3_accuracy", "perplexity"]
    let trainer = try Trainer(
      Self.model(), optimizer: "sgd", loss: "cross_entropy", metrics: names, learningRate: 1e-30)
    let history = try trainer.fit(data, epochs: 1, batchSize: 16, validation: data)
    let report = try #require(history.epochs.first)
    // The weights did not move: training's metrics are validation's.
    #expect(report.metrics.keys.sorted() == names.sorted())
    for name in names {
      let (training, validation) = (report.metrics[name] ?? .nan, report.validation?.metrics[name] ?? .nan)
      #expect(abs(training - validation) < 1e-6, "\(name): \(training), \(validation)")
    }
    let logits = try trainer.predict(data.features)
    var (accuracy, f1, perplexity) = (Accuracy(), F1Score(classes: 6), Perplexity())
    try accuracy.update(logits, labels: data.labels)
    try f1.update(logits, labels: data.labels)
    try perplexity.update(logits, labels: data.labels)
    #expect(report.validation?.accuracy == accuracy.value)
    #expect(report.validation?.metrics["f1"] == f1.value)
    #expect(abs((report.validation?.metrics["perplexity"] ?? 0) - perplexity.value) < 1e-9)
  }

  @Test("binary and regression metrics take the shapes that models give")
  func otherMetrics() throws {
    let generator = RandomGenerator(seed: 2)
    let x = Tensor.randomNormal([50, 3], generator: generator, on: .cpu)
    let labels = (x.sum(axes: [-1]) .> 0).cast(to: .int64)
    try evaluate(x, labels)
    let binary = try ArrayDataset(features: x, labels: labels)
    let model = Sequential([Dense(3, 1, activation: .sigmoid, generator: generator, on: .cpu)])
    let trainer = try Trainer(
      model, optimizer: "adam", loss: "binary_crossentropy", metrics: ["accuracy", "auroc", "recall"],
      learningRate: 0.1)
    let result = try trainer.fit(binary, epochs: 20, batchSize: 10, validation: binary).epochs.last
    #expect(result?.validation?.accuracy ?? 0 > 0.9 && result?.validation?.metrics["auroc"] ?? 0 > 0.95)
    let two = Sequential([Dense(3, 2, generator: generator, on: .cpu)])
    let softmax = try Trainer(
      two, optimizer: "adam", loss: "cross_entropy", metrics: ["auroc", "auprc", "f1"], learningRate: 0.1)
    try softmax.fit(binary, epochs: 20, batchSize: 10)
    #expect(try softmax.evaluate(binary).metrics["auroc"] ?? 0 > 0.95)

    let target = x.sum(axes: [-1]) * 2
    try evaluate(target)
    let line = Sequential([Dense(3, 1, generator: generator, on: .cpu)])
    let regression = try Trainer(
      line, optimizer: "adam", loss: "mse", metrics: ["mae", "rmse", "r2"], learningRate: 0.1)
    try regression.fit(ArrayDataset(features: x, labels: target), epochs: 60, batchSize: 10)
    let fitted = try regression.evaluate(ArrayDataset(features: x, labels: target))
    #expect(fitted.metrics["r2"] ?? 0 > 0.99)
    #expect(abs((fitted.metrics["rmse"] ?? 1) - fitted.loss.squareRoot()) < 1e-6)
    #expect(fitted.accuracy.isNaN)
  }

  @Test("a loader trains as the data set in it, and streams train too")
  func loaders() throws {
    let data = try Small.dataset(.cpu)
    let samples = try HostDataset(features: HostArray(data.features), labels: HostArray(data.labels))
    let own = [Double](repeating: 0.5, count: 69) + [4]
    let (fromArray, fromLoader) = (Small.trainer(.cpu), Small.trainer(.cpu))
    let weights = Tensor(own.map { Float($0) }, on: .cpu)
    try fromArray.fit(
      ArrayDataset(features: data.features, labels: data.labels, weights: weights), epochs: 2, batchSize: 16, seed: 3)
    let state = try Small.bits(fromArray)
    setSeed(11)
    let loader = try DataLoader(samples, batchSize: 16, seed: 3, workers: 2)
    let history = try fromLoader.fit(loader, epochs: 2, validation: loader, weights: own)
    #expect(try Small.bits(fromLoader) == state)
    #expect(history.epochs.count == 2 && history.epochs[0].validation != nil)
    #expect(try fromLoader.evaluate(loader).accuracy == fromLoader.evaluate(data).accuracy)
    let inOrder = try DataLoader(samples, batchSize: 33, sampler: .sequential)
    #expect(try fromLoader.predict(inOrder).shape == [70, 6])

    struct Counted: DataStream {
      let samples: HostDataset
      var name: String { "samples" }
      func makeReader() -> any SampleReader {
        var position = 0
        return ClosureReader {
          guard position < samples.count else { return nil }
          defer { position += 1 }
          return try samples.sample(at: position)
        }
      }
    }
    let stream = try DataLoader(stream: Counted(samples: samples), batchSize: 16, shuffleBuffer: 20)
    #expect(try Small.trainer(.cpu).fit(stream, epochs: 2).stepLosses.count == 10)
  }

  @Test("a validation split holds out the same samples for the same seed, and no others are trained on")
  func split() throws {
    let data = try Small.dataset(.cpu)
    func fit(_ seed: UInt64) throws -> TrainingHistory {
      try Trainer(Self.model(), optimizer: SGD()).fit(
        data, epochs: 1, batchSize: 1000, seed: seed, validationSplit: 0.3)
    }
    #expect(try fit(1).epochs[0].validation == fit(1).epochs[0].validation)
    #expect(try fit(1).epochs[0].validation != fit(2).epochs[0].validation)
    #expect(throws: TensorError.self) {
      try Trainer(Self.model(), optimizer: SGD()).fit(data, epochs: 1, validation: data, validationSplit: 0.3)
    }
  }

  @Test("augmentation changes the batches by seed and epoch, and nothing else")
  func augmented() throws {
    let images = Tensor.randomNormal([20, 1, 8, 8], generator: RandomGenerator(seed: 1), on: .cpu)
    let data = try ArrayDataset(features: images, labels: Tensor((0..<20).map { $0 % 2 }, on: .cpu))
    func hash(_ augmentation: Augmentation?) throws -> String {
      let generator = RandomGenerator(seed: 1)
      let model = Sequential {
        Flatten()
        Dense(64, 2, generator: generator, on: .cpu)
      }
      try Trainer(model, optimizer: SGD(learningRate: 0.1)).fit(
        data, epochs: 2, batchSize: 8, augmentation: augmentation)
      return try model.weightsHash()
    }
    let flips = Augmentation([.horizontalFlip()], seed: 3)
    #expect(try hash(flips) == hash(flips))
    #expect(try hash(flips) != hash(nil))
    #expect(try hash(flips) != hash(Augmentation([.horizontalFlip()], seed: 4)))
  }

  @Test("options that cannot be are refused with one error")
  func refused() throws {
    let data = try Small.dataset(.cpu)
    for options in [
      TrainerOptions(accumulation: 0), TrainerOptions(clipping: .globalNorm(0)), TrainerOptions(clipping: .value(-1)),
      TrainerOptions(averaging: .init(decay: 1)), TrainerOptions(classWeights: [1, .nan]),
    ] {
      #expect(throws: TensorError.self) {
        try Trainer(Self.model(), optimizer: SGD(), options: options).fit(data, epochs: 1)
      }
    }
    // Too few class weights: an error of the step, no trap.
    #expect(throws: (any Error).self) {
      try Trainer(Self.model(), optimizer: SGD(), options: TrainerOptions(classWeights: [1, 1])).fit(data, epochs: 1)
    }
    let own = Trainer(Self.model(), optimizer: SGD(), options: TrainerOptions(classWeights: [1, 1, 1, 1, 1, 1])) {
      softmaxCrossEntropy(logits: $0, labels: $1)
    }
    #expect(throws: TensorError.self) { try own.fit(data, epochs: 1) }
  }

  @Test("a model on the wrong device is moved, and so is its data", arguments: ["opencl:0"])
  func devices(name: String) throws {
    let device = try Device.named(name)
    let trainer = try Trainer(
      Self.model(), optimizer: "sgd", loss: "cross_entropy", metrics: ["accuracy"], learningRate: 0.1, device: device)
    let data = try Small.dataset(.cpu)
    try trainer.fit(data, epochs: 2, batchSize: 16, seed: 9, validation: data)
    #expect(trainer.device == device)
    let expected = try Self.trained(TrainerOptions())
    let (a, b) = (try trainer.predict(data.features).doubles(), try expected.predict(data.features).doubles())
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test(
    "the time to compile the step is told, and is none where the programs are known", arguments: ["cpu", "opencl:0"])
  func compileTime(name: String) throws {
    let device = try Device.named(name)
    // A width of its own, so that no other test has compiled it.
    func trainer(_ width: Int, accumulation: Int = 1) -> Trainer {
      let generator = RandomGenerator(seed: 5)
      let model = Sequential {
        Dense(6, width, activation: .relu, generator: generator, on: device)
        Dense(width, 6, generator: generator, on: device)
      }
      return Trainer(model, optimizer: Adam(), options: TrainerOptions(accumulation: accumulation))
    }
    let data = try Small.dataset(device)
    for (width, accumulation) in [(37, 1), (38, 2)] {
      let first = trainer(width, accumulation: accumulation)
      #expect(first.compileSeconds == 0)
      let clock = ContinuousClock()
      var history = TrainingHistory()
      let whole = try clock.measure { history = try first.fit(data, epochs: 3, batchSize: 16) } / .seconds(1)
      #expect(history.compileSeconds > 0 && history.compileSeconds < whole)
      #expect(history.compileSeconds == first.compileSeconds && history.compileSeconds <= history.seconds)
      let again = try trainer(width, accumulation: accumulation).fit(data, epochs: 3, batchSize: 16)
      #expect(again.compileSeconds == 0)
      // Another shape of the batch compiles once more, and the time adds up.
      let more = try first.fit(data, epochs: 1, batchSize: 15)
      #expect(more.compileSeconds > 0 && first.compileSeconds > history.compileSeconds)
    }
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path)
    let log = EventLog(folder.path + "/log.jsonl")
    let history = try trainer(39).fit(data, epochs: 1, batchSize: 16, callbacks: [Checkpointing(store), log])
    let kept = try #require(try store.latest().checkpoint).state().history
    #expect(kept.compileSeconds > 0 && kept.compileSeconds <= history.compileSeconds)
    #expect(try String(contentsOfFile: log.path, encoding: .utf8).contains("\"compileSeconds\":0."))
    #expect(RunReport(title: "x", history: history).html.contains("compiling the training step"))
  }
}
