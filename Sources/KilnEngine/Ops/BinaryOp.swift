import Foundation

/// The binary elementwise operations on two operands of one dtype, one row each, as in `UnaryOp`.
/// Cotangents are given in the result's shape; the engine sums them over broadcast axes.
public enum BinaryOp: String, Hashable, Sendable, CaseIterable {
  case add, subtract, multiply, divide, remainder, power, maximum, minimum, arctangent2
  case equal, notEqual, less, lessEqual, greater, greaterEqual
  case and, or, xor

  public var row: BinaryRow {
    switch self {
    case .add:
      BinaryRow(
        domain: .number, openCL: "a + b", float: { $0 + $1 }, double: { $0 + $1 }, integer: { $0 &+ $1 }, cost: 1,
        gradient: .rule(lhs: { _, _, _, g in g }, rhs: { _, _, _, g in g }))
    case .subtract:
      BinaryRow(
        domain: .number, openCL: "a - b", float: { $0 - $1 }, double: { $0 - $1 }, integer: { $0 &- $1 }, cost: 1,
        gradient: .rule(lhs: { _, _, _, g in g }, rhs: { _, _, _, g in -g }))
    case .multiply:
      BinaryRow(
        domain: .number, openCL: "a * b", float: { $0 * $1 }, double: { $0 * $1 }, integer: { $0 &* $1 }, cost: 1,
        gradient: .rule(lhs: { _, b, _, g in g * b }, rhs: { a, _, _, g in g * a }))
    case .divide:  // integers are divided as float by the public operator, so that this row sees floats only
      BinaryRow(
        domain: .float, openCL: "a / b", float: { $0 / $1 }, double: { $0 / $1 }, cost: 4,
        gradient: .rule(lhs: { _, b, _, g in g / b }, rhs: { _, b, y, g in -(g * y / b) }))
    case .remainder:  // the sign of the divisor, as Python's %; integer x % 0 is 0
      BinaryRow(
        domain: .number, openCL: "kiln_remainder(a, b)",
        float: { floorRemainder($0, $1) }, double: { floorRemainder($0, $1) },
        integer: { a, b in
          if b == 0 || b == -1 { return 0 }
          let r = a % b
          return r != 0 && (r < 0) != (b < 0) ? r + b : r
        }, cost: 12,
        gradient: .rule(
          lhs: { _, _, _, g in g }, rhs: { a, b, _, g in -(g * KilnEngine.floor(a / b)) }))
    case .power:  // pow(x, 0) = 1 for every x; a negative base to a non-integer power is NaN
      BinaryRow(
        domain: .float, openCL: "pow(a, b)", float: { powf($0, $1) }, double: { Foundation.pow($0, $1) }, cost: 40,
        gradient: .rule(
          lhs: { a, b, _, g in KilnEngine.select(b .== 0, 0, g * (b * KilnEngine.pow(a, b - 1))) },
          // Where a is 0 the limit is 0 for b >= 0; log(0) * 0 would be NaN.
          rhs: { a, b, y, g in
            let safe = KilnEngine.select((a .== 0) .&& (b .>= 0), 1, a)
            return g * (y * KilnEngine.log(safe))
          }))
    case .maximum:  // NaN if either is; equal operands share the gradient evenly
      BinaryRow(
        domain: .number, openCL: "kiln_maximum(a, b)", openCLInteger: "(a > b ? a : b)",
        float: { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) },
        double: { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) }, integer: { Swift.max($0, $1) }, cost: 2,
        gradient: .rule(
          lhs: { a, b, _, g in g * shareOfExtreme(a .> b, a .== b, g.dtype) },
          rhs: { a, b, _, g in g * shareOfExtreme(b .> a, a .== b, g.dtype) }))
    case .minimum:
      BinaryRow(
        domain: .number, openCL: "kiln_minimum(a, b)", openCLInteger: "(a < b ? a : b)",
        float: { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) },
        double: { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) }, integer: { Swift.min($0, $1) }, cost: 2,
        gradient: .rule(
          lhs: { a, b, _, g in g * shareOfExtreme(a .< b, a .== b, g.dtype) },
          rhs: { a, b, _, g in g * shareOfExtreme(b .< a, a .== b, g.dtype) }))
    case .arctangent2:
      BinaryRow(
        domain: .float, openCL: "atan2(a, b)", float: { atan2f($0, $1) }, double: { Foundation.atan2($0, $1) },
        cost: 40,
        gradient: .rule(
          lhs: { a, b, _, g in g * (b / (KilnEngine.square(a) + KilnEngine.square(b))) },
          rhs: { a, b, _, g in -(g * (a / (KilnEngine.square(a) + KilnEngine.square(b)))) }))
    case .equal:
      comparison("a == b", float: { $0 == $1 }, double: { $0 == $1 }, integer: { $0 == $1 })
    case .notEqual:
      comparison("a != b", float: { $0 != $1 }, double: { $0 != $1 }, integer: { $0 != $1 })
    case .less:
      comparison("a < b", float: { $0 < $1 }, double: { $0 < $1 }, integer: { $0 < $1 })
    case .lessEqual:
      comparison("a <= b", float: { $0 <= $1 }, double: { $0 <= $1 }, integer: { $0 <= $1 })
    case .greater:
      comparison("a > b", float: { $0 > $1 }, double: { $0 > $1 }, integer: { $0 > $1 })
    case .greaterEqual:
      comparison("a >= b", float: { $0 >= $1 }, double: { $0 >= $1 }, integer: { $0 >= $1 })
    case .and: logic("a & b") { $0 & $1 }
    case .or: logic("a | b") { $0 | $1 }
    case .xor: logic("a ^ b") { $0 ^ $1 }
    }
  }

  private func comparison(
    _ openCL: String, float: @escaping @Sendable (Float, Float) -> Bool,
    double: @escaping @Sendable (Double, Double) -> Bool, integer: @escaping @Sendable (Int64, Int64) -> Bool
  ) -> BinaryRow {
    BinaryRow(
      domain: .any, isPredicate: true, openCL: openCL, float: { float($0, $1) ? 1 : 0 },
      double: { double($0, $1) ? 1 : 0 }, integer: { integer($0, $1) ? 1 : 0 }, cost: 1, gradient: .zero)
  }

  private func logic(_ openCL: String, _ integer: @escaping @Sendable (Int64, Int64) -> Int64) -> BinaryRow {
    BinaryRow(
      domain: .bool, isPredicate: true, openCL: openCL, float: { Float(integer(Int64($0), Int64($1))) },
      double: { Double(integer(Int64($0), Int64($1))) }, integer: integer, cost: 1, gradient: .zero)
  }
}
