import KilnEngine

/// How a parameter's first values are drawn. Every layer takes one for its weights, and most one for their bias; the
/// ones that they use otherwise are `Initializer.Defaults`.
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
}

extension Initializer {
  /// What the initializers of a model are unless a layer is given its own.
  ///
  ///     let model = withInitializers(.keras) { Sequential { Dense(784, 128, activation: .relu); Dense(128, 10) } }
  public struct Defaults: Sendable {
    /// Of dense layers, convolutions and what is made of them.
    public var weight: Initializer
    public var bias: Initializer
    public var embedding: Initializer
    /// From a recurrent layer's state to its next state.
    public var recurrent: Initializer

    public init(weight: Initializer, bias: Initializer, embedding: Initializer, recurrent: Initializer) {
      (self.weight, self.bias, self.embedding, self.recurrent) = (weight, bias, embedding, recurrent)
    }

    /// Weights and biases uniform in +-1/sqrt(inputs), tables standard normal.
    public static let pyTorch = Defaults(weight: .pyTorch, bias: .pyTorch, embedding: .normal(), recurrent: .pyTorch)

    /// Weights `glorotUniform`, biases 0, tables uniform in +-0.05, recurrent weights orthogonal.
    public static let keras = Defaults(
      weight: .glorotUniform, bias: .zeros, embedding: .uniform(from: -0.05, to: 0.05), recurrent: .orthogonal())
  }

  /// What holds in this task: PyTorch's, unless `withInitializers` says otherwise.
  public static var defaults: Defaults { current }
  @TaskLocal fileprivate static var current: Defaults = .pyTorch

  public static var weightDefault: Initializer { defaults.weight }
  public static var biasDefault: Initializer { defaults.bias }
  public static var embeddingDefault: Initializer { defaults.embedding }
  public static var recurrentDefault: Initializer { defaults.recurrent }
}

/// Makes these the initializers of all layers that `body` makes without naming their own.
public func withInitializers<Result>(
  _ defaults: Initializer.Defaults, _ body: () throws -> Result
) rethrows -> Result {
  try Initializer.$current.withValue(defaults, operation: body)
}
