import KilnEngine

/// activation(x weight^T + bias): x [..., inputs] to [..., outputs]. PyTorch's Linear, Keras' Dense.
public struct Dense: Layer {
  /// [outputs, inputs].
  public let weight: Parameter
  /// [outputs].
  public let bias: Parameter?
  public let activation: Activation

  public let inputs: Int
  public let outputs: Int

  /// By default initialized as PyTorch does; see `Initializer.Defaults`.
  public init(
    _ inputs: Int, _ outputs: Int, activation: Activation = .identity, bias: Bool = true,
    initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let fan = Initializer.Fan(inputs: inputs, outputs: outputs)
    weight = Parameter(initializer.draw([outputs, inputs], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([outputs], fan, dtype, device, generator)) : nil
    (self.inputs, self.outputs, self.activation) = (inputs, outputs, activation)
  }

  /// The affine map and the activation; x must have `inputs` as its last dimension.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { affine(x, weight.value, bias?.value, activation) }
  }

  public var configuration: String { "\(inputs), \(outputs)" + options(activation, hasBias: bias != nil) }
}

/// The options that most layers with weights have, where they are not the usual ones.
func options(_ activation: Activation = .identity, hasBias: Bool) -> String {
  (activation == .identity ? "" : ", activation: \(activation)") + (hasBias ? "" : ", bias: false")
}
