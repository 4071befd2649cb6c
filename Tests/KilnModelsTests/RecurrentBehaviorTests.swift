import Kiln
import Testing

@Suite("Recurrent layers beyond PyTorch's numbers")
struct RecurrentTests {
  typealias Kind = RecurrentGoldenTests.Kind

  @Test("no steps, no samples, one step", arguments: Kind.allCases)
  func small(_ kind: Kind) throws {
    let (module, run) = kind.make(3, 4, layers: 2, bidirectional: true, dtype: .float32, on: .cpu)
    for (batch, time) in [(2, 0), (0, 5), (0, 0), (1, 1)] {
      let result = run(Tensor.ones([batch, time, 3], on: .cpu), [], nil)
      #expect(result[0].shape == [batch, time, 8])
      #expect(result[1].shape == [4, batch, 4])
      #expect(try result.allSatisfy { try $0.doubles().allSatisfy(\.isFinite) })
      let loss = result.reduce(Tensor(0, on: .cpu)) { $0 + $1.sum() }
      let gradients = try gradient(of: loss, withRespectTo: module.parameters.map(\.value))
      #expect(try gradients.allSatisfy { try $0.doubles().allSatisfy(\.isFinite) })
    }
    // Without steps the state stays as it was.
    let state = (0..<kind.states).map { Tensor.full([4, 2, 4], Double($0) + 1, on: .cpu) }
    let result = run(Tensor.ones([2, 0, 3], on: .cpu), state, nil)
    for (after, before) in zip(result.dropFirst(), state) { #expect(try after.doubles() == before.doubles()) }
  }

  @Test("a sequence in two parts, the state handed on, is the sequence as a whole", arguments: Kind.allCases)
  func parts(_ kind: Kind) throws {
    let (_, run) = kind.make(3, 4, layers: 2, dtype: .float64, on: .cpu)
    let x = Tensor.randomNormal([2, 7, 3], dtype: .float64, generator: RandomGenerator(seed: 3), on: .cpu)
    let whole = run(x, [], nil)
    let first = run(x.sliced(axis: 1, to: 3), [], nil)
    let second = run(x.sliced(axis: 1, from: 3), Array(first.dropFirst()), nil)
    #expect(
      Golden.relativeError(try concatenate([first[0], second[0]], axis: 1).doubles(), try whole[0].doubles()) < 1e-13)
    for (a, b) in zip(second.dropFirst(), whole.dropFirst()) {
      #expect(Golden.relativeError(try a.doubles(), try b.doubles()) < 1e-13)
    }
  }

  @Test("a layer is its cell step by step, and its second derivatives are the composition's", arguments: Kind.allCases)
  func secondOrder(_ kind: Kind) throws {
    let (module, run) = kind.make(2, 3, dtype: .float64, on: .cpu)
    let generator = RandomGenerator(seed: 4)
    // Away from relu's kink.
    let shift = kind == .relu ? 3.0 : 0
    let x = (Tensor.randomNormal([2, 4, 2], dtype: .float64, generator: generator, on: .cpu) + shift).watched()
    let names = module.namedParameters.map { String($0.name.dropLast(3)) }
    let parameters = module.parameters
    func stepwise() -> Tensor {
      var byName: [String: Tensor] = [:]
      for (name, parameter) in zip(names, parameters) { byName[name] = parameter.value }
      var state = (0..<kind.states).map { _ in Tensor.zeros([2, 3], dtype: .float64, on: .cpu) }
      var outputs: [Tensor] = []
      for t in 0..<4 {
        state = Self.step(kind, x.sliced(axis: 1, from: t, to: t + 1).squeezed(axes: [1]), state, byName)
        outputs.append(state[0])
      }
      return stack(outputs, axis: 1)
    }
    let (fast, slow) = (run(x, [], nil)[0], stepwise())
    #expect(Golden.relativeError(try fast.doubles(), try slow.doubles()) < 1e-13)
    let targets = [x] + parameters.map(\.value)
    func hessianProduct(_ y: Tensor) throws -> [Tensor] {
      let first = try gradient(of: (y * y * y).sum(), withRespectTo: targets)
      let product = zip(first, targets).enumerated().reduce(Tensor(0, dtype: .float64, on: .cpu)) { sum, pair in
        let weights = Tensor.arange(to: Double(pair.element.1.count), dtype: .float64, on: .cpu) + Double(pair.offset)
        return sum + (pair.element.0 * sin(weights).reshaped(to: pair.element.1.shape)).sum()
      }
      return try gradient(of: product, withRespectTo: targets)
    }
    for (a, b) in zip(try hessianProduct(fast), try hessianProduct(slow)) {
      #expect(Golden.relativeError(try a.doubles(), try b.doubles()) < 1e-10)
    }
  }

