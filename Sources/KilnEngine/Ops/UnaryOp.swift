import Foundation

/// The unary elementwise operations. Each is one row: kernel text, host function, cost and gradient, side by side.
/// To add one: add the case and its row here, and its cases to `OpCases`. See docs/adding-an-op.md.
public enum UnaryOp: String, Hashable, Sendable, CaseIterable {
  case negate, abs, sign, square, reciprocal, sqrt, rsqrt
  case exp, expm1, log, log1p
  case sin, cos, tan, tanh, sigmoid, erf, erfInverse
  case relu, softplus
  case floor, ceil, round
  case isNaN, isFinite, logicalNot

  public var row: UnaryRow {
    switch self {
    case .negate:
      UnaryRow(
        domain: .number, openCL: "-x", float: { -$0 }, double: { -$0 }, integer: { 0 &- $0 }, cost: 1,
        gradient: .rule { _, _, g in -g })
    case .abs:
      UnaryRow(
        domain: .number, openCL: "fabs(x)", openCLInteger: "(x < 0 ? -x : x)", float: { Swift.abs($0) },
        double: { Swift.abs($0) }, integer: { $0 < 0 ? 0 &- $0 : $0 }, cost: 1,
        gradient: .rule { x, _, g in g * KilnEngine.sign(x) })
    case .sign:  // sign(0) = 0, sign(NaN) = NaN
      UnaryRow(
        domain: .number, openCL: "(isnan(x) ? x : (T)((x > 0) - (x < 0)))", openCLInteger: "(T)((x > 0) - (x < 0))",
        float: { $0.isNaN ? $0 : Float($0 > 0 ? 1 : $0 < 0 ? -1 : 0) },
        double: { $0.isNaN ? $0 : Double($0 > 0 ? 1 : $0 < 0 ? -1 : 0) }, integer: { $0.signum() }, cost: 2,
        gradient: .zero)
    case .square:
      UnaryRow(
        domain: .number, openCL: "x * x", float: { $0 * $0 }, double: { $0 * $0 }, integer: { $0 &* $0 }, cost: 1,
        gradient: .rule { x, _, g in g * (x * 2) })
    case .reciprocal:
      UnaryRow(
        domain: .float, openCL: "(T)1 / x", float: { 1 / $0 }, double: { 1 / $0 }, cost: 4,
        gradient: .rule { _, y, g in -(g * y * y) })
    case .sqrt:
      UnaryRow(
        domain: .float, openCL: "sqrt(x)", float: { $0.squareRoot() }, double: { $0.squareRoot() }, cost: 4,
        gradient: .rule { _, y, g in g * 0.5 / y })
    case .rsqrt:
      UnaryRow(
        domain: .float, openCL: "(T)1 / sqrt(x)", float: { 1 / $0.squareRoot() }, double: { 1 / $0.squareRoot() },
        cost: 8, gradient: .rule { x, y, g in g * -0.5 * y / x })
    case .exp:
      UnaryRow(
        domain: .float, openCL: "exp(x)", float: { expf($0) }, double: { Foundation.exp($0) }, cost: 12,
        gradient: .rule { _, y, g in g * y })
    case .expm1:
      UnaryRow(
        domain: .float, openCL: "expm1(x)", float: { expm1f($0) }, double: { Foundation.expm1($0) }, cost: 16,
        gradient: .rule { _, y, g in g * (y + 1) })
    case .log:
      UnaryRow(
        domain: .float, openCL: "log(x)", float: { logf($0) }, double: { Foundation.log($0) }, cost: 12,
        gradient: .rule { x, _, g in g / x })
    case .log1p:
      UnaryRow(
        domain: .float, openCL: "log1p(x)", float: { log1pf($0) }, double: { Foundation.log1p($0) }, cost: 16,
        gradient: .rule { x, _, g in g / (x + 1) })
    case .sin:
      UnaryRow(
        domain: .float, openCL: "sin(x)", float: { sinf($0) }, double: { Foundation.sin($0) }, cost: 16,
        gradient: .rule { x, _, g in g * KilnEngine.cos(x) })
    case .cos:
      UnaryRow(
        domain: .float, openCL: "cos(x)", float: { cosf($0) }, double: { Foundation.cos($0) }, cost: 16,
        gradient: .rule { x, _, g in -(g * KilnEngine.sin(x)) })
    case .tan:
      UnaryRow(
        domain: .float, openCL: "tan(x)", float: { tanf($0) }, double: { Foundation.tan($0) }, cost: 20,
        gradient: .rule { _, y, g in g * (KilnEngine.square(y) + 1) })
    case .tanh:
      // (1 - y)(1 + y), not 1 / cosh(x)^2, which overflows; not distributed over g, which would lose precision.
      UnaryRow(
        domain: .float, openCL: "tanh(x)", float: { tanhf($0) }, double: { Foundation.tanh($0) }, cost: 16,
        gradient: .rule { _, y, g in g * ((1 - y) * (1 + y)) })
    case .sigmoid:
      UnaryRow(
        domain: .float, openCL: "(T)1 / ((T)1 + exp(-x))", float: { 1 / (1 + expf(-$0)) },
        double: { 1 / (1 + Foundation.exp(-$0)) }, cost: 16,
        gradient: .rule { _, y, g in g * (y * (1 - y)) })
    case .erf:
      UnaryRow(
        domain: .float, openCL: "erf(x)", float: { erff($0) }, double: { Foundation.erf($0) }, cost: 16,
        gradient: .rule { x, _, g in g * (KilnEngine.exp(-KilnEngine.square(x)) * 1.1283791670955126) })
    case .erfInverse:
      // Giles 2012, then two Newton steps on erf in the tensor's precision; +-1 gives +-infinity, outside gives NaN.
      UnaryRow(
        domain: .float, openCL: "kiln_erf_inverse(x)", float: { Float(inverseErrorFunction(Double($0))) },
        double: { inverseErrorFunction($0) }, cost: 60,
        gradient: .rule { _, y, g in g * (KilnEngine.exp(KilnEngine.square(y)) * 0.886226925452758) })
    case .relu:  // the gradient at 0 is 0, NaN passes through
      UnaryRow(
        domain: .number, openCL: "(x < 0 ? (T)0 : x)", float: { $0 < 0 ? 0 : $0 }, double: { $0 < 0 ? 0 : $0 },
        integer: { Swift.max($0, 0) }, cost: 1,
        gradient: .rule { _, y, g in KilnEngine.select(y .> 0, g, 0) })
    case .softplus:  // log(1 + exp(x)), exact at both ends
      UnaryRow(
        domain: .float, openCL: "(fmax(x, (T)0) + log1p(exp(-fabs(x))))",
        float: { Swift.max($0, 0) + log1pf(expf(-Swift.abs($0))) + ($0.isNaN ? $0 : 0) },
        double: { Swift.max($0, 0) + Foundation.log1p(Foundation.exp(-Swift.abs($0))) + ($0.isNaN ? $0 : 0) },
        cost: 30, gradient: .rule { x, _, g in g * KilnEngine.sigmoid(x) })
    case .floor:
      UnaryRow(
        domain: .float, openCL: "floor(x)", float: { $0.rounded(.down) }, double: { $0.rounded(.down) }, cost: 1,
        gradient: .zero)
    case .ceil:
      UnaryRow(
        domain: .float, openCL: "ceil(x)", float: { $0.rounded(.up) }, double: { $0.rounded(.up) }, cost: 1,
        gradient: .zero)
    case .round:  // halves to even
      UnaryRow(
        domain: .float, openCL: "rint(x)", float: { $0.rounded(.toNearestOrEven) },
        double: { $0.rounded(.toNearestOrEven) }, cost: 1, gradient: .zero)
    case .isNaN:
      UnaryRow(
        domain: .float, isPredicate: true, openCL: "isnan(x)", float: { $0.isNaN ? 1 : 0 },
        double: { $0.isNaN ? 1 : 0 }, cost: 1, gradient: .zero)
    case .isFinite:
      UnaryRow(
        domain: .float, isPredicate: true, openCL: "isfinite(x)", float: { $0.isFinite ? 1 : 0 },
        double: { $0.isFinite ? 1 : 0 }, cost: 1, gradient: .zero)
    case .logicalNot:
      UnaryRow(
        domain: .bool, isPredicate: true, openCL: "!x", openCLInteger: "!x", float: { $0 == 0 ? 1 : 0 },
        double: { $0 == 0 ? 1 : 0 }, integer: { $0 == 0 ? 1 : 0 }, cost: 1, gradient: .zero)
    }
  }
}
