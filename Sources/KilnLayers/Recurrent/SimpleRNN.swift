import KilnEngine

/// A simple (Elman) recurrent network: h_t = activation(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), stacked and in both
/// directions if asked. PyTorch's RNN, Keras' SimpleRNN.
///
/// x [batch, time, inputs] to [batch, time, hidden * directions]; any time, 0 included. Parameters as PyTorch names
/// them: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, those of the backward direction with `_reverse`.
public struct SimpleRNN: Layer {
  private let stack: RecurrentStack<SimpleRecurrence>
  public let mode: LayerMode

  /// - Parameters:
  ///   - dropout: of each layer's output but the last's, while training.
  ///   - timeFirst: x and the result are [time, batch, ...], as PyTorch's are by default.
  ///   - returnSequences: whether the result has every step; else it is [batch, hidden * directions], the last layer's
  ///     final states, as Keras gives by default.
  ///   - initializer, recurrentInitializer, biasInitializer: of W_ih, W_hh and the biases; by default PyTorch's, uniform
  ///     within 1/sqrt(hidden); see `Initializer.Defaults`.
  public init(
    _ inputs: Int, _ hidden: Int, layers: Int = 1, bidirectional: Bool = false,
    activation: RecurrentActivation = .tanh, dropout: Double = 0, bias: Bool = true, timeFirst: Bool = false,
    returnSequences: Bool = true, initializer: Initializer? = nil, recurrentInitializer: Initializer? = nil,
    biasInitializer: Initializer? = nil, dtype: DType = .float32, generator: RandomGenerator = .default,
    on device: Device = .default
  ) {
    stack = RecurrentStack(
      "SimpleRNN", SimpleRecurrence(activation: activation), inputs, hidden,
      RecurrentOptions(
        layers: layers, isBidirectional: bidirectional, dropout: dropout, timeFirst: timeFirst,
        returnSequences: returnSequences), bias: bias,
      initializers: .init(input: initializer, recurrent: recurrentInitializer, bias: biasInitializer), dtype: dtype,
      generator: generator, on: device)
    mode = stack.dropout.mode
  }

  public var members: [(name: String, value: Any)] { stack.members }

  /// The result from the state 0.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { stack(x, state: nil, lengths: nil).output } }

  public var configuration: String { stack.configuration }

  /// The result, and the final state [layers * directions, batch, hidden], from a given state of that shape (`nil`: 0).
  ///
  /// With `lengths` [batch] (integers), steps from a sequence's length on give 0 and leave its state as it is, and the
  /// backward direction begins at its last valid step: what PyTorch does with packed sequences.
  public func callAsFunction(_ x: Tensor, state: Tensor?, lengths: Tensor? = nil) -> (output: Tensor, state: Tensor) {
    var final: [Tensor] = []
    let output = observed(x) {
      let result = stack(x, state: state.map { [$0] }, lengths: lengths)
      final = result.state
      return result.output
    }
    return (output, final[0])
  }
}
