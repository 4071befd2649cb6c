import CVector
import KilnCPU
import Testing

@testable import KilnEngine

/// The same bits with one thread and with several.
@Suite(.serialized) struct DeterminismTests {
  static func withThreads<Result>(_ count: Int32, _ body: () throws -> Result) rethrows -> Result {
    let before = kv_threads()
    kv_set_threads(count)
    defer { kv_set_threads(before) }
    return try body()
  }

  static func check(_ step: Step, _ inputs: [Values], _ output: Program.ValueType) throws {
    let once = try withThreads(1) { try run([step], inputs: inputs, outputs: [output]) }
    for threads in [2, 3, 7] as [Int32] {
      for _ in 0..<3 {
        let several = try withThreads(threads) { try run([step], inputs: inputs, outputs: [output]) }
        #expect(several[0].bytes == once[0].bytes, "\(threads) threads")
      }
    }
  }

  @Test func sums() throws {
    var dice = Dice(1)
    for (outer, inner, strides) in [
      ([], [100_000], [1]), ([300], [200], [200, 1]), ([300], [200], [1, 300]), ([10], [9000], [1, 10]),
      ([2], [70_000], [70_000, 1]),
    ] as [([Int], [Int], [Int])] {
      var prologue = Expression()
      let x = prologue.append(.load(0), .float32)
      prologue.outputs = [prologue.append(.unary(.exp, x), .float32)]
      var epilogue = Expression()
      epilogue.outputs = [epilogue.append(.result, .float32)]
      let step = ReduceStep(
        kind: .sum, dtype: .float32, outer: outer, inner: inner,
        operands: [Operand(slot: .input(0), dtype: .float32, offset: 0, strides: strides)], prologue: prologue,
        epilogue: epilogue, outputs: [Operand(output: 0, .float32, outer)])
      let count = (outer + inner).reduce(1, *)
      try Self.check(.reduce(step), [dice.values(.float32, count)], .init(dtype: .float32, shape: Shape(outer)))
    }
  }

  @Test func products() throws {
    var dice = Dice(2)
    for (m, n, k) in [(32, 128, 784), (784, 128, 32), (200, 300, 257), (1, 3000, 50), (515, 33, 100)] {
      var epilogue = Expression()
      epilogue.outputs = [epilogue.append(.result, .float32)]
      let step = MatmulStep(
        batch: [], m: m, n: n, k: k, dtype: .float32, lhs: Operand(0, .float32, [m, k]),
        rhs: Operand(1, .float32, [k, n]), operands: [], epilogue: epilogue,
        outputs: [Operand(output: 0, .float32, [m, n])])
      try Self.check(
        .matmul(step), [dice.values(.float32, m * k), dice.values(.float32, k * n)],
        .init(dtype: .float32, shape: [m, n]))
    }
  }

  @Test func convolutions() throws {
    var dice = Dice(3)
    for kind in [Convolution.Kind.forward, .inputGradient, .filterGradient] {
      for size in [
        ConvolutionTests.Size(batch: 5, channels: 3, height: 20, width: 20, filters: 8),
        .init(batch: 19, channels: 16, height: 12, width: 13, filters: 24),
      ] {
        let c = size.convolution(kind)
        let shapes: (Shape, Shape, Shape) =
          switch kind {
          case .forward: (c.inputShape, c.filterShape, c.outputShape)
          case .inputGradient: (c.outputShape, c.filterShape, c.inputShape)
          case .filterGradient: (c.inputShape, c.outputShape, c.filterShape)
          }
        var epilogue = Expression()
        epilogue.outputs = [epilogue.append(.result, .float32)]
        let step = ConvolutionStep(
          convolution: c, dtype: .float32,
          inputs: [Operand(0, .float32, shapes.0.dimensions), Operand(1, .float32, shapes.1.dimensions)], operands: [],
          epilogue: epilogue, outputs: [Operand(output: 0, .float32, shapes.2.dimensions)])
        try Self.check(
          .convolution(step), [dice.values(.float32, shapes.0.count), dice.values(.float32, shapes.1.count)],
          .init(dtype: .float32, shape: shapes.2))
      }
    }
  }

  /// Many jobs one after the other from several threads: the pool loses none and mixes none up.
  @Test func jobsFromSeveralThreads() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          var dice = Dice(UInt64(worker))
          var e = Expression()
          let x = e.append(.load(0), .float32)
          e.outputs = [e.append(.unary(.square, x), .float32)]
          let dims = [30_000]
          let step = ElementwiseStep(
            dims: dims, operands: [Operand(0, .float32, dims)], expression: e,
            outputs: [Operand(output: 0, .float32, dims)])
          let input = dice.values(.float32, 30_000)
          let expected = Values(.float32, input.values.map { $0 * $0 })
          for _ in 0..<10 {
            let actual = try run(
              [.elementwise(step)], inputs: [input], outputs: [.init(dtype: .float32, shape: [30_000])])
            #expect(actual[0] == expected)
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
