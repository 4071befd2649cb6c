import Kiln
import Testing

/// Results without elements and parameter gradients of 0, as PyTorch gives them.
@Suite("Sequence layers of no samples equal PyTorch's")
struct EmptyBatchTests {
  static let golden = Result { try Golden("empty.npz") }

  private func each(_ body: (Golden, DType, Device) throws -> Void) throws {
    let golden = try Self.golden.get()
    for (device, dtype) in RecurrentGoldenTests.runs { try body(golden, dtype, device) }
  }

  @Test("recurrent layers and cells", arguments: RecurrentGoldenTests.Kind.allCases)
  func recurrent(_ kind: RecurrentGoldenTests.Kind) throws {
    try each { golden, dtype, device in
      let layer = kind.make(3, 2, layers: 2, bidirectional: true, dtype: dtype, on: device)
      try golden.check("\(kind).layer", AnyModule(layer.module), dtype: dtype, on: device) {
        layer.run($0[0], Array($0.dropFirst()), nil)
      }
      switch kind {
      case .tanh, .relu:
        let cell = RNNCell(4, 3, activation: kind == .tanh ? .tanh : .relu, dtype: dtype, on: device)
        try golden.check("\(kind).cell", cell, dtype: dtype, on: device) { [cell($0[0], $0[1])] }
      case .lstm:
        let cell = LSTMCell(4, 3, dtype: dtype, on: device)
        try golden.check("\(kind).cell", cell, dtype: dtype, on: device) {
          let next = cell($0[0], h: $0[1], c: $0[2])
          return [next.h, next.c]
        }
      case .gru:
        let cell = GRUCell(4, 3, dtype: dtype, on: device)
        try golden.check("\(kind).cell", cell, dtype: dtype, on: device) { [cell($0[0], $0[1])] }
      }
    }
  }

  /// PyTorch refuses sequences of no steps; here they leave the state as it is.
  @Test("recurrent layers of no steps, and of no sequences with lengths", arguments: RecurrentGoldenTests.Kind.allCases)
  func noSteps(_ kind: RecurrentGoldenTests.Kind) throws {
    let (module, run) = kind.make(3, 2, bidirectional: true, dtype: .float32, on: .cpu)
    let cases: [(Shape, Tensor?)] = [([2, 0, 3], nil), ([0, 4, 3], .zeros([0], dtype: .int64, on: .cpu))]
    for (shape, lengths) in cases {
      let results = run(Tensor.zeros(shape, on: .cpu), [], lengths)
      #expect(results[0].shape == [shape[0], shape[1], 4])
      #expect(results[1].shape == [2, shape[0], 2])
      let loss = results.reduce(Tensor(0, on: .cpu)) { $0 + $1.sum() }
      for g in try gradient(of: loss, withRespectTo: module.parameters.map(\.value)) {
        #expect(try g.doubles().allSatisfy { $0 == 0 })
      }
    }
  }

  @Test("attention and transformer layers of no samples and of no tokens")
  func attention() throws {
    try each { golden, dtype, device in
      let heads = MultiHeadAttention(6, heads: 2, dtype: dtype, on: device)
      try golden.check("heads.batch", heads, dtype: dtype, on: device) { [heads(query: $0[0], key: $0[1])] }
      try golden.check("heads.time", heads, dtype: dtype, on: device) { [heads($0[0])] }
      for (name, normFirst) in [("post", false), ("pre", true)] {
        let encoder = TransformerEncoderLayer(
          6, heads: 2, feedForward: 9, dropout: 0, normFirst: normFirst, dtype: dtype, on: device)
        try golden.check("encoder.\(name)", encoder, dtype: dtype, on: device) { [encoder($0[0])] }
        let decoder = TransformerDecoderLayer(
          6, heads: 2, feedForward: 9, dropout: 0, normFirst: normFirst, dtype: dtype, on: device)
        try golden.check("decoder.\(name)", decoder, dtype: dtype, on: device) { [decoder($0[0], memory: $0[1])] }
      }
    }
  }
}
