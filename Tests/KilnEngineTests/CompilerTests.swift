import Foundation
import Testing

@testable import KilnEngine

/// What the compiler makes of graphs, without a real device: kernel counts, memory, donation, reuse of programs.
@Suite struct CompilerTests {
  let device = Device(InterpreterDriver())

  private func ramp(_ shape: Shape, scale: Double = 0.1) -> Tensor {
    Tensor((0..<shape.count).map { Float((Double(($0 * 7919) % 13) - 6) * scale) }, shape: shape, on: device)
  }

  private func kinds(_ tensors: [Tensor]) throws -> [String] {
    try program(for: tensors).steps.map { step in
      switch step {
      case .elementwise: "elementwise"
      case .reduce: "reduce"
      case .scan: "scan"
      case .argsort: "argsort"
      case .rowwise: "rowwise"
      case .attention: "attention"
      case .matmul: "matmul"
      case .convolution: "convolution"
      case .pool: "pool"
      case .gather: "gather"
      }
    }
  }

  /// The key under which the program of `tensor` is kept.
  private func graph(_ tensor: Tensor) -> Graph { Snapshot(roots: [tensor.node], donated: []).graph }

  @Test func elementwiseChainIsOneKernel() throws {
    let x = ramp([4, 5])
    #expect(try kinds([tanh(x * 2 + 1) * sigmoid(x)]) == ["elementwise"])
  }

  @Test func sharedValueIsComputedOnceAndStoredBesideItsUser() throws {
    let x = ramp([4, 5])
    let y = exp(x)
    #expect(try kinds([y, y * 2 + x]) == ["elementwise"])
  }

  @Test func reductionTakesPrologueAndEpilogue() throws {
    let x = ramp([4, 5])
    #expect(try kinds([sqrt(square(x - 1).sum(axes: [1])) * 3]) == ["reduce"])
  }

  @Test func matmulTakesBiasAndActivation() throws {
    let (x, w, b) = (ramp([4, 6]), ramp([5, 6]), ramp([5]))
    let program = try program(for: [relu(matmul(x, w.transposed()) + b)])
    #expect(program.steps.count == 1)
    #expect(program.arenaBytes == 0)
  }

  @Test func batchedProductWithOneMatrixIsOneLargeProduct() throws {
    let program = try program(for: [matmul(ramp([3, 4, 6]), ramp([6, 5])) + ramp([5])])
    guard case .matmul(let step)? = program.steps.first else { Issue.record("no matmul"); return }
    #expect(step.batch == [] && step.m == 12 && step.n == 5 && step.k == 6)
  }

  @Test func transposeOfAProductIsFolded() throws {
    let program = try program(for: [matmul(ramp([4, 6]), ramp([6, 5])).transposed()])
    #expect(program.steps.count == 1)
  }

  @Test func dearValueIsNotRepeatedThroughABroadcast() throws {
    let (rows, x) = (ramp([4, 1]), ramp([4, 50]))
    #expect(try kinds([x * exp(rows)]) == ["elementwise", "elementwise"])
    #expect(try kinds([x * (rows + 1)]) == ["elementwise"])
  }

  @Test func longChainIsCutIntoEqualKernels() throws {
    var x = ramp([8], scale: 1)
    for _ in 0..<1000 { x = x + 1 }
    let steps = try program(for: [x]).steps
    #expect(steps.count == 2 * 1000 / Fusion.maximumInstructions + 1)
    #expect(try x.doubles()[0] == ramp([8], scale: 1).doubles()[0] + 1000)
  }

  @Test func constantsAndPositionsTakeNoMemory() throws {
    let mask = Tensor.arange(to: 6, dtype: .int64, on: device).reshaped(to: [2, 3]) .> 2
    let program = try program(for: [select(mask, ramp([2, 3]), 0)])
    #expect(program.steps.count == 1 && program.arenaBytes == 0 && program.inputs.count == 1)
  }

  @Test func equalSubexpressionsAreMerged() throws {
    let x = ramp([4])
    #expect(try kinds([(exp(x).sum() + exp(x).sum()) * 2]) == ["reduce"])
  }

  @Test func piecesOfOneShapeAreOneKernel() throws {
    let (x, w) = (ramp([4, 6]), ramp([6, 5]))
    let e = exp(x)
    #expect(try kinds([concatenate([e * 2, e + 1, x], axis: 1)]) == ["elementwise"])
    // What others read too is stored beside the pieces.
    #expect(try kinds([concatenate([e * 2, e + 1], axis: 0), matmul(e, w)]) == ["elementwise", "matmul"])
    // A value that is itself a piece is in memory before.
    #expect(try kinds([concatenate([e, e * 2], axis: 1)]) == ["elementwise", "elementwise"])
    // Twenty copies are three kernels of at most eight.
    #expect(try kinds([stack((0..<20).map { matmul(x, w) + Double($0) })]).filter { $0 == "elementwise" }.count == 3)
    for build in [
      { concatenate([exp(x) * 2, exp(x) + 1, x], axis: 1) }, { concatenate([exp(x), exp(x) * 2], axis: 1) },
      { concatenate([x[1..<3], exp(x)[0..<2] * 3, x.flipped(axes: [0])[0..<1]], axis: 0) },
    ] {
      #expect(try build().doubles() == EngineOptions.with({ $0.fusion = false }) { try build().doubles() })
    }
  }

