import Foundation
import KilnEngine

/// Every reduction over no, one, several and all axes; with and without kept dimensions.
enum ReductionCases {
  /// Axes as given, and the same from the front for a rank-3 operand.
  private static let axes: [(given: [Int]?, resolved: [Int], keep: Bool)] = [
    (nil, [0, 1, 2], false), ([-1], [2], false), ([0], [0], true), ([0, 2], [0, 2], false), ([1], [1], true),
  ]
  private static let shapes: [[[Int]]] = [[[3, 4, 5]], [[1, 1, 1]], [[2, 1, 1031]], [[67, 3, 35]]]
  private static let floats: [DType] = [.float32, .float64]

  static var all: [OpCase] { sums + extremes + positions + logic + statistics + empty }

  private typealias Call = @Sendable (Tensor, [Int]?, Bool) -> Tensor
  private typealias Row = @Sendable ([Double]) -> (value: Double, slack: Double)

  private static func reduction(
    _ name: String, _ operand: Operand, order: Int, dtypes: [DType] = floats, ulps: Double = 1,
    _ call: @escaping Call, _ row: @escaping Row
  ) -> [OpCase] {
    axes.enumerated().map { i, choice in
      let words = choice.given.map { "axes \($0)" } ?? "all axes"
      var one = OpCase(
        name, words + (choice.keep ? ", kept" : ""), on: [operand], shapes: i == 0 ? shapes : Array(shapes.prefix(3)),
        dtypes: dtypes, ulps: ulps, order: order, call: { call($0[0], choice.given, choice.keep) },
        reference: { $0[0].reduced(choice.resolved, keepDims: choice.keep, row) })
      if i == 0 {
        one = one.refusing("an axis out of range") { call(zeros([2, 3], dtypes[0], $0), [2], false) }
          .refusing("an axis named twice") { call(zeros([2, 3], dtypes[0], $0), [0, -2], false) }
      }
      return one
    }
  }

  private static func exact(_ body: @escaping @Sendable ([Double]) -> Double) -> Row { { (body($0), 0) } }

  private static var sums: [OpCase] {
    let any = Operand.uniform(-3...3)
    return reduction("sum", any, order: 2, { $0.sum(axes: $1, keepDims: $2) }, { NDArray.sum($0) })
      + reduction("mean", any, order: 2, { $0.mean(axes: $1, keepDims: $2) }, Reference.mean)
      + reduction(
        "product", .awayFromZero(0.9, 1.1), order: 2, { $0.product(axes: $1, keepDims: $2) }, Reference.product)
      + reduction(
        "sum", .whole(-9...9), order: 0, dtypes: [.int32, .int64], ulps: 0, { $0.sum(axes: $1, keepDims: $2) },
        exact { $0.reduce(0, +) }
      ).map { one in
        one.result(.int64).with {
          $0.variant += ", integers"
          $0.refusals = []
        }
      }
  }

  private static var extremes: [OpCase] {
    let dtypes: [DType] = [.float32, .float64, .int32, .int64, .uint8]
    return reduction(
      "max", .distinct, order: 1, ulps: 0, { $0.max(axes: $1, keepDims: $2) }, exact(Reference.max))
      + reduction("min", .distinct, order: 1, ulps: 0, { $0.min(axes: $1, keepDims: $2) }, exact(Reference.min))
      + reduction(
        "max", .whole(0...5), order: 0, dtypes: dtypes, ulps: 0, { $0.max(axes: $1, keepDims: $2) },
        exact(Reference.max)
      ).map { one in
        one.with {
          $0.variant += ", ties"
          $0.refusals = []
        }
      }
  }

  private static var positions: [OpCase] {
    typealias Position = @Sendable (Tensor, Int?, Bool) -> Tensor
    func position(
      _ name: String, _ call: @escaping Position, _ row: @escaping @Sendable ([Double]) -> Int
    ) -> [OpCase] {
      let choices: [(Int?, [Int], Bool)] = [
        (nil, [0, 1, 2], false), (-1, [2], false), (0, [0], true), (1, [1], false),
      ]
      return choices.flatMap { axis, resolved, keep in
        let words = (axis.map { "axis \($0)" } ?? "all axes") + (keep ? ", kept" : "")
        let one = OpCase(
          name, words, on: [.distinct], shapes: shapes, dtypes: [.float32, .float64], call: { call($0[0], axis, keep) },
          reference: { $0[0].reduced(resolved, keepDims: keep, exact { Double(row($0)) }) }
        ).result(.int64)
        let ties = OpCase(
          name, words + ", ties", on: [.whole(0...3)], shapes: shapes, dtypes: [.float32, .int32, .int64, .uint8],
          call: { call($0[0], axis, keep) },
          reference: { $0[0].reduced(resolved, keepDims: keep, exact { Double(row($0)) }) }
        ).result(.int64)
        return [one, ties]
      }
    }
    let nans = Operand.each { $0.unit() < 0.05 ? .nan : $0.uniform(-3, 3) }
    return position("argmax", { $0.argmax(axis: $1, keepDims: $2) }, Reference.argmax)
      + position("argmin", { $0.argmin(axis: $1, keepDims: $2) }, Reference.argmin)
      + [
        OpCase(
          "argmax", "NaN", on: [nans], shapes: [[[33, 40]]], call: { $0[0].argmax(axis: 1) },
          reference: { $0[0].reduced([1], keepDims: false, exact { Double(Reference.argmax($0)) }) }
        ).result(.int64)
          .refusing("nothing to choose from") { zeros([2, 0], .float32, $0).argmax(axis: 1) },
        OpCase(
          "argmin", "NaN", on: [nans], shapes: [[[33, 40]]], call: { $0[0].argmin(axis: 1) },
          reference: { $0[0].reduced([1], keepDims: false, exact { Double(Reference.argmin($0)) }) }
        ).result(.int64)
          .refusing("nothing to choose from") { zeros([2, 0], .float32, $0).argmin(axis: 1) },
        OpCase(
          "max", "NaN", on: [nans], shapes: [[[33, 40]]], call: { $0[0].max(axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false, exact(Reference.max)) }
        ).refusing("nothing to choose from") { zeros([2, 0], .float32, $0).max(axes: [1]) },
        OpCase(
          "min", "NaN", on: [nans], shapes: [[[33, 40]]], call: { $0[0].min(axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false, exact(Reference.min)) }
        ).refusing("nothing to choose from") { zeros([2, 0], .float32, $0).min(axes: [1]) },
      ]
  }

