import KilnDevices
import KilnEngine
import KilnLayers
import KilnOptimizers
import Testing

@Suite("Schedules equal PyTorch's")
struct ScheduleTests {
  static let schedules: [(name: String, schedule: any Schedule)] = [
    ("constant", ConstantSchedule(factor: 0.25, steps: 40)), ("lambda", FunctionSchedule { 1 / Double(1 + $0) }),
    ("step", StepSchedule(every: 70, factor: 0.7)),
    ("multi-step", MultiStepSchedule(milestones: [200, 30, 700], factor: 0.3)),
    ("exponential", ExponentialSchedule(factor: 0.99)), ("polynomial", PolynomialSchedule(steps: 600, power: 2)),
    ("linear", LinearWarmup(steps: 130, from: 0.1, to: 0.9)), ("cosine", CosineSchedule(steps: 999, minimum: 0.01)),
    ("cosine-continued", CosineSchedule(steps: 150, minimum: 0.01, continues: true)),
    ("restarts", CosineRestartsSchedule(firstSteps: 90, minimum: 0.01)),
    ("restarts-growing", CosineRestartsSchedule(firstSteps: 30, growth: 3)),
    ("triangular", CyclicalSchedule(maximum: 1, stepsUp: 60)),
    ("triangular2", CyclicalSchedule(maximum: 1, stepsUp: 60, stepsDown: 90, shape: .triangular2)),
    ("exp-range", CyclicalSchedule(maximum: 1, stepsUp: 40, shape: .expRange(factor: 0.995))),
    ("one-cycle", OneCycleSchedule(steps: 1001)),
    ("one-cycle-linear", OneCycleSchedule(steps: 1003, rise: 0.2, startDivisor: 10, annealing: .linear)),
    ("one-cycle-three", OneCycleSchedule(steps: 1001, rise: 0.4, hasThreePhases: true)),
    ("chained", ChainedSchedule([ConstantSchedule(factor: 0.1, steps: 100), ExponentialSchedule(factor: 0.995)])),
    (
      "sequential",
      SequentialSchedule(
        [
          LinearWarmup(steps: 100, from: 0.01), StepSchedule(every: 200, factor: 0.5),
          ExponentialSchedule(factor: 0.99),
        ],
        milestones: [100, 800])
    ),
  ]
  static let plateaus: [(name: String, schedule: ReduceOnPlateau)] = [
    ("plateau", ReduceOnPlateau(factor: 0.6, patience: 7)),
    (
      "plateau-max",
      ReduceOnPlateau(
        goal: .maximum, factor: 0.5, patience: 20, threshold: .absolute(0.003), cooldown: 9, minimum: 0.01)
    ),
    ("plateau-min-absolute", ReduceOnPlateau(factor: 0.8, patience: 5, threshold: .absolute(1e-3), cooldown: 3)),
    (
      "plateau-max-relative",
      ReduceOnPlateau(goal: .maximum, factor: 0.3, patience: 15, threshold: .relative(0.01), minimum: 1e-3)
    ),
  ]

  @Test("the first 1,000 values", arguments: schedules.indices)
  func values(_ index: Int) throws {
    let (name, schedule) = Self.schedules[index]
    let rates = (0..<1000).map { schedule.learningRate(step: $0, base: 0.3) }
    expectClose(rates, try Golden.schedules(name).doubles(), name, bound: 1e-9)
  }

  @Test("the rates after 1,000 figures", arguments: plateaus.indices)
  func plateau(_ index: Int) throws {
    let name = Self.plateaus[index].name
    var plateau = Self.plateaus[index].schedule
    var rate = 0.3
    var rates: [Double] = []
    for figure in try Golden.schedules("plateau.figures").doubles() {
      rate = plateau.update(figure, learningRate: rate)
      rates.append(rate)
    }
    expectClose(rates, try Golden.schedules(name).doubles(), name, bound: 1e-12)
  }

  @Test("an optimizer follows its schedule, each group from its own rate")
  func attached() throws {
    let model = Dense(2, 2, dtype: .float64, on: .cpu)
    let optimizer = try Optimizer(
      SGD(learningRate: 1), for: model, groups: [ParameterGroup("bias", learningRate: 0.1)],
      schedule: StepSchedule(every: 2, factor: 0.5))
    let (weight, bias) = (try model.weight.value.doubles(), try #require(model.bias).value.doubles())
    for _ in 0..<3 {
      try optimizer.step(gradients: optimizer.values.map { Tensor.ones($0.shape, dtype: .float64, on: .cpu) })
    }
    expectClose(try model.weight.value.doubles(), weight.map { $0 - 2.5 }, "weight", bound: 1e-12)
    expectClose(try #require(model.bias).value.doubles(), bias.map { $0 - 0.25 }, "bias", bound: 1e-12)
    #expect(optimizer.scheduledLearningRates == [0.5, 0.05])
    optimizer.learningRate = 2
    #expect(optimizer.scheduledLearningRates == [1, 0.1])
  }

  @Test("every schedule has a golden case, and every golden case a schedule")
  func complete() throws {
    let kinds = Set(Self.schedules.map { "\(type(of: $0.schedule))" })
    #expect(kinds == Sources.types(conformingTo: "Schedule"))
    let names = Self.schedules.map(\.name) + Self.plateaus.map(\.name) + ["plateau.figures"]
    #expect(try Golden.schedules.names() == names.sorted())
  }
}
