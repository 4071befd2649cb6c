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

  /// Kernels of another dtype are other programs, which OpenCL takes long to build: float64 is for the CPU.
  static let runs: [(Device, DType)] = TestDevices.all.map { ($0, .float32) } + [(.cpu, .float64)]

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
