import KilnEngine

/// Settings that the recurrent layers share.
struct RecurrentOptions: Sendable {
  var layers: Int
  var isBidirectional: Bool
  var dropout: Double
  var timeFirst: Bool
  var returnSequences: Bool
  var directions: Int { isBidirectional ? 2 : 1 }
}

/// Layers of one kind on top of each other, in one or both directions.
struct RecurrentStack<Kind: Recurrence>: Sendable {
  /// The public layer's, for errors.
  let name: String
  let kind: Kind
  let options: RecurrentOptions
  /// Layer by layer, each forward, then backward.
  let weights: [RecurrentWeights]
  /// Of what goes from layer to layer.
  let dropout: Dropout

  init(
    _ name: String, _ kind: Kind, _ inputs: Int, _ hidden: Int, _ options: RecurrentOptions, bias: Bool,
    forgetBias: Double = 0, initializers: RecurrentInitializers, dtype: DType, generator: RandomGenerator,
    on device: Device
  ) {
    (self.name, self.kind, self.options) = (name, kind, options)
    dropout = Dropout(options.dropout, generator: generator)
    var weights: [RecurrentWeights] = []
    for layer in 0..<max(options.layers, 0) {
      for direction in 0..<options.directions {
        weights.append(
          RecurrentWeights(
            gates: kind.gates, layer == 0 ? inputs : hidden * options.directions, hidden,
            suffix: "_l\(layer)" + (direction == 1 ? "_reverse" : ""), bias: bias, forgetBias: forgetBias,
            initializers: initializers, dtype: dtype, generator: generator, on: device))
      }
    }
    self.weights = weights
  }

  /// "4, 8, layers: 2, bidirectional": sizes, and what is not the default.
  var configuration: String {
    guard let first = weights.first, first.weightIH.value.error == nil, first.weightHH.value.error == nil else {
      return "layers: \(options.layers)"
    }
    var words = ["\(first.weightIH.shape[1])", "\(first.weightHH.shape[1])"]
    if options.layers != 1 { words.append("layers: \(options.layers)") }
    if options.isBidirectional { words.append("bidirectional") }
    if options.dropout > 0 { words.append("dropout: \(options.dropout)") }
    if options.timeFirst { words.append("time first") }
    if !options.returnSequences { words.append("final state only") }
    return words.joined(separator: ", ")
  }

  var members: [(name: String, value: Any)] { weights.flatMap(\.members) + [("mode", dropout.mode)] }

  /// x [batch, time, inputs] (or time first), each state [layers * directions, batch, hidden], lengths [batch].
  func callAsFunction(
    _ x: Tensor, state: [Tensor]?, lengths given: Tensor?
  ) -> (output: Tensor, state: [Tensor]) {
    if let bad = refusal(x, state ?? [], given) { return (bad, .init(repeating: bad, count: kind.stateCount)) }
    // Time first inside, so that a moment is a block of memory.
    var sequence = options.timeFirst ? x : x.permuted([1, 0, 2])
    let (time, batch) = (sequence.shape[0], sequence.shape[1])
    let hidden = weights[0].weightHH.shape[1]
    let zeros = Tensor.zeros([batch, hidden], dtype: x.dtype, on: x.device)
    let lengths = given.map { $0.expanded(axis: 1) }
    let isInside = lengths.map { lengths in
      Tensor.arange(to: Double(time), dtype: .int64, on: x.device).reshaped(to: [time, 1, 1]) .< lengths
    }
    var final = [[Tensor]](repeating: [], count: kind.stateCount)
    for layer in 0..<options.layers {
      var outputs: [Tensor] = []
      for direction in 0..<options.directions {
        let index = layer * options.directions + direction
        let weights = weights[index]
        let run = RecurrentSequence(
          kind: kind, projected: weights.projected(sequence, keepingRecurrentBias: kind.keepsRecurrentBias),
          weight: weights.weightHH.value, bias: kind.keepsRecurrentBias ? weights.biasHH?.value : nil,
          initial: (0..<kind.stateCount).map { state?[$0][index] ?? zeros }, lengths: lengths,
          isReversed: direction == 1)
        let (states, last) = run()
        outputs.append(isInside.map { select($0, states, 0) } ?? states)
        for (number, tensor) in last.enumerated() { final[number].append(tensor) }
      }
      sequence = outputs.count == 1 ? outputs[0] : concatenate(outputs, axis: 2)
      if options.dropout > 0, layer + 1 < options.layers { sequence = dropout(sequence) }
    }
    let result: Tensor
    if options.returnSequences {
      result = options.timeFirst ? sequence : sequence.permuted([1, 0, 2])
    } else {
      result = concatenate(Array(final[0].suffix(options.directions)), axis: 1)
    }
    if state == nil { note(x, lengths: given, output: result) }
    return (result, final.map { stack($0) })
  }

  private func refusal(_ x: Tensor, _ state: [Tensor], _ lengths: Tensor?) -> Tensor? {
    let names = kind.stateCount == 1 ? ["state"] : ["h", "c"]
    let operands = [("x", x)] + zip(names, state) + (lengths.map { [("lengths", $0)] } ?? [])
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      .layerFailure(name, rule: rule, operands: operands, fix: fix, dtype: x.dtype)
    }
    guard options.layers > 0 else {
      return refuse("needs at least one layer, got \(options.layers)", "use `layers: 1`")
    }
    guard options.dropout >= 0, options.dropout < 1 else {
      return refuse("dropout must be in 0..<1, got \(options.dropout)", "divide percentages by 100")
    }
    for weights in weights {
      for parameter in [weights.weightIH, weights.weightHH] where parameter.value.error != nil {
        return parameter.value
      }
    }
    let (inputs, hidden) = (weights[0].weightIH.shape[1], weights[0].weightHH.shape[1])
    let words = options.timeFirst ? "[time, batch, \(inputs)]" : "[batch, time, \(inputs)]"
    guard x.error == nil, x.rank == 3, x.shape[2] == inputs else {
      return refuse("x must be \(words), got \(x.shape)", x.rank == 2 ? "add the missing axis" : "check the features")
    }
    let batch = x.shape[options.timeFirst ? 1 : 0]
    let wanted: Shape = [options.layers * options.directions, batch, hidden]
    for (name, tensor) in zip(names, state) where tensor.error != nil || tensor.shape != wanted {
      return refuse(
        "\(name) must be [layers * directions, batch, hidden] = \(wanted), got \(tensor.shape)",
        "start from `nil`, which is zeros")
    }
    if let lengths, lengths.error != nil || lengths.shape != [batch] || !lengths.dtype.isInteger {
      return refuse(
        "lengths must be integers [\(batch)], one for each sequence, got \(lengths.shape) \(lengths.dtype)",
        "count the valid steps of each sequence")
    }
    return nil
  }
}
