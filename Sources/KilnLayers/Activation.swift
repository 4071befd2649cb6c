import KilnEngine

/// A function between two layers. As an argument of a layer (`Dense(784, 128, activation: .relu)`) it can be fused
/// into it.
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
  /// Over the last axis.
  case softmax
  case logSoftmax

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
    case .softmax: x.softmax(axis: -1)
    case .logSoftmax: x.logSoftmax(axis: -1)
    }
  }
}

/// max(x, 0), elementwise.
public struct ReLU: Layer {
  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { relu(x) }
}

/// x where x > 0, else slope * x.
public struct LeakyReLU: Layer {
  public let slope: Double
  public init(slope: Double = 0.01) { self.slope = slope }
  public func callAsFunction(_ x: Tensor) -> Tensor { leakyReLU(x, slope: slope) }
}

/// x where x > 0, else alpha * (exp(x) - 1).
public struct ELU: Layer {
  public let alpha: Double
  public init(alpha: Double = 1) { self.alpha = alpha }
  public func callAsFunction(_ x: Tensor) -> Tensor { elu(x, alpha: alpha) }
}

/// x * Phi(x), with the normal distribution's exact Phi or its approximation by tanh.
public struct GELU: Layer {
  public let isApproximate: Bool
  public init(isApproximate: Bool = false) { self.isApproximate = isApproximate }
  public func callAsFunction(_ x: Tensor) -> Tensor { (isApproximate ? Activation.geluTanh : .gelu)(x) }
}

/// x * sigmoid(x).
public struct SiLU: Layer {
  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { silu(x) }
}

/// 1 / (1 + exp(-x)).
public struct Sigmoid: Layer {
  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { sigmoid(x) }
}

public struct Tanh: Layer {
  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { tanh(x) }
}

/// log(1 + exp(x)).
public struct Softplus: Layer {
  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { softplus(x) }
}

/// exp(x) / sum(exp(x)) over an axis.
public struct Softmax: Layer {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func callAsFunction(_ x: Tensor) -> Tensor { x.softmax(axis: axis) }
}
