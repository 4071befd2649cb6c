import KilnEngine

/// The mean of each channel's image: x [batch, channels, height, width] to [batch, channels], or [batch, channels, 1, 1]
/// with `keepDims`. Keras' GlobalAveragePooling2D; PyTorch's AdaptiveAvgPool2d(1) is this with `keepDims`.
public struct GlobalAveragePool2D: Layer {
  public let keepDims: Bool
  private let identity = LayerIdentity()

  public init(keepDims: Bool = false) { self.keepDims = keepDims }
  /// [batch, channels, height, width] to [batch, channels].
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { globalAveragePool2D(x, keepDims: keepDims) } }
}

/// The mean of each channel: x [batch, channels, width] to [batch, channels], or [batch, channels, 1] with `keepDims`.
/// Keras' GlobalAveragePooling1D.
public struct GlobalAveragePool1D: Layer {
  public let keepDims: Bool
  private let identity = LayerIdentity()

  public init(keepDims: Bool = false) { self.keepDims = keepDims }
  /// [batch, channels, width] to [batch, channels].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { sequenceFailure(x, typeName) ?? x.mean(axes: [2], keepDims: keepDims) }
  }
}

/// The greatest value of each channel's image: x [batch, channels, height, width] to [batch, channels], or
/// [batch, channels, 1, 1] with `keepDims`. Equal ones share the gradient evenly. Keras' GlobalMaxPooling2D.
public struct GlobalMaxPool2D: Layer {
  public let keepDims: Bool
  private let identity = LayerIdentity()

  public init(keepDims: Bool = false) { self.keepDims = keepDims }
  /// [batch, channels, height, width] to [batch, channels].
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { globalMaxPool2D(x, keepDims: keepDims) } }
}

/// The greatest value of each channel: x [batch, channels, width] to [batch, channels], or [batch, channels, 1] with
/// `keepDims`. Equal ones share the gradient evenly. Keras' GlobalMaxPooling1D.
public struct GlobalMaxPool1D: Layer {
  public let keepDims: Bool
  private let identity = LayerIdentity()

  public init(keepDims: Bool = false) { self.keepDims = keepDims }
  /// [batch, channels, width] to [batch, channels].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) { sequenceFailure(x, typeName) ?? x.max(axes: [2], keepDims: keepDims) }
  }
}

/// Means over as many windows as the result is to have places, whatever x's size: window i of n covers
/// floor(i * size / n) ..< ceil((i + 1) * size / n). x [batch, channels, height, width] to [batch, channels, out...].
/// PyTorch's AdaptiveAvgPool2d, Keras' AdaptiveAveragePooling2D.
public struct AdaptiveAveragePool2D: Layer {
  public let outputSize: (Int, Int)
  private let identity = LayerIdentity()

  public init(_ outputSize: (Int, Int)) { self.outputSize = outputSize }
  /// As many rows as columns.
  public init(_ outputSize: Int) { self.outputSize = (outputSize, outputSize) }
  /// [batch, channels, height, width] to [batch, channels, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { adaptiveAveragePool2D(x, outputSize: outputSize) } }
  public var configuration: String { sizeWord([outputSize.0, outputSize.1]) }
}

/// `AdaptiveAveragePool2D` of sequences: x [batch, channels, width] to [batch, channels, out]. PyTorch's
/// AdaptiveAvgPool1d.
public struct AdaptiveAveragePool1D: Layer {
  public let outputSize: Int
  private let identity = LayerIdentity()

  public init(_ outputSize: Int) { self.outputSize = outputSize }
  /// [batch, channels, width] to [batch, channels, out].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      sequenceFailure(x, typeName)
        ?? flat(adaptiveAveragePool2D(x.expanded(axis: 2), outputSize: (1, outputSize)))
    }
  }
  public var configuration: String { "\(outputSize)" }
}

/// The greatest values over the windows of `AdaptiveAveragePool2D`; the first of equals gets the gradient. PyTorch's
/// AdaptiveMaxPool2d.
public struct AdaptiveMaxPool2D: Layer {
  public let outputSize: (Int, Int)
  private let identity = LayerIdentity()

  public init(_ outputSize: (Int, Int)) { self.outputSize = outputSize }
  /// As many rows as columns.
  public init(_ outputSize: Int) { self.outputSize = (outputSize, outputSize) }
  /// [batch, channels, height, width] to [batch, channels, outHeight, outWidth].
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { adaptiveMaxPool2D(x, outputSize: outputSize) } }
  public var configuration: String { sizeWord([outputSize.0, outputSize.1]) }
}

/// `AdaptiveMaxPool2D` of sequences: x [batch, channels, width] to [batch, channels, out]. PyTorch's AdaptiveMaxPool1d.
public struct AdaptiveMaxPool1D: Layer {
  public let outputSize: Int
  private let identity = LayerIdentity()

  public init(_ outputSize: Int) { self.outputSize = outputSize }
  /// [batch, channels, width] to [batch, channels, out].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      sequenceFailure(x, typeName) ?? flat(adaptiveMaxPool2D(x.expanded(axis: 2), outputSize: (1, outputSize)))
    }
  }
  public var configuration: String { "\(outputSize)" }
}

/// What is wrong with x as [batch, channels, width], if anything.
private func sequenceFailure(_ x: Tensor, _ name: String) -> Tensor? {
  if x.rank == 3 { return nil }
  return .layerFailure(
    name, rule: "x must be [batch, channels, width], got \(x.rank) axes", operands: [("x", x)],
    fix: "for a single sequence use `.expanded(axis: 0)`", dtype: x.dtype)
}

/// [batch, channels, 1, width] to [batch, channels, width]; an error stays what it is.
private func flat(_ image: Tensor) -> Tensor { image.error == nil ? image.squeezed(axes: [2]) : image }
