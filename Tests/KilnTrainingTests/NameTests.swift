import Kiln
import Testing

@Suite("Names and mismatches")
struct NameTests {
  private func model(_ last: Activation) -> Sequential {
    Sequential {
      Dense(6, 8, activation: .relu, on: .cpu)
      Dense(8, 6, activation: last, on: .cpu)
    }
  }

  @Test("every name is found in every spelling")
  func names() throws {
    #expect(UpdateRules.names.count == 10)
    for name in UpdateRules.names { #expect(try UpdateRules.named(name, learningRate: 0.5).learningRate == 0.5) }
    for name in Activation.names { _ = try Activation.named(name) }
    for name in Loss.names { #expect(try Loss.named(name.uppercased()).name == name) }
    for name in TrainingMetric.names { #expect(try TrainingMetric.named(name).name == name) }
    #expect(try Loss.named("SparseCategoricalCrossentropy").predictions == .probabilities)
    #expect(try Activation.named("LeakyReLU") == .leakyReLU())
  }

  @Test("a misspelt name is an error that lists near matches and all names")
  func misspelt() throws {
    func message(_ optimizer: String, _ loss: String, _ metric: String) -> String {
      do {
        _ = try Trainer(model(.softmax), optimizer: optimizer, loss: loss, metrics: [metric])
        return ""
      } catch { return "\(error)" }
    }
    let loss = "sparse_categorical_crossentropy"
    #expect(message("adam", loss, "accuracy").isEmpty)
    #expect(message("adm", loss, "accuracy").contains("there is no optimizer 'adm'; near it: 'adam'"))
    #expect(message("adm", loss, "accuracy").contains("choose one of adam, adamw, sgd"))
    #expect(message("adam", "sparse_categorial_crossentropy", "accuracy").contains("near it: '\(loss)'"))
    #expect(message("adam", loss, "acuracy").contains("near it: 'accuracy'"))
    #expect(message("adam", loss, "zzzzzzzz").contains("no metric 'zzzzzzzz'; choose one of"))
    #expect(throws: TensorError.self) { try Activation.named("rellu") }
    #expect(Names.nearest("rellu", in: Activation.names).contains("relu"))
    #expect(Names.nearest("", in: Activation.names).isEmpty)
  }

  @Test("names stand beside values in every argument")
  func literals() throws {
    let data = try Small.dataset(.cpu)
    func trained(_ model: Sequential, _ trainer: (Sequential) throws -> Trainer) throws -> String {
      let trainer = try trainer(model)
      try trainer.fit(data, epochs: 2, batchSize: 16)
      return try trainer.model.weightsHash()
    }
    func named() -> Sequential {
      let generator = RandomGenerator(seed: 5)
      return Sequential {
        Dense(6, 8, activation: "ReLU", initializer: "he_normal", generator: generator, on: .cpu)
        Dense(8, 6, activation: "linear", biasInitializer: "zeros", generator: generator, on: .cpu)
      }
    }
    func valued() -> Sequential {
      let generator = RandomGenerator(seed: 5)
      return Sequential {
        Dense(6, 8, activation: .relu, initializer: .heNormal, generator: generator, on: .cpu)
        Dense(8, 6, biasInitializer: .zeros, generator: generator, on: .cpu)
      }
    }
    let expected = try trained(valued()) {
      Trainer($0, optimizer: Adam(), loss: .softmaxCrossEntropy(), metrics: [.accuracy])
    }
    for trainer: (Sequential) throws -> Trainer in [
      { Trainer($0, optimizer: Adam(), loss: "softmax_cross_entropy", metrics: ["accuracy"]) },
      { try Trainer($0, optimizer: "adam", loss: "softmax_cross_entropy", metrics: ["accuracy"]) },
      { try Trainer($0, optimizer: "adam", loss: .softmaxCrossEntropy(), metrics: ["accuracy", .f1]) },
    ] {
      #expect(try trained(named(), trainer) == expected)
    }
    for name in Initializer.names { _ = try Initializer.named(name) }
    let stopping = EarlyStopping(monitor: "val_accuracy")
    #expect(stopping.monitor == .validationAccuracy && EarlyStopping(monitor: "loss").monitor == .loss)
    #expect(try MonitoredValue.named("validation_mae").isMaximized == false)
    let recurrent = SimpleRNN(6, 4, activation: "relu", on: .cpu)
    #expect(try recurrent(Tensor.ones([1, 2, 6], on: .cpu)).doubles().allSatisfy { $0 >= 0 })
  }

  @Test("a misspelt name as a value is carried to where it is used, and never ends the program")
  func misspeltLiterals() throws {
    let data = try Small.dataset(.cpu)
    func message(_ body: () throws -> Void) -> String {
      do {
        try body()
        return ""
      } catch { return "\(error)" }
    }
    let x = Tensor.ones([2, 6], on: .cpu)
    let activation = Dense(6, 6, activation: "rellu", on: .cpu)
    #expect(message { _ = try activation(x).doubles() }.contains("there is no activation 'rellu'; near it: 'relu'"))
    let initializer = Dense(6, 6, initializer: "he_norml", on: .cpu)
    #expect(message { _ = try initializer(x).doubles() }.contains("near it: 'he_normal'"))
    let recurrent = SimpleRNN(6, 4, activation: "tahn", on: .cpu)
    #expect(message { _ = try recurrent(x.reshaped(to: [1, 2, 6])).doubles() }.contains("near it: 'tanh'"))
    let wrong = Trainer(Sequential { Dense(6, 6, activation: "rellu", on: .cpu) }, optimizer: Adam())
    #expect(message { try wrong.fit(data, epochs: 1) }.contains("near it: 'relu'"))
    let loss = Trainer(model(.identity), optimizer: Adam(), loss: "softmax_cross_entrpy")
    #expect(message { try loss.fit(data, epochs: 1) }.contains("near it: 'softmax_cross_entropy'"))
    #expect(message { _ = try loss.loss(x, Tensor([0, 1], on: .cpu)).item() }.contains("there is no loss"))
    let metric = Trainer(model(.identity), optimizer: Adam(), metrics: ["acuracy"])
    #expect(message { try metric.fit(data, epochs: 1) }.contains("near it: 'accuracy'"))
    let monitor = EarlyStopping(monitor: "val_acuracy")
    let trainer = Trainer(model(.identity), optimizer: Adam(), metrics: [.accuracy])
    #expect(
      message { try trainer.fit(data, epochs: 1, validation: data, callbacks: [monitor]) }.contains(
        "near it: 'val_accuracy'"))
    #expect(message { _ = try Trainer(model(.identity), optimizer: "adm", loss: .hinge) }.contains("near it: 'adam'"))
  }

  @Test("a last activation that does not belong to the loss is refused, by names and by values")
  func mismatches() throws {
    let data = try Small.dataset(.cpu)
    for (last, loss, fits) in [
      (Activation.softmax, "cross_entropy", false), (.softmax, "sparse_categorical_crossentropy", true),
      (.identity, "sparse_categorical_crossentropy", false), (.identity, "cross_entropy", true),
      (.sigmoid, "binary_crossentropy", true), (.sigmoid, "bce_with_logits", false),
      (.identity, "binary_crossentropy", false), (.identity, "mse", true), (.softmax, "mse", true),
    ] {
      let byName = Result { try Trainer(model(last), optimizer: "sgd", loss: loss) }
      #expect(((try? byName.get()) != nil) == fits, "\(last) \(loss)")
      if !fits {
        let byValue = Trainer(model(last), optimizer: SGD(), loss: try .named(loss))
        #expect(throws: TensorError.self) { try byValue.fit(data, epochs: 1) }
        #expect(throws: TensorError.self) { try byValue.evaluate(data) }
      }
    }
    let layers = Sequential {
      Dense(6, 6, on: .cpu)
      Softmax()
      Flatten()
    }
    #expect(throws: TensorError.self) { try Trainer(layers, optimizer: "sgd", loss: "cross_entropy") }
  }

  @Test("the loss of probabilities is that of their logits")
  func probabilities() throws {
    let data = try Small.dataset(.cpu)
    let generator = RandomGenerator(seed: 5)
    func trained(_ last: Activation, _ loss: Loss) throws -> [Double] {
      let generator = RandomGenerator(generator.state)
      let model = Sequential([Dense(6, 6, activation: last, generator: generator, on: .cpu)])
      let trainer = Trainer(model, optimizer: SGD(learningRate: 0.1), loss: loss)
      try trainer.fit(data, epochs: 3, batchSize: 16)
      return try trainer.model.stateDict.sorted { $0.key < $1.key }.flatMap { try $0.value.doubles() }
    }
    let a = try trained(.softmax, .sparseCategoricalCrossEntropy())
    let b = try trained(.identity, .sparseCategoricalCrossEntropy(fromLogits: true))
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 })
  }
}
