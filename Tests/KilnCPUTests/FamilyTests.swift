import Foundation
import KilnCPU
import Testing

@testable import KilnEngine

/// Scans, sorting, row operations, pooling and indexing, each against plain loops.
@Suite struct FamilyTests {
  @Test(arguments: [DType.float32, .float64, .int32, .int64, .uint8]) func scans(dtype: DType) throws {
    var dice = Dice(1)
    for kind in [Scan.sum(reverse: false), .sum(reverse: true), .product(reverse: false), .product(reverse: true)] {
      for (outer, length, inner) in [(1, 1, 1), (3, 9, 1), (2, 7, 5), (1, 9000, 2)] {
        let (isProduct, reverse) =
          switch kind {
          case .sum(let reverse): (false, reverse)
          case .product(let reverse): (true, reverse)
          }
        if isProduct && length > 9 { continue }
        let x = dice.values(dtype, outer * length * inner)
        var expected = x.values
        for o in 0..<outer {
          for i in 0..<inner {
            var carry: Double = isProduct ? 1 : 0
            for j in 0..<length {
              let at = (o * length + (reverse ? length - 1 - j : j)) * inner + i
              carry = isProduct ? carry * x.values[at] : carry + x.values[at]
              if abs(carry) > 1e15 { carry = carry.truncatingRemainder(dividingBy: 4_294_967_296) }
              expected[at] = Values.rounded(carry, dtype)
            }
          }
        }
        let dims = [outer, length, inner]
        let step = ScanStep(
          kind: kind, outer: outer, length: length, inner: inner, input: Operand(0, dtype, dims),
          output: Operand(output: 0, dtype, dims))
        let actual = try run([.scan(step)], inputs: [x], outputs: [.init(dtype: dtype, shape: Shape(dims))])
        if isProduct && dtype == .int64 { continue }  // beyond the doubles of the reference
        let bound = dtype == .float32 ? 1e-4 : dtype == .float64 ? 1e-10 : 0
        #expect(near(actual[0].values, expected, bound), "\(kind) \(dtype) \(dims)")
      }
    }
  }

  @Test(arguments: [DType.float32, .float64, .int32, .int64, .uint8, .bool], [false, true])
  func sortsStably(dtype: DType, descending: Bool) throws {
    var dice = Dice(2)
    for (rows, columns) in [(1, 1), (3, 2), (4, 16), (2, 17), (3, 1000), (5, 33), (2, 63), (2, 64)] {
      // Few distinct values, so that stability shows; NaN is the greatest.
      let isSigned = ![.uint8, .bool].contains(dtype)
      var x = Values(dtype, (0..<(rows * columns)).map { _ in Double(dice.int((isSigned ? -3 : 0)...5)) })
      // Both zeros are one value.
      if dtype.isFloat { for i in stride(from: 0, to: x.values.count, by: 5) { x.values[i] = -0.0 } }
      if dtype.isFloat { for i in stride(from: 1, to: x.values.count, by: 7) { x.values[i] = .nan } }
      let step = ArgsortStep(
        descending: descending, rows: rows, columns: columns, input: Operand(0, dtype, [rows, columns]),
        output: Operand(output: 0, .int64, [rows, columns]))
      let actual = try run([.argsort(step)], inputs: [x], outputs: [.init(dtype: .int64, shape: [rows, columns])])
      func key(_ value: Double) -> Double { value.isNaN ? .infinity : value }
      for row in 0..<rows {
        let values = x.values[(row * columns)..<((row + 1) * columns)].map(key)
        let order = (0..<columns).sorted { a, b in
          if values[a] != values[b] { return descending ? values[a] > values[b] : values[a] < values[b] }
          return a < b
        }
        #expect(Array(actual[0].values[(row * columns)..<((row + 1) * columns)]) == order.map(Double.init))
      }
    }
  }

  /// The gradient of a row operation by its first input, in double precision: `row` is the forward result of softmax and
  /// logSoftmax, the input of the norms.
  private func rowGradient(_ kind: Rowwise, _ row: [Double], _ g: [Double], _ scale: [Double]) -> [Double] {
    let n = Double(row.count)
    var (epsilon, centre) = (0.0, 0.0)
    switch kind {
    case .softmaxGradient:
      let dot = zip(row, g).reduce(0) { $0 + $1.0 * $1.1 }
      return zip(row, g).map { $0 * ($1 - dot) }
    case .logSoftmaxGradient:
      let sum = g.reduce(0, +)
      return zip(row, g).map { $1 - exp($0) * sum }
    case .layerNormGradient(let value): (epsilon, centre) = (value, row.reduce(0, +) / n)
    case .rmsNormGradient(let value): epsilon = value
    default: return []
    }
    let inverse = 1 / (row.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / n + epsilon).squareRoot()
    let normal = row.map { ($0 - centre) * inverse }
    let h = zip(g, scale).map(*)
    let slope = zip(h, normal).reduce(0) { $0 + $1.0 * $1.1 } / n
    var shift = h.reduce(0, +) / n
    if case .rmsNormGradient = kind { shift = 0 }
    return zip(h, normal).map { inverse * ($0 - shift - $1 * slope) }
  }

