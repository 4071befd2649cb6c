import KilnCPU
import Testing

@testable import KilnEngine

@Suite struct MatmulTests {
  static let sizes: [(m: Int, n: Int, k: Int)] = [
    (1, 1, 1), (3, 5, 7), (1, 70, 33), (70, 1, 33), (9, 128, 784), (128, 78, 32), (20, 130, 57), (4, 6, 0),
    (5, 600, 20), (10, 128, 32),
    // What the CPU device's own products take: several blocks of k and of columns, and lines that lie 4 KiB apart.
    (8, 16, 8), (8, 528, 272), (40, 48, 520), (8, 128, 1024), (1024, 128, 8),
  ]

  /// Strides of a [rows, columns] matrix after `lead` batch strides.
  static func strides(_ rows: Int, _ columns: Int, transposed: Bool, gap: Int = 0) -> [Int] {
    transposed ? [1, rows + gap] : [columns + gap, 1]
  }

  static func check(
    _ size: (m: Int, n: Int, k: Int), _ dtype: DType, batch: [Int], lhsT: Bool, rhsT: Bool, gap: Int = 0,
    broadcastLhs: Bool = false, epilogue kind: Int
  ) throws {
    var dice = Dice(11)
    let (m, n, k) = size
    let batchCount = batch.reduce(1, *)
    let lhsSize = (max(m, k) + gap) * max(m, k) + 3
    let rhsSize = (max(n, k) + gap) * max(n, k) + 3
    let lhsBatch = broadcastLhs ? batch.map { _ in 0 } : Layout.contiguousStrides(Shape(batch)).map { $0 * lhsSize }
    let rhsBatch = Layout.contiguousStrides(Shape(batch)).map { $0 * rhsSize }
    let lhs = Operand(
      slot: .input(0), dtype: dtype, offset: 2, strides: lhsBatch + strides(m, k, transposed: lhsT, gap: gap))
    let rhs = Operand(
      slot: .input(1), dtype: dtype, offset: 1, strides: rhsBatch + strides(k, n, transposed: rhsT, gap: gap))
    let inputs = [
      dice.values(dtype, (broadcastLhs ? 1 : batchCount) * lhsSize + 2), dice.values(dtype, batchCount * rhsSize + 2),
      dice.values(dtype, n),
    ]
    let dims = batch + [m, n]
    let bias = Operand(slot: .input(2), dtype: dtype, offset: 0, strides: batch.map { _ in 0 } + [0, 1])
    var epilogue = Expression()
    let r = epilogue.append(.result, dtype)
    epilogue.outputs = [r]
    if kind >= 1 {
      let b = epilogue.append(.load(0), dtype)
      let sum = epilogue.append(.binary(.add, r, b), dtype)
      epilogue.outputs = [epilogue.append(.unary(.relu, sum), dtype)]
      // The sign before relu too: two outputs, the first of another dtype, which the product cannot be written to.
      if kind == 2 { epilogue.outputs = [epilogue.append(.binary(.greater, sum, r), .bool)] + epilogue.outputs }
    }
    let types = epilogue.outputs.map { Program.ValueType(dtype: epilogue.dtypes[$0], shape: Shape(dims)) }
    let step = MatmulStep(
      batch: batch, m: m, n: n, k: k, dtype: dtype, lhs: lhs, rhs: rhs, operands: kind == 0 ? [] : [bias],
      epilogue: epilogue, outputs: types.enumerated().map { Operand(output: $0, $1.dtype, dims) })
    let actual = try run([.matmul(step)], inputs: inputs, outputs: types)

    // Ten units in the last place of a term (at most 4) per term: far below the worst case of k^2 half units, far above
    // what a sum of random signs does, whatever the order in which BLAS adds.
    let bound = dtype == .float32 ? 6e-7 * Double(k + 1) : dtype == .float64 ? 1e-15 * Double(k + 1) : 0
    for (at, point) in points(dims).enumerated() {
      let (b, i, j) = (Array(point.dropLast(2)), point[point.count - 2], point[point.count - 1])
      var sum = 0.0
      for p in 0..<k {
        sum += inputs[0].values[address(lhs, b + [i, p])] * inputs[1].values[address(rhs, b + [p, j])]
      }
      if !dtype.isFloat { sum = Values.rounded(sum, dtype) }
      var expected = sum
      if kind >= 1 { expected = max(0, Values.rounded(sum + inputs[2].values[j], dtype)) }
      let value = actual[kind == 2 ? 1 : 0].values[at]
      if abs(value - expected) > bound {
        Issue.record("\(size) \(dtype) \(batch) T \(lhsT) \(rhsT) gap \(gap) at \(point): \(value), not \(expected)")
        return
      }
    }
  }

  @Test(arguments: sizes.indices, [DType.float32, .float64]) func multipliesEveryLayout(size: Int, dtype: DType) throws
  {
    for (lhsT, rhsT) in [(false, false), (false, true), (true, false), (true, true)] {
      for kind in 0...2 { try Self.check(Self.sizes[size], dtype, batch: [], lhsT: lhsT, rhsT: rhsT, epilogue: kind) }
    }
    try Self.check(Self.sizes[size], dtype, batch: [], lhsT: false, rhsT: false, gap: 3, epilogue: 1)
  }

  @Test(arguments: [DType.int32, .int64, .uint8]) func multipliesIntegers(dtype: DType) throws {
    for size in [(3, 5, 7), (33, 20, 40), (2, 2, 0)] {
      try Self.check(size, dtype, batch: [], lhsT: false, rhsT: false, epilogue: 0)
      try Self.check(size, dtype, batch: [2], lhsT: true, rhsT: true, epilogue: 1)
    }
  }

  @Test func batchesAndBroadcasts() throws {
    for batch in [[3], [2, 3], [9]] {
      for size in [(4, 6, 5), (40, 33, 50)] {
        try Self.check(size, .float32, batch: batch, lhsT: false, rhsT: true, epilogue: 1)
        try Self.check(size, .float32, batch: batch, lhsT: false, rhsT: false, broadcastLhs: true, epilogue: 2)
      }
    }
  }
}
