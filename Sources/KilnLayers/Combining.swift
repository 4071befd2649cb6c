import KilnEngine

/// Passes its input on: any shape. PyTorch's Identity.
public struct Identity: Layer {
  private let identity = LayerIdentity()

  public init() {}
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { x } }
}

/// A function without parameters as a layer. Keras' Lambda.
///
///     Lambda("scaled") { $0 / 255 }
public struct Lambda: Layer {
  public let name: String
  private let function: @Sendable (Tensor) -> Tensor
  private let identity = LayerIdentity()

  /// The name appears in descriptions.
  public init(_ name: String = "", _ function: @escaping @Sendable (Tensor) -> Tensor) {
    (self.name, self.function) = (name, function)
  }

  /// Whatever shape the function takes, to the one that it gives.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { function(x) } }

  public var configuration: String { name }
}

/// body(x) + shortcut(x) (He et al., 2015), the shortcut being x itself unless given: both of one shape.
///
///     Residual {
///       Conv2D(64, 64, kernel: 3, padding: 1)
///       BatchNorm2D(64)
///     }
public struct Residual: Layer {
  public let body: any Layer
  public let shortcut: (any Layer)?
  private let identity = LayerIdentity()

  public init(_ body: any Layer, shortcut: (any Layer)? = nil) { (self.body, self.shortcut) = (body, shortcut) }

  /// Several layers in a row; `shortcut` goes around them.
  public init(shortcut: (any Layer)? = nil, @LayerBuilder _ layers: () -> [any Layer]) {
    self.init(Sequential(layers), shortcut: shortcut)
  }

  /// Any shape that body and shortcut take.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let y = calling(body, x, named: "body")
      let around = shortcut.map { calling($0, x, named: "shortcut") } ?? x
      guard y.shape == around.shape || y.error != nil || around.error != nil else {
        return .layerFailure(
          "Residual", rule: "the body gives \(y.shape), the shortcut \(around.shape)",
          operands: [("body", y), ("shortcut", around)],
          fix: shortcut == nil
            ? "give it a `shortcut:` that changes the shape as the body does" : "make both one shape",
          shape: y.shape, dtype: y.dtype)
      }
      return y + around
    }
  }
}

/// gate * activation(transform(x)) + (1 - gate) * x with gate = sigmoid(W x + b) (Srivastava, Greff and Schmidhuber,
/// 2015): x [..., size], same shape out.
public struct Highway: Layer {
  public let transform: Dense
  public let gate: Dense

  /// The gate's bias starts as `gateBias`: negative, so that x passes at first.
  public init(
    _ size: Int, activation: Activation = .relu, gateBias: Double = -1, initializer: Initializer = .weightDefault,
    biasInitializer: Initializer = .biasDefault, dtype: DType = .float32, generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    transform = Dense(
      size, size, activation: activation, initializer: initializer, biasInitializer: biasInitializer, dtype: dtype,
      generator: generator, on: device)
    gate = Dense(
      size, size, activation: .sigmoid, initializer: initializer, biasInitializer: .constant(gateBias), dtype: dtype,
      generator: generator, on: device)
  }

  /// [..., size], same shape out.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      let share = gate(x)
      return share * transform(x) + (1 - share) * x
    }
  }
}

/// The results of several layers of one input, one after another along an axis: an Inception block's branches. Keras'
/// Concatenate, with what it joins. The branches are named by position.
///
///     Concatenate { Conv2D(64, 32, kernel: 1); Conv2D(64, 32, kernel: 3, padding: .same) }
public struct Concatenate: Layer {
  public let branches: [any Layer]
  public let axis: Int
  private let identity = LayerIdentity()

  /// The axis of channels is 1.
  public init(_ branches: [any Layer], axis: Int = 1) { (self.branches, self.axis) = (branches, axis) }
  /// The axis of channels is 1.
  public init(axis: Int = 1, @LayerBuilder _ branches: () -> [any Layer]) { self.init(branches(), axis: axis) }

  /// Each branch's result must have the same shape beyond the axis.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      concatenate(branches.enumerated().map { calling($1, x, named: String($0)) }, axis: axis)
    }
  }

  public var members: [(name: String, value: Any)] { branches.enumerated().map { (String($0), $1) } }
  public var configuration: String { axis == 1 ? "" : "axis: \(axis)" }
}
