import Foundation
import KilnEngine

/// Random tensors against Philox and the conversions of docs/numerics.md, computed here from their mathematical
/// definition. `RandomChecks` holds what is more than a formula: statistics, streams, equality of devices.
enum RandomCases {
  private static let seed: UInt64 = 0x0123_4567_89AB_CDEF
  private static let stream: UInt64 = 5

  /// The block of element `i` of the n-th draw.
  static func words(seed: UInt64, stream: UInt64 = 0, draw: UInt64, element i: Int) -> [UInt32] {
    let key = seed &+ stream &* 0x9E37_79B9_7F4A_7C15
    func pair(_ x: UInt64) -> [UInt32] { [UInt32(truncatingIfNeeded: x), UInt32(x >> 32)] }
    return Reference.philox(counter: pair(UInt64(i)) + pair(draw), key: pair(key))
  }

  /// In [0, 1), to the bit.
  static func uniform(_ w: [UInt32], _ dtype: DType) -> Double {
    dtype == .float64
      ? Double((UInt64(w[1]) << 32 | UInt64(w[0])) >> 11) * 0x1p-53 : Double(w[0] >> 8) * 0x1p-24
  }

  /// Box and Muller's cosine branch; the bound covers the engine's polynomials.
  static func normal(_ w: [UInt32], _ dtype: DType) -> Double {
    let u: Double
    let turn: Double
    if dtype == .float64 {
      u = (Double((UInt64(w[1]) << 32 | UInt64(w[0])) >> 11) + 1) * 0x1p-53
      turn = Double((UInt64(w[3]) << 32 | UInt64(w[2])) >> 11) * 0x1p-53
    } else {
      u = Double((w[0] >> 8) + 1) * 0x1p-24
      turn = Double(w[1] >> 8) * 0x1p-24
    }
    return (-2 * Foundation.log(u)).squareRoot() * Foundation.cos(2 * Double.pi * turn)
  }

  private static func random(
    _ name: String, _ variant: String, _ shape: [Int], dtypes: [DType] = [.float32, .float64], ulps: Double = 0,
    slack: Double = 0, _ call: @escaping @Sendable (OpCase.Place, RandomGenerator) -> Tensor,
    _ element: @escaping @Sendable (Int, DType) -> Double
  ) -> OpCase {
    OpCase(
      name, variant, on: [], shapes: [[]], dtypes: dtypes, ulps: ulps, call: { $0[0] }, reference: { $0[0] }
    ).with { one in
      one.call = { _, place in
        let generator = RandomGenerator(seed: seed, stream: stream)
        // Not the first draw, so that the counter matters.
        _ = Tensor.randomUniform([1], generator: generator, on: place.device)
        return call(place, generator)
      }
      one.reference = { _, dtype in
        let values = (0..<NDArray.count(shape)).map { element($0, dtype) }
        return NDArray(shape, values, slack: slack == 0 ? [] : values.map { _ in slack })
      }
    }
  }

  private static func words(_ i: Int, draw: UInt64 = 1) -> [UInt32] {
    words(seed: seed, stream: stream, draw: draw, element: i)
  }

  /// 64 bits of two draws.
  private static func bits(_ i: Int) -> Int64 {
    Int64(words(i)[0]) &* 0x1_0000_0000 &+ Int64(words(i, draw: 2)[0])
  }

  static var all: [OpCase] {
    [
      random(
        "randomUniform", "", [67, 33],
        {
          .randomUniform([67, 33], dtype: $0.dtype, generator: $1, on: $0.device)
        }, { uniform(words($0), $1) }
      )
      .refusing("integers") { .randomUniform([2], dtype: .int32, on: $0) }
      .refusing("bounds in the wrong order") { .randomUniform([2], low: 2, high: 1, on: $0) },
      random(
        "randomUniform", "between bounds", [1031], ulps: 1, slack: 5,
        {
          .randomUniform([1031], low: -2, high: 3, dtype: $0.dtype, generator: $1, on: $0.device)
        }, { uniform(words($0), $1) * 5 - 2 }),
      random(
        "randomUniform", "none", [0, 3],
        {
          .randomUniform([0, 3], dtype: $0.dtype, generator: $1, on: $0.device)
        }, { uniform(words($0), $1) }),
      // Near a zero of the cosine the error is that of the angle: 6 epsilons of the radius.
      random(
        "randomNormal", "", [67, 33], ulps: 4, slack: 6,
        {
          .randomNormal([67, 33], dtype: $0.dtype, generator: $1, on: $0.device)
        }, { normal(words($0), $1) }
      )
      .refusing("integers") { .randomNormal([2], dtype: .int64, on: $0) }
      .refusing("a negative deviation") { .randomNormal([2], standardDeviation: -1, on: $0) },
      random(
        "randomNormal", "mean and deviation", [1031], ulps: 4, slack: 30,
        {
          .randomNormal([1031], mean: 3, standardDeviation: 0.5, dtype: $0.dtype, generator: $1, on: $0.device)
        }, { normal(words($0), $1) * 0.5 + 3 }),
      // The inverse error function multiplies the error of its argument by at most 6.6 here.
      random(
        "randomTruncatedNormal", "", [1031], ulps: 16, slack: 60,
        {
          .randomTruncatedNormal([1031], dtype: $0.dtype, generator: $1, on: $0.device)
        },
        {
          let limit = Foundation.erf(2 / 2.0.squareRoot())
          let y = Reference.erfInverse(uniform(words($0), $1) * 2 * limit - limit) * 2.0.squareRoot()
          return min(max(y, -2), 2)
        }
      ).refusing("limits in the wrong order") { .randomTruncatedNormal([2], low: 2, high: 1, on: $0) },
      random(
        "randomBernoulli", "", [1031], dtypes: DType.allCases,
        {
          .randomBernoulli([1031], probability: 0.3, dtype: $0.dtype, generator: $1, on: $0.device)
        }, { i, _ in uniform(words(i), .float32) < Double(Float(0.3)) ? 1 : 0 }
      )
      .refusing("a probability above 1") { .randomBernoulli([2], probability: 1.5, on: $0) },
      random(
        "randomIntegers", "", [1031], dtypes: [.int64, .int32, .uint8, .float32, .float64],
        {
          .randomIntegers([1031], low: 3, high: 103, dtype: $0.dtype, generator: $1, on: $0.device)
        }, { i, _ in Double((bits(i) % 100 + 100) % 100 + 3) }
      )
      .refusing("bounds in the wrong order") { .randomIntegers([2], low: 3, high: 3, on: $0) }
      .refusing("bool") { .randomIntegers([2], high: 2, dtype: .bool, on: $0) },
      random(
        "randomIntegers", "negative", [97], dtypes: [.int64, .int32],
        {
          .randomIntegers([97], low: -1000, high: -10, dtype: $0.dtype, generator: $1, on: $0.device)
        }, { i, _ in Double((bits(i) % 990 + 990) % 990 - 1000) }),
      random(
        "randomPermutation", "", [257], dtypes: [.int64],
        {
          .randomPermutation(257, generator: $1, on: $0.device)
        }, { _, _ in 0 }
      ).with { one in
        one.reference = { _, _ in
          let keys = (0..<257).map { bits($0) }
          return NDArray([257], (0..<257).sorted { keys[$0] < keys[$1] }.map(Double.init))
        }
      }.with { $0.refusals = [Refusal("a negative count", "randomPermutation") { .randomPermutation(-1, on: $0) }] },
    ]
  }
}
