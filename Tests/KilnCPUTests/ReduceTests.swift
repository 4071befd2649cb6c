import KilnCPU
import Testing

@testable import KilnEngine

@Suite struct ReduceTests {
  static let kinds: [Reduction] = [.sum, .product, .max, .min, .argmax, .argmin]

  /// The definition, one element at a time in doubles.
  static func reference(_ kind: Reduction, _ values: [Double]) -> Double {
    switch kind {
    case .sum: return values.reduce(0, +)
    case .product: return values.reduce(1, *)
    case .max: return values.contains { $0.isNaN } ? .nan : values.reduce(-.infinity) { Swift.max($0, $1) }
    case .min: return values.contains { $0.isNaN } ? .nan : values.reduce(.infinity) { Swift.min($0, $1) }
    case .argmax, .argmin:
      if let nan = values.firstIndex(where: { $0.isNaN }) { return Double(nan) }
      let best = kind == .argmax ? values.max() : values.min()
      return Double(values.firstIndex { $0 == best } ?? -1)
    }
  }

  static func check(
    _ kind: Reduction, _ dtype: DType, outer: [Int], inner: [Int], keptInnermost: Bool, seed: UInt64,
    special: [Int: Double] = [:]
  ) throws {
    var dice = Dice(seed)
    let count = (outer + inner).reduce(1, *)
    var x = dice.values(dtype, count)
    if kind == .product { x = Values(dtype, x.values.map { dtype.isFloat ? 1 + $0 * 0.01 : ($0 == 0 ? 1 : $0) }) }
    for (i, value) in special where i < count { x.values[i] = value }
    // The memory runs along inner, or along the last kept axis.
    let dims = outer + inner
    var order = Array(dims.indices)
    if keptInnermost && !outer.isEmpty {
      order.remove(at: outer.count - 1)
      order.append(outer.count - 1)
    }
    let dense = Layout.contiguousStrides(Shape(order.map { dims[$0] }))
    var strides = [Int](repeating: 0, count: dims.count)
    for (place, axis) in order.enumerated() { strides[axis] = dense[place] }
    let operand = Operand(slot: .input(0), dtype: dtype, offset: 0, strides: strides)
    var prologue = Expression()
    prologue.outputs = [prologue.append(.load(0), dtype)]
    var epilogue = Expression()
    let resultDType: DType = kind == .argmax || kind == .argmin ? .int64 : dtype
    epilogue.outputs = [epilogue.append(.result, resultDType)]
    if resultDType == .float32 && kind == .sum {
      // Something that shows whether the epilogue runs once per point.
      epilogue.outputs.append(epilogue.append(.unary(.negate, 0), .float32))
    }
    let types = epilogue.outputs.map { _ in Program.ValueType(dtype: resultDType, shape: Shape(outer)) }
    let step = ReduceStep(
      kind: kind, dtype: dtype, outer: outer, inner: inner, operands: [operand], prologue: prologue,
      epilogue: epilogue, outputs: types.indices.map { Operand(output: $0, resultDType, outer) })
    let actual = try run([.reduce(step)], inputs: [x], outputs: types)

    let innerCount = Double(inner.reduce(1, *))
    let starts = addresses(outer, strides.prefix(outer.count))
    let steps = addresses(inner, strides.suffix(inner.count))
    for (i, start) in starts.enumerated() {
      let group = steps.map { x.values[start + $0] }
      var expected = reference(kind, group)
      if kind == .sum || kind == .product { expected = dtype.isFloat ? expected : Values.rounded(expected, dtype) }
      // What any order of n roundings keeps to.
      let epsilon = dtype == .float32 ? 0x1p-24 : dtype == .float64 ? 0x1p-53 : 0
      let bound = innerCount * epsilon * (kind == .product ? abs(expected) : group.map(abs).reduce(0, +))
      let value = actual[0].values[i]
      #expect(
        abs(value - expected) <= bound || (value.isNaN && expected.isNaN) || value == expected,
        "\(kind) \(dtype) \(outer) \(inner) at \(i): \(value), not \(expected)")
      if actual.count > 1 { #expect(same([actual[1].values[i]], [-value])) }
    }
  }

  static let cases: [([Int], [Int])] = [
    ([], [1]), ([], [70]), ([], [5000]), ([3], [7]), ([32], [10]), ([10], [32]), ([20], [600]), ([700], [9]),
    ([4, 5], [6, 7]), ([2, 1100], [9]), ([], [66_000]), ([300], [128]), ([1500], [3]),
  ]

