import KilnEngine

/// activation(cross-correlation + bias): x [batch, channels, height, width] to
/// [batch, filters, outHeight, outWidth]. PyTorch's Conv2d, Keras' Conv2D; `groups: channels` makes it depthwise.
///
/// out = floor((size + padding - (kernel - 1) * dilation - 1) / stride) + 1, and ceil(size / stride) for `.same`, whose odd
/// row or column is at the end, as in Keras and PyTorch. Pairs are (vertical, horizontal); a single number is for both.
public struct Conv2D: Layer {
  /// [filters, channels / groups, kernelHeight, kernelWidth].
  public let weight: Parameter
  /// [filters].
  public let bias: Parameter?
  public let channels: Int
  public let filters: Int
  public let kernel: (Int, Int)
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding
  /// What stands in the padding.
  public let paddingMode: PaddingMode
  public let dilation: (Int, Int)
  public let groups: Int
  public let activation: Activation

  /// By default initialized as PyTorch does; see `Initializer.Defaults`.
  public init(
    _ channels: Int, _ filters: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1),
    padding: ConvolutionPadding = .valid, paddingMode: PaddingMode = .constant(0), dilation: (Int, Int) = (1, 1),
    groups: Int = 1, activation: Activation = .identity, bias: Bool = true,
    initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    // Channels that do not divide, or no group at all, are refused by the convolution itself, with all the shapes.
    let perGroup = groups > 0 ? channels / groups : channels
    let places = kernel.0 &* kernel.1
    let fan = Initializer.Fan(inputs: perGroup &* places, outputs: filters &* places)
    weight = Parameter(initializer.draw([filters, perGroup, kernel.0, kernel.1], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([filters], fan, dtype, device, generator)) : nil
    (self.kernel, self.stride, self.padding, self.dilation, self.groups) = (kernel, stride, padding, dilation, groups)
    (self.channels, self.filters, self.paddingMode, self.activation) = (channels, filters, paddingMode, activation)
  }

  /// The same number both ways.
  public init(
    _ channels: Int, _ filters: Int, kernel: Int, stride: Int = 1, padding: ConvolutionPadding = .valid,
    paddingMode: PaddingMode = .constant(0), dilation: Int = 1, groups: Int = 1, activation: Activation = .identity,
    bias: Bool = true, initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    self.init(
      channels, filters, kernel: (kernel, kernel), stride: (stride, stride), padding: padding, paddingMode: paddingMode,
      dilation: (dilation, dilation), groups: groups, activation: activation, bias: bias, initializer: initializer,
      biasInitializer: biasInitializer, dtype: dtype, generator: generator, on: device)
  }

  /// [batch, channels, height, width] to [batch, filters, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let (padded, rest) = padding.applied(
        to: x, mode: paddingMode, kernel: [kernel.0, kernel.1], stride: [stride.0, stride.1],
        dilation: [dilation.0, dilation.1])
      let y = convolution2D(
        padded, filter: weight.value, stride: stride, padding: rest, dilation: dilation, groups: groups)
      return activation(bias.map { y + perChannel($0.value, y) } ?? y)
    }
  }

  public var configuration: String {
    convolutionWords(
      channels, filters, [kernel.0, kernel.1], [stride.0, stride.1], padding, paddingMode,
      [dilation.0, dilation.1], groups) + options(activation, hasBias: bias != nil)
  }
}

/// `Conv2D` over sequences: x [batch, channels, width] to [batch, filters, outWidth]. PyTorch's Conv1d, Keras' Conv1D
/// (whose channels come last).
public struct Conv1D: Layer {
  /// [filters, channels / groups, kernel].
  public let weight: Parameter
  /// [filters].
  public let bias: Parameter?
  public let channels: Int
  public let filters: Int
  public let kernel: Int
  public let stride: Int
  /// `left` and `right` of it.
  public let padding: ConvolutionPadding
  /// What stands in the padding.
  public let paddingMode: PaddingMode
  public let dilation: Int
  public let groups: Int
  public let activation: Activation

