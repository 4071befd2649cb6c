import Kiln
import KilnEngine
import OpCases
import Synchronization
import Testing

@testable import KilnCPU

/// Training steps that are traced once and replayed: the numbers of `Optimizer.step`, whatever happens in between.
@Suite("Compiled training steps", .serialized)
struct CompiledStepTests {
  static let devices = ["cpu", "opencl:0"]

  /// Convolution, running statistics, dropout, an unused and a shared parameter.
  private struct Network: Layer {
    let convolution: Conv2D
    let norm: BatchNorm2D
    let dropout: Dropout
    let head: Dense
    let unused: Dense

    init(seed: UInt64, on device: Device) {
      let generator = RandomGenerator(seed: seed)
      convolution = Conv2D(1, 3, kernel: 3, generator: generator, on: device)
      norm = BatchNorm2D(3, on: device)
      dropout = Dropout(0.25, generator: RandomGenerator(seed: seed + 1))
      head = Dense(3 * 4 * 4, 5, generator: generator, on: device)
      unused = Dense(2, 2, generator: generator, on: device)
    }
    func callAsFunction(_ x: Tensor) -> Tensor {
      let y = dropout(relu(norm(convolution(x))))
      return head(y.reshaped(to: [y.shape[0], 3 * 4 * 4]))
    }
  }

  private static func batch(_ seed: UInt64, rows: Int, on device: Device) throws -> [Tensor] {
    let generator = RandomGenerator(seed: seed)
    let x = Tensor.randomNormal([rows, 1, 6, 6], generator: generator, on: device)
    let y = Tensor.randomIntegers([rows], high: 5, generator: generator, on: device)
    try evaluate(x, y)
    return [x, y]
  }

  private static func optimizer(_ rule: any UpdateRule, _ model: Network) throws -> Optimizer {
    try Optimizer(
      rule, for: model, groups: [ParameterGroup("head*", learningRate: 0.03, weightDecay: 0)],
      schedule: ExponentialSchedule(factor: 0.9))
  }

  private static func bytes(_ model: Network, _ optimizer: Optimizer) throws -> [[UInt8]] {
    let tensors =
      model.namedParameters.map(\.parameter.value) + model.namedBuffers.map(\.buffer.value)
      + optimizer.slots.sorted { $0.key < $1.key }.map(\.value)
    return try tensors.map { try $0.stopGradient().hostBytes() }
  }

  static let rules: [any UpdateRule] = [
    AdamW(learningRate: 0.01, weightDecay: 0.1), LAMB(learningRate: 0.01, weightDecay: 0.1),
    SGD(learningRate: 0.1, momentum: 0.9), NAdam(learningRate: 0.02),
  ]

  @Test("bit for bit the steps of the optimizer, through all that changes in between", arguments: devices)
  func equalsPlainSteps(_ name: String) throws {
    let device = try Device.named(name)
    for rule in Self.rules {
      let (plain, replayed) = (Network(seed: 3, on: device), Network(seed: 3, on: device))
      let (first, second) = (try Self.optimizer(rule, plain), try Self.optimizer(rule, replayed))
      let step = CompiledTrainingStep(replayed, second) { inputs in
        [softmaxCrossEntropy(logits: replayed(inputs[0]), labels: inputs[1])]
      }
      for i in 0..<15 {
        let inputs = try Self.batch(UInt64(i), rows: i == 5 ? 3 : 4, on: device)
        for (model, optimizer) in [(plain, first), (replayed, second)] {
          switch i {
          case 4: optimizer.learningRate = 0.005
          case 6:
            try model.freeze("norm")
            try model.freeze("convolution.bias")
          case 8: try model.unfreeze("norm")
          case 9: model.head.bias?.value = Tensor.full([5], 0.5, on: device)
          case 10: model.eval()
          case 11: model.train()
          case 12: try optimizer.restore(optimizer.state)
          case 13: optimizer.clipping = .globalNorm(0.01)
          default: break
          }
        }
        let loss = softmaxCrossEntropy(logits: plain(inputs[0]), labels: inputs[1])
        let gradients = try gradient(of: loss, withRespectTo: first.values)
        let value = loss.stopGradient()
        try first.step(gradients: gradients, evaluating: [value])
        let again = try step(inputs)[0]
        #expect(try again.hostBytes() == value.hostBytes(), "\(type(of: rule)), loss of step \(i)")
        #expect(try Self.bytes(replayed, second) == Self.bytes(plain, first), "\(type(of: rule)), step \(i)")
      }
      // One trace and one comparison each: 4 rows, 3 rows, two kinds of frozen, evaluation.
      #expect(step.traces <= 10, "\(step.traces) traces")
    }
  }

