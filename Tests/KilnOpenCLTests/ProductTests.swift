import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite struct ProductTests {
  /// lhs and rhs stored plain or transposed, batched or shared, with bias and relu as epilogue.
  private func check(
    batch: [Int], m: Int, n: Int, k: Int, transposesLhs: Bool = false, transposesRhs: Bool = false,
    sharesLhs: Bool = false, sharesRhs: Bool = false, dtype: DType = .float32, hasEpilogue: Bool = true
  ) throws {
    let batches = batch.reduce(1, *)
    func values(_ count: Int, _ seed: UInt64) -> [Double] {
      dtype.isFloat ? samples(count, seed: seed) : whole(count, below: 7, seed: seed)
    }
    let a = values((sharesLhs ? 1 : batches) * m * k, 1)
    let b = values((sharesRhs ? 1 : batches) * k * n, 2)
    let bias = values(n, 3)
    let batchStrides = Layout.contiguousStrides(Shape(batch))
    let lhs = Operand(
      slot: .input(0), dtype: dtype, offset: 0,
      strides: batchStrides.map { sharesLhs ? 0 : $0 * m * k } + (transposesLhs ? [1, m] : [k, 1]))
    let rhs = Operand(
      slot: .input(1), dtype: dtype, offset: 0,
      strides: batchStrides.map { sharesRhs ? 0 : $0 * k * n } + (transposesRhs ? [1, k] : [n, 1]))
    var epilogue = Expression()
    let result = epilogue.append(.result, dtype)
    if hasEpilogue {
      let load = epilogue.append(.load(0), dtype)
      let sum = epilogue.append(.binary(.add, result, load), dtype)
      epilogue.outputs = [epilogue.append(.unary(.relu, sum), dtype)]
    } else {
      epilogue.outputs = [result]
    }
    let step = MatmulStep(
      batch: batch, m: m, n: n, k: k, dtype: dtype, lhs: lhs, rhs: rhs,
      operands: [Operand(slot: .input(2), dtype: dtype, offset: 0, strides: batch.map { _ in 0 } + [0, 1])],
      epilogue: epilogue, outputs: [dense(.output(0), batch + [m, n], dtype)])
    var expected: [Double] = []
    for e in 0..<batches {
      let (a0, b0) = (sharesLhs ? 0 : e * m * k, sharesRhs ? 0 : e * k * n)
      for i in 0..<m {
        for j in 0..<n {
          var sum = 0.0
          for p in 0..<k {
            sum += a[a0 + (transposesLhs ? p * m + i : i * k + p)] * b[b0 + (transposesRhs ? j * k + p : p * n + j)]
          }
          if dtype == .uint8 { sum = sum.truncatingRemainder(dividingBy: 256) }
          expected.append(hasEpilogue ? max(0, sum + bias[j]) : sum)
        }
      }
    }
    if dtype == .uint8 && hasEpilogue { expected = expected.map { $0.truncatingRemainder(dividingBy: 256) } }
    for driver in try Drivers.required() where driver.supports(dtype) {
      let results = try run(
        driver, [.matmul(step)],
        inputs: [
          HostTensor(values: a, dtype: dtype), HostTensor(values: b, dtype: dtype),
          HostTensor(values: bias, dtype: dtype),
        ], outputs: [(batches * m * n, dtype)], runs: 2)
      expectClose(
        results[0], expected, tolerance: 1e-6 * Double(max(k, 8)).squareRoot() * 4,
        "\(driver.name) \(batch) \(m)x\(n)x\(k) \(dtype) \(transposesLhs) \(transposesRhs)")
    }
  }

  @Test func shapesAndTransposes() throws {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (12, 32, 128), (65, 67, 33), (100, 10, 130), (1, 200, 50), (97, 33, 300)] {
      try check(batch: [], m: m, n: n, k: k)
      try check(batch: [], m: m, n: n, k: k, transposesLhs: true)
      try check(batch: [], m: m, n: n, k: k, transposesRhs: true)
      try check(batch: [], m: m, n: n, k: k, transposesLhs: true, transposesRhs: true, hasEpilogue: false)
    }
  }

  @Test func batches() throws {
    try check(batch: [3], m: 17, n: 20, k: 9)
    try check(batch: [2, 3], m: 17, n: 40, k: 9, sharesLhs: true)
    try check(batch: [2, 3, 2], m: 13, n: 40, k: 9, transposesRhs: true, sharesRhs: true)
  }

  @Test func longSumsAreSplit() throws {
    try check(batch: [], m: 5, n: 6, k: 3000)
    try check(batch: [2], m: 20, n: 40, k: 1500, transposesLhs: true)
    try check(batch: [], m: 5, n: 6, k: 3000, dtype: .int32)
  }

  @Test func emptyInnerDimensionGivesZero() throws { try check(batch: [], m: 3, n: 4, k: 0) }

  @Test(arguments: [DType.float64, .int32, .int64, .uint8]) func dtypes(_ dtype: DType) throws {
    try check(batch: [2], m: 15, n: 37, k: 20, dtype: dtype)
    try check(batch: [], m: 15, n: 7, k: 20, transposesRhs: true, dtype: dtype, hasEpilogue: false)
  }

  private struct Sizes {
    var (n, c, h, w, f, kh, kw) = (2, 3, 7, 8, 4, 3, 3)
    var (sy, sx, dy, dx, top, left, bottom, right, groups) = (1, 1, 1, 1, 0, 0, 0, 0, 1)
  }

  @Test func convolutions() throws {
    var list: [Sizes] = [Sizes()]
    func add(_ change: (inout Sizes) -> Void) {
      var sizes = Sizes()
      change(&sizes)
      list.append(sizes)
    }
    add { ($0.top, $0.left, $0.bottom, $0.right) = (1, 1, 1, 1) }
    add { ($0.sy, $0.sx, $0.top, $0.left) = (2, 3, 1, 2) }
    add { ($0.dy, $0.dx, $0.bottom) = (2, 2, 3) }
    add { ($0.c, $0.f, $0.groups) = (4, 6, 2) }
    add { ($0.c, $0.f, $0.groups, $0.top, $0.left, $0.sx) = (5, 5, 5, 1, 1, 2) }
    add { ($0.kh, $0.kw, $0.h, $0.w, $0.n) = (1, 1, 1, 30, 3) }
    add { ($0.kh, $0.kw, $0.c, $0.f, $0.groups) = (1, 1, 6, 4, 2) }
    add { ($0.kh, $0.kw, $0.sy, $0.sx, $0.n) = (1, 1, 2, 2, 9) }
    // Stride and dilation with a common factor: some inputs meet no tap.
    add { ($0.sy, $0.sx, $0.dy, $0.dx, $0.h, $0.w) = (2, 4, 2, 2, 11, 12) }
    add { ($0.kh, $0.kw, $0.sy, $0.sx, $0.h, $0.w) = (2, 2, 4, 3, 9, 10) }
    // One channel for each filter; many small images; an image of several blocks of rows; more padding than taps.
    add { ($0.c, $0.f, $0.groups, $0.top, $0.left, $0.bottom, $0.right, $0.w) = (9, 9, 9, 1, 1, 1, 1, 40) }
    add { ($0.n, $0.c, $0.f, $0.h, $0.w, $0.top, $0.bottom) = (70, 3, 5, 5, 5, 1, 1) }
    add { ($0.n, $0.c, $0.h, $0.w, $0.left, $0.right) = (1, 16, 70, 60, 1, 1) }
    add { ($0.top, $0.left, $0.bottom, $0.right) = (4, 5, 3, 6) }
    add { ($0.kh, $0.kw, $0.h, $0.w, $0.c, $0.f, $0.n) = (5, 5, 20, 21, 8, 16, 4) }
    for sizes in list {
      for kind in [Convolution.Kind.forward, .inputGradient, .filterGradient] {
        for hasOddEpilogue in [false, true] { try check(sizes, kind, hasOddEpilogue) }
      }
    }
  }

  /// Zeros around an image, and what is computed beside the results, never meet an infinity.
  @Test func infinitiesStayWhereTheyAre() throws {
    for driver in try Drivers.required() {
      for kind in [Convolution.Kind.forward, .inputGradient, .filterGradient] {
        let c = Convolution(
          kind: kind, batch: 1, channels: 1, height: 6, width: 7, filters: 1, kernelHeight: 3, kernelWidth: 3,
          outHeight: 4,
          outWidth: 5, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1, padTop: 0, padLeft: 0, groups: 1)
        // The last element of the image (of the gradient, which is the image there) is infinite.
        var image = [Double](repeating: 1, count: kind == .inputGradient ? 20 : 42)
        image[image.count - 1] = .infinity
        let other = [Double](repeating: 1, count: kind == .filterGradient ? 20 : 9)
        let result = Planner.resultShape(c)
        let step = ConvolutionStep(
          convolution: c, dtype: .float32, inputs: [dense(.input(0), [image.count]), dense(.input(1), [other.count])],
          operands: [], epilogue: identityEpilogue(.float32), outputs: [dense(.output(0), result.dimensions)])
        let values = try run(
          driver, [.convolution(step)], inputs: [HostTensor(values: image), HostTensor(values: other)],
          outputs: [(result.count, .float32)])[0]
        let infinite = values.indices.filter { values[$0] == .infinity }
        let reached = kind == .inputGradient ? [25, 26, 27, 32, 33, 34, 39, 40, 41] : [result.count - 1]
        #expect(infinite == reached, "\(driver.name) \(kind)")
        #expect(values.allSatisfy { !$0.isNaN }, "\(driver.name) \(kind)")
      }
    }
  }

  private func check(_ s: Sizes, _ kind: Convolution.Kind, _ hasOddEpilogue: Bool) throws {
    let oh = (s.h + s.top + s.bottom - (s.kh - 1) * s.dy - 1) / s.sy + 1
    let ow = (s.w + s.left + s.right - (s.kw - 1) * s.dx - 1) / s.sx + 1
    let c = Convolution(
      kind: kind, batch: s.n, channels: s.c, height: s.h, width: s.w, filters: s.f, kernelHeight: s.kh,
      kernelWidth: s.kw, outHeight: oh, outWidth: ow, strideY: s.sy, strideX: s.sx, dilationY: s.dy, dilationX: s.dx,
      padTop: s.top, padLeft: s.left, groups: s.groups)
    let x = samples(c.inputShape.count, seed: 1)
    let w = samples(c.filterShape.count, seed: 2)
    let g = samples(c.outputShape.count, seed: 3)
    let result = Planner.resultShape(c)
    var expected = [Double](repeating: 0, count: result.count)
    let (cg, fg) = (s.c / s.groups, s.f / s.groups)
    for n in 0..<s.n {
      for f in 0..<s.f {
        for oy in 0..<oh {
          for ox in 0..<ow {
            for k in 0..<(cg * s.kh * s.kw) {
              let (ch, ky, kx) = (k / (s.kh * s.kw), k / s.kw % s.kh, k % s.kw)
              let (iy, ix) = (oy * s.sy - s.top + ky * s.dy, ox * s.sx - s.left + kx * s.dx)
              if iy < 0 || ix < 0 || iy >= s.h || ix >= s.w { continue }
              let xAt = ((n * s.c + f / fg * cg + ch) * s.h + iy) * s.w + ix
              let wAt = f * cg * s.kh * s.kw + k
              let yAt = ((n * s.f + f) * oh + oy) * ow + ox
              switch kind {
              case .forward: expected[yAt] += x[xAt] * w[wAt]
              case .inputGradient: expected[xAt] += g[yAt] * w[wAt]
              case .filterGradient: expected[wAt] += x[xAt] * g[yAt]
              }
            }
          }
        }
      }
    }
    // + an operand over the rows of the result: it keeps the last two axes from being merged.
    let rowValues = samples(result[2], seed: 7)
    var epilogue = Expression()
    let value = epilogue.append(.result, .float32)
    if hasOddEpilogue {
      let load = epilogue.append(.load(0), .float32)
      epilogue.outputs = [epilogue.append(.binary(.add, value, load), .float32)]
      for i in expected.indices { expected[i] += rowValues[i / result[3] % result[2]] }
    } else {
      epilogue.outputs = [value]
    }
    let (first, second) =
      switch kind {
      case .forward: (x, w)
      case .inputGradient: (g, w)
      case .filterGradient: (x, g)
      }
    let step = ConvolutionStep(
      convolution: c, dtype: .float32, inputs: [dense(.input(0), [first.count]), dense(.input(1), [second.count])],
      operands: hasOddEpilogue
        ? [Operand(slot: .input(2), dtype: .float32, offset: 0, strides: [0, 0, 1, 0])] : [],
      epilogue: epilogue, outputs: [dense(.output(0), result.dimensions)])
    for driver in try Drivers.required() {
      let results = try run(
        driver, [.convolution(step)],
        inputs: [HostTensor(values: first), HostTensor(values: second), HostTensor(values: rowValues)],
        outputs: [(result.count, .float32)])
      expectClose(results[0], expected, tolerance: 3e-5, "\(driver.name) \(kind) \(s) odd \(hasOddEpilogue)")
    }
  }
}
