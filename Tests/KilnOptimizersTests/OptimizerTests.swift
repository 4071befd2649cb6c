import KilnDevices
import KilnEngine
import KilnLayers
import KilnOptimizers
import Testing

@Suite("Optimizers at work", .serialized)
struct OptimizerTests {
  private struct Pair: Module {
    let a = Parameter(Tensor([-1.2, 1.0], on: .cpu))
    let b = Parameter(Tensor([0.5, -0.3], shape: [1, 2], on: .cpu))
    func rosenbrock() -> Tensor {
      let x = concatenate([a.value, b.value.reshaped(to: [2])], axis: 0)
      let (later, earlier) = (x[1..<4], x[0..<3])
      return (square(later - square(earlier)) * 100 + square(1 - earlier)).sum() * 0.1
    }
  }

  @Test("ten steps of L-BFGS", arguments: ["plain", "wolfe", "short"])
  func lbfgs(_ name: String) throws {
    let model = Pair()
    let optimizer =
      switch name {
      case "plain": LBFGS(for: model, learningRate: 0.1, maxIterations: 4)
      case "wolfe": LBFGS(for: model, maxIterations: 5, lineSearch: .strongWolfe)
      default: LBFGS(for: model, maxIterations: 7, historySize: 2, lineSearch: .strongWolfe)
      }
    var (trace, losses): ([Double], [Double]) = ([], [])
    for _ in 0..<10 {
      losses.append(try optimizer.step(model.rosenbrock))
      trace += try model.a.value.doubles() + model.b.value.doubles()
    }
    expectClose(losses, try Golden.optimizers("lbfgs.\(name).losses").doubles(), "losses", bound: 1e-6)
    expectClose(trace, try Golden.optimizers("lbfgs.\(name)").doubles(), "parameters", bound: 1e-6)
  }

  @Test("clipping by the global norm and by value", arguments: [0.5, 50.0])
  func clipping(_ limit: Double) throws {
    let all = try Golden.optimizers("gradients")
    let (clipped, norm) = clipByGlobalNorm([all[0], all[1][0]], maxNorm: limit)
    expectClose([try norm.item()], try Golden.optimizers("clip.\(limit).norm").doubles(), "norm", bound: 1e-12)
    for (i, g) in clipped.enumerated() {
      expectClose(try g.doubles(), try Golden.optimizers("clip.\(limit).\(i)").doubles(), "gradient", bound: 1e-12)
    }
    let held = try clipByValue([Tensor([-3, 0.5, 9, .infinity], on: .cpu)], limit: 1)[0].doubles()
    #expect(held == [-1, 0.5, 1, 1])
    #expect(try clipByGlobalNorm([], maxNorm: 1).norm.item() == 0)
  }

