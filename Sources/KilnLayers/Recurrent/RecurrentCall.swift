import KilnEngine

/// What a recurrent layer computed from the state 0, for those who translate graphs and know an operator for all of its
/// steps: the unrolled graph says the same, step by step.
package struct RecurrentCall: Sendable {
  package enum Kind: Sendable {
    case simple(RecurrentActivation)
    case lstm, gru
  }
  package var kind: Kind
  package var layers, directions, hidden: Int
  package var timeFirst, returnSequences: Bool
  /// Layer by layer, each forward, then backward; of each W_ih and W_hh, and with biases b_ih and b_hh.
  package var weights: [Tensor]
  package var hasBias: Bool
  /// [batch, time, inputs], or time first.
  package var input: Tensor
  /// [batch], integers.
  package var lengths: Tensor?
  package var output: Tensor
}

extension RecurrentStack {
  /// Tells whoever records the model's calls what `output` is. Dropout between layers is no part of a recurrence.
  func note(_ input: Tensor, lengths: Tensor?, output: Tensor) {
    guard let recorder = LayerRecorder.current, output.error == nil,
      options.dropout == 0 || options.layers == 1 || !dropout.mode.isTraining
    else { return }
    let hasBias = weights.allSatisfy { $0.biasIH != nil && $0.biasHH != nil }
    let parameters = weights.flatMap { [$0.weightIH, $0.weightHH] + [$0.biasIH, $0.biasHH].compactMap(\.self) }
    recorder.note(
      RecurrentCall(
        kind: kind.called, layers: options.layers, directions: options.directions, hidden: weights[0].weightHH.shape[1],
        timeFirst: options.timeFirst, returnSequences: options.returnSequences, weights: parameters.map(\.value),
        hasBias: hasBias, input: input, lengths: lengths, output: output))
  }
}

extension SimpleRecurrence {
  var called: RecurrentCall.Kind { .simple(activation) }
}
extension LSTMRecurrence {
  var called: RecurrentCall.Kind { .lstm }
}
extension GRURecurrence {
  var called: RecurrentCall.Kind { .gru }
}