  @Test(arguments: kinds, cases) func reducesEveryShape(kind: Reduction, shape: ([Int], [Int])) throws {
    for dtype in [DType.float32, .float64, .int32, .int64, .uint8] {
      // Integer products overflow the reference's doubles.
      if kind == .product && !dtype.isFloat { continue }
      if shape.0.reduce(1, *) * shape.1.reduce(1, *) > 20_000 && dtype != .float32 { continue }
      for keptInnermost in [false, true] where !(keptInnermost && shape.0.isEmpty) {
        try Self.check(
          kind, dtype, outer: shape.0, inner: shape.1, keptInnermost: keptInnermost, seed: 5)
      }
    }
  }

  /// Sums of a channel's x, x y, (x - m) y and (x - m)^2, read from lines of [batch, channels, places].
  @Test(arguments: [(3, 2, 40), (5, 3, 64), (70, 3, 100), (2, 1, 5000), (40, 2, 2048)])
  func sumsOfProducts(size: (batch: Int, channels: Int, places: Int)) throws {
    let (batch, channels, places) = size
    var dice = Dice(11)
    let (x, y) = (dice.values(.float32, batch * channels * places), dice.values(.float32, batch * channels * places))
    let m = dice.values(.float32, channels)
    let along = [places, channels * places, 1]
    let operands = [(0, along), (1, along), (2, [1, 0, 0])].map {
      Operand(slot: .input($0), dtype: .float32, offset: 0, strides: $1)
    }
    for form in 0..<4 {
      var e = Expression()
      let (a, b, shift) = (
        e.append(.load(0), .float32), e.append(.load(1), .float32), e.append(.load(2), .float32)
      )
      let centred = e.append(.binary(.subtract, a, shift), .float32)
      e.outputs = [
        form == 0
          ? a
          : form == 1
            ? e.append(.binary(.multiply, a, b), .float32)
            : form == 2
              ? e.append(.binary(.multiply, b, centred), .float32) : e.append(.unary(.square, centred), .float32)
      ]
      var epilogue = Expression()
      epilogue.outputs = [epilogue.append(.result, .float32)]
      let step = ReduceStep(
        kind: .sum, dtype: .float32, outer: [channels], inner: [batch, places], operands: operands, prologue: e,
        epilogue: epilogue, outputs: [Operand(output: 0, .float32, [channels])])
      let actual = try run(
        [.reduce(step)], inputs: [x, y, m], outputs: [.init(dtype: .float32, shape: [channels])])[0].values
      for c in 0..<channels {
        var (sum, size) = (0.0, 0.0)
        for i in 0..<batch {
          for p in 0..<places {
            let at = (i * channels + c) * places + p
            let centred = x.values[at] - m.values[c]
            let term = [x.values[at], x.values[at] * y.values[at], y.values[at] * centred, centred * centred][form]
            (sum, size) = (sum + term, size + abs(term))
          }
        }
        #expect(abs(actual[c] - sum) <= 1e-6 * size, "form \(form) of \(size), channel \(c)")
      }
    }
  }

  @Test(arguments: kinds, [false, true]) func nanWins(kind: Reduction, keptInnermost: Bool) throws {
    for at in [0, 5, 17, 100, 1000] {
      try Self.check(
        kind, .float32, outer: [6], inner: [300], keptInnermost: keptInnermost, seed: 3,
        special: [at: .nan, at + 3: .nan, at + 50: .infinity])
    }
  }

  @Test(arguments: [false, true]) func infinitiesAreOrdinary(keptInnermost: Bool) throws {
    for kind in Self.kinds where kind != .sum && kind != .product {
      try Self.check(
        kind, .float32, outer: [2], inner: [3], keptInnermost: keptInnermost, seed: 3,
        special: [0: -.infinity, 1: -.infinity, 2: -.infinity, 3: .infinity, 4: .infinity, 5: .infinity])
    }
  }

  @Test func ofNothing() throws {
    try Self.check(.sum, .float32, outer: [3], inner: [0], keptInnermost: false, seed: 1)
    try Self.check(.product, .float32, outer: [3], inner: [0], keptInnermost: false, seed: 1)
    try Self.check(.sum, .int64, outer: [], inner: [0, 2], keptInnermost: false, seed: 1)
  }

  /// Products of int32 wrap.
  @Test func integersWrap() throws {
    let x = Values(.int32, [100_000, 100_000, 3])
    var identity = Expression()
    identity.outputs = [identity.append(.load(0), .int32)]
    var result = Expression()
    result.outputs = [result.append(.result, .int32)]
    let step = ReduceStep(
      kind: .product, dtype: .int32, outer: [], inner: [3], operands: [Operand(0, .int32, [3])], prologue: identity,
      epilogue: result, outputs: [Operand(output: 0, .int32, [])])
    let actual = try run([.reduce(step)], inputs: [x], outputs: [.init(dtype: .int32, shape: [])])
    #expect(actual[0].values == [Double(Int32(100_000) &* 100_000 &* 3)])
  }
}
