import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite struct ReduceTests {
  /// x [a, b, c] with the axes of `inner` reduced, prologue x * x - x, epilogue 2 * result + bias[outer].
  private func check(_ kind: Reduction, _ dims: [Int], innerAxes: [Int], _ dtype: DType, values: [Double]? = nil) throws
  {
    let outerAxes = dims.indices.filter { !innerAxes.contains($0) }
    let strides = Layout.contiguousStrides(Shape(dims))
    let (outer, inner) = (outerAxes.map { dims[$0] }, innerAxes.map { dims[$0] })
    let x = values ?? (dtype.isFloat ? samples(dims.reduce(1, *)) : whole(dims.reduce(1, *), below: 5))
    let isArg = kind == .argmax || kind == .argmin
    let resultType = isArg ? DType.int64 : dtype
    var prologue = Expression()
    let load = prologue.append(.load(0), dtype)
    prologue.outputs = [load]
    var epilogue = Expression()
    let result = epilogue.append(.result, resultType)
    let bias = epilogue.append(.load(1), resultType)
    epilogue.outputs = [epilogue.append(.binary(.add, result, bias), resultType)]
    let outerCount = outer.reduce(1, *)
    let offsets = whole(outerCount, below: 3, seed: 5)
    let step = ReduceStep(
      kind: kind, dtype: dtype, outer: outer, inner: inner,
      operands: [
        Operand(
          slot: .input(0), dtype: dtype, offset: 0, strides: (outerAxes + innerAxes).map { strides[$0] }),
        Operand(
          slot: .input(1), dtype: resultType, offset: 0,
          strides: Layout.contiguousStrides(Shape(outer)) + inner.map { _ in 0 }),
      ],
      prologue: prologue, epilogue: epilogue, outputs: [dense(.output(0), outer, resultType)])
    var expected: [Double] = []
    for o in 0..<outerCount {
      var values: [Double] = []
      for i in 0..<inner.reduce(1, *) {
        var at = 0
        var rest = i
        for axis in inner.indices.reversed() {
          at += rest % inner[axis] * strides[innerAxes[axis]]
          rest /= inner[axis]
        }
        rest = o
        for axis in outer.indices.reversed() {
          at += rest % outer[axis] * strides[outerAxes[axis]]
          rest /= outer[axis]
        }
        values.append(x[at])
      }
      let nan = values.firstIndex { $0.isNaN }
      let value: Double
      switch kind {
      case .sum: value = values.reduce(0, +)
      case .product: value = values.reduce(1, *)
      case .max: value = nan == nil ? values.max() ?? 0 : .nan
      case .min: value = nan == nil ? values.min() ?? 0 : .nan
      case .argmax: value = Double(nan ?? values.firstIndex(of: values.max() ?? 0) ?? 0)
      case .argmin: value = Double(nan ?? values.firstIndex(of: values.min() ?? 0) ?? 0)
      }
      expected.append(value + offsets[o])
    }
    for driver in try Drivers.required() where driver.supports(dtype) {
      let result = try run(
        driver, [.reduce(step)],
        inputs: [HostTensor(values: x, dtype: dtype), HostTensor(values: offsets, dtype: resultType)],
        outputs: [(outerCount, resultType)])
      expectClose(
        result[0], expected, tolerance: 1e-5 * Double(max(1, inner.reduce(1, *) / 1000)),
        "\(driver.name) \(kind) \(dims) over \(innerAxes) \(dtype)")
    }
  }

  @Test(arguments: [Reduction.sum, .product, .max, .min, .argmax, .argmin])
  func rowsColumnsMiddlesAndAll(_ kind: Reduction) throws {
    try check(kind, [7, 33], innerAxes: [1], .float32)
    try check(kind, [33, 70], innerAxes: [0], .float32)
    try check(kind, [5, 6, 40], innerAxes: [1], .float32)
    try check(kind, [4, 300, 5], innerAxes: [0, 2], .float32)
    try check(kind, [3, 17, 130], innerAxes: [0, 1, 2], .float32)
    try check(kind, [1, 1], innerAxes: [1], .float32)
  }

  @Test(arguments: [DType.float64, .int32, .int64, .uint8])
  func dtypes(_ dtype: DType) throws {
    for kind in [Reduction.sum, .max, .min, .argmax, .argmin] {
      if dtype == .uint8 && kind == .sum { continue }
      try check(kind, [5, 130], innerAxes: [1], dtype)
      try check(kind, [130, 21], innerAxes: [0], dtype)
    }
  }

  @Test func longSumsAreSplit() throws {
    try check(.sum, [100_003], innerAxes: [0], .float32)
    try check(.argmax, [100_003], innerAxes: [0], .float32)
    try check(.sum, [3000, 20], innerAxes: [0], .float32)
    try check(.argmin, [3000, 20], innerAxes: [0], .float32)
    try check(.max, [40_000, 2], innerAxes: [0], .float64)
  }

  @Test func notANumberWins() throws {
    var values = samples(60)
    values[17] = .nan
    values[44] = .nan
    for kind in [Reduction.max, .min, .argmax, .argmin] {
      try check(kind, [3, 20], innerAxes: [1], .float32, values: values)
      try check(kind, [20, 3], innerAxes: [0], .float32, values: values)
    }
  }

  @Test func boolAnyAndAll() throws {
    try check(.max, [4, 50], innerAxes: [1], .uint8, values: whole(200, below: 2))
  }

  @Test func nothingSumsToZero() throws {
    for driver in try Drivers.required() {
      for (kind, expected) in [(Reduction.sum, 0.0), (.product, 1.0)] {
        var prologue = Expression()
        prologue.outputs = [prologue.append(.load(0), .float32)]
        let step = ReduceStep(
          kind: kind, dtype: .float32, outer: [3], inner: [0],
          operands: [Operand(slot: .input(0), dtype: .float32, offset: 0, strides: [0, 1])], prologue: prologue,
          epilogue: identityEpilogue(.float32), outputs: [dense(.output(0), [3])])
        let result = try run(driver, [.reduce(step)], inputs: [HostTensor(values: [9])], outputs: [(3, .float32)])
        #expect(result[0] == [expected, expected, expected], "\(driver.name)")
      }
    }
  }
}