  /// One step in plain operations, from PyTorch's formulas.
  static func step(_ kind: Kind, _ x: Tensor, _ state: [Tensor], _ p: [String: Tensor]) -> [Tensor] {
    let a = matmul(x, p["weight_ih"]!.transposed()) + p["bias_ih"]!
    let b = matmul(state[0], p["weight_hh"]!.transposed()) + p["bias_hh"]!
    func part(_ t: Tensor, _ i: Int) -> Tensor { t.sliced(axis: 1, from: 3 * i, to: 3 * i + 3) }
    switch kind {
    case .tanh: return [tanh(a + b)]
    case .relu: return [relu(a + b)]
    case .lstm:
      let sum = a + b
      let c = sigmoid(part(sum, 1)) * state[1] + sigmoid(part(sum, 0)) * tanh(part(sum, 2))
      return [sigmoid(part(sum, 3)) * tanh(c), c]
    case .gru:
      let (r, z) = (sigmoid(part(a, 0) + part(b, 0)), sigmoid(part(a, 1) + part(b, 1)))
      return [(1 - z) * tanh(part(a, 2) + r * part(b, 2)) + z * state[0]]
    }
  }

  @Test("only the final states, as Keras gives them")
  func finalStates() throws {
    let generator = RandomGenerator(seed: 5)
    let (all, last) = (
      GRU(2, 3, bidirectional: true, on: .cpu), GRU(2, 3, bidirectional: true, returnSequences: false, on: .cpu)
    )
    for (a, b) in zip(all.parameters, last.parameters) { b.value = a.value }
    let x = Tensor.randomNormal([2, 5, 2], generator: generator, on: .cpu)
    let (y, state) = all(x, state: nil)
    let final = last(x)
    #expect(final.shape == [2, 6])
    #expect(try final.doubles() == concatenate([state[0], state[1]], axis: 1).doubles())
    #expect(try final.sliced(axis: 1, to: 3).doubles() == y.sliced(axis: 1, from: 4).sliced(axis: 2, to: 3).doubles())
  }

  @Test("dropout acts between layers and in training alone")
  func dropout() throws {
    let generator = RandomGenerator(seed: 6)
    let layer = LSTM(3, 4, layers: 2, dropout: 0.5, generator: generator, on: .cpu)
    let x = Tensor.randomNormal([2, 3, 3], generator: generator, on: .cpu)
    let evaluated = try layer.evaluating { try layer(x).doubles() }
    #expect(try layer.evaluating { try layer(x).doubles() } == evaluated)
    #expect(try layer(x).doubles() != evaluated)
    let single = LSTM(3, 4, dropout: 0.5, on: .cpu)
    #expect(try single(x).doubles() == single(x).doubles())
  }

