import Kiln
import Testing

@Suite("Attention and transformers equal PyTorch's")
struct AttentionGoldenTests {
  static let golden = Result { try Golden("attention.npz") }
  static let none: AnyModule? = nil

  /// Runs `body` for every device in float32 and float64.
  func each(_ body: (Golden, DType, Device) throws -> Void) throws {
    let golden = try Self.golden.get()
    for (device, dtype) in RecurrentGoldenTests.runs { try body(golden, dtype, device) }
  }

  @Test("scaled dot products: shapes, causal, scale, key heads")
  func products() throws {
    try each { golden, dtype, device in
      for name in ["plain", "flat"] {
        try golden.check(name, Self.none, dtype: dtype, on: device) {
          [scaledDotProductAttention(query: $0[0], key: $0[1], value: $0[2])]
        }
      }
      for name in ["wide", "grouped"] {
        try golden.check(name, Self.none, dtype: dtype, on: device) {
          [scaledDotProductAttention(query: $0[0], key: $0[1], value: $0[2], isCausal: true)]
        }
      }
      try golden.check("causal", Self.none, dtype: dtype, on: device) {
        [scaledDotProductAttention(query: $0[0], key: $0[1], value: $0[2], isCausal: true, scale: 0.3)]
      }
    }
  }

  @Test("masks: bool with a query that sees nothing, float")
  func masks() throws {
    try each { golden, dtype, device in
      for name in ["bool", "float"] {
        let mask = try golden.tensor("mask.\(name)", dtype: dtype, on: device)
        try golden.check(name, Self.none, dtype: dtype, on: device) {
          [scaledDotProductAttention(query: $0[0], key: $0[1], value: $0[2], mask: mask)]
        }
      }
    }
  }

  @Test("heads: self, masked, causal, cross, three inputs, other features, rotary")
  func heads() throws {
    try each { golden, dtype, device in
      func make(_ features: Int, _ heads: Int, bias: Bool = true, key: Int? = nil, value: Int? = nil)
        -> MultiHeadAttention
      {
        MultiHeadAttention(
          features, heads: heads, keyFeatures: key, valueFeatures: value, bias: bias, dtype: dtype, on: device)
      }
      let own = make(6, 3)
      try golden.check("mha.self", own, dtype: dtype, on: device) { [own($0[0])] }
      let masked = make(6, 2, bias: false)
      let mask = try golden.tensor("mha.mask", on: device)
      let keyMask = try golden.tensor("mha.keyMask", on: device)
      try golden.check("mha.masked", masked, dtype: dtype, on: device) {
        let (y, weights) = masked.attend(query: $0[0], key: $0[0], mask: mask, keyMask: keyMask)
        return [y, weights]
      }
      let causal = make(6, 2)
      try golden.check("mha.causal", causal, dtype: dtype, on: device) { [causal($0[0], mask: nil, isCausal: true)] }
      let cross = make(4, 2)
      try golden.check("mha.cross", cross, dtype: dtype, on: device) { [cross(query: $0[0], key: $0[1])] }
      let three = make(4, 2)
      try golden.check("mha.three", three, dtype: dtype, on: device) {
        [three(query: $0[0], key: $0[1], value: $0[2])]
      }
      let other = make(4, 2, key: 3, value: 5)
      try golden.check("mha.other", other, dtype: dtype, on: device) {
        [other(query: $0[0], key: $0[1], value: $0[2])]
      }
      let rotary = MultiHeadAttention(
        16, heads: 4, keyHeads: 2, bias: false, rotary: RotaryEmbedding(base: 100), dtype: dtype, on: device)
      try golden.check("mha.rotary", rotary, dtype: dtype, on: device) { [rotary($0[0], mask: nil, isCausal: true)] }
    }
  }

  @Test("positions")
  func positions() throws {
    try each { golden, dtype, device in
      for (name, pairing) in [("halves", RotaryEmbedding.Pairing.halves), ("neighbors", .neighbors)] {
        try golden.check("rotary.\(name)", Self.none, dtype: dtype, on: device) {
          [RotaryEmbedding(pairing: pairing)($0[0])]
        }
      }
      try golden.check("sinusoidal", Self.none, dtype: dtype, on: device) { [SinusoidalEncoding()($0[0])] }
    }
  }

