import Kiln
import Testing

/// Long memory as a task: two of the numbers are marked, and their sum is asked for at the end
/// (Hochreiter and Schmidhuber, 1997). Always answering 1 has the mean squared error 1/6.
private struct AddingProblem {
  let time: Int
  let generator: RandomGenerator

  /// Numbers and marks [batch, time, 2], sums [batch, 1].
  func batch(_ count: Int) -> (x: Tensor, y: Tensor) {
    let numbers = Tensor.randomUniform([count, time], generator: generator, on: .cpu)
    let position = Tensor.arange(to: Double(time), dtype: .int64, on: .cpu)
    func mark(_ low: Int, _ high: Int) -> Tensor {
      position .== Tensor.randomIntegers([count, 1], low: low, high: high, generator: generator, on: .cpu)
    }
    let marks = (mark(0, time / 2) .|| mark(time / 2, time)).cast(to: .float32)
    return (stack([numbers, marks], axis: -1), (numbers * marks).sum(axes: [1], keepDims: true))
  }
}

@Suite("Recurrent networks learn what they can")
struct RecurrentLearningTests {
  /// The mean squared error on 1000 new sequences after training, which ends early below 0.008.
  private func error(
    of layer: any Layer, hidden: Int, steps: Int, learningRate: Double, time: Int = 100
  ) throws -> Double {
    let model = Sequential([layer, Dense(hidden, 1, generator: RandomGenerator(seed: 8), on: .cpu)])
    let optimizer = Optimizer(Adam(learningRate: learningRate), for: model)
    let problem = AddingProblem(time: time, generator: RandomGenerator(seed: 21))
    let (testX, testY) = AddingProblem(time: time, generator: RandomGenerator(seed: 22)).batch(1000)
    try evaluate(testX, testY)
    var error = Double.infinity
    for step in 1...steps {
      let (x, y) = problem.batch(32)
      let loss = meanSquaredError(model(x), y)
      let (gradients, _) = clipByGlobalNorm(try gradient(of: loss, withRespectTo: optimizer.values), maxNorm: 1)
      try optimizer.step(gradients: gradients)
      if step % 50 == 0 || step == steps {
        error = try meanSquaredError(model(testX), testY).stopGradient().item()
        if error < 0.008 { break }
      }
    }
    return error
  }

  @Test("LSTM and GRU solve the adding problem over 100 steps, a simple network does not")
  func adding() throws {
    let generator = RandomGenerator(seed: 1)
    let gru = GRU(2, 32, returnSequences: false, generator: generator, on: .cpu)
    let gruError = try error(of: gru, hidden: 32, steps: 1000, learningRate: 0.01)
    #expect(gruError < 0.01, "GRU: \(gruError)")
    let lstm = LSTM(2, 32, forgetBias: 3, returnSequences: false, generator: generator, on: .cpu)
    let lstmError = try error(of: lstm, hidden: 32, steps: 1500, learningRate: 0.01)
    #expect(lstmError < 0.01, "LSTM: \(lstmError)")
    let simple = SimpleRNN(2, 32, returnSequences: false, generator: generator, on: .cpu)
    let simpleError = try error(of: simple, hidden: 32, steps: 600, learningRate: 0.003)
    #expect(simpleError > 0.14 && simpleError < 0.2, "SimpleRNN: \(simpleError)")
  }

  @Test("a network over 100 steps explodes without clipping and learns with it")
  func clipping() throws {
    /// The greatest norm of the gradients and the mean of the last 20 losses.
    func train(maxNorm: Double?) throws -> (norm: Double, loss: Double) {
      // A rectified network that begins by adding up its inputs (Le et al., 2015).
      let identity = Initializer { shape, _, dtype, device, _ in .eye(shape[0], dtype: dtype, on: device) }
      let generator = RandomGenerator(seed: 5)
      let model = Sequential([
        SimpleRNN(
          1, 16, activation: .relu, returnSequences: false, initializer: .uniform(from: -0.025, to: 0.025),
          recurrentInitializer: identity, biasInitializer: .zeros, generator: generator, on: .cpu),
        Dense(16, 1, generator: generator, on: .cpu),
      ])
      let optimizer = Optimizer(SGD(learningRate: 0.01), for: model)
      let data = RandomGenerator(seed: 6)
      var (greatest, losses) = (0.0, [Double]())
      for _ in 0..<250 {
        let level = Tensor.randomUniform([16, 1, 1], generator: data, on: .cpu)
        let x = level + Tensor.randomUniform([16, 100, 1], low: -0.1, high: 0.1, generator: data, on: .cpu)
        let loss = meanSquaredError(model(x), level.squeezed(axes: [2]) * 4 - 2)
        let clipped = clipByGlobalNorm(
          try gradient(of: loss, withRespectTo: optimizer.values), maxNorm: maxNorm ?? 1e30)
        let (value, norm) = (loss.stopGradient(), clipped.norm.stopGradient())
        try optimizer.step(gradients: clipped.gradients, evaluating: [value, norm])
        losses.append(try value.item())
        greatest = max(greatest, try norm.item())
      }
      return (greatest, losses.suffix(20).reduce(0, +) / 20)
    }
    let free = try train(maxNorm: nil)
    let clipped = try train(maxNorm: 1)
    #expect(!free.norm.isFinite || free.norm > 100, "\(free)")
    // A constant answer has the error 16 / 12.
    #expect(!free.loss.isFinite || free.loss > 1, "\(free)")
    #expect(clipped.loss < 0.4, "\(clipped)")
  }
}
