import KilnEngine

/// Maximum and average pooling: windows, strides, paddings, dilation; global, adaptive, 1-D.
enum PoolCases {
  private typealias Window = Reference.Window
  private static let shapes: [[[Int]]] = [[[2, 3, 6, 7]], [[0, 3, 6, 7]], [[3, 5, 17, 19]]]

  static var all: [OpCase] { maxima + averages + whole + adaptive + lines }

  private static var maxima: [OpCase] {
    func pool(_ variant: String, _ size: (Int, Int), _ window: Window) -> OpCase {
      let (stride, padding, dilation) = (
        window.stride, ConvolutionPadding.symmetric(window.top, window.left), window.dilation
      )
      return OpCase(
        "maxPool2D", variant, on: [.distinct], shapes: shapes, order: 2,
        call: { maxPool2D($0[0], size: size, stride: stride, padding: padding, dilation: dilation) },
        reference: { Reference.pool($0[0], .max, size: size, window) }
      )
    }
    return [
      pool("2x2", (2, 2), Window(stride: (2, 2)))
        .refusing("a matrix") { maxPool2D(zeros([3, 4], .float32, $0), size: (2, 2)) }
        .refusing("a window larger than the image") { maxPool2D(zeros([1, 1, 2, 2], .float32, $0), size: (3, 3)) }
        .refusing("a window of 0") { maxPool2D(zeros([1, 1, 2, 2], .float32, $0), size: (0, 1)) },
      pool("3x2, stride 1", (3, 2), Window(stride: (1, 1))),
      pool("3x3, stride 2, padding 1", (3, 3), Window(stride: (2, 2), pad: (1, 1))),
      pool("2x3, dilation 2", (2, 3), Window(stride: (1, 1), dilation: (2, 2))),
      OpCase(
        "maxPool2D", "ties and NaN", on: [.each { $0.unit() < 0.1 ? .nan : Double($0.below(3)) }], shapes: shapes,
        call: { maxPool2D($0[0], size: (2, 2), stride: (1, 1)) },
        reference: { Reference.pool($0[0], .max, size: (2, 2), Window()) }),
      // Enough columns for whole vectors and a rest.
      pool("2x2, wide", (2, 2), Window(stride: (2, 2))).with { $0.shapes = [[[1, 2, 5, 37]], [[2, 3, 6, 66]]] },
      OpCase(
        "maxPool2D", "2x2, wide, ties and NaN", on: [.each { $0.unit() < 0.1 ? .nan : Double($0.below(3)) }],
        shapes: [[[2, 3, 6, 67]]], call: { maxPool2D($0[0], size: (2, 2)) },
        reference: { Reference.pool($0[0], .max, size: (2, 2), Window(stride: (2, 2))) }),
      OpCase(
        "maxPool2D", "default stride", on: [.distinct], shapes: shapes, order: 1,
        call: { maxPool2D($0[0], size: (2, 3)) },
        reference: { Reference.pool($0[0], .max, size: (2, 3), Window(stride: (2, 3))) }),
    ]
  }

  private static var averages: [OpCase] {
    func pool(_ variant: String, _ size: (Int, Int), _ window: Window, countPadding: Bool = true) -> OpCase {
      let (stride, padding) = (window.stride, ConvolutionPadding.symmetric(window.top, window.left))
      return OpCase(
        "averagePool2D", variant, on: [.uniform(-3...3)], shapes: shapes, ulps: 1, order: 2,
        call: { averagePool2D($0[0], size: size, stride: stride, padding: padding, countPadding: countPadding) },
        reference: { Reference.pool($0[0], .average(countPadding: countPadding), size: size, window) })
    }
    return [
      pool("2x2", (2, 2), Window(stride: (2, 2)))
        .refusing("a matrix") { averagePool2D(zeros([3, 4], .float32, $0), size: (2, 2)) },
      pool("3x2, stride 1", (3, 2), Window(stride: (1, 1))),
      pool("3x3, padding counted", (3, 3), Window(stride: (2, 2), pad: (1, 1))),
      pool("3x3, padding not counted", (3, 3), Window(stride: (2, 2), pad: (1, 1)), countPadding: false),
    ]
  }