  /// By default initialized as PyTorch does; see `Initializer.Defaults`.
  public init(
    _ channels: Int, _ filters: Int, kernel: Int, stride: Int = 1, padding: ConvolutionPadding = .valid,
    paddingMode: PaddingMode = .constant(0), dilation: Int = 1, groups: Int = 1, activation: Activation = .identity,
    bias: Bool = true, initializer: Initializer = .weightDefault, biasInitializer: Initializer = .biasDefault,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    let perGroup = groups > 0 ? channels / groups : channels
    let fan = Initializer.Fan(inputs: perGroup &* kernel, outputs: filters &* kernel)
    weight = Parameter(initializer.draw([filters, perGroup, kernel], fan, dtype, device, generator))
    self.bias = bias ? Parameter(biasInitializer.draw([filters], fan, dtype, device, generator)) : nil
    (self.kernel, self.stride, self.padding, self.dilation, self.groups) = (kernel, stride, padding, dilation, groups)
    (self.channels, self.filters, self.paddingMode, self.activation) = (channels, filters, paddingMode, activation)
  }

  /// [batch, channels, width] to [batch, filters, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let (padded, rest) = padding.applied(
        to: x, mode: paddingMode, kernel: [kernel], stride: [stride], dilation: [dilation])
      let y = convolution1D(
        padded, filter: weight.value, stride: stride, padding: rest, dilation: dilation, groups: groups)
      return activation(bias.map { y + perChannel($0.value, y) } ?? y)
    }
  }

  public var configuration: String {
    convolutionWords(
      channels, filters, [kernel], [stride], padding, paddingMode, [dilation], groups)
      + options(activation, hasBias: bias != nil)
  }
}

extension ConvolutionPadding {
  /// x surrounded by what is not zeros, and the padding that is left to the convolution.
  func applied(
    to x: Tensor, mode: PaddingMode, kernel: [Int], stride: [Int], dilation: [Int]
  ) -> (Tensor, ConvolutionPadding) {
    // What cannot be is left to the convolution to refuse.
    guard mode != .constant(0), self != .valid, x.rank == kernel.count + 2, x.error == nil,
      (kernel + stride + dilation).allSatisfy({ $0 > 0 && $0 < 1 << 30 })
    else { return (x, self) }
    var low = [0, 0]
    var high = [0, 0]
    switch self {
    case .valid: break
    case .explicit(let top, let bottom, let left, let right):
      low += kernel.count == 2 ? [top, left] : [left]
      high += kernel.count == 2 ? [bottom, right] : [right]
    case .same:
      for axis in kernel.indices {
        let size = x.shape[axis + 2]
        let step = stride[axis]
        let span = (kernel[axis] - 1) * dilation[axis] + 1
        let missing = max(((size + step - 1) / step - 1) * step + span - size, 0)
        low.append(missing / 2)
        high.append(missing - missing / 2)
      }
    }
    return (x.padded(low: low, high: high, mode: mode), .valid)
  }

  /// In descriptions: nil for none.
  func word(axes: Int) -> String? {
    switch self {
    case .valid: nil
    case .same: "same"
    case .explicit(let top, let bottom, let left, let right):
      if axes == 1 {
        left == right ? "\(left)" : "(\(left), \(right))"
      } else if top == bottom && left == right {
        top == left ? "\(top)" : "(\(top), \(left))"
      } else {
        "(top: \(top), bottom: \(bottom), left: \(left), right: \(right))"
      }
    }
  }
}

/// One number where all are the same.
func sizeWord(_ sizes: [Int]) -> String {
  Set(sizes).count == 1 ? "\(sizes[0])" : "(" + sizes.map(String.init).joined(separator: ", ") + ")"
}

private func convolutionWords(
  _ channels: Int, _ filters: Int, _ kernel: [Int], _ stride: [Int], _ padding: ConvolutionPadding,
  _ mode: PaddingMode, _ dilation: [Int], _ groups: Int
) -> String {
  var words = ["\(channels)", "\(filters)", "kernel: \(sizeWord(kernel))"]
  if stride.contains(where: { $0 != 1 }) { words.append("stride: \(sizeWord(stride))") }
  if let word = padding.word(axes: kernel.count) { words.append("padding: \(word)") }
  if mode != .constant(0) { words.append("paddingMode: \(mode)") }
  if dilation.contains(where: { $0 != 1 }) { words.append("dilation: \(sizeWord(dilation))") }
  if groups != 1 { words.append("groups: \(groups)") }
  return words.joined(separator: ", ")
}