  @Test(arguments: [DType.float32, .float64]) func rowOperations(dtype: DType) throws {
    var dice = Dice(4)
    for (rows, columns) in [(1, 1), (3, 10), (4, 16), (2, 33), (3, 2000)] {
      let (sample, h) = (dice.values(dtype, rows * columns), dice.values(dtype, rows * columns))
      let (scale, shift, g) = (dice.values(dtype, columns), dice.values(dtype, columns), dice.values(dtype, rows))
      let labels = Values(.int64, (0..<rows).map { $0 == 1 ? -100 : Double($0 % columns) })
      let kinds: [Rowwise] = [
        .softmax, .logSoftmax, .layerNorm(epsilon: 1e-5), .rmsNorm(epsilon: 1e-6), .crossEntropy(ignoreIndex: -100),
        .crossEntropyGradient(ignoreIndex: -100), .softmaxGradient, .logSoftmaxGradient,
        .layerNormGradient(epsilon: 1e-5), .rmsNormGradient(epsilon: 1e-6),
      ]
      for kind in kinds {
        let isOfSoftmax = kind == .softmaxGradient || kind == .logSoftmaxGradient
        let x = isOfSoftmax ? Values(dtype, sample.values.map { $0 / Double(columns) }) : sample
        var expected: [Double] = []
        for r in 0..<rows {
          let row = Array(x.values[(r * columns)..<((r + 1) * columns)])
          let most = row.max() ?? 0
          let exps = row.map { exp($0 - most) }
          let total = exps.reduce(0, +)
          let mean = row.reduce(0, +) / Double(columns)
          switch kind {
          case .softmax: expected += exps.map { $0 / total }
          case .logSoftmax: expected += row.map { $0 - most - log(total) }
          case .layerNorm(let epsilon):
            let variance = row.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(columns)
            expected += row.enumerated().map { i, v in
              (v - mean) / (variance + epsilon).squareRoot() * scale.values[i] + shift.values[i]
            }
          case .rmsNorm(let epsilon):
            let square = row.map { $0 * $0 }.reduce(0, +) / Double(columns)
            expected += row.enumerated().map { $1 / (square + epsilon).squareRoot() * scale.values[$0] }
          case .softmaxGradient, .logSoftmaxGradient, .layerNormGradient, .rmsNormGradient:
            expected += rowGradient(kind, row, Array(h.values[(r * columns)..<((r + 1) * columns)]), scale.values)
          case .crossEntropy(let ignored):
            let label = Int(labels.values[r])
            expected.append(label == ignored ? 0 : log(total) + most - row[label])
          case .crossEntropyGradient(let ignored):
            let label = Int(labels.values[r])
            expected += exps.enumerated().map { i, e in
              label == ignored ? 0 : (e / total - (i == label ? 1 : 0)) * g.values[r]
            }
          }
        }
        let dims = [rows, columns]
        var inputs = [x]
        var operands = [Operand(0, dtype, dims)]
        var result = dims
        switch kind {
        case .softmax, .logSoftmax: break
        case .layerNorm:
          inputs += [scale, shift]
          operands += [Operand(1, dtype, [columns]), Operand(2, dtype, [columns])]
        case .rmsNorm:
          inputs.append(scale)
          operands.append(Operand(1, dtype, [columns]))
        case .softmaxGradient, .logSoftmaxGradient:
          inputs.append(h)
          operands.append(Operand(1, dtype, dims))
        case .layerNormGradient, .rmsNormGradient:
          inputs += [h, scale]
          operands += [Operand(1, dtype, dims), Operand(2, dtype, [columns])]
        case .crossEntropy:
          inputs.append(labels)
          operands.append(Operand(1, .int64, [rows]))
          result = [rows]
        case .crossEntropyGradient:
          inputs += [labels, g]
          operands += [Operand(1, .int64, [rows]), Operand(2, dtype, [rows])]
        }
        let step = RowwiseStep(
          kind: kind, rows: rows, columns: columns, inputs: operands, output: Operand(output: 0, dtype, result))
        let actual = try run([.rowwise(step)], inputs: inputs, outputs: [.init(dtype: dtype, shape: Shape(result))])
        #expect(near(actual[0].values, expected, dtype == .float32 ? 2e-5 : 1e-12), "\(kind) \(dtype) \(dims)")
      }
    }
  }

