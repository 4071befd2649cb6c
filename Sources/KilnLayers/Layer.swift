import KilnEngine

/// A function with parameters. A type becomes a layer by `callAsFunction` alone: its parameters and sub-layers are
/// found in its stored properties and named by their path, as PyTorch names them (`features.0.weight`).
///
///     struct Perceptron: Layer {
///       let hidden = Dense(784, 128, activation: .relu)
///       let output = Dense(128, 10)
///       func callAsFunction(_ x: Tensor) -> Tensor { output(hidden(x)) }
///     }
public protocol Layer: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}
