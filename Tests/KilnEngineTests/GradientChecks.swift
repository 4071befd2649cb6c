import Testing

@testable import KilnEngine

/// A small generator for test data; nothing of the engine's.
struct TestNumbers {
  var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
  mutating func next() -> Double {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Double(state >> 11) / Double(1 << 53) * 2 - 1
  }
  mutating func list(_ count: Int) -> [Double] { (0..<count).map { _ in next() } }
}

/// How far gradients are from central differences of interpreted graphs in float64, along random directions: one
/// relative error for each order, the second for the gradient of the gradient.
func gradientErrors(
  _ shapes: [Shape], orders: Int = 2, seed: UInt64 = 1, values: [[Double]]? = nil,
  _ function: @escaping ([Tensor]) -> Tensor
) throws -> [Double] {
  var numbers = TestNumbers(seed)
  let start = values ?? shapes.map { numbers.list($0.count) }
  func leaf(_ values: [Double], _ shape: Shape) -> Tensor { Tensor(values, shape: shape, on: HostDriver.device) }
  func evaluate(_ f: ([Tensor]) throws -> Tensor, _ at: [[Double]]) throws -> Double {
    try NodeInterpreter.doubles(f(zip(at, shapes).map { leaf($0, $1) }))[0]
  }
  var scalar: ([Tensor]) throws -> Tensor = { xs in
    let y = function(xs)
    if let error = y.error { throw error }
    var weights = TestNumbers(99)
    return (y * leaf(weights.list(y.count), y.shape)).sum()
  }
  var errors: [Double] = []
  for _ in 0..<orders {
    let current = scalar
    let direction = shapes.map { numbers.list($0.count) }
    let step = 1e-5
    func moved(_ by: Double) -> [[Double]] {
      zip(start, direction).map { zip($0, $1).map { $0 + by * $1 } }
    }
    let numeric = (try evaluate(current, moved(step)) - evaluate(current, moved(-step))) / (2 * step)
    let slope: ([Tensor]) throws -> Tensor = { xs in
      let gradients = try gradient(of: current(xs), withRespectTo: xs)
      let parts = zip(gradients, direction).map { g, v in (g * leaf(v, g.shape)).sum() }
      return parts.dropFirst().reduce(parts[0], +)
    }
    let exact = try evaluate(slope, start)
    errors.append(abs(numeric - exact) / max(abs(numeric), abs(exact), 1))
    scalar = slope
  }
  return errors
}

func checkGradients(
  _ shapes: [Shape], values: [[Double]]? = nil, sourceLocation: SourceLocation = #_sourceLocation,
  _ function: @escaping ([Tensor]) -> Tensor
) throws {
  let errors = try gradientErrors(shapes, values: values, function)
  // NaN must fail too.
  #expect(errors.allSatisfy { $0 <= 2e-7 }, "errors of orders 1 and 2: \(errors)", sourceLocation: sourceLocation)
}

@Suite("The gradient check itself")
struct GradientCheckTests {
  @Test("a wrong rule, a wrong second order and a NaN are all seen")
  func canFail() throws {
    func altered(_ rule: @escaping @Sendable (Tensor, Tensor) -> Tensor) throws -> [Double] {
      try gradientErrors([[3]]) { xs in
        customGradient(xs, forward: { square($0[0]) * $0[0] }, rule: { arguments, _, g in [rule(arguments[0], g)] })
      }
    }
    let right = try altered { x, g in g * square(x) * 3 }
    #expect(right.allSatisfy { $0 < 2e-7 })
    let wrong = try altered { x, g in g * square(x) * 3.001 }
    #expect(wrong[0] > 1e-5)
    let halfRight = try altered { x, g in g * square(x).stopGradient() * 3 }
    #expect(halfRight[0] < 2e-7 && halfRight[1] > 1e-2)
    let notANumber = try altered { x, g in g * sqrt(-square(x)) }
    #expect(!(notANumber[0] <= 2e-7))
  }
}

