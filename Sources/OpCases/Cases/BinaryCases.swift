import Foundation
import KilnEngine

/// One line for each binary operation, over pairs of equal and of broadcast shapes.
enum BinaryCases {
  static var all: [OpCase] {
    var t = Table()
    let any = Operand.uniform(-3...3)
    let away = Operand.awayFromZero(0.5, 3)
    t.number("add", { $0 + $1 }, { $0 + $1 }, any, any, 0.5, 2)
    t.number("subtract", { $0 - $1 }, { $0 - $1 }, any, any, 0.5, 2)
    t.number("multiply", { $0 * $1 }, { $0 * $1 }, any, any, 0.5, 2)
    t.float("divide", { $0 / $1 }, { $0 / $1 }, any, away, 3, 2)
    t.number("remainder", { remainder($0, $1) }, Reference.remainder, .uniform(5.1...5.8), .uniform(1.82...2.4), 0.5, 1)
    t.float("power", { pow($0, $1) }, { Foundation.pow($0, $1) }, .uniform(0.2...3), .uniform(-3...3), 16, 2)
    t.number("maximum", { maximum($0, $1) }, { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }, .distinct, apart, 0, 1)
    t.number("minimum", { minimum($0, $1) }, { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }, .distinct, apart, 0, 1)
    t.float("arctangent2", { atan2($0, $1) }, { Foundation.atan2($0, $1) }, away, away, 6, 2)
    t.comparison("equal", { $0 .== $1 }, { $0 == $1 })
    t.comparison("notEqual", { $0 .!= $1 }, { $0 != $1 })
    t.comparison("less", { $0 .< $1 }, { $0 < $1 })
    t.comparison("lessEqual", { $0 .<= $1 }, { $0 <= $1 })
    t.comparison("greater", { $0 .> $1 }, { $0 > $1 })
    t.comparison("greaterEqual", { $0 .>= $1 }, { $0 >= $1 })
    t.logic("and", { $0 .&& $1 }, { $0 && $1 })
    t.logic("or", { $0 .|| $1 }, { $0 || $1 })
    t.logic("xor", { $0 .^^ $1 }, { $0 != $1 })
    return t.cases + scalars + signedRemainder
  }

  /// Never equal to any value of `.distinct`, and never nearer than 0.005.
  private static let apart = Operand.each { bits in Double(bits.below(40) - 20) * 0.0625 - 0.015625 }

  /// An operator with a Swift number on either side.
  private static var scalars: [OpCase] {
    func scalar(
      _ name: String, _ variant: String, _ ulps: Double, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double
    ) -> OpCase {
      OpCase(
        name, variant, on: [.awayFromZero(0.3, 3)], shapes: [[[5, 7]], [[0]]], ulps: ulps, order: 2,
        call: { call($0[0]) }, reference: { $0[0].map(reference) })
    }
    return [
      scalar("add", "tensor + number", 0.5, { $0 + 1.5 }, { $0 + 1.5 }),
      scalar("add", "number + tensor", 0.5, { 1.5 + $0 }, { 1.5 + $0 }),
      scalar("subtract", "tensor - number", 0.5, { $0 - 1.5 }, { $0 - 1.5 }),
      scalar("subtract", "number - tensor", 0.5, { 1.5 - $0 }, { 1.5 - $0 }),
      scalar("multiply", "tensor * number", 0.5, { $0 * -2.25 }, { $0 * -2.25 }),
      scalar("multiply", "number * tensor", 0.5, { -2.25 * $0 }, { -2.25 * $0 }),
      scalar("divide", "tensor / number", 3, { $0 / 1.5 }, { $0 / 1.5 }),
      scalar("divide", "number / tensor", 3, { 1.5 / $0 }, { 1.5 / $0 }),
      scalar("power", "tensor to number", 16, { pow(abs($0), 2.5) }, { Foundation.pow(Foundation.fabs($0), 2.5) }),
      scalar("power", "number to tensor", 16, { pow(2.5, $0) }, { Foundation.pow(2.5, $0) }),
      scalar("power", "negative base, whole exponent", 16, { pow($0, 3) }, { $0 * $0 * $0 }),
    ]
  }

