import KilnEngine

/// Long short-term memory, stacked and in both directions if asked. PyTorch's and Keras' LSTM.
///
///     i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the four parts of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
///     c_t = f c_(t-1) + i g
///     h_t = o tanh(c_t)
///
/// x [batch, time, inputs] to [batch, time, hidden * directions]; any time, 0 included. Parameters as PyTorch names
/// them: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, those of the backward direction with `_reverse`.
public struct LSTM: Layer {
  private let stack: RecurrentStack<LSTMRecurrence>
  public let mode: LayerMode

  /// - Parameters:
  ///   - dropout: of each layer's output but the last's, while training.
  ///   - timeFirst: x and the result are [time, batch, ...], as PyTorch's are by default.
  ///   - returnSequences: whether the result has every step; else it is [batch, hidden * directions], the last layer's
  ///     final states h, as Keras gives by default.
  ///   - forgetBias: added to the forget gates' biases; Keras adds 1 (Jozefowicz et al., 2015).
  ///   - initializer, recurrentInitializer, biasInitializer: of W_ih, W_hh and the biases; by default PyTorch's, uniform
  ///     within 1/sqrt(hidden); see `Initializer.Defaults`.
  public init(
    _ inputs: Int, _ hidden: Int, layers: Int = 1, bidirectional: Bool = false, dropout: Double = 0, bias: Bool = true,
    forgetBias: Double = 0, timeFirst: Bool = false, returnSequences: Bool = true, initializer: Initializer? = nil,
    recurrentInitializer: Initializer? = nil, biasInitializer: Initializer? = nil, dtype: DType = .float32,
    generator: RandomGenerator = .default, on device: Device = .default
  ) {
    stack = RecurrentStack(
      "LSTM", LSTMRecurrence(), inputs, hidden,
      RecurrentOptions(
        layers: layers, isBidirectional: bidirectional, dropout: dropout, timeFirst: timeFirst,
        returnSequences: returnSequences), bias: bias, forgetBias: forgetBias,
      initializers: .init(input: initializer, recurrent: recurrentInitializer, bias: biasInitializer), dtype: dtype,
      generator: generator, on: device)
    mode = stack.dropout.mode
  }

  public var members: [(name: String, value: Any)] { stack.members }

  /// The states h and c between two calls, each [layers * directions, batch, hidden].
  public struct State: Sendable {
    public var h, c: Tensor
    public init(h: Tensor, c: Tensor) { (self.h, self.c) = (h, c) }
  }

  /// The result from the state 0.
  public func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { stack(x, state: nil, lengths: nil).output } }

  public var configuration: String { stack.configuration }

  /// The result and the final state, from a given state (`nil`: 0).
  ///
  /// With `lengths` [batch] (integers), steps from a sequence's length on give 0 and leave its state as it is, and the
  /// backward direction begins at its last valid step: what PyTorch does with packed sequences.
  public func callAsFunction(_ x: Tensor, state: State?, lengths: Tensor? = nil) -> (output: Tensor, state: State) {
    var final: [Tensor] = []
    let output = observed(x) {
      let result = stack(x, state: state.map { [$0.h, $0.c] }, lengths: lengths)
      final = result.state
      return result.output
    }
    return (output, State(h: final[0], c: final[1]))
  }
}
