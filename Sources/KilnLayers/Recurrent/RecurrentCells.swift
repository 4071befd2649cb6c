import KilnEngine

/// The weights of one layer in one direction, under PyTorch's names. `gates` is 1, 4 (LSTM) or 3 (GRU).
public struct RecurrentWeights: Module {
  /// [gates * hidden, inputs].
  public let weightIH: Parameter
  /// [gates * hidden, hidden].
  public let weightHH: Parameter
  /// [gates * hidden].
  public let biasIH: Parameter?
  /// [gates * hidden].
  public let biasHH: Parameter?
  /// After the names: "" in a cell, "_l0" and "_l0_reverse" in a layer.
  private let suffix: String

  init(
    gates: Int, _ inputs: Int, _ hidden: Int, suffix: String = "", bias: Bool, forgetBias: Double = 0,
    initializers: RecurrentInitializers, dtype: DType, generator: RandomGenerator, on device: Device
  ) {
    let rows = gates * hidden
    let input = initializers.input ?? .weightDefault
    let recurrent = initializers.recurrent ?? .recurrentDefault
    let biases = initializers.bias ?? .biasDefault
    let fan = Initializer.Fan(inputs: hidden, outputs: rows)
    // PyTorch's default draws all weights within 1/sqrt(hidden), Keras' looks at inputs + rows: this fan has both.
    let inputFan =
      initializers.input == nil
      ? Initializer.Fan(inputs: hidden, outputs: inputs + rows - hidden) : .init(inputs: inputs, outputs: rows)
    weightIH = Parameter(input.draw([rows, inputs], inputFan, dtype, device, generator))
    weightHH = Parameter(recurrent.draw([rows, hidden], fan, dtype, device, generator))
    func drawBias() -> Tensor { biases.draw([rows], fan, dtype, device, generator) }
    var first = bias ? drawBias() : nil
    if forgetBias != 0, let drawn = first {
      // The second of the four parts.
      let part = Tensor.arange(to: Double(max(rows, 0)), dtype: .int64, on: device)
      first = drawn + select((part .>= Double(hidden)) .&& (part .< Double(2 * hidden)), forgetBias, 0, dtype: dtype)
    }
    biasIH = first.map { Parameter($0) }
    biasHH = bias ? Parameter(drawBias()) : nil
    self.suffix = suffix
  }

  public var members: [(name: String, value: Any)] {
    [
      ("weight_ih" + suffix, weightIH), ("weight_hh" + suffix, weightHH), ("bias_ih" + suffix, biasIH as Any),
      ("bias_hh" + suffix, biasHH as Any),
    ]
  }

  /// x W_ih^T with the biases that belong to it: [..., inputs] to [..., gates * hidden].
  func projected(_ x: Tensor, keepingRecurrentBias: Bool) -> Tensor {
    guard let biasIH, let biasHH else { return affine(x, weightIH.value, nil) }
    return affine(x, weightIH.value, keepingRecurrentBias ? biasIH.value : biasIH.value + biasHH.value)
  }

  /// The state after one step of `kind`.
  func step<Kind: Recurrence>(_ kind: Kind, _ x: Tensor, _ state: [Tensor]) -> [Tensor] {
    let product = matmul(state[0], weightHH.value.transposed())
    let recurrentBias = kind.keepsRecurrentBias ? biasHH?.value : nil
    return kind.step(
      projected: projected(x, keepingRecurrentBias: kind.keepsRecurrentBias),
      product: recurrentBias.map { product + $0 } ?? product, state: state
    ).state
  }
}

/// How recurrent weights are drawn; `nil` is `Initializer.Defaults`' way.
struct RecurrentInitializers: Sendable {
  var input: Initializer?
  var recurrent: Initializer?
  var bias: Initializer?
}

extension RecurrentWeights {
  /// What is wrong with the operands of a single step, as a tensor with the error; `nil` when nothing is.
  fileprivate func refusal(_ name: String, _ x: Tensor, _ state: [(String, Tensor?)]) -> Tensor? {
    for parameter in [weightIH, weightHH] where parameter.value.error != nil { return parameter.value }
    let (inputs, hidden) = (weightIH.shape[1], weightHH.shape[1])
    let operands = [("x", x)] + state.compactMap { label, tensor in tensor.map { (label, $0) } }
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      .layerFailure(name, rule: rule, operands: operands, fix: fix, dtype: x.dtype)
    }
    guard x.error == nil, x.rank == 2, x.shape[1] == inputs else {
      return refuse("x must be [batch, \(inputs)], got \(x.shape)", "give one time step; for sequences use the layer")
    }
    for (label, tensor) in state {
      guard let tensor, tensor.error != nil || tensor.shape != [x.shape[0], hidden] else { continue }
      return refuse(
        "\(label) must be [\(x.shape[0]), \(hidden)], got \(tensor.shape)", "start from `nil`, which is zeros")
    }
    return nil
  }

  /// `nil` states are zeros.
  fileprivate func filled(_ state: Tensor?, _ x: Tensor) -> Tensor {
    state ?? .zeros([x.shape[0], weightHH.shape[1]], dtype: x.dtype, on: x.device)
  }
}

