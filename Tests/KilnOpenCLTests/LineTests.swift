import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite struct LineTests {
  @Test func scans() throws {
    for driver in try Drivers.required() {
      for (outer, length, inner) in [(1, 1, 1), (3, 17, 5), (1, 1000, 1), (40, 3, 70)] {
        let x = samples(outer * length * inner).map { $0 + 1.5 }
        for kind in [Scan.sum(reverse: false), .sum(reverse: true), .product(reverse: false), .product(reverse: true)] {
          if case .product = kind, length > 100 { continue }
          var expected = x
          for o in 0..<outer {
            for i in 0..<inner {
              var total = 0.0
              var isFirst = true
              let (isReverse, isProduct) =
                switch kind {
                case .sum(let reverse): (reverse, false)
                case .product(let reverse): (reverse, true)
                }
              for step in 0..<length {
                let at = (o * length + (isReverse ? length - 1 - step : step)) * inner + i
                total = isFirst ? x[at] : isProduct ? total * x[at] : total + x[at]
                isFirst = false
                expected[at] = total
              }
            }
          }
          let shape = [outer, length, inner]
          let step = ScanStep(
            kind: kind, outer: outer, length: length, inner: inner, input: dense(.input(0), shape),
            output: dense(.output(0), shape))
          let result = try run(
            driver, [.scan(step)], inputs: [HostTensor(values: x)], outputs: [(x.count, .float32)])
          expectClose(result[0], expected, "\(driver.name) \(kind) \(shape)")
        }
      }
    }
  }

  @Test func argsortIsStableWithNaNGreatest() throws {
    for driver in try Drivers.required() {
      for (rows, columns) in [(1, 1), (3, 31), (2, 32), (5, 33), (2, 100), (3, 1000), (1, 5000)] {
        for dtype in [DType.float32, .int32] {
          var x = whole(rows * columns, below: 50)
          if dtype.isFloat { for i in stride(from: 0, to: x.count, by: 29) { x[i] = .nan } }
          for isDescending in [false, true] {
            let shape = [rows, columns]
            let step = ArgsortStep(
              descending: isDescending, rows: rows, columns: columns, input: dense(.input(0), shape, dtype),
              output: dense(.output(0), shape, .int64))
            var expected: [Double] = []
            for row in 0..<rows {
              let key = { (i: Int) -> Double in
                let value = x[row * columns + i]
                return value.isNaN ? .infinity : value
              }
              let order = (0..<columns).sorted {
                key($0) == key($1) ? $0 < $1 : isDescending ? key($0) > key($1) : key($0) < key($1)
              }
              expected += order.map(Double.init)
            }
            let result = try run(
              driver, [.argsort(step)], inputs: [HostTensor(values: x, dtype: dtype)],
              outputs: [(x.count, .int64)])
            #expect(result[0] == expected, "\(driver.name) \(shape) \(dtype) descending \(isDescending)")
          }
        }
      }
    }
  }

  /// The plain formula of each row operation in double precision.
  private func plain(_ kind: Rowwise, _ row: [Double], _ scale: [Double], _ shift: [Double], label: Int, g: Double)
    -> [Double]
  {
    let n = Double(row.count)
    let top = row.max() ?? 0
    let sum = row.reduce(0) { $0 + exp($1 - top) }
    switch kind {
    case .softmax: return row.map { exp($0 - top) / sum }
    case .logSoftmax: return row.map { $0 - top - log(sum) }
    case .layerNorm(let epsilon):
      let mean = row.reduce(0, +) / n
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
      return row.indices.map { (row[$0] - mean) / (variance + epsilon).squareRoot() * scale[$0] + shift[$0] }
    case .rmsNorm(let epsilon):
      let square = row.reduce(0) { $0 + $1 * $1 } / n
      return row.indices.map { row[$0] / (square + epsilon).squareRoot() * scale[$0] }
    case .crossEntropy(let ignore): return [label == ignore ? 0 : log(sum) + top - row[label]]
    case .crossEntropyGradient(let ignore):
      return row.indices.map {
        label == ignore ? 0 : (exp(row[$0] - top) / sum - ($0 == label ? 1 : 0)) * g
      }
    case .softmaxGradient, .logSoftmaxGradient, .layerNormGradient, .rmsNormGradient: return []
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

  @Test func rowwise() throws {
    let kinds: [Rowwise] = [
      .softmax, .logSoftmax, .layerNorm(epsilon: 1e-5), .rmsNorm(epsilon: 1e-6), .crossEntropy(ignoreIndex: -100),
      .crossEntropyGradient(ignoreIndex: -100), .softmaxGradient, .logSoftmaxGradient,
      .layerNormGradient(epsilon: 1e-5), .rmsNormGradient(epsilon: 1e-6),
    ]
    for driver in try Drivers.required() {
      for (rows, columns) in [(1, 1), (4, 10), (3, 16), (37, 100), (2, 1000)] {
        for dtype in [DType.float32, .float64] where driver.supports(dtype) {
          for kind in kinds {
            let x = samples(rows * columns, scale: kind.rowInputCount == 2 ? 1 : 20)
            let h = samples(rows * columns, seed: 7)
            let scale = samples(columns, seed: 3)
            let shift = samples(columns, seed: 4)
            var labels = whole(rows, below: columns, seed: 5)
            labels[rows / 2] = -100
            let g = samples(rows, seed: 6)
            var inputs = [HostTensor(values: x, dtype: dtype)]
            var operands = [dense(.input(0), [rows, columns], dtype)]
            var resultColumns = columns
            switch kind {
            case .softmax, .logSoftmax: break
            case .layerNorm:
              inputs += [HostTensor(values: scale, dtype: dtype), HostTensor(values: shift, dtype: dtype)]
              operands += [dense(.input(1), [columns], dtype), dense(.input(2), [columns], dtype)]
            case .rmsNorm:
              inputs.append(HostTensor(values: scale, dtype: dtype))
              operands.append(dense(.input(1), [columns], dtype))
            case .softmaxGradient, .logSoftmaxGradient:
              inputs.append(HostTensor(values: h, dtype: dtype))
              operands.append(dense(.input(1), [rows, columns], dtype))
            case .layerNormGradient, .rmsNormGradient:
              inputs += [HostTensor(values: h, dtype: dtype), HostTensor(values: scale, dtype: dtype)]
              operands += [dense(.input(1), [rows, columns], dtype), dense(.input(2), [columns], dtype)]
            case .crossEntropy:
              inputs.append(HostTensor(values: labels, dtype: .int64))
              operands.append(dense(.input(1), [rows], .int64))
              resultColumns = 1
            case .crossEntropyGradient:
              inputs += [HostTensor(values: labels, dtype: .int64), HostTensor(values: g, dtype: dtype)]
              operands += [dense(.input(1), [rows], .int64), dense(.input(2), [rows], dtype)]
            }
            var expected: [Double] = []
            for row in 0..<rows {
              let range = (row * columns)..<((row + 1) * columns)
              expected += rowGradient(kind, Array(x[range]), Array(h[range]), scale)
              expected += plain(
                kind, Array(x[range]), scale, shift, label: Int(labels[row]),
                g: g[row])
            }
            let step = RowwiseStep(
              kind: kind, rows: rows, columns: columns, inputs: operands,
              output: dense(.output(0), [rows, resultColumns], dtype))
            let result = try run(
              driver, [.rowwise(step)], inputs: inputs, outputs: [(rows * resultColumns, dtype)])
            // A row of one element is x - x: its norm is 0 / sqrt(epsilon).
            expectClose(
              result[0], expected, tolerance: dtype == .float32 ? 2e-5 : 1e-12,
              "\(driver.name) \(kind) \(rows)x\(columns)")
          }
        }
      }
    }
  }

  @Test func softmaxOfExtremes() throws {
    let rows: [[Double]] = [
      [1000, 1000, -1000], [-.infinity, 0, 0], [-.infinity, -.infinity, -.infinity], [.nan, 0, 1],
    ]
    for driver in try Drivers.required() {
      let step = RowwiseStep(
        kind: .softmax, rows: 4, columns: 3, inputs: [dense(.input(0), [4, 3])], output: dense(.output(0), [4, 3]))
      let result = try run(
        driver, [.rowwise(step)], inputs: [HostTensor(values: rows.flatMap { $0 })], outputs: [(12, .float32)])
      expectClose(
        result[0], [0.5, 0.5, 0, 0, 0.5, 0.5] + [Double](repeating: .nan, count: 6), "\(driver.name)")
    }
  }
}
