import Kiln
import Testing

@Suite("Dropout in training")
struct DropoutTests {
  static let devices = ["cpu", "opencl:0"]

  @Test(
    "elements are dropped at the given rate, the others scaled, and the gradient has the same mask", arguments: devices)
  func rate(_ name: String) throws {
    let device = try Device.named(name)
    for probability in [0.1, 0.5, 0.8] {
      let x = Tensor.ones([100, 200], on: device).watched()
      let y = Dropout(probability, generator: RandomGenerator(seed: 1))(x)
      let values = try y.doubles()
      let kept = values.filter { $0 != 0 }
      // Four deviations of a binomial share of 20,000.
      let deviation = (probability * (1 - probability) / 20_000).squareRoot()
      #expect(abs(Double(kept.count) / 20_000 - (1 - probability)) < 4 * deviation)
      #expect(kept.allSatisfy { abs($0 - 1 / (1 - probability)) < 1e-6 })
      #expect(try gradient(of: y.sum(), withRespectTo: x).doubles() == values)
      let second = try gradient(of: y * x, withRespectTo: x, seed: Tensor.ones([100, 200], on: device))
      #expect(try second.doubles() == values.map { 2 * $0 })
    }
  }

  @Test("each call draws anew, the same seed draws the same, evaluation passes")
  func draws() throws {
    let x = Tensor.ones([1000])
    let layer = Dropout(generator: RandomGenerator(seed: 3))
    let first = try layer(x).doubles()
    #expect(try layer(x).doubles() != first)
    #expect(try Dropout(generator: RandomGenerator(seed: 3))(x).doubles() == first)
    layer.eval()
    #expect(try layer(x).doubles() == [Double](repeating: 1, count: 1000))
    #expect(try Dropout(0)(x).doubles() == [Double](repeating: 1, count: 1000))
    #expect(try Dropout(1)(x).doubles() == [Double](repeating: 0, count: 1000))
    #expect(Dropout(1.5)(x).error is TensorError)
    #expect(Dropout()(Tensor([1, 2])).error is TensorError)
    #expect(Dropout2D()(x).error is TensorError)
  }

  @Test("spatial dropout drops whole channels", arguments: devices)
  func channels(_ name: String) throws {
    let device = try Device.named(name)
    let image = Dropout2D(0.5, generator: RandomGenerator(seed: 2))(Tensor.ones([8, 16, 3, 3], on: device))
    let means = try image.mean(axes: [2, 3]).doubles()
    #expect(means.allSatisfy { $0 == 0 || $0 == 2 })
    #expect(means.contains(0) && means.contains(2))
    let sequence = Dropout1D(0.5, generator: RandomGenerator(seed: 2))(Tensor.ones([8, 16, 5], on: device))
    #expect(try sequence.mean(axes: [2]).doubles().allSatisfy { $0 == 0 || $0 == 2 })
  }

  @Test("alpha dropout keeps mean and variance")
  func alpha() throws {
    let x = Tensor.randomNormal([200_000], generator: RandomGenerator(seed: 8))
    let y = AlphaDropout(0.3, generator: RandomGenerator(seed: 9))(x)
    // Means of 200,000 numbers of variance 1 lie within 0.01 of 0.
    let (mean, variance) = (try y.mean().item(), try y.variance().item())
    #expect(Swift.abs(mean) < 0.01)
    #expect(Swift.abs(variance - 1) < 0.02)
  }

  @Test("no mask is kept between the passes: none is stored by the program of a step")
  func recomputed() throws {
    let weight = Tensor.randomNormal([64, 64]).watched()
    let x = Tensor.randomNormal([32, 64])
    try evaluate(weight, x)
    let y = Dropout(0.5)(relu(matmul(x, weight)))
    let slope = try gradient(of: square(y).sum(), withRespectTo: weight)
    let dropping = try Kiln.program(for: [slope])
    // A kept mask would be a bool or a float tensor of 32 x 64 beside the two that relu's pass and its gradient are.
    let plain = try gradient(of: square(relu(matmul(x, weight))).sum(), withRespectTo: weight)
    let without = try Kiln.program(for: [plain])
    #expect(dropping.arenaBytes <= without.arenaBytes)
  }

  @Test("a compiled function draws the masks that the plain one draws")
  func compiled() throws {
    func sums(isCompiled: Bool) throws -> [[Double]] {
      let generator = RandomGenerator(seed: 5)
      let model = Sequential([Dropout(generator: generator), AlphaDropout(generator: generator)])
      let body: CompiledFunction.Body = { _, inputs, _ in
        let x = inputs[0].watched()
        let y = model(x)
        return (state: [], outputs: [y, try gradient(of: y.sum(), withRespectTo: x)])
      }
      let function = CompiledFunction(body)
      return try (0..<4).map { _ in
        let x = Tensor.ones([64])
        try evaluate(x)
        let outputs = isCompiled ? try function(state: [], inputs: [x]).outputs : try body([], [x], []).outputs
        return try outputs.flatMap { try $0.doubles() }
      }
    }
    let plain = try sums(isCompiled: false)
    #expect(try sums(isCompiled: true) == plain)
    #expect(Set(plain).count == 4)
  }
}
