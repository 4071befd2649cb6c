import KilnEngine
import KilnLayers
import KilnProtobuf

extension GraphWriter {
  /// A stack of recurrent layers: an RNN, LSTM or GRU node for each.
  mutating func recurrent(_ call: RecurrentCall, _ index: Int) throws -> (Operand, Form) {
    // In the order in which the trace lists them: x, the lengths, the weights.
    var inputs = trace.vertices[index].inputs[...]
    var x = try exact(inputs.removeFirst())
    if !call.timeFirst { x = builder.add("Transpose", [x], [.ints("perm", [1, 0, 2])]) }
    var lengths = ""
    if call.lengths != nil {
      lengths = builder.add("Cast", [try exact(inputs.removeFirst())], [.int("to", Int(DType.int32.onnx))])
    }
    var final = ""
    for _ in 0..<call.layers {
      var (weights, recurrent, biases): ([String], [String], [String]) = ([], [], [])
      for _ in 0..<call.directions {
        weights.append(ordered(try exact(inputs.removeFirst()), call))
        recurrent.append(ordered(try exact(inputs.removeFirst()), call))
        guard call.hasBias else { continue }
        let (first, second) = (try exact(inputs.removeFirst()), try exact(inputs.removeFirst()))
        biases.append(builder.add("Concat", [ordered(first, call), ordered(second, call)], [.int("axis", 0)]))
      }
      var operands = [x, stacked(weights), stacked(recurrent), call.hasBias ? stacked(biases) : "", lengths]
      while operands.last == "" { operands.removeLast() }
      var attributes: [ONNXAttributeProto] = [
        .int("hidden_size", call.hidden), .string("direction", call.directions == 2 ? "bidirectional" : "forward"),
      ]
      let type: String
      switch call.kind {
      case .lstm: type = "LSTM"
      case .gru:
        type = "GRU"
        // The reset gate acts on the finished product.
        attributes.append(.int("linear_before_reset", 1))
      case .simple(let activation):
        type = "RNN"
        let name = activation == .tanh ? "Tanh" : "Relu"
        attributes.append(.strings("activations", [String](repeating: name, count: call.directions)))
      }
      let results = type == "LSTM" ? 3 : 2
      let states = builder.add(type, operands, attributes, results: results)
      final = builder.add(type, operands, attributes, results: results, result: 1)
      // [time, directions, batch, hidden] to [time, batch, directions * hidden]; 0 keeps a size.
      let turned = builder.add("Transpose", [states], [.ints("perm", [0, 2, 1, 3])])
      x = builder.add("Reshape", [turned, builder.constant([0, 0, -1])])
    }
    guard call.returnSequences else {
      let turned = builder.add("Transpose", [final], [.ints("perm", [1, 0, 2])])
      return form(builder.add("Reshape", [turned, builder.constant([0, -1])]), extents(index), of: index)
    }
    if !call.timeFirst { x = builder.add("Transpose", [x], [.ints("perm", [1, 0, 2])]) }
    return form(x, extents(index), of: index)
  }

  /// Rows of a weight or bias in ONNX's order of gates: input, output, forget, cell; update, reset, new.
  private mutating func ordered(_ weight: String, _ call: RecurrentCall) -> String {
    let gates: [Int]
    switch call.kind {
    case .simple: return weight
    case .lstm: gates = [0, 3, 1, 2]
    case .gru: gates = [1, 0, 2]
    }
    let rows = gates.flatMap { Array($0 * call.hidden..<($0 + 1) * call.hidden) }
    return builder.add("Gather", [weight, builder.constant(rows)], [.int("axis", 0)])
  }

  /// One for each direction, on an axis of their own.
  private mutating func stacked(_ parts: [String]) -> String {
    let each = parts.map { builder.add("Unsqueeze", [$0, builder.constant([0])]) }
    return each.count == 1 ? each[0] : builder.add("Concat", each, [.int("axis", 0)])
  }
}
