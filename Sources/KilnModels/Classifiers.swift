import KilnEngine
import KilnLayers

/// Flatten, Dense(784, 128, relu), Dense(128, 10): images [batch, 28, 28] to logits [batch, 10]; 101,770 parameters.
public func mnistMLP(generator: RandomGenerator = .default, on device: Device = .default) -> Sequential {
  Sequential {
    Flatten()
    Dense(784, 128, activation: .relu, generator: generator, on: device)
    Dense(128, 10, generator: generator, on: device)
  }
}

/// Flatten, Dense(64, 64, relu), Dense(64, 10): images [batch, 8, 8] to logits [batch, 10]; 4,810 parameters.
public func digitsMLP(generator: RandomGenerator = .default, on device: Device = .default) -> Sequential {
  Sequential {
    Flatten()
    Dense(64, 64, activation: .relu, generator: generator, on: device)
    Dense(64, 10, generator: generator, on: device)
  }
}