  @Test("transformer layers and stacks, post- and pre-norm, in training and evaluation")
  func layers() throws {
    try each { golden, dtype, device in
      let mask = try golden.tensor("mha.mask", on: device)
      let keyMask = try golden.tensor("mha.keyMask", on: device)
      let memoryMask = try golden.tensor("layer.memoryKeyMask", on: device)
      for (name, normFirst, activation) in [("post", false, Activation.relu), ("pre", true, .gelu)] {
        let encoder = TransformerEncoderLayer(
          6, heads: 2, feedForward: 9, dropout: 0, activation: activation, normFirst: normFirst, dtype: dtype,
          on: device)
        try golden.check("encoder.\(name)", encoder, dtype: dtype, on: device) {
          [encoder($0[0], mask: mask, keyMask: keyMask)]
        }
        // With dropout, but evaluated: the same.
        let decoder = TransformerDecoderLayer(
          6, heads: 2, feedForward: 9, dropout: 0.5, activation: activation, normFirst: normFirst, dtype: dtype,
          on: device)
        decoder.eval()
        try golden.check("decoder.\(name)", decoder, dtype: dtype, on: device) {
          [
            decoder(
              $0[0], memory: $0[1], keyMask: keyMask, isCausal: true, memoryKeyMask: memoryMask)
          ]
        }
      }
      let stack = TransformerEncoder(
        2, 4, heads: 2, feedForward: 8, dropout: 0, normFirst: true, finalNorm: true, dtype: dtype, on: device)
      try golden.check("encoder.stack", stack, dtype: dtype, on: device) { [stack($0[0])] }
      let decoders = TransformerDecoder(2, 4, heads: 1, feedForward: 8, dropout: 0, dtype: dtype, on: device)
      try golden.check("decoder.stack", decoders, dtype: dtype, on: device) { [decoders($0[0], memory: $0[1])] }
    }
  }
}

@Suite("Attention beyond PyTorch's numbers")
struct AttentionTests {
  @Test("decoding with a cache, whole or token by token, gives what the whole sequence gives")
  func cache() throws {
    let layer = MultiHeadAttention(
      8, heads: 4, keyHeads: 2, rotary: RotaryEmbedding(), dtype: .float64, generator: RandomGenerator(seed: 1),
      on: .cpu)
    let x = Tensor.randomNormal([2, 7, 8], dtype: .float64, generator: RandomGenerator(seed: 2), on: .cpu)
    let whole = layer(x, mask: nil, isCausal: true)
    var cache = layer.makeCache(batch: 2, capacity: 9)
    var parts = [layer(x.sliced(axis: 1, to: 3), cache: &cache)]
    for token in 3..<7 { parts.append(layer(x.sliced(axis: 1, from: token, to: token + 1), cache: &cache)) }
    #expect(cache.length == 7)
    #expect(Golden.relativeError(try concatenate(parts, axis: 1).doubles(), try whole.doubles()) < 1e-12)
    _ = layer(x.sliced(axis: 1, to: 3), cache: &cache)
    #expect("\(String(describing: cache.keys.error))".contains("7 tokens"))
  }

  @Test("each decoded token runs the same program")
  func cachePrograms() throws {
    let layer = MultiHeadAttention(8, heads: 2, rotary: RotaryEmbedding(), on: .cpu)
    var cache = layer.makeCache(batch: 1, capacity: 16)
    try evaluate(layer.parameters.map(\.value) + cache.tensors)
    var before = 0
    for token in 0..<6 {
      let x = Tensor.full([1, 1, 8], Double(token), on: .cpu)
      try evaluate([layer(x, cache: &cache)] + cache.tensors)
      if token == 1 { before = ProgramCache.shared.compilations }
    }
    #expect(ProgramCache.shared.compilations == before)
  }