  private static var whole: [OpCase] {
    [
      OpCase(
        "globalAveragePool2D", on: [.uniform(-3...3)], shapes: [[[2, 3, 4, 5]], [[1, 9, 33, 31]]], ulps: 1, order: 2,
        call: { globalAveragePool2D($0[0]) },
        reference: { $0[0].reduced([2, 3], keepDims: Self.keepsGlobalDims, Reference.mean) }
      ).refusing("a matrix") { globalAveragePool2D(zeros([3, 4], .float32, $0)) },
      OpCase(
        "globalMaxPool2D", on: [.distinct], shapes: [[[2, 3, 4, 5]], [[1, 9, 33, 31]]], order: 1,
        call: { globalMaxPool2D($0[0]) },
        reference: { $0[0].reduced([2, 3], keepDims: Self.keepsGlobalDims) { (Reference.max($0), 0) } }
      ).refusing("a matrix") { globalMaxPool2D(zeros([3, 4], .float32, $0)) },
    ]
  }

  /// [batch, channels], without the image axes.
  private static let keepsGlobalDims = false

  private static var adaptive: [OpCase] {
    [
      OpCase(
        "adaptiveAveragePool2D", on: [.uniform(-3...3)], shapes: [[[2, 3, 7, 5]], [[1, 2, 6, 9]]], ulps: 1, order: 2,
        call: { adaptiveAveragePool2D($0[0], outputSize: (3, 2)) },
        reference: { Reference.adaptivePool($0[0], .average(countPadding: true), outputSize: (3, 2)) }
      ).refusing("an output of 0") { adaptiveAveragePool2D(zeros([1, 1, 4, 4], .float32, $0), outputSize: (0, 2)) },
      OpCase(
        "adaptiveMaxPool2D", on: [.distinct], shapes: [[[2, 3, 7, 5]], [[1, 2, 6, 9]]], order: 1,
        call: { adaptiveMaxPool2D($0[0], outputSize: (3, 2)) },
        reference: { Reference.adaptivePool($0[0], .max, outputSize: (3, 2)) }
      ).refusing("an output of 0") { adaptiveMaxPool2D(zeros([1, 1, 4, 4], .float32, $0), outputSize: (0, 2)) },
    ]
  }

  private static var lines: [OpCase] {
    @Sendable func lined(
      _ x: NDArray, _ kind: Reference.Pooling, _ size: Int, _ window: Window
    ) -> NDArray {
      let up = NDArray([x.shape[0], x.shape[1], 1, x.shape[2]], x.values)
      let y = Reference.pool(up, kind, size: (1, size), window)
      return NDArray([y.shape[0], y.shape[1], y.shape[3]], y.values, slack: y.slack)
    }
    return [
      OpCase(
        "maxPool1D", on: [.distinct], shapes: [[[2, 3, 9]]], order: 2,
        call: { maxPool1D($0[0], size: 3, stride: 2, padding: .explicit(left: 1, right: 1)) },
        reference: { lined($0[0], .max, 3, Window(stride: (1, 2), pad: (0, 1))) }
      ).refusing("a vector") { maxPool1D(zeros([4], .float32, $0), size: 2) },
      OpCase(
        "averagePool1D", on: [.uniform(-3...3)], shapes: [[[2, 3, 9]]], ulps: 1, order: 2,
        call: { averagePool1D($0[0], size: 3, stride: 2, padding: .explicit(left: 1, right: 1)) },
        reference: { lined($0[0], .average(countPadding: true), 3, Window(stride: (1, 2), pad: (0, 1))) }
      ).refusing("a vector") { averagePool1D(zeros([4], .float32, $0), size: 2) },
    ]
  }
}