@Suite("Gradient rules against central differences, orders 1 and 2")
struct GradientRuleTests {
  @Test func views() throws {
    try checkGradients([[2, 3, 4]]) { square($0[0].reshaped(to: [4, -1]).transposed()) }
    try checkGradients([[2, 3, 4]]) { square($0[0].permuted([2, 0, 1])) * 2 }
    try checkGradients([[3, 1]]) { square($0[0].broadcast(to: [2, 3, 4])) }
    try checkGradients([[5, 6]]) { square($0[0].sliced(axis: 0, from: 1, step: 2).sliced(axis: 1, step: -2)) }
    try checkGradients([[5, 6]]) { square($0[0].sliced(axis: 0, from: -1, to: 0, step: -3)) }
    try checkGradients([[4, 3]]) { square($0[0][1] + $0[0][-1]) }
    try checkGradients([[2, 3]]) { square($0[0].tiled([2, 1, 3]).flipped(axes: [0, -1])) }
  }

  @Test func assembliesAndPadding() throws {
    try checkGradients([[2, 3], [4, 3]]) { square(concatenate($0, axis: 0)) }
    try checkGradients([[2, 3], [2, 3]]) { square(stack($0, axis: -1)) }
    try checkGradients([[2, 6]]) { x in
      let parts = x[0].split(counts: [1, 0, 5], axis: 1)
      return square(parts[0]) * parts[2]
    }
    for mode: PaddingMode in [.constant(2), .reflect, .edge] {
      try checkGradients([[3, 4]]) { square($0[0].padded(low: [1, 2], high: [2, 0], mode: mode)) }
    }
  }

  @Test func reductions() throws {
    try checkGradients([[2, 3, 4]]) { square($0[0].sum(axes: [0, 2])) }
    try checkGradients([[2, 3, 4]]) { square($0[0].mean(axes: [1], keepDims: true)) }
    try checkGradients([[2, 3, 4]]) { square($0[0].product(axes: [2, 0])) }
    try checkGradients([[2, 3, 4]]) { square($0[0].max(axes: [1])) + square($0[0].min(axes: [-1]).sum()) }
    try checkGradients([[3, 4]]) {
      $0[0].variance(axes: [1], unbiased: true) * $0[0].standardDeviation(axes: [0]).sum()
    }
    try checkGradients([[3, 4]]) { square($0[0].logSumExp(axes: [1])) }
    for order in [1, 2, 3, 0.5, .infinity, -2] {
      try checkGradients([[3, 4]]) { square($0[0].norm(order: order, axes: [1])) }
    }
  }

  @Test func productsAndScansWithZeros() throws {
    let zeros: [[Double]] = [[0, 2, -1, 3, 0, 0.5, 1, -2, 4, 1, 0, 0]]
    try checkGradients([[3, 4]], values: zeros) { $0[0].product(axes: [1]) }
    try checkGradients([[3, 4]], values: zeros) { $0[0].product() }
    try checkGradients([[3, 4]], values: zeros) { $0[0].cumulativeProduct(axis: 1) }
    try checkGradients([[3, 4]], values: zeros) { $0[0].cumulativeProduct(axis: 0, reverse: true) }
    try checkGradients([[2, 5]]) { square($0[0].cumulativeSum(axis: 1)) }
    try checkGradients([[2, 5]]) { square($0[0].cumulativeSum(axis: 0, reverse: true)) }
    try checkGradients([[2, 7]]) { square($0[0].cumulativeProduct(axis: -1)) }
  }

  @Test func sorting() throws {
    try checkGradients([[3, 5]]) { square($0[0].sorted(axis: 0)) * $0[0] }
    try checkGradients([[3, 5]]) { square($0[0].topK(2).values) }
  }

