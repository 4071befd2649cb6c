import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite struct GatherTests {
  private func step(_ gather: Gather, dtype: DType = .float32) -> Step {
    let (o, l, i, c) = (gather.outer, gather.length, gather.inner, gather.count)
    let (data, index, result): ([Int], [Int], [Int]) =
      switch gather.kind {
      case .rows: ([o, l, i], [c], [o, c, i])
      case .scatterAddRows: ([o, c, i], [c], [o, l, i])
      case .along: ([o, l, i], [o, c, i], [o, c, i])
      case .scatterAddAlong: ([o, c, i], [o, c, i], [o, l, i])
      }
    return .gather(
      GatherStep(
        gather: gather, dtype: dtype, inputs: [dense(.input(0), data, dtype), dense(.input(1), index, .int64)],
        output: dense(.output(0), result, dtype)))
  }

  @Test func allKinds() throws {
    for driver in try Drivers.required() {
      for (o, l, i, c) in [(1, 1, 1, 1), (2, 5, 3, 11), (1, 40, 64, 100), (3, 7, 1, 50)] {
        for kind in [Gather.Kind.rows, .along, .scatterAddRows, .scatterAddAlong] {
          let gather = Gather(kind: kind, outer: o, length: l, inner: i, count: c)
          let isAlong = kind == .along || kind == .scatterAddAlong
          let isScatter = kind == .scatterAddRows || kind == .scatterAddAlong
          let data = samples(o * (isScatter ? c : l) * i)
          let index = whole(isAlong ? o * c * i : c, below: l, seed: 9)
          var expected = [Double](repeating: 0, count: o * (isScatter ? l : c) * i)
          for a in 0..<o {
            for b in 0..<c {
              for d in 0..<i {
                let at = Int(index[isAlong ? (a * c + b) * i + d : b])
                let (wide, narrow) = ((a * l + at) * i + d, (a * c + b) * i + d)
                if isScatter {
                  expected[wide] = Double(Float(expected[wide]) + Float(data[narrow]))
                } else {
                  expected[narrow] = data[wide]
                }
              }
            }
          }
          let result = try run(
            driver, [step(gather)],
            inputs: [HostTensor(values: data), HostTensor(values: index, dtype: .int64)],
            outputs: [(expected.count, .float32)])
          // The order of the sums is fixed, so the bits are.
          #expect(result[0] == expected, "\(driver.name) \(gather)")
        }
      }
    }
  }

  @Test func badIndicesAreReportedOnce() throws {
    // Drivers of its own: a fault is thrown by the next read, whoever reads.
    for shared in try Drivers.required() {
      let driver = try OpenCLDriver(shared, style: shared.style)
      for kind in [Gather.Kind.rows, .along, .scatterAddRows, .scatterAddAlong] {
        let gather = Gather(kind: kind, outer: 1, length: 4, inner: 1, count: 100)
        var index = whole(100, below: 4)
        index[70] = -3
        index[63] = 4
        do {
          _ = try run(
            driver, [step(gather)],
            inputs: [HostTensor(values: samples(100)), HostTensor(values: index, dtype: .int64)],
            outputs: [(kind == .scatterAddRows || kind == .scatterAddAlong ? 4 : 100, .float32)])
          Issue.record("no error from \(kind)")
        } catch DeviceError.indexOutOfRange(_, _, let position, let bad, let length) {
          #expect((position, bad, length) == (63, 4, 4), "\(driver.name) \(kind)")
        }
        try driver.synchronize()
      }
      let rows = RowwiseStep(
        kind: .crossEntropy(ignoreIndex: -100), rows: 3, columns: 5,
        inputs: [dense(.input(0), [3, 5]), dense(.input(1), [3], .int64)], output: dense(.output(0), [3]))
      #expect(
        throws: DeviceError.indexOutOfRange(
          device: driver.name, operation: "crossEntropy", position: 1, index: -7, length: 5)
      ) {
        _ = try run(
          driver, [.rowwise(rows)],
          inputs: [HostTensor(values: samples(15)), HostTensor(values: [0, -7, 9], dtype: .int64)],
          outputs: [(3, .float32)])
      }
    }
  }

  @Test func pools() throws {
    for driver in try Drivers.required() {
      for (kernel, stride, dilation, pad) in [(2, 2, 1, 0), (3, 2, 1, 1), (3, 1, 2, 1), (2, 3, 1, 0)] {
        let (planes, h, w) = (3, 9, 8)
        let oh = (h + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1
        let ow = (w + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1
        let x = whole(planes * h * w, below: 9)  // with ties
        let other = samples(planes * h * w, seed: 2)
        let g = samples(planes * oh * ow, seed: 3)
        let kinds: [Pool.Kind] = [
          .max, .maxGradient, .maxGather, .average(countPadding: true), .average(countPadding: false),
          .averageGradient(countPadding: true), .averageGradient(countPadding: false),
        ]
        for kind in kinds {
          let pool = Pool(
            kind: kind, planes: planes, height: h, width: w, outHeight: oh, outWidth: ow, kernelHeight: kernel,
            kernelWidth: kernel, strideY: stride, strideX: stride, dilationY: dilation, dilationX: dilation,
            padTop: pad, padLeft: pad)
          let isGradient: Bool
          var inputs: [[Double]]
          switch kind {
          case .max, .average: (inputs, isGradient) = ([x], false)
          case .maxGather: (inputs, isGradient) = ([x, other], false)
          case .maxGradient: (inputs, isGradient) = ([x, g], true)
          case .averageGradient: (inputs, isGradient) = ([g], true)
          }
          var expected = [Double](repeating: 0, count: isGradient ? planes * h * w : planes * oh * ow)
          for p in 0..<planes {
            for oy in 0..<oh {
              for ox in 0..<ow {
                var taps: [Int] = []
                for ky in 0..<kernel {
                  for kx in 0..<kernel {
                    let (iy, ix) = (oy * stride - pad + ky * dilation, ox * stride - pad + kx * dilation)
                    if iy >= 0 && ix >= 0 && iy < h && ix < w { taps.append((p * h + iy) * w + ix) }
                  }
                }
                let out = (p * oh + oy) * ow + ox
                let best = taps.reduce(-1) { $0 < 0 || x[$1] > x[$0] ? $1 : $0 }
                switch kind {
                case .max: expected[out] = x[best]
                case .maxGather: expected[out] = other[best]
                case .maxGradient: expected[best] += g[out]
                case .average(let counts):
                  expected[out] = taps.reduce(0) { $0 + x[$1] } / Double(counts ? kernel * kernel : taps.count)
                case .averageGradient(let counts):
                  for tap in taps { expected[tap] += g[out] / Double(counts ? kernel * kernel : taps.count) }
                }
              }
            }
          }
          let step = PoolStep(
            pool: pool, dtype: .float32, inputs: inputs.indices.map { dense(.input($0), [inputs[$0].count]) },
            output: dense(.output(0), [expected.count]))
          let result = try run(
            driver, [.pool(step)], inputs: inputs.map { HostTensor(values: $0) },
            outputs: [(expected.count, .float32)])
          expectClose(result[0], expected, "\(driver.name) \(pool)")
        }
      }
    }
  }
}
