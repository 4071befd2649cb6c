import Foundation

/// The unary elementwise operations. Each is one row: kernel text, host function, cost and gradient, side by side.
/// To add one: add the case and its row here, and its cases to `OpCases`. See docs/adding-an-op.md.
public enum UnaryOp: String, Hashable, Sendable, CaseIterable {
  case negate, abs, sign, square, reciprocal, sqrt, rsqrt
  case exp, expm1, log, log1p
  case sin, cos, tan, tanh, sigmoid, erf, erfInverse
  case relu, softplus, logSigmoid, gelu, geluDerivative
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
      // Some devices' tanh stays an ULP below 1 for large x, which the derivative of gelu multiplies by x^3.
      UnaryRow(
        domain: .float, openCL: "(fabs(x) > (T)20 ? copysign((T)1, x) : tanh(x))", float: { tanhf($0) },
        double: { Foundation.tanh($0) }, cost: 16,
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
      // Giles 2012, then Halley's steps on erf or erfc in the tensor's precision; +-1 gives +-infinity, outside gives NaN.
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
    case .logSigmoid:  // log(1 / (1 + exp(-x))), exact at both ends: no exponential of a positive number
      UnaryRow(
        domain: .float, openCL: "(fmin(x, (T)0) - log1p(exp(-fabs(x))))",
        float: { Swift.min($0, 0) - log1pf(expf(-Swift.abs($0))) },
        double: { Swift.min($0, 0) - Foundation.log1p(Foundation.exp(-Swift.abs($0))) },
        cost: 30, gradient: .rule { x, _, g in g * KilnEngine.sigmoid(-x) })
    case .gelu:  // x Phi(x)
      UnaryRow(
        domain: .float, openCL: "(x * (T)0.5 * (erf(x * (T)0.7071067811865476) + (T)1))",
        float: { $0 * 0.5 * (erff($0 * 0.70710678) + 1) },
        double: { $0 * 0.5 * (Foundation.erf($0 * 0.7071067811865476) + 1) }, cost: 20,
        gradient: .rule { x, _, g in g * x.unary(.geluDerivative) })
    case .geluDerivative:  // Phi(x) + x phi(x), the derivative of gelu; its own is (2 - x^2) phi(x)
      UnaryRow(
        domain: .float,
        openCL:
          "((T)0.5 * (erf(x * (T)0.7071067811865476) + (T)1) + x * (exp(x * x * (T)-0.5) * (T)0.3989422804014327))",
        float: { 0.5 * (erff($0 * 0.70710678) + 1) + $0 * (expf($0 * $0 * -0.5) * 0.3989423) },
        double: {
          0.5 * (Foundation.erf($0 * 0.7071067811865476) + 1) + $0
            * (Foundation.exp($0 * $0 * -0.5) * 0.3989422804014327)
        }, cost: 32,
        gradient: .rule { x, _, g in
          g * ((2 - KilnEngine.square(x)) * (KilnEngine.exp(KilnEngine.square(x) * -0.5) * 0.3989422804014327))
        })
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

// MARK: The public functions
//
// Tensors of any shape; each keeps shape and dtype (predicates give bool). Float functions take float32 and float64
// and carry an error for other dtypes.

/// |x|; the gradient at 0 is 0.
public func abs(_ x: Tensor) -> Tensor { x.unary(.abs) }
/// -1, 0 or 1; NaN stays NaN. The gradient is zero.
public func sign(_ x: Tensor) -> Tensor { x.unary(.sign) }
/// x * x.
public func square(_ x: Tensor) -> Tensor { x.unary(.square) }
/// 1 / x; infinite at 0.
public func reciprocal(_ x: Tensor) -> Tensor { x.unary(.reciprocal) }
/// The square root; NaN below 0, gradient infinite at 0.
public func sqrt(_ x: Tensor) -> Tensor { x.unary(.sqrt) }
/// 1 / sqrt(x); infinite at 0, NaN below.
public func rsqrt(_ x: Tensor) -> Tensor { x.unary(.rsqrt) }
/// e to the x; float32 overflows to infinity above 88.72.
public func exp(_ x: Tensor) -> Tensor { x.unary(.exp) }
/// exp(x) - 1 without cancellation near 0.
public func expm1(_ x: Tensor) -> Tensor { x.unary(.expm1) }
/// The natural logarithm; -infinity at 0, NaN below.
public func log(_ x: Tensor) -> Tensor { x.unary(.log) }
/// log(1 + x) without cancellation near 0; -infinity at -1, NaN below.
public func log1p(_ x: Tensor) -> Tensor { x.unary(.log1p) }
/// The sine of radians; NaN at +-infinity.
public func sin(_ x: Tensor) -> Tensor { x.unary(.sin) }
/// The cosine of radians; NaN at +-infinity.
public func cos(_ x: Tensor) -> Tensor { x.unary(.cos) }
/// The tangent of radians.
public func tan(_ x: Tensor) -> Tensor { x.unary(.tan) }
/// The hyperbolic tangent, -1...1.
public func tanh(_ x: Tensor) -> Tensor { x.unary(.tanh) }
/// 1 / (1 + exp(-x)), 0...1.
public func sigmoid(_ x: Tensor) -> Tensor { x.unary(.sigmoid) }
/// The error function, -1...1.
public func erf(_ x: Tensor) -> Tensor { x.unary(.erf) }
/// The inverse of `erf` on -1...1: infinite at the ends, NaN outside.
public func erfInverse(_ x: Tensor) -> Tensor { x.unary(.erfInverse) }
/// max(x, 0); NaN passes through, the gradient at 0 is 0. Any number dtype.
public func relu(_ x: Tensor) -> Tensor { x.unary(.relu) }
/// log(1 + exp(x)), exact at both ends.
public func softplus(_ x: Tensor) -> Tensor { x.unary(.softplus) }
/// log(sigmoid(x)), exact at both ends: x far below 0, -exp(-x) far above.
public func logSigmoid(_ x: Tensor) -> Tensor { x.unary(.logSigmoid) }
/// The nearest whole number below; gradient zero.
public func floor(_ x: Tensor) -> Tensor { x.unary(.floor) }
/// The nearest whole number above; gradient zero.
public func ceil(_ x: Tensor) -> Tensor { x.unary(.ceil) }
/// The nearest whole number, halves to even; gradient zero.
public func round(_ x: Tensor) -> Tensor { x.unary(.round) }
/// Whether each element is NaN, as bool.
public func isNaN(_ x: Tensor) -> Tensor { x.unary(.isNaN) }
/// Whether each element is neither NaN nor infinite, as bool.
public func isFinite(_ x: Tensor) -> Tensor { x.unary(.isFinite) }
/// The other truth value of a bool tensor.
public func logicalNot(_ x: Tensor) -> Tensor { x.unary(.logicalNot) }