  @Test func rows() throws {
    try checkGradients([[3, 5]]) { square($0[0].softmax()) }
    try checkGradients([[3, 5]]) { $0[0].softmax(axis: 0) * $0[0] }
    try checkGradients([[3, 5]]) { square($0[0].logSoftmax(axis: 1)) }
    try checkGradients([[3, 5], [5], [5]]) { layerNorm($0[0], scale: $0[1], shift: $0[2]) * $0[0] }
    try checkGradients([[2, 3, 5], [5]]) { square(rmsNorm($0[0], scale: $0[1])) }
    let labels = Tensor([0, -100, 4, 2] as [Int], on: HostDriver.device)
    try checkGradients([[4, 5], [4]]) { crossEntropy(logits: $0[0], labels: labels) * $0[1] }
    try checkGradients([[4, 5]]) { square(crossEntropy(logits: $0[0], labels: labels)) }
  }

  @Test func products() throws {
    try checkGradients([[2, 3], [3, 4]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[5, 2, 3], [3, 4]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[2, 1, 2, 3], [4, 3, 2]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[3], [2, 3, 4]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[2, 4, 3], [3]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[3], [3]]) { square(matmul($0[0], $0[1])) }
    try checkGradients([[2, 3, 4], [4, 3, 5]]) { square(einsum("bij,jik->bk", $0)) }
    try checkGradients([[3, 3, 2], [2]]) { square(einsum("iij,j->i", $0)) }
    try checkGradients([[2, 3], [3, 4], [4, 2]]) { square(einsum("ij,jk,kl", $0)) }
  }

  @Test func convolutions() throws {
    try checkGradients([[2, 4, 5, 6], [6, 2, 3, 2]]) {
      square(
        convolution2D(
          $0[0], filter: $0[1], stride: (2, 1), padding: .explicit(top: 1, bottom: 2, left: 0, right: 1),
          dilation: (1, 2), groups: 2))
    }
    try checkGradients([[2, 3, 7], [4, 3, 3]]) {
      square(convolution1D($0[0], filter: $0[1], stride: 2, padding: .same))
    }
    try checkGradients([[2, 4, 3, 4], [4, 3, 3, 2]]) {
      square(
        transposedConvolution2D(
          $0[0], filter: $0[1], stride: (2, 3), padding: (1, 0), outputPadding: (1, 2), dilation: (2, 1), groups: 2))
    }
    try checkGradients([[1, 2, 5], [2, 3, 4]]) {
      square(transposedConvolution1D($0[0], filter: $0[1], stride: 2, padding: 1))
    }
  }

  @Test func pools() throws {
    try checkGradients([[2, 2, 5, 6]]) {
      square(maxPool2D($0[0], size: (3, 2), stride: (2, 1), padding: .symmetric(1, 1), dilation: (1, 2)))
    }
    for count in [true, false] {
      try checkGradients([[1, 2, 5, 6]]) {
        square(averagePool2D($0[0], size: (3, 3), stride: (2, 2), padding: .same, countPadding: count))
      }
    }
    try checkGradients([[1, 2, 7, 5]]) { square(adaptiveAveragePool2D($0[0], outputSize: (3, 2))) }
    try checkGradients([[1, 2, 7, 5]]) { square(adaptiveMaxPool2D($0[0], outputSize: (3, 2))) }
    try checkGradients([[1, 2, 4, 5]]) { square(globalAveragePool2D($0[0])) * globalMaxPool2D($0[0]) }
    try checkGradients([[1, 2, 9]]) { square(maxPool1D($0[0], size: 3)) + averagePool1D($0[0], size: 3) }
  }

  @Test func indexing() throws {
    let rows = Tensor([2, 0, 2, 1, 1, 2] as [Int], shape: [3, 2], on: HostDriver.device)
    try checkGradients([[2, 3, 4]]) { square($0[0].gathered(rows, axis: 1)) }
    try checkGradients([[3, 4]]) { square(embedding($0[0], rows)) }
    try checkGradients([[3, 4]]) { square($0[0].takenAlong(rows, axis: 1) * 2) }
    try checkGradients([[2, 3, 2, 4]]) { square(scatterAdd($0[0], rows, axis: 1, count: 5)) }
    try checkGradients([[3, 2]]) { square(scatterAddAlong($0[0], rows, axis: 0, count: 4)) }
  }
}
