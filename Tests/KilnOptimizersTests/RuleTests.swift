import KilnDevices
import KilnEngine
import KilnLayers
import KilnOptimizers
import Testing

@Suite("Optimizers equal PyTorch's", .serialized)
struct RuleTests {
  static let rules: [(name: String, rule: any UpdateRule)] = [
    ("sgd", SGD(learningRate: 0.1)), ("sgd-decay", SGD(learningRate: 0.1, weightDecay: 0.05)),
    ("sgd-momentum", SGD(learningRate: 0.1, momentum: 0.9, weightDecay: 0.05)),
    ("sgd-dampening", SGD(learningRate: 0.1, momentum: 0.9, dampening: 0.3)),
    ("sgd-nesterov", SGD(learningRate: 0.1, momentum: 0.8, nesterov: true)),
    ("rmsprop", RMSprop(learningRate: 0.01)),
    ("rmsprop-centered", RMSprop(learningRate: 0.02, alpha: 0.9, epsilon: 1e-5, weightDecay: 0.1, centered: true)),
    ("rmsprop-momentum", RMSprop(learningRate: 0.02, momentum: 0.7)),
    ("rmsprop-all", RMSprop(learningRate: 0.02, alpha: 0.8, momentum: 0.7, centered: true)),
    ("adam", Adam(learningRate: 0.01)),
    ("adam-decay", Adam(learningRate: 0.02, beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1)),
    ("adam-amsgrad", Adam(learningRate: 0.02, beta1: 0.8, beta2: 0.6, amsgrad: true)),
    ("adamw", AdamW(learningRate: 0.01)),
    (
      "adamw-amsgrad",
      AdamW(learningRate: 0.02, beta1: 0.8, beta2: 0.6, epsilon: 1e-4, weightDecay: 0.2, amsgrad: true)
    ),
    ("adagrad", Adagrad(learningRate: 0.1)),
    (
      "adagrad-decay",
      Adagrad(learningRate: 0.1, learningRateDecay: 0.1, weightDecay: 0.1, initialAccumulator: 0.3, epsilon: 1e-4)
    ),
    ("adadelta", Adadelta()),
    ("adadelta-decay", Adadelta(learningRate: 0.5, rho: 0.8, epsilon: 1e-4, weightDecay: 0.1)),
    ("adamax", Adamax(learningRate: 0.02)),
    ("adamax-decay", Adamax(learningRate: 0.02, beta1: 0.8, beta2: 0.9, epsilon: 1e-3, weightDecay: 0.1)),
    ("nadam", NAdam(learningRate: 0.02)),
    ("nadam-decay", NAdam(learningRate: 0.02, beta1: 0.8, beta2: 0.9, weightDecay: 0.1, momentumDecay: 0.01)),
    ("nadam-decoupled", NAdam(learningRate: 0.02, weightDecay: 0.1, decouplesDecay: true)),
    ("lion", Lion()), ("lion-decay", Lion(learningRate: 0.01, beta1: 0.8, beta2: 0.9, weightDecay: 0.1)),
    ("lamb", LAMB()),
    ("lamb-decay", LAMB(learningRate: 0.01, beta1: 0.8, beta2: 0.9, epsilon: 1e-4, weightDecay: 0.1)),
  ]

  private func ten(_ rule: any UpdateRule, dtype: DType, on device: Device) throws -> (steps: [Double], late: Int) {
    let golden = Golden.optimizers
    let parameter = Parameter((try golden("start", on: device)).cast(to: dtype) + 0)
    let optimizer = Optimizer(rule, [NamedParameter(name: "w", parameter: parameter)])
    let all = (try golden("gradients", on: device)).cast(to: dtype)
    let gradients = (0..<10).map { all[$0] + 0 }
    for gradient in gradients { try evaluate(gradient) }
    var values: [Double] = []
    var (compiled, late) = (0, 0)
    for step in 0..<10 {
      try optimizer.step(gradients: [gradients[step]])
      values += try parameter.value.doubles()
      if step == 1 { compiled = ProgramCache.shared.compilations }
    }
    late = ProgramCache.shared.compilations - compiled
    #expect(optimizer.stepCount == 10)
    return (values, late)
  }

  @Test("ten steps in float64, which compile nothing after the second", arguments: rules.indices)
  func tenSteps(_ index: Int) throws {
    let (name, rule) = Self.rules[index]
    let (steps, late) = try ten(rule, dtype: .float64, on: .cpu)
    expectClose(steps, try Golden.optimizers("rule.\(name)").doubles(), name, bound: 1e-10)
    #expect(late == 0, "\(name) compiled \(late) programs late")
  }

  @Test(
    "ten steps in float32 on both devices are as near to PyTorch's in float64 and in float32", arguments: Place.allCases
  )
  func single(_ place: Place) throws {
    for (name, rule) in Self.rules {
      let (steps, late) = try ten(rule, dtype: .float32, on: try place.device())
      for precision in ["rule", "rule32"] {
        expectClose(steps, try Golden.optimizers("\(precision).\(name)").doubles(), "\(precision).\(name)", bound: 1e-6)
      }
      #expect(late == 0, "\(name) compiled \(late) programs late")
    }
  }

  @Test("state taken up in the middle goes on bit for bit", arguments: rules.indices)
  func resume(_ index: Int) throws {
    let rule = Self.rules[index].rule
    let gradients = try Golden.optimizers("gradients")
    func make(_ start: Tensor) -> (Parameter, Optimizer) {
      let parameter = Parameter(start)
      let optimizer = Optimizer(
        rule, [NamedParameter(name: "w", parameter: parameter)], schedule: ExponentialSchedule(factor: 0.9))
      return (parameter, optimizer)
    }
    let (whole, first) = make(try Golden.optimizers("start") + 0)
    for step in 0..<5 { try first.step(gradients: [gradients[step]]) }
    let saved = first.state
    let weights = try whole.value.scalars(as: Double.self)
    for step in 5..<10 { try first.step(gradients: [gradients[step]]) }
    let (resumed, second) = make(Tensor(weights, shape: whole.shape, on: .cpu))
    try second.restore(saved)
    for step in 5..<10 { try second.step(gradients: [gradients[step]]) }
    #expect(try resumed.value.hostBytes() == whole.value.hostBytes())
    #expect(second.stepCount == 10)
    // What was saved is still what it was.
    for slot in saved.slots.values { #expect(try slot.doubles().count == 12) }
  }

  @Test("every rule has a golden case, and every golden case a rule")
  func complete() throws {
    let kinds = Set(Self.rules.map { "\(type(of: $0.rule))" })
    #expect(
      kinds == [
        "SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "NAdam", "Lion", "LAMB",
      ])
    #expect(kinds == Sources.types(conformingTo: "UpdateRule"))
    for prefix in ["rule.", "rule32."] {
      let golden = try Golden.optimizers.names().filter { $0.hasPrefix(prefix) }
      #expect(golden == Self.rules.map { prefix + $0.name }.sorted())
    }
  }
}