  @Test("the average of the weights, as they come and corrected")
  func average() throws {
    let layer = Dense(4, 3, bias: false, dtype: .float64, on: .cpu)
    layer.weight.value = try Golden.optimizers("start") + 0
    let average = try WeightAverage(of: layer, decay: 0.9)
    let corrected = try WeightAverage(of: layer, decay: 0.9, correctsBias: true)
    let gradients = try Golden.optimizers("gradients")
    var trace: [Double] = []
    var (sum, share) = ([Double](repeating: 0, count: 12), 0.0)
    for step in 0..<10 {
      layer.weight.value = layer.weight.value.stopGradient() - gradients[step]
      try average.update()
      try corrected.update()
      trace += try #require(try average.values()["weight"]).doubles()
      sum = zip(sum, try layer.weight.value.doubles()).map { 0.9 * $0 + 0.1 * $1 }
      share = 0.9 * share + 0.1
    }
    expectClose(trace, try Golden.optimizers("average").doubles(), "average", bound: 1e-12)
    expectClose(
      try #require(try corrected.values()["weight"]).doubles(), sum.map { $0 / share }, "corrected", bound: 1e-12)
    let own = try layer.weight.value.doubles()
    let within = try average.whileSwappedIn { try layer.weight.value.doubles() }
    #expect(within == Array(trace.suffix(12)))
    #expect(try layer.weight.value.doubles() == own)
    try average.swapIn()
    #expect(throws: TensorError.self) { try average.update() }
  }

  @Test("gradients accumulated over parts are those of the whole")
  func accumulation() throws {
    var accumulator = GradientAccumulator()
    let gradients = try Golden.optimizers("gradients")
    for i in 0..<3 { try accumulator.add([gradients[i], gradients[i][0]], weight: Double(i + 1)) }
    #expect(throws: TensorError.self) { try accumulator.add([gradients[0]]) }
    let mean = accumulator.takeMean()
    let wanted = (gradients[0] + gradients[1] * 2 + gradients[2] * 3) / 6
    expectClose(try mean[0].doubles(), try wanted.doubles(), "mean", bound: 1e-14)
    #expect(accumulator.weight == 0 && accumulator.takeSum().isEmpty)
  }

  @Test("a report of the gradients, and penalties")
  func report() throws {
    let layer = Dense(2, 1, dtype: .float64, on: .cpu)
    layer.weight.value = Tensor([3.0, 4.0], shape: [1, 2], on: .cpu)
    let gradients = [Tensor([0.6, -0.8], shape: [1, 2], on: .cpu), Tensor([Double.nan], on: .cpu)]
    let report = try GradientReport(gradients, of: layer.namedParameters)
    #expect(report.lines[0].name == "weight" && abs(report.lines[0].norm - 1) < 1e-12)
    #expect(abs(report.lines[0].relative - 0.2) < 1e-12 && report.lines[0].greatest == 0.8)
    #expect(report.lines[1].notFinite == 1 && "\(report)".contains("1 not finite"))
    let l1 = l1Penalty([layer.weight], strength: 0.5)
    let l2 = l2Penalty([layer.weight], strength: 0.5)
    #expect(try l1.item() == 3.5)
    #expect(try l2.item() == 12.5)
    #expect(try gradient(of: l1 + l2, withRespectTo: layer.weight.value).doubles() == [3.5, 4.5])
  }

  @Test("groups, frozen parameters, and what is refused")
  func groups() throws {
    let model = Dense(2, 2, dtype: .float64, on: .cpu)
    let optimizer = try Optimizer(
      AdamW(learningRate: 0.1, weightDecay: 0.5), for: model, groups: [ParameterGroup("*bias", weightDecay: 0)])
    let bias = try #require(model.bias)
    let (weights, biases) = (try model.weight.value.doubles(), try bias.value.doubles())
    let zeros = [Tensor.zeros([2, 2], dtype: .float64, on: .cpu), Tensor.zeros([2], dtype: .float64, on: .cpu)]
    try optimizer.step(gradients: zeros)
    expectClose(try model.weight.value.doubles(), weights.map { $0 * 0.95 }, "decayed", bound: 1e-15)
    #expect(try bias.value.doubles() == biases)
    bias.isTrainable = false
    #expect(optimizer.parameters.map(\.name) == ["weight"])
    try optimizer.step(gradients: [zeros[0]])
    #expect(optimizer.state.steps == ["weight": 2, "bias": 1] && optimizer.stepCount == 2)
    #expect(optimizer.state.groups.map(\.parameters) == [["weight"], ["bias"]])
    #expect(throws: TensorError.self) { try optimizer.step(gradients: zeros) }
    #expect(throws: TensorError.self) { try Optimizer(SGD(), for: model, groups: [ParameterGroup("conv")]) }
    #expect(throws: TensorError.self) { try Optimizer(SGD(momentum: 0.9), for: model).restore(optimizer.state) }
    var partial = optimizer.state
    partial.slots["weight.exp_avg"] = nil
    #expect(throws: TensorError.self) { try optimizer.restore(partial) }
  }

  @Test("a step evaluates the running statistics that its forward pass left pending")
  func buffers() throws {
    let norm = BatchNorm1D(3, dtype: .float64, on: .cpu)
    let optimizer = Optimizer(SGD(), for: norm)
    let x = Tensor([1.0, 2, 3, 4, 5, 9], shape: [2, 3], on: .cpu)
    for _ in 0..<2 {
      let loss = square(norm(x)).sum()
      try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
      #expect(norm.namedBuffers.allSatisfy { $0.buffer.value.isEvaluated })
    }
  }
}
