import Kiln
import KilnEngine
import Testing

@Suite("Recurrent layers equal PyTorch's")
struct RecurrentGoldenTests {
  static let golden = Result { try Golden("recurrent.npz") }

  enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case tanh, relu, lstm, gru
    var testDescription: String { rawValue }
    var states: Int { self == .lstm ? 2 : 1 }

    /// Any of the layers as a module and a function from (x, states, lengths) to (result, states...).
    func make(
      _ inputs: Int, _ hidden: Int, layers: Int = 1, bidirectional: Bool = false, bias: Bool = true,
      timeFirst: Bool = false, dtype: DType, on device: Device
    ) -> (module: any Module, run: (Tensor, [Tensor], Tensor?) -> [Tensor]) {
      switch self {
      case .tanh, .relu:
        let layer = SimpleRNN(
          inputs, hidden, layers: layers, bidirectional: bidirectional, activation: self == .tanh ? .tanh : .relu,
          bias: bias, timeFirst: timeFirst, dtype: dtype, on: device)
        return (
          layer,
          { x, state, lengths in
            let (y, h) = layer(x, state: state.first, lengths: lengths)
            return [y, h]
          }
        )
      case .gru:
        let layer = GRU(
          inputs, hidden, layers: layers, bidirectional: bidirectional, bias: bias, timeFirst: timeFirst, dtype: dtype,
          on: device)
        return (
          layer,
          { x, state, lengths in
            let (y, h) = layer(x, state: state.first, lengths: lengths)
            return [y, h]
          }
        )
      case .lstm:
        let layer = LSTM(
          inputs, hidden, layers: layers, bidirectional: bidirectional, bias: bias, timeFirst: timeFirst, dtype: dtype,
          on: device)
        return (
          layer,
          { x, state, lengths in
            let (y, s) = layer(
              x, state: state.isEmpty ? nil : .init(h: state[0], c: state[1]), lengths: lengths)
            return [y, s.h, s.c]
          }
        )
      }
    }
  }

  static let runs: [(Device, DType)] = TestDevices.all.flatMap { [($0, .float32), ($0, .float64)] }

  @Test("a layer, stacked and bidirectional ones with state, single steps, cells", arguments: Kind.allCases)
  func layers(_ kind: Kind) throws {
    let golden = try Self.golden.get()
    for (device, dtype) in Self.runs {
      let plain = kind.make(4, 3, dtype: dtype, on: device)
      try golden.check("\(kind).plain", AnyModule(plain.module), dtype: dtype, on: device) {
        plain.run($0[0], [], nil)
      }
      let both = kind.make(3, 5, layers: 2, bidirectional: true, timeFirst: true, dtype: dtype, on: device)
      try golden.check("\(kind).both", AnyModule(both.module), dtype: dtype, on: device) {
        both.run($0[0], Array($0.dropFirst()), nil)
      }
      let single = kind.make(1, 2, bias: false, dtype: dtype, on: device)
      try golden.check("\(kind).single", AnyModule(single.module), dtype: dtype, on: device) {
        single.run($0[0], [], nil)
      }
    }
  }

  @Test("sequences of different lengths equal packed ones", arguments: Kind.allCases)
  func ragged(_ kind: Kind) throws {
    for (device, dtype) in Self.runs {
      let ragged = kind.make(3, 2, layers: 2, bidirectional: true, dtype: dtype, on: device)
      try Self.golden.get().check("\(kind).ragged", AnyModule(ragged.module), dtype: dtype, on: device) {
        ragged.run($0[0], Array($0.dropFirst()), Tensor([4, 1, 6], on: device))
      }
    }
  }

  @Test("cells")
  func cells() throws {
    let golden = try Self.golden.get()
    for (device, dtype) in Self.runs {
      for activation in [RecurrentActivation.tanh, .relu] {
        let cell = RNNCell(4, 3, activation: activation, dtype: dtype, on: device)
        try golden.check("\(activation).cell", cell, dtype: dtype, on: device) { [cell($0[0], $0[1])] }
      }
      let lstm = LSTMCell(4, 3, dtype: dtype, on: device)
      try golden.check("lstm.cell", lstm, dtype: dtype, on: device) {
        let next = lstm($0[0], h: $0[1], c: $0[2])
        return [next.h, next.c]
      }
      let gru = GRUCell(4, 3, dtype: dtype, on: device)
      try golden.check("gru.cell", gru, dtype: dtype, on: device) { [gru($0[0], $0[1])] }
    }
  }
}

/// A module of a type that is only known when the test runs.
struct AnyModule: Module {
  let module: any Module
  init(_ module: any Module) { self.module = module }
  var members: [(name: String, value: Any)] { module.members }
}

@Suite("Recurrent layers are few kernels")
struct RecurrentKernelTests {
  /// The kinds of a program's steps and how many of each.
  static func count(_ tensors: [Tensor]) throws -> [String: Int] {
    var result: [String: Int] = [:]
    for step in try program(for: tensors).steps {
      switch step {
      case .elementwise: result["elementwise", default: 0] += 1
      case .matmul: result["matmul", default: 0] += 1
      case .reduce: result["reduce", default: 0] += 1
      default: result["other", default: 0] += 1
      }
    }
    return result
  }

  @Test(
    "a step is one product and one kernel, and as many on the way back", arguments: RecurrentGoldenTests.Kind.allCases)
  func counts(_ kind: RecurrentGoldenTests.Kind) throws {
    func counts(_ time: Int) throws -> (forward: [String: Int], both: [String: Int]) {
      let (module, run) = kind.make(4, 8, dtype: .float32, on: .cpu)
      let x = Tensor.randomNormal([3, time, 4], on: .cpu)
      try evaluate([x] + module.parameters.map(\.value))
      let y = run(x, [], nil)[0]
      let loss = square(y).sum()
      let gradients = try gradient(of: loss, withRespectTo: module.parameters.map(\.value))
      return (try Self.count([y]), try Self.count([loss] + gradients))
    }
    let (short, long) = (try counts(16), try counts(32))
    // A simple network's kernel finishes its product; the states are put together eight at a time.
    let kernels = kind == .tanh || kind == .relu ? 0 : 16
    #expect(long.forward["matmul", default: 0] - short.forward["matmul", default: 0] == 16)
    #expect(long.both["matmul", default: 0] - short.both["matmul", default: 0] == 32)
    #expect(long.forward["elementwise", default: 0] - short.forward["elementwise", default: 0] <= kernels + 2)
    #expect(long.both["elementwise", default: 0] - short.both["elementwise", default: 0] <= 2 * kernels + 4)
    // One product each for the input, its weights' gradient and the recurrent weights', however long the sequence.
    #expect(short.both["matmul", default: 0] <= 2 * 16 + 2)
    #expect(long.both["reduce", default: 0] <= 3)
  }
}
