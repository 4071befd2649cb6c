import KilnEngine

/// A function between two layers. As an argument of a layer (`Dense(784, 128, activation: .relu)`) it can be fused
/// into it; each is a layer too (`ReLU()`).
public enum Activation: Hashable, Sendable {
  case identity
  case relu
  case leakyReLU(slope: Double = 0.01)
  case elu(alpha: Double = 1)
  case gelu
  case geluTanh
  case silu
  case sigmoid
  case tanh
  case softplus
  case relu6
  case selu
  case celu(alpha: Double = 1)
  case mish
  case hardtanh(min: Double = -1, max: Double = 1)
  case hardsigmoid
  case hardswish
  case softsign
  case logSigmoid
  /// Over the last axis.
  case softmax
  case logSoftmax
  /// A name that was misspelt: what it is applied to carries an error with the near matches.
  case unknown(String)

  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .identity: x
    case .relu: KilnEngine.relu(x)
    case .leakyReLU(let slope): KilnEngine.leakyReLU(x, slope: slope)
    case .elu(let alpha): KilnEngine.elu(x, alpha: alpha)
    case .gelu: KilnEngine.gelu(x)
    case .geluTanh: KilnEngine.gelu(x, approximation: .tanh)
    case .silu: KilnEngine.silu(x)
    case .sigmoid: KilnEngine.sigmoid(x)
    case .tanh: KilnEngine.tanh(x)
    case .softplus: KilnEngine.softplus(x)
    case .relu6: Self.limited(x, 0, 6)
    case .selu: KilnEngine.elu(x, alpha: Self.seluAlpha) * Self.seluScale
    case .celu(let alpha): KilnEngine.select(x .> 0, x, expm1(KilnEngine.select(x .> 0, 0, x) / alpha) * alpha)
    case .mish: x * KilnEngine.tanh(KilnEngine.softplus(x))
    case .hardtanh(let min, let max): Self.limited(x, min, max)
    case .hardsigmoid: Self.limited(x + 3, 0, 6) / 6
    case .hardswish: x * Self.limited(x + 3, 0, 6) / 6
    case .softsign: x / (abs(x) + 1)
    case .logSigmoid: KilnEngine.logSigmoid(x)
    case .softmax: x.softmax(axis: -1)
    case .logSoftmax: x.logSoftmax(axis: -1)
    case .unknown(let name): Self.refused(name, x)
    }
  }

  /// Klambauer et al., 2017: with these, mean 0 and variance 1 are a fixed point.
  static let seluAlpha = 1.6732632423543772
  static let seluScale = 1.0507009873554805

  /// x within bounds, with no gradient at and outside them, as in PyTorch; NaN stays NaN.
  private static func limited(_ x: Tensor, _ min: Double, _ max: Double) -> Tensor {
    KilnEngine.select(x .<= min, min, KilnEngine.select(x .>= max, max, x))
  }

  /// The factor that keeps the variance of what goes through, for initializers: PyTorch's calculate_gain. For smooth
  /// relatives of relu, which that does not list, relu's.
  public var gain: Double {
    switch self {
    case .tanh: 5.0 / 3
    case .selu: 3.0 / 4
    case .leakyReLU(let slope): (2 / (1 + slope * slope)).squareRoot()
    case .relu, .relu6, .elu, .celu, .gelu, .geluTanh, .silu, .mish, .softplus, .hardswish: 2.0.squareRoot()
    case .identity, .sigmoid, .hardtanh, .hardsigmoid, .softsign, .logSigmoid, .softmax, .logSoftmax, .unknown: 1
    }
  }
}
