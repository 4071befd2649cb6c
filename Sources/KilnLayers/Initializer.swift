import KilnEngine

/// How a parameter's first values are drawn.
public struct Initializer: Sendable {
  /// The number of inputs and outputs that a weight connects: for Dense [out, in] these two; for a convolution
  /// [out, in, height, width] each times the kernel's size.
  public struct Fan: Sendable, Hashable {
    public var inputs, outputs: Int
    public init(inputs: Int, outputs: Int) { (self.inputs, self.outputs) = (inputs, outputs) }
  }

  /// One draw. The same generator state gives the same values on every device.
  public typealias Draw =
    @Sendable (_ shape: Shape, _ fan: Fan, _ dtype: DType, _ device: Device, _ generator: RandomGenerator) -> Tensor
  public var draw: Draw

  public init(_ draw: @escaping Draw) { self.draw = draw }

  /// Uniform in +-1/sqrt(inputs): PyTorch's default for the weights and biases of linear and convolution layers
  /// (which it calls kaiming_uniform with a = sqrt(5)).
  public static let pyTorch = uniform { 1 / Double(max($0.inputs, 1)).squareRoot() }
  /// Uniform in +-sqrt(6 / (inputs + outputs)): Glorot and Bengio, 2010; Keras' default for weights.
  public static let glorotUniform = uniform { (6 / Double(max($0.inputs + $0.outputs, 1))).squareRoot() }
  /// Normal with variance 2 / (inputs + outputs).
  public static let glorotNormal = normal { (2 / Double(max($0.inputs + $0.outputs, 1))).squareRoot() }
  /// Uniform in +-sqrt(6 / inputs): He et al., 2015, for relu.
  public static let heUniform = uniform { (6 / Double(max($0.inputs, 1))).squareRoot() }
  /// Normal with variance 2 / inputs.
  public static let heNormal = normal { (2 / Double(max($0.inputs, 1))).squareRoot() }
  public static let zeros = constant(0)
  public static let ones = constant(1)

  public static func constant(_ value: Double) -> Initializer {
    Initializer { shape, _, dtype, device, _ in .full(shape, value, dtype: dtype, on: device) }
  }

  private static func uniform(_ bound: @escaping @Sendable (Fan) -> Double) -> Initializer {
    Initializer { shape, fan, dtype, device, generator in
      let limit = bound(fan)
      return .randomUniform(shape, low: -limit, high: limit, dtype: dtype, generator: generator, on: device)
    }
  }

  private static func normal(_ deviation: @escaping @Sendable (Fan) -> Double) -> Initializer {
    Initializer { shape, fan, dtype, device, generator in
      .randomNormal(shape, mean: 0, standardDeviation: deviation(fan), dtype: dtype, generator: generator, on: device)
    }
  }
}
