import KilnEngine

// Layers that compute an `Activation`: elementwise, any shape in, the same out, of float32 or float64.

/// max(x, 0), elementwise, any shape; the gradient at 0 is 0. PyTorch's ReLU, Keras' ReLU.
public struct ReLU: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.relu(x) } }
}

/// x limited to 0...6; the gradient is 0 at the limits. PyTorch's ReLU6.
public struct ReLU6: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.relu6(x) } }
}

/// x where x > 0, else slope * x. PyTorch's LeakyReLU; Keras' slope is 0.3.
public struct LeakyReLU: Layer {
  public let slope: Double
  private let identity = LayerIdentity()

  public init(slope: Double = 0.01) { self.slope = slope }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.leakyReLU(slope: slope)(x) } }
}

/// x where x > 0, else alpha * (exp(x) - 1): Clevert et al., 2015. PyTorch's and Keras' ELU.
public struct ELU: Layer {
  public let alpha: Double
  private let identity = LayerIdentity()

  public init(alpha: Double = 1) { self.alpha = alpha }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.elu(alpha: alpha)(x) } }
}

/// x where x > 0, else alpha * (exp(x / alpha) - 1): Barron, 2017. PyTorch's and Keras' CELU.
public struct CELU: Layer {
  public let alpha: Double
  private let identity = LayerIdentity()

  public init(alpha: Double = 1) { self.alpha = alpha }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.celu(alpha: alpha)(x) } }
}

/// 1.0507 * (x where x > 0, else 1.6733 * (exp(x) - 1)): Klambauer et al., 2017. PyTorch's SELU, Keras' selu.
public struct SELU: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.selu(x) } }
}

/// x * sigmoid(x). PyTorch's SiLU, Keras' silu; also called swish.
public struct SiLU: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.silu(x) } }
}

/// x * tanh(softplus(x)): Misra, 2019. PyTorch's Mish, Keras' mish.
public struct Mish: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.mish(x) } }
}

/// 1 / (1 + exp(-x)). PyTorch's Sigmoid, Keras' sigmoid.
public struct Sigmoid: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.sigmoid(x) } }
}

/// log(sigmoid(x)), finite for any finite x. PyTorch's LogSigmoid.
public struct LogSigmoid: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.logSigmoid(x) } }
}

/// (x + 3) / 6 limited to 0...1. PyTorch's Hardsigmoid, Keras' hard_sigmoid.
public struct Hardsigmoid: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.hardsigmoid(x) } }
}

/// x * hardsigmoid(x): Howard et al., 2019. PyTorch's Hardswish, Keras' hard_swish.
public struct Hardswish: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.hardswish(x) } }
}

/// The hyperbolic tangent. PyTorch's Tanh, Keras' tanh.
public struct Tanh: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.tanh(x) } }
}

/// x limited to min...max; the gradient is 0 at the limits. PyTorch's Hardtanh.
public struct Hardtanh: Layer {
  public let min: Double
  public let max: Double
  private let identity = LayerIdentity()

  public init(min: Double = -1, max: Double = 1) { (self.min, self.max) = (min, max) }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.hardtanh(min: min, max: max)(x) } }
}

/// log(1 + exp(x)), without overflow. PyTorch's Softplus, Keras' softplus.
public struct Softplus: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.softplus(x) } }
}

/// x / (1 + |x|). PyTorch's Softsign, Keras' softsign.
public struct Softsign: Layer {
  private let identity = LayerIdentity()

  public init() {}
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { Activation.softsign(x) } }
}

/// x * Phi(x), with the normal distribution's exact Phi or its approximation by tanh (Hendrycks and Gimpel, 2016).
/// PyTorch's GELU (`approximate="tanh"`), Keras' gelu.
public struct GELU: Layer {
  public let isApproximate: Bool
  private let identity = LayerIdentity()

  public init(isApproximate: Bool = false) { self.isApproximate = isApproximate }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { (isApproximate ? Activation.geluTanh : .gelu)(x) } }
}

/// exp(x) / sum(exp(x)) over an axis, without overflow; any shape, same shape out. PyTorch's and Keras' Softmax.
public struct Softmax: Layer {
  public let axis: Int
  private let identity = LayerIdentity()

  public init(axis: Int = -1) { self.axis = axis }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { x.softmax(axis: axis) } }
}

/// log(softmax(x)) over an axis, finite for any finite x; any shape, same shape out. PyTorch's LogSoftmax.
public struct LogSoftmax: Layer {
  public let axis: Int
  private let identity = LayerIdentity()

  public init(axis: Int = -1) { self.axis = axis }
  /// Any shape, same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { x.logSoftmax(axis: axis) } }
}

/// x where x > 0, else weight * x, with one learned weight or one for each channel (He et al., 2015):
/// x [batch, channels, ...], same shape out. PyTorch's and Keras' PReLU (Keras starts at 0).
public struct PReLU: Layer {
  /// [1] or [channels].
  public let weight: Parameter

  /// `channels` is 1 or x's own number of them; the weights start as 0.25.
  public init(
    _ channels: Int = 1, initializer: Initializer = .constant(0.25), dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    weight = Parameter(
      initializer.draw([channels], Initializer.Fan(inputs: 1, outputs: 1), dtype, device, generator))
  }

  /// [batch, channels, ...], same shape out; with one weight any shape.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let slope = weight.value
      if slope.count == 1 { return select(x .> 0, x, x * slope) }
      guard x.rank >= 2, x.shape[1] == slope.count else {
        return .layerFailure(
          "PReLU", rule: "x must be [batch, channels, ...] with \(slope.count) channels", operands: [("x", x)],
          fix: "give PReLU as many channels, or 1", shape: x.shape, dtype: x.dtype)
      }
      return select(x .> 0, x, x * perChannel(slope, x))
    }
  }

  public var configuration: String { "\(weight.count)" }
}
