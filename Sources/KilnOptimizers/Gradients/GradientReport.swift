import KilnEngine
import KilnLayers

/// How large each parameter's gradient is, to find the layers where it vanishes or explodes.
public struct GradientReport: Sendable, CustomStringConvertible {
  /// One parameter's line.
  public struct Line: Sendable {
    public var name: String
    /// The L2 norm.
    public var norm: Double
    /// The greatest magnitude of an element.
    public var greatest: Double
    /// The gradient's norm divided by the parameter's; infinite for a parameter that is 0.
    public var relative: Double
    /// Elements that are infinite or NaN.
    public var notFinite: Int
  }
  public var lines: [Line]

  /// Measures `gradients`, in the order of `parameters`, in one run. Throws their errors.
  public init(_ gradients: [Tensor], of parameters: [NamedParameter]) throws {
    guard gradients.count == parameters.count else {
      throw TensorError(
        operation: "GradientReport", rule: "needs \(parameters.count) gradients, got \(gradients.count)",
        fix: "give those of `optimizer.parameters`")
    }
    let figures = zip(gradients, parameters).map { gradient, named -> [Tensor] in
      let g = gradient.stopGradient()
      return [
        KilnOptimizers.globalNorm([g]), g.count == 0 ? .zeros([], dtype: g.dtype, on: g.device) : abs(g).max(),
        KilnOptimizers.globalNorm([named.parameter.value.stopGradient()]),
        logicalNot(isFinite(g)).cast(to: .int64).sum(),
      ]
    }
    try evaluate(figures.flatMap { $0 })
    lines = try zip(parameters, figures).map { named, figures in
      let numbers = try figures.map { try $0.item() }
      return Line(
        name: named.name, norm: numbers[0], greatest: numbers[1], relative: numbers[0] / numbers[2],
        notFinite: Int(numbers[3]))
    }
  }

  /// The L2 norm of all gradients together.
  public var globalNorm: Double { lines.reduce(0) { $0 + $1.norm * $1.norm }.squareRoot() }

  public var description: String {
    lines.map { line in
      "\(line.name): norm \(Float(line.norm)), greatest \(Float(line.greatest)), relative \(Float(line.relative))"
        + (line.notFinite > 0 ? ", \(line.notFinite) not finite" : "")
    }.joined(separator: "\n")
  }
}