  @Test("PyTorch's names; first values as PyTorch's and as Keras'")
  func parameters() throws {
    #expect(
      LSTM(2, 3, layers: 2, bidirectional: true, bias: false, on: .cpu).namedParameters.map(\.name) == [
        "weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse", "weight_ih_l1", "weight_hh_l1",
        "weight_ih_l1_reverse", "weight_hh_l1_reverse",
      ])
    #expect(GRUCell(2, 3, on: .cpu).namedParameters.map(\.name) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
    let layer = GRU(2, 100, generator: RandomGenerator(seed: 5), on: .cpu)
    for parameter in layer.parameters {
      let greatest = try parameter.value.doubles().map { abs($0) }.max() ?? 0
      #expect(greatest <= 0.1 && greatest > 0.098)
    }
    let keras = withInitializers(.keras) { LSTM(20, 30, forgetBias: 1, on: .cpu) }
    let byName = Dictionary(uniqueKeysWithValues: keras.namedParameters.map { ($0.name, $0.parameter.value) })
    let limit = (6.0 / 140).squareRoot()
    let greatest = try byName["weight_ih_l0"]!.doubles().map { abs($0) }.max() ?? 0
    #expect(greatest <= limit && greatest > 0.98 * limit)
    let w = byName["weight_hh_l0"]!
    let product = matmul(w.transposed(), w) - Tensor.eye(30, on: .cpu)
    #expect(try product.doubles().allSatisfy { abs($0) < 1e-5 })
    let bias = try byName["bias_ih_l0"]!.doubles()
    #expect(bias == (0..<120).map { (30..<60).contains($0) ? 1 : 0 })
  }

  @Test("mistakes are refused in words")
  func mistakes() {
    func words(_ tensor: Tensor) -> String { tensor.error.map { "\($0)" } ?? "" }
    let layer = LSTM(3, 4, on: .cpu)
    let x = Tensor.zeros([2, 5, 3], on: .cpu)
    #expect(words(layer(Tensor.zeros([2, 5, 2], on: .cpu))).contains("x must be [batch, time, 3], got [2, 5, 2]"))
    #expect(words(layer(Tensor.zeros([5, 3], on: .cpu))).contains("LSTM"))
    let bad = LSTM.State(h: .zeros([1, 2, 4], on: .cpu), c: .zeros([1, 2, 5], on: .cpu))
    #expect(words(layer(x, state: bad).output).contains("c must be [layers * directions, batch, hidden] = [1, 2, 4]"))
    #expect(words(layer(x, state: bad).state.h).contains("c must be"))
    #expect(
      words(layer(x, state: nil, lengths: Tensor([1.0, 2], on: .cpu)).output).contains("lengths must be integers"))
    #expect(words(GRU(3, 4, layers: 0, on: .cpu)(x)).contains("at least one layer"))
    #expect(words(SimpleRNN(3, 4, dropout: 1, on: .cpu)(x)).contains("dropout must be in 0..<1"))
    #expect(words(GRU(3, -4, on: .cpu)(x)) != "")
    #expect(words(GRUCell(3, 4, on: .cpu)(x)).contains("[batch, 3]"))
    #expect(words(layer(x.cast(to: .float64))).contains("one dtype"))
    let changed = GRU(3, 4, on: .cpu)
    changed.parameters[0].value = .zeros([5, 3], on: .cpu)
    #expect(words(changed(x)) != "")
    #expect(
      words(RNNCell(5, 4, on: .cpu)(Tensor.zeros([2, 5], on: .cpu), Tensor.zeros([2, 3], on: .cpu))).contains(
        "h must be"))
  }

  @Test("a sequence of another length is another program, the same length the same one")
  func programs() throws {
    let layer = GRU(2, 3, on: .cpu)
    func step(_ seed: Int) throws {
      let x = Tensor.randomNormal([2, 6, 2], generator: RandomGenerator(seed: UInt64(seed)), on: .cpu)
      let loss = layer(x, state: nil, lengths: Tensor([seed % 6, 3], on: .cpu)).output.sum()
      try evaluate([loss.stopGradient()] + gradient(of: loss, withRespectTo: layer.parameters.map(\.value)))
    }
    try evaluate(layer.parameters.map(\.value))
    try step(1)
    let before = ProgramCache.shared.compilations
    for seed in 2..<5 { try step(seed) }
    #expect(ProgramCache.shared.compilations == before)
  }
}
