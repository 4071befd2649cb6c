import KilnCPU
import Testing

@testable import KilnEngine

/// Attention in one step against its composition of products and a softmax, at sizes of several blocks, and what only the
/// step promises.
@Suite struct AttentionTests {
  let device = Device(CPUDriver.shared)

  private func random(_ shape: Shape, _ seed: UInt64, _ dtype: DType) -> Tensor {
    Tensor.randomNormal(shape, dtype: dtype, generator: RandomGenerator(seed: seed), on: device)
  }

  /// The result and the gradients of query, key and value for one seed.
  private func values(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, isCausal: Bool, fused: Bool
  ) throws -> [[Double]] {
    try EngineOptions.with({ $0.fusion = fused }) {
      let inputs = [q, k, v].map { $0.watched() }
      let y = dotProductAttention(query: inputs[0], key: inputs[1], value: inputs[2], isCausal: isCausal, scale: 0.3)
      let seed = random(y.shape, 9, y.dtype)
      return try ([y] + gradient(of: y, withRespectTo: inputs, seed: seed)).map { try $0.doubles() }
    }
  }

  private func check(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, isCausal: Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try evaluate(q, k, v)
    let fused = try values(q, k, v, isCausal: isCausal, fused: true)
    let plain = try values(q, k, v, isCausal: isCausal, fused: false)
    let bound = q.dtype == .float64 ? 1e-12 : 2e-5
    for (part, (a, b)) in zip(fused, plain).enumerated() {
      let size = b.map(abs).max() ?? 0
      let off = zip(a, b).map { abs($0 - $1) }.max() ?? 0
      #expect(off <= bound * max(size, 1), "part \(part) of \(q.shape), \(k.shape)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [DType.float32, .float64], [false, true])
  func agreesWithProductsAndSoftmax(_ dtype: DType, _ isCausal: Bool) throws {
    let shapes: [(Shape, Shape, Shape)] = [
      ([2, 3, 200, 20], [2, 3, 200, 20], [2, 3, 200, 20]), ([1, 600, 17], [1, 600, 17], [1, 600, 17]),
      ([2, 70, 8], [2, 2100, 8], [2, 2100, 5]), ([1, 150, 33], [1, 40, 33], [1, 40, 64]),
      ([3, 1, 16], [3, 90, 16], [3, 90, 16]),
    ]
    for (q, k, v) in shapes {
      try check(random(q, 1, dtype), random(k, 2, dtype), random(v, 3, dtype), isCausal: isCausal)
    }
  }

  @Test func readsViewsWhereTheyLie() throws {
    let packed = random([2, 40, 3, 4, 8], 1, .float32)
    try evaluate(packed)
    let parts = packed.permuted([2, 0, 3, 1, 4])
    try check(parts[0], parts[1], parts[2], isCausal: true)
    // Keys and values that all heads share, and every second query.
    let (k, v) = (random([1, 30, 8], 2, .float32), random([1, 30, 8], 3, .float32))
    try evaluate(k, v)
    let queries = parts[0][0].sliced(axis: 1, step: 2)
    try check(queries, k.broadcast(to: [4, 30, 8]), v.broadcast(to: [4, 30, 8]), isCausal: false)
  }

  @Test(arguments: [DType.float32, .float64])
  func hiddenKeysChangeNothing(_ dtype: DType) throws {
    var rows = (0..<(20 * 6)).map { Double($0 % 11) * 0.1 }
    let clean = Tensor(rows, shape: [1, 20, 6], on: device).cast(to: dtype)
    for i in (19 * 6)..<(20 * 6) { rows[i] = .nan }
    let spoilt = Tensor(rows, shape: [1, 20, 6], on: device).cast(to: dtype)
    let q = random([1, 19, 6], 4, dtype)
    try evaluate(clean, spoilt, q)
    let expected = try values(q, clean, clean, isCausal: true, fused: true)
    let actual = try values(q, spoilt, spoilt, isCausal: true, fused: true)
    #expect(actual == expected)
  }

  @Test func gradientsOfAPackedProjectionAreThoseOfItsParts() throws {
    let w = random([24, 8], 5, .float64)
    let x = random([2, 5, 8], 6, .float64)
    let seed = random([2, 2, 5, 4], 7, .float64)
    try evaluate(w, x, seed)
    func slope(fused: Bool) throws -> [Double] {
      try EngineOptions.with({ $0.fusion = fused }) {
        let w = w.watched()
        let parts = matmul(x, w.transposed()).reshaped(to: [2, 5, 3, 2, 4]).permuted([2, 0, 3, 1, 4])
        let y = dotProductAttention(query: parts[0], key: parts[1], value: parts[2], isCausal: true, scale: 0.5)
        return try gradient(of: y, withRespectTo: w, seed: seed).doubles()
      }
    }
    let off = zip(try slope(fused: true), try slope(fused: false)).map { abs($0 - $1) }.max() ?? .infinity
    #expect(off < 1e-12)
  }
}
