import Foundation
import KilnEngine

/// dotProductAttention: of one shape (whose gradients lie side by side), of several, causal, without a batch.
enum AttentionCases {
  private static let any = Operand.uniform(-2...2)
  private static let scale = 0.4

  private static func one(_ variant: String, _ shapes: [[[Int]]], isCausal: Bool) -> OpCase {
    OpCase(
      "dotProductAttention", variant, on: [any, any, any], shapes: shapes, ulps: 2, order: 2,
      call: { dotProductAttention(query: $0[0], key: $0[1], value: $0[2], isCausal: isCausal, scale: scale) },
      reference: { Reference.attention($0[0], $0[1], $0[2], isCausal: isCausal, scale: scale) }
    )
    .costing { shapes in
      let (q, v) = (shapes[0], shapes[2])
      let pairs = NDArray.count(Array(q.dropLast())) * v[v.count - 2]
      return Double(2 * pairs * (q[q.count - 1] + v[v.count - 1]))
    }
  }

  static var all: [OpCase] {
    let same: [[Int]] = [[2, 3, 5, 4], [1, 1, 1, 1], [3, 17, 16], [2, 2, 37, 19], [1, 130, 33]]
    let apart: [[[Int]]] = [
      [[2, 3, 5, 4], [2, 3, 7, 4], [2, 3, 7, 6]], [[3, 8, 5], [3, 2, 5], [3, 2, 1]], [[4, 6], [9, 6], [9, 20]],
      [[1, 35, 8], [1, 3, 8], [1, 3, 17]], [[2, 1, 3], [2, 70, 3], [2, 70, 3]],
      [[2, 0, 4], [2, 3, 4], [2, 3, 4]], [[2, 3, 4], [2, 0, 4], [2, 0, 4]],
    ]
    return [
      one("", same.map { [$0, $0, $0] }, isCausal: false)
        .refusing("other features") {
          dotProductAttention(
            query: zeros([2, 3, 4], .float32, $0), key: zeros([2, 3, 5], .float32, $0),
            value: zeros([2, 3, 5], .float32, $0), scale: 1)
        }
        .refusing("other batches") {
          dotProductAttention(
            query: zeros([2, 3, 4], .float32, $0), key: zeros([1, 3, 4], .float32, $0),
            value: zeros([1, 3, 4], .float32, $0), scale: 1)
        }
        .refusing("other ranks") {
          dotProductAttention(
            query: zeros([3, 4], .float32, $0), key: zeros([1, 3, 4], .float32, $0),
            value: zeros([3, 4], .float32, $0), scale: 1)
        }
        .refusing("integers") {
          dotProductAttention(
            query: zeros([3, 4], .int32, $0), key: zeros([3, 4], .int32, $0), value: zeros([3, 4], .int32, $0), scale: 1
          )
        },
      one("causal", (same + [[70, 3]]).map { [$0, $0, $0] }, isCausal: true),
      one("other lengths", apart, isCausal: false),
      one("other lengths, causal", apart.filter { $0[1][$0[1].count - 2] > 0 }, isCausal: true),
    ]
  }
}

extension Reference {
  /// softmax(q k^T * scale) v, over the keys 0...i of query i if causal.
  static func attention(_ q: NDArray, _ k: NDArray, _ v: NDArray, isCausal: Bool, scale: Double) -> NDArray {
    let rank = q.shape.count
    let (queries, width) = (q.shape[rank - 2], q.shape[rank - 1])
    let (keys, valueWidth) = (v.shape[rank - 2], v.shape[rank - 1])
    let batch = Array(q.shape.dropLast(2))
    var result = NDArray(batch + [queries, valueWidth], [Double]())
    for b in 0..<NDArray.count(batch) {
      for i in 0..<queries {
        let seen = isCausal ? Swift.min(i + 1, keys) : keys
        var products: [Double] = []
        var magnitude = 0.0
        for j in 0..<seen {
          let terms = (0..<width).map {
            q.values[(b * queries + i) * width + $0] * k.values[(b * keys + j) * width + $0]
          }
          products.append(terms.reduce(0, +) * scale)
          magnitude = Swift.max(magnitude, terms.reduce(0) { $0 + abs($1) } * scale)
        }
        let top = products.max() ?? 0
        let weights = products.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        // A product's error is the weight's relative error; so is what its own sum and the sum of weights lose.
        let units = 2 * magnitude * (NDArray.sumUnits(width) + 2) + NDArray.sumUnits(seen) + 8
        for c in 0..<valueWidth {
          let terms = (0..<seen).map { weights[$0] / total * v.values[(b * keys + $0) * valueWidth + c] }
          result.values.append(terms.reduce(0, +))
          result.slack.append(terms.reduce(0) { $0 + abs($1) } * (units + NDArray.sumUnits(seen)))
        }
      }
    }
    return result
  }
}