  private static var logic: [OpCase] {
    var rare = Operand.each(.bool) { $0.unit() < 0.1 ? 1 : 0 }
    rare.isDifferentiable = false
    var common = Operand.each(.bool) { $0.unit() < 0.9 ? 1 : 0 }
    common.isDifferentiable = false
    return reduction(
      "any", rare, order: 0, dtypes: [.bool], ulps: 0, { $0.any(axes: $1, keepDims: $2) },
      exact { $0.contains(1) ? 1 : 0 })
      + reduction(
        "all", common, order: 0, dtypes: [.bool], ulps: 0, { $0.all(axes: $1, keepDims: $2) },
        exact { $0.contains(0) ? 0 : 1 })
  }

  private static var statistics: [OpCase] {
    let any = Operand.uniform(-3...3)
    return reduction(
      "variance", any, order: 2, { $0.variance(axes: $1, keepDims: $2) }, { Reference.variance($0, correction: 0) })
      + reduction(
        "standardDeviation", any, order: 2, { $0.standardDeviation(axes: $1, keepDims: $2) },
        { Reference.standardDeviation($0, correction: 0) })
      + reduction(
        "logSumExp", any, order: 2, { $0.logSumExp(axes: $1, keepDims: $2) }, Reference.logSumExp)
      + reduction(
        "norm", .awayFromZero(0.2, 3), order: 2, { $0.norm(axes: $1, keepDims: $2) }, { Reference.norm($0, order: 2) })
      + [
        OpCase(
          "variance", "unbiased", on: [any], shapes: [[[3, 7]], [[2, 1031]]], ulps: 1, order: 2,
          call: { $0[0].variance(axes: [1], unbiased: true) },
          reference: { $0[0].reduced([1], keepDims: false) { Reference.variance($0, correction: 1) } }),
        OpCase(
          "standardDeviation", "unbiased", on: [any], shapes: [[[3, 7]], [[2, 1031]]], ulps: 1, order: 2,
          call: { $0[0].standardDeviation(axes: [1], unbiased: true) },
          reference: { $0[0].reduced([1], keepDims: false) { Reference.standardDeviation($0, correction: 1) } }),
        OpCase(
          "norm", "order 1", on: [.awayFromZero(0.2, 3)], shapes: [[[3, 7]]], ulps: 1, order: 1,
          call: { $0[0].norm(order: 1, axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false) { Reference.norm($0, order: 1) } }),
        OpCase(
          "norm", "order 3", on: [.awayFromZero(0.2, 3)], shapes: [[[3, 7]]], ulps: 1, order: 2,
          call: { $0[0].norm(order: 3, axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false) { Reference.norm($0, order: 3) } }),
        OpCase(
          "norm", "order infinity", on: [.distinct], shapes: [[[3, 7]]], ulps: 0, order: 1,
          call: { $0[0].norm(order: .infinity, axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false) { Reference.norm($0, order: .infinity) } }),
        OpCase(
          "logSumExp", "infinities and huge", on: [.each { [-1e30, 1e4, -.infinity, 3, 1e4][$0.below(5)] }],
          shapes: [[[9, 3]]], ulps: 1, call: { $0[0].logSumExp(axes: [1]) },
          reference: { $0[0].reduced([1], keepDims: false, Reference.logSumExp) }),
      ]
  }

  /// Sums and products of nothing, and results of no elements.
  private static var empty: [OpCase] {
    [
      OpCase(
        "sum", "of nothing", on: [.uniform(-1...1)], shapes: [[[3, 0]], [[0]], [[0, 2, 0]]], order: 0,
        call: { $0[0].sum(axes: [-1]) },
        reference: { $0[0].reduced([$0[0].shape.count - 1], keepDims: false, { NDArray.sum($0) }) }),
      OpCase(
        "product", "of nothing", on: [.uniform(-1...1)], shapes: [[[3, 0]], [[0]]], order: 0,
        call: { $0[0].product(axes: [-1]) },
        reference: { $0[0].reduced([$0[0].shape.count - 1], keepDims: false, Reference.product) }),
      OpCase(
        "sum", "none left", on: [.uniform(-1...1)], shapes: [[[0, 3]]], order: 0, call: { $0[0].sum(axes: [1]) },
        reference: { $0[0].reduced([1], keepDims: false, { NDArray.sum($0) }) }),
      OpCase(
        "max", "none left", on: [.uniform(-1...1)], shapes: [[[0, 3]]], order: 0, call: { $0[0].max(axes: [1]) },
        reference: { $0[0].reduced([1], keepDims: false, exact(Reference.max)) }),
      OpCase(
        "sum", "scalar", on: [.uniform(-1...1)], shapes: [[[]]], order: 1, call: { $0[0].sum() },
        reference: { $0[0] }),
    ]
  }
}
