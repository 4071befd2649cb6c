import Testing

@testable import KilnEngine
@testable import KilnOpenCL

/// Attention in one step, in both styles, against its composition of products and a softmax.
@Suite(.serialized) struct AttentionTests {
  private func random(_ shape: Shape, _ seed: UInt64, _ dtype: DType, _ device: Device) -> Tensor {
    Tensor.randomNormal(shape, dtype: dtype, generator: RandomGenerator(seed: seed), on: device)
  }

  /// The result and the gradients of query, key and value for one seed.
  private func values(_ inputs: [Tensor], isCausal: Bool, fused: Bool) throws -> [[Double]] {
    try EngineOptions.with({ $0.fusion = fused }) {
      let inputs = inputs.map { $0.watched() }
      let y = dotProductAttention(query: inputs[0], key: inputs[1], value: inputs[2], isCausal: isCausal, scale: 0.3)
      let seed = random(y.shape, 9, y.dtype, y.device)
      return try ([y] + gradient(of: y, withRespectTo: inputs, seed: seed)).map { try $0.doubles() }
    }
  }

  private func check(
    _ inputs: [Tensor], isCausal: Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try inputs.forEach { try evaluate($0) }
    let fused = try values(inputs, isCausal: isCausal, fused: true)
    let plain = try values(inputs, isCausal: isCausal, fused: false)
    let bound = inputs[0].dtype == .float64 ? 1e-12 : 2e-5
    for (part, (a, b)) in zip(fused, plain).enumerated() {
      let size = b.map(abs).max() ?? 0
      let off = zip(a, b).map { abs($0 - $1) }.max() ?? 0
      #expect(
        off <= bound * max(size, 1), "part \(part) of \(inputs.map(\.shape)) on \(inputs[0].device)",
        sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [DType.float32, .float64], [false, true])
  func agreesWithProductsAndSoftmax(_ dtype: DType, _ isCausal: Bool) throws {
    let shapes: [[Shape]] = [
      [[2, 2, 70, 20], [2, 2, 70, 20], [2, 2, 70, 20]], [[1, 40, 8], [1, 1100, 8], [1, 1100, 5]],
      [[1, 150, 33], [1, 40, 33], [1, 40, 70]], [[3, 1, 16], [3, 90, 16], [3, 90, 16]],
    ]
    for driver in try Drivers.required() where driver.supports(dtype) {
      let device = Device(driver)
      for shape in shapes {
        try check(shape.enumerated().map { random($1, UInt64($0 + 1), dtype, device) }, isCausal: isCausal)
      }
    }
  }

  @Test func readsViewsWhereTheyLie() throws {
    for driver in try Drivers.required() {
      let device = Device(driver)
      let packed = random([2, 40, 3, 4, 8], 1, .float32, device)
      try evaluate(packed)
      let parts = packed.permuted([2, 0, 3, 1, 4])
      try check([parts[0], parts[1], parts[2]], isCausal: true)
      // Keys and values that all heads share, and every second query.
      let (k, v) = (random([1, 30, 8], 2, .float32, device), random([1, 30, 8], 3, .float32, device))
      try evaluate(k, v)
      let queries = parts[0][0].sliced(axis: 1, step: 2)
      try check([queries, k.broadcast(to: [4, 30, 8]), v.broadcast(to: [4, 30, 8])], isCausal: false)
    }
  }

  /// As docs of `dotProductAttention` say; the composition would multiply a weight of 0 by NaN.
  @Test func hiddenKeysChangeNothing() throws {
    var rows = (0..<(40 * 6)).map { Double($0 % 11) * 0.1 }
    let clean = rows
    for i in (39 * 6)..<(40 * 6) { rows[i] = .nan }
    for driver in try Drivers.required() {
      let device = Device(driver)
      let q = random([1, 39, 6], 4, .float32, device)
      try evaluate(q)
      func slopes(_ rows: [Double]) throws -> [[Double]] {
        let keys = Tensor(rows, shape: [1, 40, 6], on: device).cast(to: .float32)
        try evaluate(keys)
        return try values([q, keys, keys], isCausal: true, fused: true)
      }
      #expect(try slopes(rows) == slopes(clean))
    }
  }

  /// A pass forward and one for the gradients in the CPU style; in the GPU style three for the gradients.
  @Test func takesFewLaunches() throws {
    for driver in try Drivers.required() {
      let device = Device(driver)
      let inputs = (1...3).map { random([4, 2, 24, 8], UInt64($0), .float32, device) }
      try inputs.forEach { try evaluate($0) }
      let watched = inputs.map { $0.watched() }
      let y = dotProductAttention(query: watched[0], key: watched[1], value: watched[2], isCausal: true, scale: 0.3)
      let seed = random(y.shape, 9, .float32, device)
      try evaluate(seed)
      let forward = try program(for: [y])
      let slopes = try program(for: gradient(of: y, withRespectTo: watched, seed: seed))
      for (program, expected) in [(forward, 1), (slopes, driver.style == .cpu ? 1 : 3)] {
        // All other steps are copies, of one launch each.
        let compiled = try #require(try driver.compile(program) as? OpenCLProgram)
        #expect(compiled.launches - (program.steps.count - 1) == expected)
      }
    }
  }
}
