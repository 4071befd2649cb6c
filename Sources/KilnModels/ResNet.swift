import KilnEngine
import KilnLayers

/// Two 3x3 convolutions with batch normalization and a shortcut (He et al., 2016): x [batch, inputs, height, width] to
/// [batch, filters, height / stride, width / stride]. The shortcut is a 1x1 convolution where shapes change.
public struct ResidualBlock: Layer {
  public let c1: Conv2D
  public let n1: BatchNorm2D
  public let c2: Conv2D
  public let n2: BatchNorm2D
  public let s: Sequential

  public init(
    _ inputs: Int, _ filters: Int, stride: Int = 1, generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    func convolution(_ inputs: Int, _ size: Int, _ stride: Int) -> Conv2D {
      Conv2D(
        inputs, filters, kernel: (size, size), stride: (stride, stride),
        padding: .symmetric(size / 2, size / 2), bias: false, generator: generator, on: device)
    }
    (c1, n1) = (convolution(inputs, 3, stride), BatchNorm2D(filters, on: device))
    (c2, n2) = (convolution(filters, 3, 1), BatchNorm2D(filters, on: device))
    s = Sequential(
      stride == 1 && inputs == filters ? [] : [convolution(inputs, 1, stride), BatchNorm2D(filters, on: device)])
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { relu(n2(c2(relu(n1(c1(x))))) + s(x)) } }
}

/// The 20-layer residual network for CIFAR (He et al., 2016): images [batch, 3, 32, 32] (or of any size) to logits
/// [batch, classes]. With `width` 16, the paper's, 272,474 parameters for 10 classes (the shortcuts are convolutions).
public func resNet20(
  classes: Int = 10, width: Int = 16, generator: RandomGenerator = .default, on device: Device = .default
) -> Sequential {
  Sequential {
    Conv2D(3, width, kernel: (3, 3), padding: .symmetric(1, 1), bias: false, generator: generator, on: device)
    BatchNorm2D(width, on: device)
    ReLU()
    for (inputs, filters) in [(width, width), (width, 2 * width), (2 * width, 4 * width)] {
      for index in 0..<3 {
        ResidualBlock(
          index == 0 ? inputs : filters, filters, stride: index == 0 && inputs != filters ? 2 : 1,
          generator: generator, on: device)
      }
    }
    GlobalAveragePool2D(keepDims: true)
    Flatten()
    Dense(4 * width, classes, generator: generator, on: device)
  }
}
