import KilnCPU
import Testing

@testable import KilnEngine

@Suite struct ConvolutionTests {
  struct Size: CustomStringConvertible {
    var batch = 2, channels = 4, height = 7, width = 6, filters = 6, kernel = (3, 3), stride = (1, 1)
    var dilation = (1, 1), pad = (1, 1), groups = 1
    /// Output sizes; `nil`: the same padding after as before.
    var out: (Int, Int)?
    func convolution(_ kind: Convolution.Kind) -> Convolution {
      let outHeight = (height + 2 * pad.0 - dilation.0 * (kernel.0 - 1) - 1) / stride.0 + 1
      let outWidth = (width + 2 * pad.1 - dilation.1 * (kernel.1 - 1) - 1) / stride.1 + 1
      return Convolution(
        kind: kind, batch: batch, channels: channels, height: height, width: width, filters: filters,
        kernelHeight: kernel.0, kernelWidth: kernel.1, outHeight: out?.0 ?? outHeight, outWidth: out?.1 ?? outWidth,
        strideY: stride.0, strideX: stride.1, dilationY: dilation.0, dilationX: dilation.1, padTop: pad.0,
        padLeft: pad.1, groups: groups)
    }
    var description: String {
      "\(batch)x\(channels)x\(height)x\(width) \(filters) \(kernel) stride \(stride) dilation \(dilation) pad \(pad) groups \(groups)"
    }
  }

  static let sizes: [Size] = [
    Size(), Size(kernel: (1, 1), pad: (0, 0)), Size(kernel: (1, 1), stride: (2, 2), pad: (0, 0)),
    Size(kernel: (5, 3), stride: (2, 1), pad: (2, 0)), Size(kernel: (2, 2), dilation: (2, 3), pad: (0, 2)),
    Size(groups: 2), Size(filters: 4, groups: 4), Size(filters: 8, stride: (2, 2), groups: 4),
    Size(batch: 1, channels: 1, height: 30, width: 40, filters: 2, kernel: (7, 7), pad: (3, 3)),
    // More zeros after than before, and rows that no tap reaches.
    Size(stride: (2, 2), pad: (0, 0), out: (4, 3)), Size(height: 1, width: 20, kernel: (1, 5), pad: (0, 2)),
    Size(batch: 9, channels: 3, height: 5, width: 5, filters: 2),
    // Transformed tiles: whole images and strips of one, odd sizes, channels that fill no vector.
    Size(batch: 16, channels: 16, height: 9, width: 10, filters: 24),
    Size(batch: 17, channels: 29, height: 10, width: 9, filters: 16, pad: (0, 0)),
    Size(batch: 8, channels: 16, height: 41, width: 40, filters: 16, pad: (2, 1)),
    Size(batch: 9, channels: 64, height: 12, width: 11, filters: 48, pad: (1, 0), out: (12, 10)),
    // Points by pairs of rows.
    Size(batch: 9, channels: 16, height: 12, width: 13, filters: 32, stride: (2, 2)),
    Size(batch: 8, channels: 30, height: 9, width: 8, filters: 15, kernel: (5, 2), stride: (2, 2), pad: (0, 0)),
    Size(batch: 11, channels: 12, height: 7, width: 16, filters: 28, kernel: (1, 3), stride: (2, 2), pad: (0, 2)),
    Size(batch: 8, channels: 16, height: 8, width: 8, filters: 16, stride: (2, 2), pad: (0, 0), out: (4, 4)),
  ]

  /// Calls `body` with the positions (x, w, y) of every product in the sum.
  static func products(_ c: Convolution, _ body: (Int, Int, Int) -> Void) {
    let (perGroup, filters) = (c.channels / c.groups, c.filters / c.groups)
    for b in 0..<c.batch {
      for f in 0..<c.filters {
        for (oy, ox) in (0..<c.outHeight).flatMap({ y in (0..<c.outWidth).map { (y, $0) } }) {
          for channel in 0..<perGroup {
            for ky in 0..<c.kernelHeight {
              for kx in 0..<c.kernelWidth {
                let iy = oy * c.strideY - c.padTop + ky * c.dilationY
                let ix = ox * c.strideX - c.padLeft + kx * c.dilationX
                if iy < 0 || iy >= c.height || ix < 0 || ix >= c.width { continue }
                let x = ((b * c.channels + f / filters * perGroup + channel) * c.height + iy) * c.width + ix
                let w = ((f * perGroup + channel) * c.kernelHeight + ky) * c.kernelWidth + kx
                body(x, w, ((b * c.filters + f) * c.outHeight + oy) * c.outWidth + ox)
              }
            }
          }
        }
      }
    }
  }

