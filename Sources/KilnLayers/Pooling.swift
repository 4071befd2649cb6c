import KilnEngine

/// The greatest value of each window: x [batch, channels, height, width] to [batch, channels, outHeight, outWidth].
/// PyTorch's MaxPool2d, Keras' MaxPooling2D.
///
/// out = floor((size + padding - (window - 1) * dilation - 1) / stride) + 1, and ceil(size / stride) for `.same`. Padding
/// never wins; the first of equals gets the gradient. Errors: a window larger than the padded input.
public struct MaxPool2D: Layer {
  public let size: (Int, Int)
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding
  public let dilation: (Int, Int)
  private let identity = LayerIdentity()

  /// The stride is by default the window's size.
  public init(
    _ size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid, dilation: (Int, Int) = (1, 1)
  ) {
    (self.size, self.stride, self.padding, self.dilation) = (size, stride ?? size, padding, dilation)
  }

  /// The same numbers both ways.
  public init(_ size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, dilation: Int = 1) {
    self.init((size, size), stride: stride.map { ($0, $0) }, padding: padding, dilation: (dilation, dilation))
  }

  /// [batch, channels, height, width] to [batch, channels, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { maxPool2D(x, size: size, stride: stride, padding: padding, dilation: dilation) }
  }

  public var configuration: String {
    poolWords([size.0, size.1], [stride.0, stride.1], padding, [dilation.0, dilation.1])
  }
}

/// `MaxPool2D` of sequences: x [batch, channels, width] to [batch, channels, outWidth]. PyTorch's MaxPool1d, Keras'
/// MaxPooling1D.
public struct MaxPool1D: Layer {
  public let size: Int
  public let stride: Int
  public let padding: ConvolutionPadding
  public let dilation: Int
  private let identity = LayerIdentity()

  /// The stride is by default the window's size.
  public init(_ size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, dilation: Int = 1) {
    (self.size, self.stride, self.padding, self.dilation) = (size, stride ?? size, padding, dilation)
  }

  /// [batch, channels, width] to [batch, channels, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { maxPool1D(x, size: size, stride: stride, padding: padding, dilation: dilation) }
  }

  public var configuration: String { poolWords([size], [stride], padding, [dilation]) }
}

/// The mean of each window: x [batch, channels, height, width] to [batch, channels, outHeight, outWidth]. PyTorch's
/// AvgPool2d, Keras' AveragePooling2D.
///
/// With `countsPadding` a window is divided by its size, as if the padding were zeros (PyTorch's default); without, by
/// its elements inside x (Keras').
public struct AveragePool2D: Layer {
  public let size: (Int, Int)
  public let stride: (Int, Int)
  public let padding: ConvolutionPadding
  public let countsPadding: Bool
  private let identity = LayerIdentity()

  /// The stride is by default the window's size.
  public init(
    _ size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid, countsPadding: Bool = true
  ) {
    (self.size, self.stride, self.padding, self.countsPadding) = (size, stride ?? size, padding, countsPadding)
  }

  /// The same numbers both ways.
  public init(_ size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, countsPadding: Bool = true) {
    self.init((size, size), stride: stride.map { ($0, $0) }, padding: padding, countsPadding: countsPadding)
  }

  /// [batch, channels, height, width] to [batch, channels, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { averagePool2D(x, size: size, stride: stride, padding: padding, countPadding: countsPadding) }
  }

  public var configuration: String {
    poolWords([size.0, size.1], [stride.0, stride.1], padding, [1, 1]) + (countsPadding ? "" : ", countsPadding: false")
  }
}

/// `AveragePool2D` of sequences: x [batch, channels, width] to [batch, channels, outWidth]. PyTorch's AvgPool1d, Keras'
/// AveragePooling1D.
public struct AveragePool1D: Layer {
  public let size: Int
  public let stride: Int
  public let padding: ConvolutionPadding
  public let countsPadding: Bool
  private let identity = LayerIdentity()

  /// The stride is by default the window's size.
  public init(_ size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, countsPadding: Bool = true) {
    (self.size, self.stride, self.padding, self.countsPadding) = (size, stride ?? size, padding, countsPadding)
  }

  /// [batch, channels, width] to [batch, channels, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { averagePool1D(x, size: size, stride: stride, padding: padding, countPadding: countsPadding) }
  }

  public var configuration: String {
    poolWords([size], [stride], padding, [1]) + (countsPadding ? "" : ", countsPadding: false")
  }
}

private func poolWords(_ size: [Int], _ stride: [Int], _ padding: ConvolutionPadding, _ dilation: [Int]) -> String {
  var words = [sizeWord(size)]
  if stride != size { words.append("stride: \(sizeWord(stride))") }
  if let word = padding.word(axes: size.count) { words.append("padding: \(word)") }
  if dilation.contains(where: { $0 != 1 }) { words.append("dilation: \(sizeWord(dilation))") }
  return words.joined(separator: ", ")
}