  @Test func softmaxAtExtremes() throws {
    let infinity = Double.infinity
    let x = Values(.float32, [-infinity, -infinity, -infinity, 1000, 0, -1000, .nan, 0, 0, infinity, 0, 0])
    let step = RowwiseStep(
      kind: .softmax, rows: 4, columns: 3, inputs: [Operand(0, .float32, [4, 3])],
      output: Operand(output: 0, .float32, [4, 3]))
    let actual = try run([.rowwise(step)], inputs: [x], outputs: [.init(dtype: .float32, shape: [4, 3])])[0].values
    #expect(actual[0..<3].allSatisfy { $0.isNaN })
    #expect(Array(actual[3..<6]) == [1, 0, 0])
    #expect(actual[6..<9].allSatisfy { $0.isNaN })
    #expect(actual[9].isNaN)
  }

  @Test func outOfRangeNamesTheFirst() throws {
    let labels = Values(.int64, [0, -100, 3, 7])
    let step = RowwiseStep(
      kind: .crossEntropy(ignoreIndex: -100), rows: 4, columns: 3,
      inputs: [Operand(0, .float32, [4, 3]), Operand(1, .int64, [4])], output: Operand(output: 0, .float32, [4]))
    let x = Values(.float32, [Double](repeating: 0, count: 12))
    #expect(
      throws: DeviceError.indexOutOfRange(device: "cpu", operation: "crossEntropy", position: 2, index: 3, length: 3)
    ) { try run([.rowwise(step)], inputs: [x, labels], outputs: [.init(dtype: .float32, shape: [4])]) }