  @Test("attention with a mask is two products and a softmax; without, one step without copies")
  func kernels() throws {
    let x = Tensor.randomNormal([2, 3, 5, 8], on: .cpu)
    let bias = Tensor.randomNormal([5, 5], on: .cpu)
    try evaluate(x, bias)
    let y = scaledDotProductAttention(query: x, key: x, value: x, mask: bias, isCausal: true)
    #expect(try program(for: [y]).steps.count == 3)
    let layer = MultiHeadAttention(8, heads: 2, on: .cpu)
    let tokens = x[0]
    try evaluate(layer.parameters.map(\.value) + [tokens])
    let kinds = try program(for: [layer(tokens, mask: nil, isCausal: true)]).steps.map { step in
      "\(Mirror(reflecting: step).children.first?.label ?? "")"
    }
    #expect(kinds == ["matmul", "attention", "matmul"])
  }

  @Test("dropout of weights is zero in evaluation and unbiased in training")
  func dropout() throws {
    let layer = MultiHeadAttention(8, heads: 2, dropout: 0.5, generator: RandomGenerator(seed: 3), on: .cpu)
    let x = Tensor.randomNormal([2, 5, 8], generator: RandomGenerator(seed: 4), on: .cpu)
    let full = try layer.evaluating { try layer(x).doubles() }
    let again = try layer.evaluating { try layer(x).doubles() }
    #expect(full == again)
    var sum = Tensor.zeros([2, 5, 8], on: .cpu)
    for _ in 0..<400 { sum = sum + layer(x).stopGradient() }
    #expect(Golden.relativeError(try (sum / 400).doubles(), full) < 0.2)
    #expect(try layer(x).doubles() != full)
  }

  @Test("empty batches, single tokens and no keys give empty results and zeros")
  func small() throws {
    let layer = TransformerEncoderLayer(4, heads: 2, feedForward: 8, on: .cpu)
    #expect(try layer(Tensor.zeros([0, 3, 4], on: .cpu)).doubles() == [])
    #expect(try layer(Tensor.zeros([2, 0, 4], on: .cpu)).doubles() == [])
    #expect(try layer(Tensor.ones([1, 1, 4], on: .cpu)).doubles().allSatisfy(\.isFinite))
    let nothing = scaledDotProductAttention(
      query: Tensor.ones([1, 2, 4], on: .cpu), key: Tensor.zeros([1, 0, 4], on: .cpu),
      value: Tensor.zeros([1, 0, 3], on: .cpu))
    #expect(try nothing.doubles() == [Double](repeating: 0, count: 6))
  }

  @Test("mistakes are refused in words")
  func mistakes() {
    func words(_ tensor: Tensor) -> String { tensor.error.map { "\($0)" } ?? "" }
    let x = Tensor.zeros([2, 3, 6], on: .cpu)
    #expect(words(MultiHeadAttention(6, heads: 4, on: .cpu)(x)).contains("heads must divide"))
    #expect(words(MultiHeadAttention(4, heads: 2, on: .cpu)(x)).contains("query [batch, queries, 4]"))
    let layer = MultiHeadAttention(6, heads: 2, on: .cpu)
    #expect(words(layer(x, mask: nil, keyMask: Tensor([1, 0, 1], on: .cpu))).contains("keyMask must be bool"))
    #expect(words(layer(x, mask: Tensor.ones([4, 4], on: .cpu))).contains("broadcast to [2, 2, 3, 3]"))
    #expect(words(layer(query: x, key: Tensor.zeros([1, 3, 6], on: .cpu))).contains("batches"))
    #expect(words(RotaryEmbedding()(Tensor.zeros([2, 3], on: .cpu))).contains("even"))
    #expect(words(LearnedEncoding(2, 6, on: .cpu)(x)).contains("within the table"))
    #expect(words(MultiHeadAttention(6, heads: 0, on: .cpu)(x)).contains("heads"))
    #expect(words(layer(x.cast(to: .float64))).contains("one dtype"))
    var cache = layer.makeCache(batch: 2, capacity: 4)
    layer.inProjWeight?.value = .zeros([4, 4], on: .cpu)
    #expect(words(layer(x)) != "" && words(layer(x, cache: &cache)) != "")
  }
}
