import Foundation
import KilnEngine

/// One line for each unary operation: its call, its reference, where it is fed, how exact it must be, its gradients.
/// A new row of `UnaryOp` needs a line here and nothing else in this module.
enum UnaryCases {
  static var all: [OpCase] {
    var t = Table()
    // name, call, reference, fed with, ulps (float32 and float64), gradient order
    t.number("negate", { -$0 }, { -$0 }, .uniform(-3...3), 0, 2)
    t.number("abs", { abs($0) }, { Foundation.fabs($0) }, .awayFromZero(0.1, 3), 0, 1)
    t.number("sign", { sign($0) }, Reference.sign, .awayFromZero(0.1, 3), 0, 1, zeroSign: false)
    t.number("square", { square($0) }, { $0 * $0 }, .uniform(-3...3), 0.5, 2)
    t.float("reciprocal", { reciprocal($0) }, { 1 / $0 }, .awayFromZero(0.3, 3), 3, 2)
    t.float("sqrt", { sqrt($0) }, { $0.squareRoot() }, .uniform(0.1...9), 3, 2)
    t.float("rsqrt", { rsqrt($0) }, { 1 / $0.squareRoot() }, .uniform(0.1...9), 4, 2)
    t.float("exp", { exp($0) }, { Foundation.exp($0) }, .uniform(-4...4), 3, 2)
    t.float("expm1", { expm1($0) }, { Foundation.expm1($0) }, .uniform(-4...4), 3, 2)
    t.float("log", { log($0) }, { Foundation.log($0) }, .uniform(0.05...9), 3, 2)
    t.float("log1p", { log1p($0) }, { Foundation.log1p($0) }, .uniform(-0.9...9), 3, 2)
    t.float("sin", { sin($0) }, { Foundation.sin($0) }, .uniform(-9...9), 4, 2)
    t.float("cos", { cos($0) }, { Foundation.cos($0) }, .uniform(-9...9), 4, 2)
    t.float("tan", { tan($0) }, { Foundation.tan($0) }, .uniform(-1.3...1.3), 5, 2)
    t.float("tanh", { tanh($0) }, { Foundation.tanh($0) }, .uniform(-4...4), 5, 2)
    t.float("sigmoid", { sigmoid($0) }, Reference.sigmoid, .uniform(-9...9), 6, 2)
    t.float("erf", { erf($0) }, { Foundation.erf($0) }, .uniform(-3...3), 16, 2)
    t.float("erfInverse", { erfInverse($0) }, Reference.erfInverse, .uniform(-0.97...0.97), 16, 2)
    t.number("relu", { relu($0) }, { $0.isNaN ? $0 : max($0, 0) }, .awayFromZero(0.1, 3), 0, 1, zeroSign: false)
    t.float("softplus", { softplus($0) }, Reference.softplus, .uniform(-9...9), 8, 2)
    t.float("logSigmoid", { logSigmoid($0) }, { -Reference.softplus(-$0) }, .uniform(-9...9), 8, 2, zeroSign: false)
    t.float("floor", { floor($0) }, { Foundation.floor($0) }, .betweenSteps(-4...4), 0, 1)
    t.float("ceil", { ceil($0) }, { Foundation.ceil($0) }, .betweenSteps(-4...4), 0, 1)
    t.float("round", { round($0) }, Reference.round, .betweenSteps(-4...4), 0, 1)
    t.predicate("isNaN", { isNaN($0) }, { $0 != $0 ? 1 : 0 }, .uniform(-3...3))
    t.predicate("isFinite", { isFinite($0) }, { $0 - $0 == 0 ? 1 : 0 }, .uniform(-3...3))
    t.logic("logicalNot", { logicalNot($0) }, { $0 == 0 ? 1 : 0 })
    return t.cases
  }

  /// NaN, infinities, zeros, denormals of both dtypes (the smaller ones round to 0 in float32), huge, ones, halves.
  static let specialValues: [Double] = [
    .nan, .infinity, -.infinity, 0, -0.0, 1e-40, -1e-40, 0x1p-1060, 3.4e38, -3.4e38, 1.7e308, -1.7e308, 1, -1, 0.5,
    -0.5,
    1.5, 2.5, -2.5, 100, -100, 1e-30, -1e-30, 20.5, -20.5,
  ]

  private struct Table {
    var cases: [OpCase] = []

    /// Float dtypes only; refuses bool and integers.
    mutating func float(
      _ name: String, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double,
      _ operand: Operand, _ ulps: Double, _ order: Int, zeroSign: Bool = true
    ) {
      cases.append(
        make(name, call, reference, operand, ulps, order, zeroSign)
          .refusing("int32 operand") { call(zeros([2], .int32, $0)) }
          .refusing("bool operand") { call(zeros([2], .bool, $0)) })
    }

    /// Floats and integers; refuses bool.
    mutating func number(
      _ name: String, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double,
      _ operand: Operand, _ ulps: Double, _ order: Int, zeroSign: Bool = true
    ) {
      cases.append(
        make(name, call, reference, operand, ulps, order, zeroSign)
          .refusing("bool operand") { call(zeros([2], .bool, $0)) })
      var whole = make(name, call, reference, .whole(-9...9), 0, 0, false)
      whole.variant = "integers"
      whole.dtypes = [.int32, .int64, .uint8]
      whole.specials = []
      cases.append(whole)
    }

    /// Float to bool.
    mutating func predicate(
      _ name: String, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double,
      _ operand: Operand
    ) {
      cases.append(
        make(name, call, reference, operand, 0, 0, false).result(.bool)
          .refusing("int32 operand") { call(zeros([2], .int32, $0)) })
    }

    /// Bool to bool.
    mutating func logic(
      _ name: String, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double
    ) {
      var result = make(name, call, reference, .flags, 0, 0, false).result(.bool)
      result.dtypes = [.bool]
      result.specials = []
      cases.append(result.refusing("float32 operand") { call(zeros([2], .float32, $0)) })
    }

    private func make(
      _ name: String, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double,
      _ operand: Operand, _ ulps: Double, _ order: Int, _ zeroSign: Bool
    ) -> OpCase {
      var result = OpCase(
        name, on: [operand], shapes: Shapes.unary, ulps: ulps, order: order, call: { call($0[0]) },
        reference: { $0[0].map(reference) })
      result.specials = UnaryCases.specialValues.map { [$0] }
      result.checksZeroSign = zeroSign
      return result
    }
  }
}
