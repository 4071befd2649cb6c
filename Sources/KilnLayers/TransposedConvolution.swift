import KilnEngine

/// The gradient of `Conv2D` by its input as a layer that enlarges, and a bias:
/// x [batch, channels, height, width] to [batch, filters, outHeight, outWidth]. PyTorch's ConvTranspose2d, Keras'
/// Conv2DTranspose.
///
/// out = (size - 1) * stride - 2 * padding + (kernel - 1) * dilation + outputPadding + 1. `outputPadding`, below the stride
/// or the dilation, chooses among the sizes that the convolution would make one. Pairs are (vertical, horizontal).
public struct ConvTranspose2D: Layer {
  /// [channels, filters / groups, kernelHeight, kernelWidth].
  public let weight: Parameter
  /// [filters].
  public let bias: Parameter?
  public let channels: Int
  public let filters: Int
  public let kernel: (Int, Int)
  public let stride: (Int, Int)
  public let padding: (Int, Int)
  public let outputPadding: (Int, Int)
  public let dilation: (Int, Int)
  public let groups: Int
  public let activation: Activation

  /// By default initialized as PyTorch does; see `Initializer.Defaults`.
  public init(
    _ channels: Int, _ filters: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
    outputPadding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1,
    activation: Activation = .identity, bias: Bool = true, initializer: Initializer = .weightDefault,
    biasInitializer: Initializer = .biasDefault, dtype: DType = .float32, generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    let perGroup = groups > 0 ? filters / groups : filters
    let places = kernel.0 &* kernel.1
    // Both frameworks take the fans of the convolution that this one reverses.
    let fan = Initializer.Fan(inputs: perGroup &* places, outputs: channels &* places)
    weight = Parameter(initializer.draw([channels, perGroup, kernel.0, kernel.1], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([filters], fan, dtype, device, generator)) : nil
    (self.kernel, self.stride, self.padding, self.outputPadding) = (kernel, stride, padding, outputPadding)
    (self.dilation, self.groups, self.activation) = (dilation, groups, activation)
    (self.channels, self.filters) = (channels, filters)
  }

  /// The same numbers both ways.
  public init(
    _ channels: Int, _ filters: Int, kernel: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
    dilation: Int = 1, groups: Int = 1, activation: Activation = .identity, bias: Bool = true,
    initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    self.init(
      channels, filters, kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding),
      outputPadding: (outputPadding, outputPadding), dilation: (dilation, dilation), groups: groups,
      activation: activation, bias: bias, initializer: initializer, biasInitializer: biasInitializer, dtype: dtype,
      generator: generator, on: device)
  }

  /// [batch, channels, height, width] to [batch, filters, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let y = transposedConvolution2D(
        x, filter: weight.value, stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation,
        groups: groups)
      return activation(bias.map { y + perChannel($0.value, y) } ?? y)
    }
  }

  public var configuration: String {
    transposedWords(
      [channels, filters], [kernel.0, kernel.1], [stride.0, stride.1], [padding.0, padding.1],
      [outputPadding.0, outputPadding.1],
      [dilation.0, dilation.1], groups) + options(activation, hasBias: bias != nil)
  }
}

/// `ConvTranspose2D` over sequences: x [batch, channels, width] to [batch, filters, outWidth]. PyTorch's ConvTranspose1d,
/// Keras' Conv1DTranspose.
public struct ConvTranspose1D: Layer {
  /// [channels, filters / groups, kernel].
  public let weight: Parameter
  /// [filters].
  public let bias: Parameter?
  public let channels: Int
  public let filters: Int
  public let kernel: Int
  public let stride: Int
  public let padding: Int
  public let outputPadding: Int
  public let dilation: Int
  public let groups: Int
  public let activation: Activation

  /// By default initialized as PyTorch does; see `Initializer.Defaults`.
  public init(
    _ channels: Int, _ filters: Int, kernel: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
    dilation: Int = 1, groups: Int = 1, activation: Activation = .identity, bias: Bool = true,
    initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let perGroup = groups > 0 ? filters / groups : filters
    let fan = Initializer.Fan(inputs: perGroup &* kernel, outputs: channels &* kernel)
    weight = Parameter(initializer.draw([channels, perGroup, kernel], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([filters], fan, dtype, device, generator)) : nil
    (self.kernel, self.stride, self.padding, self.outputPadding) = (kernel, stride, padding, outputPadding)
    (self.dilation, self.groups, self.activation) = (dilation, groups, activation)
    (self.channels, self.filters) = (channels, filters)
  }

  /// [batch, channels, width] to [batch, filters, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let y = transposedConvolution1D(
        x, filter: weight.value, stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation,
        groups: groups)
      return activation(bias.map { y + perChannel($0.value, y) } ?? y)
    }
  }

  public var configuration: String {
    transposedWords([channels, filters], [kernel], [stride], [padding], [outputPadding], [dilation], groups)
      + options(activation, hasBias: bias != nil)
  }
}

private func transposedWords(
  _ sizes: [Int], _ kernel: [Int], _ stride: [Int], _ padding: [Int], _ outputPadding: [Int], _ dilation: [Int],
  _ groups: Int
) -> String {
  var words = sizes.map(String.init) + ["kernel: \(sizeWord(kernel))"]
  for (name, sizes, usual) in [
    ("stride", stride, 1), ("padding", padding, 0), ("outputPadding", outputPadding, 0), ("dilation", dilation, 1),
  ] where sizes.contains(where: { $0 != usual }) { words.append("\(name): \(sizeWord(sizes))") }
  if groups != 1 { words.append("groups: \(groups)") }
  return words.joined(separator: ", ")
}