  /// What one number spoils is what is computed from it, in tiles as well, and what overflows in a tile's sums need not
  /// in the result.
  @Test func valuesThatAreNotFiniteStayWhereTheyBelong() throws {
    for kind in [Convolution.Kind.forward, .inputGradient, .filterGradient] {
      let c = Size(batch: 16, channels: 16, height: 8, width: 9, filters: 16).convolution(kind)
      let shapes: (a: Shape, b: Shape, y: Shape) =
        switch kind {
        case .forward: (c.inputShape, c.filterShape, c.outputShape)
        case .inputGradient: (c.outputShape, c.filterShape, c.inputShape)
        case .filterGradient: (c.inputShape, c.outputShape, c.filterShape)
        }
      var dice = Dice(5)
      var (a, b) = (dice.values(.float32, shapes.a.count), dice.values(.float32, shapes.b.count))
      a.values[3 * 16 * 72 + 5 * 72 + 40] = .infinity
      a.values[9 * 16 * 72 + 7 * 72] = .nan
      // In one tile: their differences overflow. Nothing else of the channel counts.
      for i in 0..<16 * 72 { a.values[11 * 16 * 72 + i] = 0 }
      a.values[11 * 16 * 72 + 20] = 3e38
      a.values[11 * 16 * 72 + 22] = -3e38
      for i in b.values.indices where kind != .filterGradient { b.values[i] *= 0.001 }
      a = Values(.float32, a.values)
      b = Values(.float32, b.values)
      var expected = [Double](repeating: 0, count: shapes.y.count)
      Self.products(c) { x, w, y in
        switch kind {
        case .forward: expected[y] += a.values[x] * b.values[w]
        case .inputGradient: expected[x] += a.values[y] * b.values[w]
        case .filterGradient: expected[w] += a.values[x] * b.values[y]
        }
      }
      var epilogue = Expression()
      epilogue.outputs = [epilogue.append(.result, .float32)]
      let step = ConvolutionStep(
        convolution: c, dtype: .float32,
        inputs: [Operand(0, .float32, shapes.a.dimensions), Operand(1, .float32, shapes.b.dimensions)], operands: [],
        epilogue: epilogue, outputs: [Operand(output: 0, .float32, shapes.y.dimensions)])
      let actual = try run(
        [.convolution(step)], inputs: [a, b], outputs: [.init(dtype: .float32, shape: shapes.y)])[0].values
      if kind == .filterGradient {
        // A line of the direct path has zeros beside every tap: a channel with such a number is spoilt as a whole.
        #expect(zip(actual, expected).allSatisfy { $0.isFinite ? abs($0 - $1) < 1e-5 * Swift.max(100, abs($1)) : true })
        #expect(zip(actual, expected).allSatisfy { $1.isFinite || !$0.isFinite })
        #expect(actual.contains { $0.isFinite })
      } else {
        #expect(
          zip(actual, expected).allSatisfy { y, e in
            e.isFinite ? abs(y - e) <= 1e-5 * Swift.max(1, abs(e)) : y == e || y.isNaN && e.isNaN
          }, "\(kind)")
      }
    }
  }

  @Test(arguments: sizes.indices, [DType.float32, .float64]) func convolves(size: Int, dtype: DType) throws {
    for kind in [Convolution.Kind.forward, .inputGradient, .filterGradient] {
      let c = Self.sizes[size].convolution(kind)
      var dice = Dice(3)
      let shapes: (a: Shape, b: Shape, y: Shape) =
        switch kind {
        case .forward: (c.inputShape, c.filterShape, c.outputShape)
        case .inputGradient: (c.outputShape, c.filterShape, c.inputShape)
        case .filterGradient: (c.inputShape, c.outputShape, c.filterShape)
        }
      let (a, b) = (dice.values(dtype, shapes.a.count), dice.values(dtype, shapes.b.count))
      let bias = dice.values(dtype, shapes.y[1])
      var expected = [Double](repeating: 0, count: shapes.y.count)
      // What the errors are small beside.
      var sizes = expected
      Self.products(c) { x, w, y in
        let (product, at) =
          switch kind {
          case .forward: (a.values[x] * b.values[w], y)
          case .inputGradient: (a.values[y] * b.values[w], x)
          case .filterGradient: (a.values[x] * b.values[y], w)
          }
        expected[at] += product
        sizes[at] += abs(product)
      }
      let dims = shapes.y.dimensions
      for withBias in [false, true] {
        var epilogue = Expression()
        epilogue.outputs = [epilogue.append(.result, dtype)]
        if withBias {
          let loaded = epilogue.append(.load(0), dtype)
          epilogue.outputs = [epilogue.append(.binary(.add, 0, loaded), dtype)]
        }
        let operand = Operand(slot: .input(2), dtype: dtype, offset: 0, strides: [0, 1, 0, 0])
        let step = ConvolutionStep(
          convolution: c, dtype: dtype,
          inputs: [Operand(0, dtype, shapes.a.dimensions), Operand(1, dtype, shapes.b.dimensions)],
          operands: withBias ? [operand] : [], epilogue: epilogue, outputs: [Operand(output: 0, dtype, dims)])
        let actual = try run(
          [.convolution(step)], inputs: [a, b, bias], outputs: [.init(dtype: dtype, shape: shapes.y)])
        let plane = dims[2] * dims[3]
        let wanted = expected.enumerated().map { i, v in withBias ? v + bias.values[i / plane % dims[1]] : v }
        let unit = dtype == .float32 ? 1e-6 : 1e-14
        let isNear = wanted.indices.allSatisfy { abs(actual[0].values[$0] - wanted[$0]) <= unit * (10 + sizes[$0]) }
        #expect(isNear, "\(kind) \(Self.sizes[size]) bias \(withBias)")
      }
    }
  }
}
