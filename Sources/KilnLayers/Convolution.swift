import KilnEngine

/// activation(cross-correlation + bias): x [batch, channels, height, width] to
/// [batch, filters, outHeight, outWidth]. PyTorch's Conv2d; `groups: channels` makes it depthwise.
public struct Conv2D: Layer {
  /// [filters, channels / groups, kernelHeight, kernelWidth].
  public let weight: Parameter
  /// [filters].
  public let bias: Parameter?
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding
  public let dilation: (Int, Int)
  public let groups: Int
  public let activation: Activation

  /// By default initialized as PyTorch does.
  public init(
    _ channels: Int, _ filters: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1),
    padding: ConvolutionPadding = .valid,
    dilation: (Int, Int) = (1, 1), groups: Int = 1, activation: Activation = .identity, bias: Bool = true,
    initializer: Initializer = .pyTorch, biasInitializer: Initializer = .pyTorch, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    // Channels that do not divide, or no group at all, are refused by the convolution itself, with all the shapes.
    let perGroup = groups > 0 ? channels / groups : channels
    let fan = Initializer.Fan(
      inputs: perGroup * kernel.0 * kernel.1, outputs: (groups > 0 ? filters / groups : filters) * kernel.0 * kernel.1)
    weight = Parameter(initializer.draw([filters, perGroup, kernel.0, kernel.1], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([filters], fan, dtype, device, generator)) : nil
    (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
    self.activation = activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = convolution2D(
      x, filter: weight.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
    return activation(bias.map { y + $0.value.reshaped(to: [1, $0.shape[0], 1, 1]) } ?? y)
  }
}

/// The greatest value of each window: x [batch, channels, height, width].
public struct MaxPool2D: Layer {
  public let size: (Int, Int)
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding

  /// The stride is by default the window's size.
  public init(_ size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid) {
    (self.size, self.stride, self.padding) = (size, stride ?? size, padding)
  }
  public func callAsFunction(_ x: Tensor) -> Tensor { maxPool2D(x, size: size, stride: stride, padding: padding) }
}

/// The mean of each window: x [batch, channels, height, width].
public struct AveragePool2D: Layer {
  public let size: (Int, Int)
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding

  /// The stride is by default the window's size.
  public init(_ size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid) {
    (self.size, self.stride, self.padding) = (size, stride ?? size, padding)
  }
  public func callAsFunction(_ x: Tensor) -> Tensor { averagePool2D(x, size: size, stride: stride, padding: padding) }
}