  /// All four combinations of signs, without gradients.
  private static var signedRemainder: [OpCase] {
    [
      OpCase(
        "remainder", "signs", on: [.awayFromZero(1, 9), .awayFromZero(1, 3)], shapes: [[[67, 3], [67, 3]]], ulps: 0.5,
        call: { remainder($0[0], $0[1]) }, reference: { NDArray.zip($0[0], $0[1], Reference.remainder) })
    ]
  }

  private static let specials: [Double] = [
    .nan, .infinity, -.infinity, 0, -0.0, 3.4e38, -3.4e38, 1e-40, 1, -1, 2, -2, 0.5, -0.5, 3,
  ]

  private struct Table {
    var cases: [OpCase] = []
    typealias Call = @Sendable (Tensor, Tensor) -> Tensor

    mutating func float(
      _ name: String, _ call: @escaping Call, _ reference: @escaping @Sendable (Double, Double) -> Double,
      _ a: Operand, _ b: Operand, _ ulps: Double, _ order: Int
    ) {
      cases.append(make(name, call, reference, a, b, ulps, order))
    }

    mutating func number(
      _ name: String, _ call: @escaping Call, _ reference: @escaping @Sendable (Double, Double) -> Double,
      _ a: Operand, _ b: Operand, _ ulps: Double, _ order: Int
    ) {
      cases.append(make(name, call, reference, a, b, ulps, order))
      var whole = make(
        name, call, { name == "remainder" && $1 == 0 ? 0 : reference($0, $1) }, .whole(0...30), .whole(1...30), 0, 0)
      whole.variant = "integers"
      whole.dtypes = [.int32, .int64, .uint8]
      whole.specials = []
      whole.refusals = []
      cases.append(whole)
    }

    mutating func comparison(
      _ name: String, _ call: @escaping Call, _ reference: @escaping @Sendable (Double, Double) -> Bool
    ) {
      var result = make(name, call, { reference($0, $1) ? 1 : 0 }, .whole(0...3), .whole(0...3), 0, 0).result(.bool)
      result.dtypes = [.float32, .float64, .int32, .int64, .uint8, .bool]
      cases.append(result)
    }

    mutating func logic(
      _ name: String, _ call: @escaping Call, _ reference: @escaping @Sendable (Bool, Bool) -> Bool
    ) {
      var result = make(name, call, { reference($0 != 0, $1 != 0) ? 1 : 0 }, .flags, .flags, 0, 0).result(.bool)
      result.dtypes = [.bool]
      result.specials = []
      cases.append(
        result.refusing("float32 operands") { call(zeros([2], .float32, $0), zeros([2], .float32, $0)) })
    }

    private func make(
      _ name: String, _ call: @escaping Call, _ reference: @escaping @Sendable (Double, Double) -> Double,
      _ a: Operand, _ b: Operand, _ ulps: Double, _ order: Int
    ) -> OpCase {
      var result = OpCase(
        name, on: [a, b], shapes: Shapes.pair, ulps: ulps, order: order, call: { call($0[0], $0[1]) },
        reference: { NDArray.zip($0[0], $0[1], reference) })
      for x in BinaryCases.specials {
        for y in BinaryCases.specials { result.specials.append([x, y]) }
      }
      // Which zero max(0, -0) is, and the sign of a zero remainder, is left open.
      result.checksZeroSign = !["maximum", "minimum", "remainder"].contains(name)
      return result.refusing("shapes that do not broadcast") {
        call(
          zeros([2, 3], name == "and" || name == "or" || name == "xor" ? .bool : .float32, $0),
          zeros([4], name == "and" || name == "or" || name == "xor" ? .bool : .float32, $0))
      }
    }
  }
}