  @Test func temporariesShareMemory() throws {
    var x = ramp([64, 64])
    for _ in 0..<10 { x = matmul(x, x) }
    let bytes = 64 * 64 * 4
    #expect(try program(for: [x]).arenaBytes <= 2 * bytes)
  }

  @Test func changedNumbersRunTheSameProgram() throws {
    let x = ramp([3, 3])
    let y = x * 0.75 + 9
    #expect(graph(y) == graph(x * 0.25 + 3))
    #expect(try abs(y.doubles()[4] - (x.doubles()[4] * 0.75 + 9)) < 1e-6)
  }

  @Test func numbersThatComeToBeEqualRunTheSameProgram() throws {
    let x = ramp([3, 3])
    #expect(graph(x * 0.5 + 0.25) == graph(x * 0.125 + 0.125))
  }

  @Test func slicesAtDifferentPlacesRunTheSameProgram() throws {
    let data = ramp([10, 3])
    let y = data[4..<6] * 2
    #expect(graph(y) == graph(data[0..<2] * 2))
    #expect(try y.doubles() == data.doubles()[12..<18].map { Double(Float($0 * 2)) })
  }

  @Test func donatedMemoryIsUpdatedInPlaceAndNoLongerReadable() throws {
    let x = ramp([16])
    let identity = x.bufferIdentity
    let y = x + 1
    try evaluate([y], donating: [x])
    #expect(y.bufferIdentity == identity)
    #expect(throws: TensorError.self) { try (x * 2).doubles() }
  }

  @Test func memoryThatAnotherTensorShowsIsNotOverwritten() throws {
    let x = ramp([16])
    let view = x[0..<4]
    try evaluate(view)
    let before = try view.doubles()
    let y = x + 1
    try evaluate([y], donating: [x])
    #expect(try view.doubles() == before)
    #expect(y.bufferIdentity != view.bufferIdentity)
  }

  @Test func shiftedReadForbidsUpdateInPlace() throws {
    let x = ramp([16])
    let expected = try x.doubles().reversed().enumerated().map { try Float($1) + Float(x.doubles()[$0]) }
    let y = x.flipped(axes: [0]) + x
    try evaluate([y], donating: [x])
    #expect(try y.scalars(as: Float.self) == expected)
  }

  @Test func memoryThatALaterStepReadsIsNotOverwritten() throws {
    let x = ramp([4, 4])
    let before = try x.doubles()
    let y = x + 1
    let z = matmul(x, y)  // runs after y is written
    try evaluate([y, z], donating: [x])
    let result = try z.doubles()
    for i in 0..<4 {
      for j in 0..<4 {
        var sum = 0.0
        for k in 0..<4 { sum += before[i * 4 + k] * (before[k * 4 + j] + 1) }
        #expect(abs(result[i * 4 + j] - sum) < 1e-5)
      }
    }
  }

  @Test func transposedReadForbidsUpdateInPlace() throws {
    // Larger than a block of elements that a device may hold in registers.
    let x = ramp([128, 128])
    let before = try x.doubles()
    let memory = x.bufferIdentity
    let y = x.transposed() * 2
    try evaluate([y], donating: [x])
    #expect(y.bufferIdentity != memory)
    let result = try y.doubles()
    var expected: [Double] = []
    for i in 0..<128 { for j in 0..<128 { expected.append(before[j * 128 + i] * 2) } }
    #expect(result == expected)
  }

  @Test func valueReadThroughAViewIsNotStoredBesideItsReader() throws {
    let x = ramp([3, 3])
    let before = try x.doubles()
    let v = exp(x)
    let y = v.transposed() + x
    // In one kernel it would be computed twice: once to be stored, once in the reader's order.
    #expect(try kinds([v, y]) == ["elementwise", "elementwise"])
    try evaluate(v, y)
    let (stored, result) = (try v.doubles(), try y.doubles())
    for i in 0..<9 {
      let transposed = before[i % 3 * 3 + i / 3]
      #expect(abs(stored[i] - Foundation.exp(before[i])) < 1e-6)
      #expect(abs(result[i] - (Foundation.exp(transposed) + before[i])) < 1e-6)
    }
  }

  @Test func resultsOwnTheirMemory() throws {
    let (a, b) = (Tensor.zeros([4], on: device), Tensor.zeros([4], on: device))
    try evaluate(a, b)
    #expect(a.bufferIdentity != b.bufferIdentity)
  }

  @Test func fusedEqualsUnfusedThroughViews() throws {
    func build() -> [Tensor] {
      let a = ramp([3, 4, 5])
      return [
        a.permuted([2, 0, 1]).reshaped(to: [15, 4]) * 2 + 1, a.transposed().reshaped(to: [60]).flipped(axes: [0]),
        concatenate([a * 2, a + 1], axis: 1).sum(axes: [1]), a.padded(low: [1, 0, 2], high: [0, 1, 0]),
        a.sliced(axis: 1, from: 3, to: nil, step: -2), softplus(a).variance(axes: [0, 2]),
        matmul(a, a.transposed()).max(axes: [2]),
      ]
    }
    let fused = try build().map { try $0.doubles() }
    let plain = try EngineOptions.with({
      $0.fusion = false; $0.memoryReuse = false
    }) {
      try build().map { try $0.doubles() }
    }
    let eager = try EngineOptions.with({ $0.eager = true }) { try build().map { try $0.doubles() } }
    #expect(fused == plain)
    #expect(fused == eager)
  }
}