/// One step of a simple recurrent network: h' = activation(W_ih x + b_ih + W_hh h + b_hh).
/// x [batch, inputs], h [batch, hidden] to h' [batch, hidden]. PyTorch's RNNCell, Keras' SimpleRNNCell.
public struct RNNCell: Module {
  public let weights: RecurrentWeights
  public let activation: RecurrentActivation

  /// By default initialized as PyTorch does, uniform within 1/sqrt(hidden); see `Initializer.Defaults`.
  public init(
    _ inputs: Int, _ hidden: Int, activation: RecurrentActivation = .tanh, bias: Bool = true,
    initializer: Initializer? = nil, recurrentInitializer: Initializer? = nil, biasInitializer: Initializer? = nil,
    dtype: DType = .float32, generator: RandomGenerator = .default, on device: Device = .default
  ) {
    weights = RecurrentWeights(
      gates: 1, inputs, hidden, bias: bias,
      initializers: .init(input: initializer, recurrent: recurrentInitializer, bias: biasInitializer), dtype: dtype,
      generator: generator, on: device)
    self.activation = activation
  }

  public var members: [(name: String, value: Any)] { weights.members }

  /// The next state; `h` is zeros if it is `nil`.
  public func callAsFunction(_ x: Tensor, _ h: Tensor? = nil) -> Tensor {
    if let bad = weights.refusal("RNNCell", x, [("h", h)]) { return bad }
    return weights.step(SimpleRecurrence(activation: activation), x, [weights.filled(h, x)])[0]
  }
}

/// One step of an LSTM: x [batch, inputs], h and c [batch, hidden] to the next h and c.
/// Gates in the order i, f, g, o. PyTorch's and Keras' LSTMCell.
public struct LSTMCell: Module {
  public let weights: RecurrentWeights

  /// By default initialized as PyTorch does, uniform within 1/sqrt(hidden); see `Initializer.Defaults`. `forgetBias` is
  /// added to the forget gate's bias; Keras adds 1 (Jozefowicz et al., 2015).
  public init(
    _ inputs: Int, _ hidden: Int, bias: Bool = true, forgetBias: Double = 0, initializer: Initializer? = nil,
    recurrentInitializer: Initializer? = nil, biasInitializer: Initializer? = nil, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    weights = RecurrentWeights(
      gates: 4, inputs, hidden, bias: bias, forgetBias: forgetBias,
      initializers: .init(input: initializer, recurrent: recurrentInitializer, bias: biasInitializer), dtype: dtype,
      generator: generator, on: device)
  }

  public var members: [(name: String, value: Any)] { weights.members }

  /// The next states; `nil` is zeros.
  public func callAsFunction(_ x: Tensor, h: Tensor? = nil, c: Tensor? = nil) -> (h: Tensor, c: Tensor) {
    if let bad = weights.refusal("LSTMCell", x, [("h", h), ("c", c)]) { return (bad, bad) }
    let next = weights.step(LSTMRecurrence(), x, [weights.filled(h, x), weights.filled(c, x)])
    return (next[0], next[1])
  }
}

/// One step of a GRU: x [batch, inputs], h [batch, hidden] to h' [batch, hidden].
/// Gates in the order r, z, n. PyTorch's GRUCell, Keras' GRUCell with `reset_after`.
public struct GRUCell: Module {
  public let weights: RecurrentWeights

  /// By default initialized as PyTorch does, uniform within 1/sqrt(hidden); see `Initializer.Defaults`.
  public init(
    _ inputs: Int, _ hidden: Int, bias: Bool = true, initializer: Initializer? = nil,
    recurrentInitializer: Initializer? = nil, biasInitializer: Initializer? = nil, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    weights = RecurrentWeights(
      gates: 3, inputs, hidden, bias: bias,
      initializers: .init(input: initializer, recurrent: recurrentInitializer, bias: biasInitializer), dtype: dtype,
      generator: generator, on: device)
  }

  public var members: [(name: String, value: Any)] { weights.members }

  /// The next state; `h` is zeros if it is `nil`.
  public func callAsFunction(_ x: Tensor, _ h: Tensor? = nil) -> Tensor {
    if let bad = weights.refusal("GRUCell", x, [("h", h)]) { return bad }
    return weights.step(GRURecurrence(), x, [weights.filled(h, x)])[0]
  }
}
