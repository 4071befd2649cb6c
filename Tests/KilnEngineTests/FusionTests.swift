import KilnDevices
import Testing

@testable import KilnEngine

/// How many kernels the compiler makes of the patterns that training consists of, and how many bytes they move.
@Suite struct FusionTests {
  let device = Device(InterpreterDriver())

  private func ramp(_ shape: Shape, scale: Double = 0.1) -> Tensor {
    Tensor((0..<shape.count).map { Float((Double(($0 * 7919) % 13) - 6) * scale) }, shape: shape, on: device)
  }

  private func kinds(_ program: Program) -> [String] {
    program.steps.map { step in
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

  private func kinds(_ tensors: [Tensor]) throws -> [String] { kinds(try program(for: tensors)) }

  // MARK: Row operations

  @Test func softmaxTakesScaleAndMask() throws {
    let (x, mask) = (ramp([2, 4, 6, 6]), ramp([6, 6]))
    #expect(try kinds([(x * 0.5 + mask).softmax()]) == ["rowwise"])
    #expect(try kinds([select(mask .> 0, x * 0.5, -Double.infinity).softmax()]) == ["rowwise"])
  }

  @Test func layerNormTakesTheResidual() throws {
    let (x, y, scale) = (ramp([4, 6]), ramp([4, 6]), ramp([6]))
    #expect(try kinds([layerNorm(x + y, scale: scale, shift: scale)]) == ["rowwise"])
    // What comes after it as well.
    #expect(try kinds([relu(rmsNorm(x + y, scale: scale)) * 2]) == ["rowwise"])
  }

  @Test func attentionIsThreeKernels() throws {
    let (q, k, v) = (ramp([2, 3, 8, 4]), ramp([2, 3, 8, 4]), ramp([2, 3, 8, 4]))
    let position = Tensor.arange(to: 8, dtype: .int64, on: device)
    let isCausal = position.expanded(axis: 1) .>= position.expanded(axis: 0)
    let scores = select(isCausal, matmul(q, k.transposed()) * 0.5, -Double.infinity)
    #expect(try kinds([matmul(scores.softmax(), v)]) == ["matmul", "rowwise", "matmul"])
  }

  @Test func aMaskThatAllHeadsShareIsStored() throws {
    let (q, k) = (ramp([4, 2, 8, 4]), ramp([4, 2, 8, 4]))
    let position = Tensor.arange(to: 8, dtype: .int64, on: device)
    let isSeen = position .<= position.expanded(axis: 1) + 1
    let scores = select(isSeen, matmul(q, k.transposed()) * 0.5, -Double.infinity)
    #expect(try kinds([scores.softmax()]) == ["elementwise", "matmul", "rowwise"])
  }

  @Test func aMeanOfCrossEntropiesNeedsNoVectorOfWeights() throws {
    let logits = ramp([4, 6]).watched()
    let loss = crossEntropy(logits: logits, labels: Tensor([0, 1, 2, 3] as [Int], on: device)).mean()
    // The one elementwise step divides 1 by the count.
    let all = try kinds([loss, gradient(of: loss, withRespectTo: logits)])
    #expect(all.sorted() == ["elementwise", "reduce", "rowwise", "rowwise"])
  }

  @Test func geluIsAnEpilogueAndItsErrorFunctionIsNotStored() throws {
    let (x, w) = (ramp([8, 6]), ramp([6, 4]).watched())
    let y = gelu(matmul(x, w) + ramp([4]))
    #expect(try kinds([y]) == ["matmul"])
    let g = try gradient(of: y, withRespectTo: w, seed: ramp([8, 4]))
    let both = try program(for: [y, g])
    #expect(kinds(both) == ["matmul", "elementwise", "matmul"])
    // What goes into the activation, and the gradient of that: nothing else is kept.
    #expect(both.arenaBytes == 512)
  }

  @Test func gradientsOfAPackedProjectionLieSideBySide() throws {
    let w = Tensor((0..<192).map { Float($0 % 7) * 0.1 }, shape: [24, 8], on: .cpu).watched()
    let x = Tensor.ones([2, 5, 8], on: .cpu)
    let seed = Tensor((0..<80).map { Float($0 % 5) }, shape: [2, 2, 5, 4], on: .cpu)
    try evaluate(x, w)
    let parts = matmul(x, w.transposed()).reshaped(to: [2, 5, 3, 2, 4]).permuted([2, 0, 3, 1, 4])
    let y = dotProductAttention(query: parts[0], key: parts[1], value: parts[2], isCausal: true, scale: 0.5)
    #expect(try kinds([y.permuted([0, 2, 1, 3]).reshaped(to: [10, 8])]) == ["matmul", "attention"])
    #expect(try kinds([gradient(of: y, withRespectTo: w, seed: seed)]) == ["matmul", "attention", "matmul"])
  }

  @Test func dropoutOfSoftmaxIsItsEpilogue() throws {
    let x = ramp([4, 6]).watched()
    let y = x.softmax()
    let dropped = y * Tensor.randomBernoulli([4, 6], probability: 0.9, generator: RandomGenerator(seed: 1), on: device)
    // The softmax itself is kept for the way back, and the mask is computed twice instead of stored.
    let g = try gradient(of: (dropped * ramp([4, 6])).sum(), withRespectTo: x)
    let program = try program(for: [dropped, g])
    #expect(kinds(program) == ["rowwise", "rowwise"])
    #expect(program.arenaBytes == 256)
  }

  @Test func gradientsOfRowOperationsAreOneKernelEach() throws {
    let (x, seed) = (ramp([4, 6]).watched(), ramp([4, 6]))
    #expect(try kinds([gradient(of: x.softmax(), withRespectTo: x, seed: seed) * 0.5]) == ["rowwise", "rowwise"])
    #expect(try kinds([gradient(of: x.logSoftmax(), withRespectTo: x, seed: seed)]) == ["rowwise", "rowwise"])
    let scale = ramp([6])
    let residual = ramp([4, 6])
    #expect(
      try kinds([
        gradient(of: layerNorm(x, scale: scale, shift: scale), withRespectTo: x, seed: seed * 2) + residual
      ]) == ["rowwise"])
    #expect(try kinds([gradient(of: rmsNorm(x, scale: scale), withRespectTo: x, seed: seed)]) == ["rowwise"])
  }

  // MARK: Values kept beside the kernel that finishes them

  @Test func productThatIsReadAgainIsStoredBesideItsActivation() throws {
    let (x, w) = (ramp([4, 6]), ramp([6, 5]))
    let h = matmul(x, w)
    let a = tanh(h)
    #expect(try kinds([a, h]) == ["matmul"])
    #expect(try kinds([a, (h * ramp([4, 5])).sum()]) == ["matmul", "reduce"])
    let plain = try EngineOptions.with({ $0.fusion = false }) { try matmul(x, w).doubles() }
    try evaluate(a, h)
    #expect(try h.doubles() == plain)
    let expected = try tanh(Tensor(plain, shape: [4, 5], on: device)).doubles()
    #expect(try zip(a.doubles(), expected).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  // MARK: Random masks

  @Test func dropoutMaskIsNotStored() throws {
    let (x, w, seed) = (ramp([8, 16]).watched(), ramp([16, 16]).watched(), ramp([8, 16]))
    let keep = 0.8
    let mask = Tensor.randomUniform([8, 16], generator: RandomGenerator(seed: 3), on: device) .< keep
    let y = select(mask, matmul(x, w) / keep, 0)
    let gradients = try gradient(of: y, withRespectTo: [x, w], seed: seed)
    let program = try program(for: [y] + gradients)
    // The masked cotangent is read by two products.
    #expect(kinds(program) == ["matmul", "elementwise", "matmul", "matmul"])
    #expect(program.arenaBytes == 8 * 16 * 4)
  }

  // MARK: Concatenation in place

  @Test func stackedProductsAreWrittenInPlace() throws {
    let x = ramp([3, 4, 6])
    let w = ramp([6, 5])
    let steps = (0..<4).map { tanh(matmul(x.sliced(axis: 1, start: $0, count: 1).squeezed(axes: [1]), w)) }
    for axis in [0, 1] {
      let program = try program(for: [stack(steps, axis: axis)])
      #expect(kinds(program) == ["matmul", "matmul", "matmul", "matmul"], "axis \(axis)")
      #expect(program.arenaBytes == 0)
      let expected = try EngineOptions.with({ $0.fusion = false }) { try stack(steps, axis: axis).doubles() }
      #expect(try stack(steps, axis: axis).doubles() == expected)
    }
  }

  @Test func recurrenceReadsItsStatesFromTheStack() throws {
    let (w, x) = (ramp([5, 5]), ramp([4, 3, 5]))
    func run() -> Tensor {
      var h = Tensor.zeros([3, 5], on: device)
      var states: [Tensor] = []
      for t in 0..<4 {
        h = tanh(matmul(h, w) + x[t])
        states.append(h)
      }
      return stack(states, axis: 1)
    }
    // The first state is 0, filled.
    #expect(try kinds([run()]) == ["elementwise"] + [String](repeating: "matmul", count: 4))
    let expected = try EngineOptions.with({ $0.fusion = false }) { try run().doubles() }
    #expect(try run().doubles() == expected)
  }

  @Test func flattenedGradientsAreWrittenInPlace() throws {
    let (x, w, b) = (ramp([4, 6]), ramp([6, 5]).watched(), ramp([5]).watched())
    let gradients = try gradient(of: tanh(matmul(x, w) + b).sum(), withRespectTo: [w, b])
    let flat = concatenate(gradients.map { $0.reshaped(to: [-1]) })
    let program = try program(for: [flat])
    #expect(kinds(program) == ["matmul", "matmul", "reduce"])
    let expected = try EngineOptions.with({ $0.fusion = false }) {
      try concatenate(gradients.map { $0.reshaped(to: [-1]) }).doubles()
    }
    #expect(try flat.doubles() == expected)
  }

  @Test func gradientOfSlicesIsOneConcatenation() throws {
    let x = ramp([3, 4, 5]).watched()
    let w = ramp([5, 5])
    var total = Tensor.zeros([], on: device)
    for t in 0..<4 {
      total = total + tanh(matmul(x.sliced(axis: 1, start: t, count: 1).squeezed(axes: [1]), w)).sum()
    }
    let g = try gradient(of: total, withRespectTo: x)
    // A product forth and one back for each slice; nothing is padded, added or copied.
    #expect(try kinds([g]) == [String](repeating: "matmul", count: 8))
  }

  @Test func nestedConcatenationsAreWrittenInPlace() throws {
    let (x, w) = (ramp([4, 6]), ramp([6, 5]))
    func run() -> Tensor {
      let inner = concatenate([matmul(x, w), matmul(x * 2, w)], axis: 1)
      return concatenate([inner, matmul(ramp([2, 6]), ramp([6, 10]))], axis: 0)
    }
    #expect(try kinds([run()]) == ["matmul", "elementwise", "matmul", "matmul"])
    let expected = try EngineOptions.with({ $0.fusion = false }) { try run().doubles() }
    #expect(try run().doubles() == expected)
  }

  @Test func aPieceThatIsAResultOwnsItsMemory() throws {
    let (x, w) = (ramp([4, 6]), ramp([6, 5]))
    let a = matmul(x, w)
    let both = concatenate([a, matmul(x + 1, w)])
    try evaluate(a, both)
    #expect(try Array(both.doubles().prefix(20)) == a.doubles())
    #expect(a.bufferIdentity != both.bufferIdentity)
  }
}