    let indices = Values(.int64, [1, 2, -1, 9])
    let gather = GatherStep(
      gather: Gather(kind: .rows, outer: 1, length: 3, inner: 4, count: 4), dtype: .float32,
      inputs: [Operand(0, .float32, [1, 3, 4]), Operand(1, .int64, [4])],
      output: Operand(output: 0, .float32, [1, 4, 4]))
    #expect(
      throws: DeviceError.indexOutOfRange(device: "cpu", operation: "gathered", position: 2, index: -1, length: 3)
    ) { try run([.gather(gather)], inputs: [x, indices], outputs: [.init(dtype: .float32, shape: [1, 4, 4])]) }
  }

  @Test(arguments: [DType.float32, .float64, .int32, .int64, .uint8]) func gathersAndScatters(dtype: DType) throws {
    var dice = Dice(6)
    for (outer, length, inner, count) in [(1, 5, 1, 9), (2, 4, 3, 6), (3, 1, 70, 4), (1, 300, 130, 500)] {
      for kind in [Gather.Kind.rows, .along, .scatterAddRows, .scatterAddAlong] {
        let isAlong = kind == .along || kind == .scatterAddAlong
        let isScatter = kind == .scatterAddRows || kind == .scatterAddAlong
        let source = [outer, isScatter ? count : length, inner]
        let target = [outer, isScatter ? length : count, inner]
        let x = dice.values(dtype, source.reduce(1, *))
        let indexDims = isAlong ? [outer, count, inner] : [count]
        let indices = Values(.int64, (0..<indexDims.reduce(1, *)).map { _ in Double(dice.int(0...(length - 1))) })
        var expected = [Double](repeating: 0, count: target.reduce(1, *))
        for o in 0..<outer {
          for c in 0..<count {
            for i in 0..<inner {
              let small = (o * count + c) * inner + i
              let large = (o * length + Int(indices.values[isAlong ? small : c])) * inner + i
              if isScatter {
                expected[large] = Values.rounded(expected[large] + x.values[small], dtype)
              } else {
                expected[small] = x.values[large]
              }
            }
          }
        }
        let step = GatherStep(
          gather: Gather(kind: kind, outer: outer, length: length, inner: inner, count: count), dtype: dtype,
          inputs: [Operand(0, dtype, source), Operand(1, .int64, indexDims)], output: Operand(output: 0, dtype, target))
        let actual = try run(
          [.gather(step)], inputs: [x, indices], outputs: [.init(dtype: dtype, shape: Shape(target))])
        // The same order, so the same bits.
        #expect(actual[0].values == expected, "\(kind) \(dtype) \(outer) \(length) \(inner) \(count)")
      }
    }
  }

  @Test(arguments: [DType.float32, .float64]) func pools(dtype: DType) throws {
    var dice = Dice(8)
    let sizes: [(h: Int, w: Int, kernel: (Int, Int), stride: (Int, Int), dilation: (Int, Int), pad: (Int, Int))] = [
      (6, 6, (2, 2), (2, 2), (1, 1), (0, 0)), (7, 5, (3, 3), (2, 1), (1, 1), (1, 1)),
      (9, 9, (2, 3), (1, 2), (2, 2), (1, 2)),
      (1, 1, (1, 1), (1, 1), (1, 1), (0, 0)), (3, 40, (3, 2), (3, 2), (1, 1), (0, 1)),
    ]
    for s in sizes {
      let outHeight = (s.h + 2 * s.pad.0 - s.dilation.0 * (s.kernel.0 - 1) - 1) / s.stride.0 + 1
      let outWidth = (s.w + 2 * s.pad.1 - s.dilation.1 * (s.kernel.1 - 1) - 1) / s.stride.1 + 1
      let planes = 3
      // Few distinct values, so that ties show.
      let x = Values(dtype, (0..<(planes * s.h * s.w)).map { _ in Double(dice.int(-2...2)) })
      let (g, h) = (dice.values(dtype, planes * outHeight * outWidth), dice.values(dtype, planes * s.h * s.w))
      let kinds: [Pool.Kind] = [
        .max, .maxGradient, .maxGather, .average(countPadding: true), .average(countPadding: false),
        .averageGradient(countPadding: true), .averageGradient(countPadding: false),
      ]
      for kind in kinds {
        let (inPlane, outPlane) = (s.h * s.w, outHeight * outWidth)
        var toInput = false
        switch kind {
        case .maxGradient, .averageGradient: toInput = true
        default: break
        }
        var expected = [Double](repeating: 0, count: planes * (toInput ? inPlane : outPlane))
        for p in 0..<planes {
          for o in 0..<outPlane {
            var taps: [Int] = []
            for ky in 0..<s.kernel.0 {
              for kx in 0..<s.kernel.1 {
                let iy = o / outWidth * s.stride.0 - s.pad.0 + ky * s.dilation.0
                let ix = o % outWidth * s.stride.1 - s.pad.1 + kx * s.dilation.1
                if iy >= 0, iy < s.h, ix >= 0, ix < s.w { taps.append(p * inPlane + iy * s.w + ix) }
              }
            }
            let most = taps.map { x.values[$0] }.max() ?? 0
            let best = taps.first { x.values[$0] == most } ?? 0
            let to = p * outPlane + o
            switch kind {
            case .max: expected[to] = most
            case .maxGradient: expected[best] += g.values[to]
            case .maxGather: expected[to] = h.values[best]
            case .average(let countPadding):
              let count = Double(countPadding ? s.kernel.0 * s.kernel.1 : taps.count)
              expected[to] = taps.map { x.values[$0] }.reduce(0, +) / count
            case .averageGradient(let countPadding):
              let count = Double(countPadding ? s.kernel.0 * s.kernel.1 : taps.count)
              for tap in taps { expected[tap] += g.values[to] / count }
            }
          }
        }
        let (small, large) = ([planes, outHeight, outWidth], [planes, s.h, s.w])
        let inputs: [Values]
        let operands: [Operand]
        switch kind {
        case .max, .average: (inputs, operands) = ([x], [Operand(0, dtype, large)])
        case .maxGradient: (inputs, operands) = ([x, g], [Operand(0, dtype, large), Operand(1, dtype, small)])
        case .maxGather: (inputs, operands) = ([x, h], [Operand(0, dtype, large), Operand(1, dtype, large)])
        case .averageGradient: (inputs, operands) = ([g], [Operand(0, dtype, small)])
        }
        let target = toInput ? large : small
        let pool = Pool(
          kind: kind, planes: planes, height: s.h, width: s.w, outHeight: outHeight, outWidth: outWidth,
          kernelHeight: s.kernel.0, kernelWidth: s.kernel.1, strideY: s.stride.0, strideX: s.stride.1,
          dilationY: s.dilation.0, dilationX: s.dilation.1, padTop: s.pad.0, padLeft: s.pad.1)
        let step = PoolStep(pool: pool, dtype: dtype, inputs: operands, output: Operand(output: 0, dtype, target))
        let actual = try run([.pool(step)], inputs: inputs, outputs: [.init(dtype: dtype, shape: Shape(target))])
        #expect(near(actual[0].values, expected, dtype == .float32 ? 1e-5 : 1e-13), "\(kind) \(s)")
      }
    }
  }
}
