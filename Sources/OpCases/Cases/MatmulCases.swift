import KilnEngine

/// matmul with every transposition, batch and odd size, and einsum.
enum MatmulCases {
  private static let any = Operand.uniform(-1...1)

  static var all: [OpCase] { products + transposed + einsums }

  private static func work(_ shapes: [[Int]]) -> Double {
    let a = shapes[0].isEmpty ? [1] : shapes[0]
    let b = shapes[1].count < 2 ? 1 : shapes[1][shapes[1].count - 1]
    let batch = shapes[1].dropLast(2).reduce(1, *)
    let own = a.dropLast(2).reduce(1, *)
    return 2 * Double(NDArray.count(a)) * Double(b) * (own == 1 ? Double(batch) : 1)
  }

  private static var products: [OpCase] {
    let shapes: [[[Int]]] = [
      [[3, 4], [4, 5]], [[1, 1], [1, 1]], [[3, 0], [0, 2]], [[0, 4], [4, 3]], [[5, 7], [7, 1]], [[1, 9], [9, 6]],
      [[65, 67], [67, 130]], [[17, 1031], [1031, 3]], [[130, 5], [5, 257]], [[48, 150], [150, 64]],
    ]
    let batches: [[[Int]]] = [
      [[2, 3, 4], [2, 4, 5]], [[2, 3, 4], [4, 5]], [[3, 4], [2, 4, 5]], [[2, 1, 3, 4], [5, 4, 2]],
      [[0, 3, 4], [4, 5]],
      [[7, 33, 18], [7, 18, 35]],
    ]
    let vectors: [[[Int]]] = [
      [[4], [4]], [[3, 4], [4]], [[4], [4, 5]], [[2, 3, 4], [4]], [[4], [2, 4, 5]], [[300], [300]],
    ]
    func product(_ variant: String, _ shapes: [[[Int]]]) -> OpCase {
      OpCase(
        "matmul", variant, on: [any, any], shapes: shapes, ulps: 1, order: 2, call: { matmul($0[0], $0[1]) },
        reference: { Reference.matmul($0[0], $0[1]) }
      ).costing(flops: work)
    }
    return [
      product("", shapes)
        .refusing("inner dimensions that differ") { matmul(zeros([2, 3], .float32, $0), zeros([4, 5], .float32, $0)) }
        .refusing("batches that do not broadcast") {
          matmul(zeros([2, 2, 3], .float32, $0), zeros([3, 3, 5], .float32, $0))
        }
        .refusing("a scalar") { matmul(zeros([], .float32, $0), zeros([4, 5], .float32, $0)) }
        .refusing("bool") { matmul(zeros([2, 3], .bool, $0), zeros([3, 2], .bool, $0)) },
      product("batches", batches), product("vectors", vectors),
      // Sizes in whole tiles, which the CPU device multiplies itself, with and without a second block of k.
      product("whole tiles", [[[8, 16], [16, 32]], [[72, 300], [300, 48]], [[3, 16, 40], [3, 40, 16]]]),
      OpCase(
        "matmul", "integers", on: [.whole(-9...9), .whole(-9...9)],
        shapes: [[[3, 4], [4, 5]], [[33, 18], [18, 20]]],
        dtypes: [.int32, .int64], call: { matmul($0[0], $0[1]) },
        reference: { NDArray(Reference.matmul($0[0], $0[1]).shape, Reference.matmul($0[0], $0[1]).values) }),
      OpCase(
        "matmul", "with itself", on: [any], shapes: [[[4, 4]]], ulps: 1, order: 2, call: { matmul($0[0], $0[0]) },
        reference: { Reference.matmul($0[0], $0[0]) }),
    ]
  }

  /// Either side as the transposed view of what is stored.
  private static var transposed: [OpCase] {
    let choices: [(String, Bool, Bool)] = [
      ("left transposed", true, false), ("right transposed", false, true), ("both transposed", true, true),
    ]
    @Sendable func turned(_ x: NDArray) -> NDArray {
      let r = x.shape.count
      return Reference.permute(x, Array(0..<(r - 2)) + [r - 1, r - 2])
    }
    return choices.map { words, left, right in
      let shapes: [[[Int]]] = [
        ([3, 4], [4, 5]), ([65, 67], [67, 130]), ([1, 6], [6, 1]), ([129, 300], [300, 10]), ([2, 5, 3], [2, 3, 4]),
        ([32, 40], [40, 80]),
      ].map { a, b in
        func swap(_ s: [Int]) -> [Int] { Array(s.dropLast(2)) + [s[s.count - 1], s[s.count - 2]] }
        return [left ? swap(a) : a, right ? swap(b) : b]
      }
      return OpCase(
        "matmul", words, on: [any, any], shapes: shapes, ulps: 1, order: 2,
        call: { matmul(left ? $0[0].transposed() : $0[0], right ? $0[1].transposed() : $0[1]) },
        reference: { Reference.matmul(left ? turned($0[0]) : $0[0], right ? turned($0[1]) : $0[1]) })
    }
  }

  private static var einsums: [OpCase] {
    func sum(_ equation: String, _ shapes: [[Int]]) -> OpCase {
      OpCase(
        "einsum", equation, on: shapes.map { _ in any }, shapes: [shapes], ulps: 1, order: 2,
        call: { x in
          switch x.count {
          case 1: einsum(equation, x[0])
          case 2: einsum(equation, x[0], x[1])
          default: einsum(equation, x[0], x[1], x[2])
          }
        }, reference: { Reference.einsum(equation, $0) })
    }
    return [
      sum("ij,jk->ik", [[3, 4], [4, 5]])
        .refusing("sizes of one letter that differ") {
          einsum("ij,jk->ik", zeros([2, 3], .float32, $0), zeros([4, 5], .float32, $0))
        }
        .refusing("too few operands") { einsum("ij,jk->ik", zeros([2, 3], .float32, $0)) }
        .refusing("a letter of the result that no operand has") { einsum("ij->ik", zeros([2, 3], .float32, $0)) },
      sum("ij,kj->ik", [[3, 4], [5, 4]]), sum("ij->ji", [[3, 4]]), sum("ij->", [[3, 4]]), sum("ij->j", [[3, 4]]),
      sum("ii->i", [[4, 4]]), sum("ii->", [[4, 4]]), sum("i,i->", [[5], [5]]), sum("i,j->ij", [[3], [4]]),
      sum("bij,bjk->bik", [[2, 3, 4], [2, 4, 5]]), sum("bhqd,bhkd->bhqk", [[2, 2, 3, 4], [2, 2, 5, 4]]),
      sum("ijk,kl->ijl", [[2, 3, 4], [4, 5]]), sum("ij,ij->ij", [[3, 4], [3, 4]]),
      sum("ij,jk,kl->il", [[2, 3], [3, 4], [4, 2]]), sum("ijk,jil->kl", [[2, 3, 4], [3, 2, 5]]),
    ]
  }
}