  @Test("the parameters of a group are updated by one kernel, in place", arguments: devices)
  func oneKernel(_ name: String) throws {
    let driver = CountingDriver(try Device.named(name))
    let device = Device(driver)
    let model = Network(seed: 3, on: device)
    let optimizer = try Self.optimizer(Self.rules[0], model)
    let step = CompiledTrainingStep(model, optimizer) { inputs in
      [softmaxCrossEntropy(logits: model(inputs[0]), labels: inputs[1])]
    }
    let inputs = try Self.batch(1, rows: 4, on: device)
    for _ in 0..<3 { try step(inputs) }
    let program = try #require(driver.programs.withLock { $0.last })
    // Two groups, each one value and two slots; running statistics and the loss are the other outputs.
    let updates = program.steps.filter { step in
      guard case .elementwise(let kernel) = step else { return false }
      // What a kernel stores beside other work is no output of the program.
      return kernel.outputs.count == 3
        && kernel.outputs.allSatisfy { if case .output? = $0.slot { true } else { false } }
    }
    #expect(updates.count == 2)
    #expect(program.donations.count >= 6)
    let before = driver.allocations.load(ordering: .relaxed)
    try step(inputs)
    let fresh = program.outputs.count - program.donations.count + (program.arenaBytes > 0 ? 1 : 0)
    #expect(driver.allocations.load(ordering: .relaxed) - before == fresh)
  }

  @Test("the updates of Adam and AdamW are the CPU device's own loop", arguments: [false, true])
  func adamLoop(decays: Bool) throws {
    let driver = CountingDriver(.cpu)
    let rule: any UpdateRule = decays ? AdamW(weightDecay: 0.1) : Adam()
    let model = Sequential { Dense(8, 4, generator: RandomGenerator(seed: 1), on: Device(driver)) }
    let step = CompiledTrainingStep(model, Optimizer(rule, for: model)) { [square(model($0[0])).sum()] }
    try step([Tensor.ones([2, 8], on: Device(driver))])
    let program = try #require(driver.programs.withLock { $0.last })
    let updates = program.steps.filter {
      if case .elementwise(let kernel) = $0 {
        AdamRun(kernel, SlotTable(program, driver: .shared)) != nil
      } else {
        false
      }
    }
    #expect(updates.count == 1)
  }

  /// The OpenCL device notes bad labels and finishes split sums by launches of their own.
  @Test("a perceptron's training step is at most 12 launches, on OpenCL 15", arguments: zip(devices, [12, 15]))
  func kernels(_ name: String, most: Int) throws {
    let driver = CountingDriver(try Device.named(name))
    let device = Device(driver)
    let generator = RandomGenerator(seed: 1)
    let images = Tensor.randomNormal([32, 784], generator: generator, on: device)
    let labels = Tensor.randomIntegers([32], high: 10, generator: generator, on: device)
    try evaluate(images, labels)
    let model = Sequential {
      Dense(784, 128, activation: .relu, on: device)
      Dense(128, 10, on: device)
    }
    let optimizer = Optimizer(Adam(), for: model)
    let step = CompiledTrainingStep(model, optimizer) { inputs in
      [softmaxCrossEntropy(logits: model(inputs[0]), labels: inputs[1])]
    }
    for _ in 0..<2 { try step([images, labels]) }
    let before = driver.launches.load(ordering: .relaxed)
    try step([images, labels])
    #expect(driver.launches.load(ordering: .relaxed) - before <= most)
  }

  @Test("a loss that is older than the optimizer is differentiated by the parameters all the same")
  func olderLoss() throws {
    let model = Sequential { Dense(4, 3, generator: RandomGenerator(seed: 1), on: .cpu) }
    let loss = square(model(Tensor.ones([2, 4], on: .cpu))).sum()
    let optimizer = Optimizer(SGD(learningRate: 0.1), for: model)
    for gradient in try gradient(of: loss, withRespectTo: optimizer.values) {
      #expect(try gradient.doubles().contains { $0 != 0 })
    }
  }

  @Test("a step that cannot be replayed is refused, and the trainer runs it all the same")
  func refusal() throws {
    let model = Sequential { Dense(4, 3, generator: RandomGenerator(seed: 1), on: .cpu) }
    let weights = Tensor([1, 2, 0.5] as [Float], on: .cpu)
    let optimizer = Optimizer(SGD(learningRate: 0.1), for: model)
    let x = Tensor.randomNormal([6, 4], generator: RandomGenerator(seed: 2), on: .cpu)
    let y = Tensor([0, 1, 2, 0, 1, 2] as [Int32], on: .cpu)
    let loss: @Sendable (Tensor, Tensor) -> Tensor = { logits, labels in
      softmaxCrossEntropy(logits: logits * weights, labels: labels)
    }
    let step = CompiledTrainingStep(model, optimizer) { [loss(model($0[0]), $0[1])] }
    #expect(throws: TensorError.self) { try step([x, y]) }

    let twin = Sequential { Dense(4, 3, generator: RandomGenerator(seed: 1), on: .cpu) }
    let trainer = Trainer(twin, optimizer: SGD(learningRate: 0.1), loss: loss)
    for _ in 0..<3 {
      let value = loss(model(x), y)
      try optimizer.step(gradients: gradient(of: value, withRespectTo: optimizer.values))
      try trainer.step(x, y)
    }
    #expect(try twin.weightsHash() == model.weightsHash())
  }
}
