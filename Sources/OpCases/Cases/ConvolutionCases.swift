import KilnEngine

/// Convolutions of every stride, padding, dilation and grouping, forward and transposed, 2-D and 1-D.
enum ConvolutionCases {
  private static let any = Operand.uniform(-1...1)
  private typealias Window = Reference.Window

  static var all: [OpCase] { planes + transposedPlanes + lines }

  private static func work(_ shapes: [[Int]]) -> Double {
    2 * Double(shapes[0][0] * shapes[0][2] * shapes[0][3]) * Double(NDArray.count(shapes[1]))
  }

  private static func plane(
    _ variant: String, _ shapes: [[[Int]]], _ window: Window, same: Bool = false, order: Int = 2
  ) -> OpCase {
    let (stride, dilation, groups) = (window.stride, window.dilation, window.groups)
    let (top, bottom, left, right) = (window.top, window.bottom, window.left, window.right)
    return OpCase(
      "convolution2D", variant, on: [any, any], shapes: shapes, ulps: 1, order: order,
      call: {
        convolution2D(
          $0[0], filter: $0[1], stride: stride,
          padding: same
            ? .same
            : top + bottom + left + right == 0
              ? .valid : .explicit(top: top, bottom: bottom, left: left, right: right),
          dilation: dilation, groups: groups)
      },
      reference: { x in
        let own =
          same ? window.same(x[0].shape[2], x[0].shape[3], (x[1].shape[2], x[1].shape[3])) : window
        return Reference.convolution(x[0], x[1], own)
      }
    ).costing(flops: work)
  }

  private static var planes: [OpCase] {
    var uneven = Window()
    (uneven.top, uneven.bottom, uneven.left, uneven.right) = (2, 0, 1, 3)
    uneven.stride = (2, 1)
    return [
      plane(
        "", [[[2, 3, 5, 6], [4, 3, 3, 2]], [[1, 1, 1, 1], [1, 1, 1, 1]], [[0, 3, 5, 5], [4, 3, 3, 3]]], Window()
      )
      .refusing("channels that differ") {
        convolution2D(zeros([1, 3, 5, 5], .float32, $0), filter: zeros([4, 2, 3, 3], .float32, $0))
      }
      .refusing("a filter larger than the image") {
        convolution2D(zeros([1, 3, 2, 2], .float32, $0), filter: zeros([4, 3, 3, 3], .float32, $0))
      }
      .refusing("a stride of 0") {
        convolution2D(zeros([1, 3, 5, 5], .float32, $0), filter: zeros([4, 3, 3, 3], .float32, $0), stride: (0, 1))
      }
      .refusing("a matrix") { convolution2D(zeros([5, 5], .float32, $0), filter: zeros([4, 3, 3, 3], .float32, $0)) }
      .refusing("groups that do not divide the channels") {
        convolution2D(zeros([1, 3, 5, 5], .float32, $0), filter: zeros([4, 1, 3, 3], .float32, $0), groups: 2)
      },
      plane("1x1", [[[2, 5, 4, 3], [7, 5, 1, 1]], [[3, 33, 8, 9], [18, 33, 1, 1]]], Window()),
      plane("stride 2", [[[2, 3, 7, 6], [4, 3, 3, 3]], [[2, 3, 33, 31], [17, 3, 3, 3]]], Window(stride: (2, 2))),
      plane("padding 1", [[[1, 2, 4, 5], [3, 2, 3, 3]], [[2, 16, 14, 15], [33, 16, 3, 3]]], Window(pad: (1, 1))),
      plane("uneven padding, stride (2, 1)", [[[1, 2, 4, 5], [3, 2, 3, 2]]], uneven),
      plane("same", [[[1, 2, 5, 6], [3, 2, 3, 4]], [[1, 2, 9, 9], [3, 2, 5, 5]]], Window(), same: true),
      plane("same, stride 2", [[[1, 2, 5, 6], [3, 2, 3, 3]]], Window(stride: (2, 2)), same: true),
      plane("dilation (2, 3)", [[[1, 2, 7, 9], [3, 2, 3, 2]]], Window(pad: (1, 2), dilation: (2, 3))),
      plane("2 groups", [[[2, 4, 5, 5], [6, 2, 3, 3]]], Window(pad: (1, 1), groups: 2)),
      plane(
        "depthwise", [[[2, 3, 5, 6], [3, 1, 3, 3]], [[1, 19, 12, 11], [38, 1, 3, 3]]], Window(pad: (1, 1), groups: 3)
      )
      .with { one in one.shapes = [one.shapes[0]] },
      plane("depthwise, 19 channels", [[[1, 19, 12, 11], [38, 1, 3, 3]]], Window(pad: (1, 1), groups: 19), order: 1),
      plane(
        "all at once", [[[2, 4, 9, 8], [6, 2, 3, 2]]], Window(stride: (2, 3), pad: (2, 1), dilation: (2, 1), groups: 2)),
      // Enough points and channels for the CPU device's direct kernels, whose gradients are other code than small ones'.
    ]
      + [
        plane("many points", [[[3, 7, 8, 9], [13, 7, 3, 3]]], Window(pad: (1, 1)), order: 1),
        plane(
          "many points, several images to a line", [[[9, 6, 7, 7], [6, 6, 3, 3]]], Window(pad: (1, 1)), order: 1),
        // Enough channels and images for products of transformed tiles.
        plane("3x3 tiles", [[[16, 16, 9, 12], [24, 16, 3, 3]]], Window(pad: (1, 1)), order: 1),
        plane("3x3 tiles, no padding", [[[16, 48, 10, 11], [16, 48, 3, 3]]], Window(), order: 1),
        plane(
          "stride 2, rows by pairs", [[[9, 16, 9, 12], [31, 16, 3, 3]]], Window(stride: (2, 2), pad: (1, 1)), order: 1),
        plane("many points, several lines", [[[10, 6, 22, 23], [8, 6, 2, 3]]], Window(pad: (0, 1)), order: 1),
        plane(
          "many points, dilation (2, 1), 2 groups", [[[2, 12, 9, 8], [14, 6, 3, 2]]],
          Window(pad: (2, 1), dilation: (2, 1), groups: 2), order: 1),
        plane(
          "many points, padding beyond the kernel", [[[1, 6, 7, 8], [8, 6, 2, 3]]], Window(pad: (3, 4)), order: 1),
      ].map { $0.with { $0.largestGradient = 40_000 } }
      + [
        plane("7x7, stride 2", [[[1, 3, 20, 21], [8, 3, 7, 7]]], Window(stride: (2, 2), pad: (3, 3)), order: 0)
      ]
  }

