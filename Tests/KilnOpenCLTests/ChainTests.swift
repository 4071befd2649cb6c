import Testing

@testable import KilnEngine
@testable import KilnOpenCL

/// Launches of one work-item each that become one: a recurrent network's time steps.
@Suite(.serialized) struct ChainTests {
  /// The steps of a network whose input product is made for all of them at once, as a layer makes it.
  private func steps(_ x: Tensor, _ w: Tensor, alone: Bool) throws -> Tensor {
    let inputs = matmul(x, w)
    if alone { try evaluate(inputs) }
    var h = inputs[0]
    for t in 1..<x.shape[0] {
      h = tanh(matmul(h, w) + inputs[t])
      if alone { try evaluate(h) }
    }
    return h
  }

  @Test(arguments: [(5, 20), (7, 40), (32, 50)])
  func timeStepsAreOneLaunchAndTheSameBits(_ batch: Int, _ width: Int) throws {
    let driver = try #require(try Drivers.required().first { $0.style == .cpu })
    let device = Device(driver)
    let generator = RandomGenerator(seed: 3)
    let x = Tensor.randomNormal([21, batch, width], generator: generator, on: device)
    let w = Tensor.randomNormal([width, width], generator: generator, on: device) * 0.2
    try evaluate(x, w)
    let chained = try steps(x, w, alone: false)
    let program = try program(for: [chained])
    let compiled = try #require(try driver.compile(program) as? OpenCLProgram)
    // The product of all inputs, with a launch that packs them, the chain, and the last step, which writes the output.
    #expect(program.steps.count == 21)
    #expect(compiled.launches <= 5, "\(compiled.launches) launches")
    #expect(try chained.doubles() == steps(x, w, alone: true).doubles())
  }

  /// Each factor is a scalar of its own: one launch while they are equal, and else one for each time step.
  @Test func scalarsMayDiffer() throws {
    let driver = try #require(try Drivers.required().first { $0.style == .cpu })
    let device = Device(driver)
    let x = Tensor.randomNormal([9, 6, 20], generator: RandomGenerator(seed: 3), on: device)
    let w = Tensor.randomNormal([20, 20], generator: RandomGenerator(seed: 4), on: device)
    try evaluate(x, w)
    func steps(_ factors: [Double], alone: Bool) throws -> [Double] {
      var h = x[0]
      for (t, factor) in factors.enumerated() {
        h = (matmul(h, w) + x[t + 1]) * factor
        if alone { try evaluate(h) }
      }
      return try h.doubles()
    }
    for factors in [
      [Double](repeating: 0.3, count: 8), (1...8).map { 0.1 * Double($0) }, [0.3] + [Double](repeating: 0.2, count: 7),
    ] {
      #expect(try steps(factors, alone: false) == steps(factors, alone: true), "factors \(factors)")
    }
  }

  /// A product with other operands in between ends a chain.
  @Test func othersStayApart() throws {
    let driver = try #require(try Drivers.required().first { $0.style == .cpu })
    let device = Device(driver)
    let generator = RandomGenerator(seed: 4)
    let x = Tensor.randomNormal([4, 20], generator: generator, on: device)
    let weights = (0..<6).map { _ in Tensor.randomNormal([20, 20], generator: generator, on: device) * 0.2 }
    try evaluate(x)
    try weights.forEach { try evaluate($0) }
    let y = weights.reduce(x) { tanh(matmul($0, $1)) }
    let compiled = try #require(try driver.compile(try program(for: [y])) as? OpenCLProgram)
    #expect(compiled.launches == 6)
    var expected = x
    for w in weights {
      expected = tanh(matmul(expected, w))
      try evaluate(expected)
    }
    #expect(try y.doubles() == expected.doubles())
  }
}