  private static func turned(
    _ variant: String, _ shapes: [[[Int]]], _ window: Window, outputPadding: (Int, Int) = (0, 0)
  ) -> OpCase {
    let (stride, padding, dilation, groups) = (window.stride, (window.top, window.left), window.dilation, window.groups)
    return OpCase(
      "transposedConvolution2D", variant, on: [any, any], shapes: shapes, ulps: 1, order: 2,
      call: {
        transposedConvolution2D(
          $0[0], filter: $0[1], stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation,
          groups: groups)
      }, reference: { Reference.transposedConvolution($0[0], $0[1], window, outputPadding: outputPadding) }
    ).costing(flops: work)
  }

  private static var transposedPlanes: [OpCase] {
    [
      turned("", [[[2, 3, 4, 5], [3, 2, 3, 2]], [[1, 1, 1, 1], [1, 1, 1, 1]]], Window())
        .refusing("channels that differ") {
          transposedConvolution2D(zeros([1, 3, 5, 5], .float32, $0), filter: zeros([4, 2, 3, 3], .float32, $0))
        },
      turned(
        "stride 2, padding 1", [[[1, 3, 4, 3], [3, 2, 3, 3]], [[2, 8, 9, 7], [8, 5, 4, 4]]],
        Window(stride: (2, 2), pad: (1, 1))),
      turned(
        "stride 2, output padding", [[[1, 3, 3, 4], [3, 2, 3, 3]]], Window(stride: (2, 2), pad: (1, 1)),
        outputPadding: (1, 1)),
      turned("dilation 2", [[[1, 2, 4, 4], [2, 2, 2, 3]]], Window(dilation: (2, 2))),
      turned("2 groups", [[[1, 4, 3, 3], [4, 3, 2, 2]]], Window(stride: (1, 2), groups: 2)),
    ]
  }

  /// [batch, channels, width] with a row axis of 1.
  private static func raised(_ x: NDArray) -> NDArray {
    NDArray([x.shape[0], x.shape[1], 1, x.shape[2]], x.values, slack: x.slack)
  }
  private static func lowered(_ x: NDArray) -> NDArray {
    NDArray([x.shape[0], x.shape[1], x.shape[3]], x.values, slack: x.slack)
  }

  private static var lines: [OpCase] {
    @Sendable func lineWork(_ shapes: [[Int]]) -> Double {
      2 * Double(shapes[0][0] * shapes[0][2]) * Double(NDArray.count(shapes[1]))
    }
    func line(_ variant: String, _ shapes: [[[Int]]], _ window: Window, same: Bool = false) -> OpCase {
      let (stride, dilation, groups, left) = (window.stride.1, window.dilation.1, window.groups, window.left)
      return OpCase(
        "convolution1D", variant, on: [any, any], shapes: shapes, ulps: 1, order: 2,
        call: {
          convolution1D(
            $0[0], filter: $0[1], stride: stride,
            padding: same ? .same : left == 0 ? .valid : .explicit(left: left, right: left),
            dilation: dilation, groups: groups)
        },
        reference: { x in
          let own = same ? window.same(1, x[0].shape[2], (1, x[1].shape[2])) : window
          return lowered(Reference.convolution(raised(x[0]), raised(x[1]), own))
        }
      ).costing(flops: lineWork)
    }
    return [
      line("", [[[2, 3, 9], [4, 3, 3]], [[1, 2, 1031], [3, 2, 5]]], Window())
        .refusing("channels that differ") {
          convolution1D(zeros([1, 3, 5], .float32, $0), filter: zeros([4, 2, 3], .float32, $0))
        },
      line("stride 2, padding 1", [[[2, 3, 9], [4, 3, 3]]], Window(stride: (1, 2), pad: (0, 1))),
      line("dilation 2, 2 groups", [[[1, 4, 9], [4, 2, 3]]], Window(dilation: (1, 2), groups: 2)),
      line("same", [[[1, 2, 8], [3, 2, 4]]], Window(), same: true),
      OpCase(
        "transposedConvolution1D", on: [any, any], shapes: [[[2, 3, 5], [3, 2, 4]]], ulps: 1, order: 2,
        call: { transposedConvolution1D($0[0], filter: $0[1], stride: 2, padding: 1) },
        reference: {
          lowered(
            Reference.transposedConvolution(
              raised($0[0]), raised($0[1]), Window(stride: (1, 2), pad: (0, 1)), outputPadding: (0, 0)))
        }
      ).costing(flops: lineWork)
        .refusing("channels that differ") {
          transposedConvolution1D(zeros([1, 3, 5], .float32, $0), filter: zeros([4, 2, 3], .float32, $0))
        },
    ]
  }
}
