import KilnEngine
import KilnLayers

/// A model's graph with sizes that may depend on the batch and on the length of a sequence.
///
/// The model is run on tensors that are never computed, once for each of some batch sizes and lengths. The graphs are
/// walked side by side: where their structure is the same, a number that differs must follow from the two sizes
/// (`Extent`), or the model cannot be written with them free. Nothing is asked of layers, so that a model of one's own
/// needs no more than Kiln's.
struct Trace {
  struct Vertex {
    enum Role: Hashable {
      case input(Int)
      /// A parameter or buffer, by its path.
      case named(String)
      /// A value in memory that is neither.
      case literal
      /// The output of a recurrent layer, by its number: its inputs are the call's, not those of its last step.
      case recurrent(Int)
      case computed
    }
    var role: Role
    /// One for each probe; they differ in sizes alone.
    var ops: [Op]
    /// Earlier vertices.
    var inputs: [Int]
    var extents: Extents
    /// Of the first probe.
    var tensor: Tensor
    /// No input and no free size has a say in it.
    var isConstant: Bool

    var op: Op { ops[0] }
    var dtype: DType { tensor.dtype }
  }
  var vertices: [Vertex] = []
  var outputs: [Int] = []
  let probes: [Probe]
  /// Of the first probe.
  let recurrences: [RecurrentCall]
  /// What layers made: the first and last number of their values, and their path; the outer before the inner.
  let scopes: [(values: ClosedRange<UInt64>, path: String)]

  /// The model's graph for one of the lists of probes: the first that works.
  static func make(
    _ module: any Module, inputs: [ONNXInput], freeBatch: Bool, device: Device, body: ([Tensor]) throws -> [Tensor]
  ) throws -> Trace {
    let lengths = inputs.compactMap { input in input.timeAxis.map { input.shape[$0] } }
    // Primes that no layer has as a size of its own: no two sizes are then equal by chance.
    let (b1, b2, b3) = (1009, 1013, 1019)
    func pairs(_ t1: Int, _ t2: Int, _ t3: Int) -> [Probe] {
      [
        Probe(batch: b1, time: t1), Probe(batch: b2, time: t1), Probe(batch: b1, time: t2), Probe(batch: b2, time: t2),
        Probe(batch: b3, time: t3),
      ]
    }
    let length = lengths.first ?? 1
    var attempts: [[Probe]]
    if !freeBatch {
      attempts = [[Probe(batch: inputs.first?.shape.dimensions.first ?? 1, time: length)]]
    } else if lengths.isEmpty {
      attempts = [[b1, b2, b3].map { Probe(batch: $0, time: 1) }]
    } else {
      // A table of positions ends somewhere, so lengths up to the one given are tried too; one of those may be a size of
      // the model by chance, for which the graph may be another.
      attempts = [pairs(1021, 1031, 1033)]
      for start in stride(from: length, to: max(length - 9, 2), by: -2) {
        attempts.append(pairs(start, start - 1, start - 2))
      }
    }
    while true {
      do {
        return try Trace(module, inputs: inputs, probes: attempts[0], isFree: freeBatch, device: device, body: body)
      } catch {
        attempts.removeFirst()
        if attempts.isEmpty { throw error }
      }
    }
  }

  private init(
    _ module: any Module, inputs: [ONNXInput], probes: [Probe], isFree: Bool, device: Device,
    body: ([Tensor]) throws -> [Tensor]
  ) throws {
    self.probes = probes
    var names: [ObjectIdentifier: String] = [:]
    for (name, value) in module.namedParameters.map({ ($0.name, $0.parameter.value) })
      + module.namedBuffers.map({ ($0.name, $0.buffer.value) })
    {
      names[value.graphNode.identity] = name
    }
    var walks: [Walk] = []
    // Identities are those of living values: everything stays until the end.
    var calls: RecordedCalls?
    for probe in probes {
      let (results, stands, layerCalls) = try Self.run(
        module, inputs, probe: isFree ? probe : nil, device: device, body: body)
      calls = calls ?? layerCalls
      walks.append(try Walk(results, inputs: stands, names: names, recurrences: layerCalls.recurrences))
    }
    scopes = calls?.layers.compactMap { call in call.path.map { (call.values, $0) } } ?? []
    recurrences = calls?.recurrences ?? []
    try merge(walks)
  }

  private static func run(
    _ module: any Module, _ inputs: [ONNXInput], probe: Probe?, device: Device, body: ([Tensor]) throws -> [Tensor]
  ) throws -> (results: [Tensor], stands: [Tensor], calls: RecordedCalls) {
    let stands = inputs.map { input -> Tensor in
      var shape = input.shape
      if let probe {
        shape[0] = probe.batch
        if let axis = input.timeAxis { shape[axis] = probe.time }
      }
      // Behind a mark, or operations would take it for the number that it is full of.
      return Tensor.zeros(shape, dtype: input.dtype, on: device).stopGradient()
    }
    let (results, calls) = try Tensor.unevaluated {
      try module.evaluating { try module.recordingCalls { try body(stands) } }
    }
    for tensor in stands + results { if let error = tensor.error { throw error } }
    return (results, stands, calls)
  }

  private mutating func merge(_ walks: [Walk]) throws {
    let first = walks[0]
    let refusal = { (rule: String) in
      TensorError(
        operation: "writeONNX", rule: "the model's graph is not the same for every batch size and length: \(rule)",
        fix: "leave out `timeAxis`, or write it for one batch size with `freeBatch: false`")
    }
    guard walks.allSatisfy({ $0.steps.count == first.steps.count && $0.outputs == first.outputs }) else {
      throw refusal("it has \(walks.map { "\($0.steps.count)" }.joined(separator: ", ")) values")
    }
    for index in first.steps.indices {
      let steps = walks.map { $0.steps[index] }
      let one = steps[0]
      let rank = one.tensor.rank
      guard
        steps.allSatisfy({
          $0.role == one.role && $0.inputs == one.inputs && $0.tensor.rank == rank
            && $0.tensor.dtype == one.tensor.dtype
            && $0.op.withoutSizes == one.op.withoutSizes
        })
      else { throw refusal("an operation differs") }
      let extents = try (0..<rank).map { axis -> Extent in
        guard let extent = Extent(steps.map { $0.tensor.shape[axis] }, probes: probes) else {
          throw refusal("a size does not grow evenly, as in a product of two batches")
        }
        return extent
      }
      if one.role == .literal, steps.contains(where: { !$0.tensor.isSame(as: one.tensor) }) {
        let bytes = try one.tensor.hostBytes()
        guard try steps.allSatisfy({ try $0.tensor.shape == one.tensor.shape && $0.tensor.hostBytes() == bytes }) else {
          throw refusal("values that the program made for it differ")
        }
      }
      var isConstant = extents.constants != nil && one.inputs.allSatisfy { vertices[$0].isConstant }
      if case .input = one.role { isConstant = false }
      vertices.append(
        Vertex(
          role: one.role, ops: steps.map(\.op), inputs: one.inputs, extents: extents, tensor: one.tensor,
          isConstant: isConstant))
    }
    outputs = first.outputs
  }

  /// A number of an operation, for every probe.
  func extent(_ vertex: Int, _ number: (Op) -> Int) throws -> Extent {
    guard let extent = Extent(vertices[vertex].ops.map(number), probes: probes) else {
      throw TensorError(
        operation: "writeONNX", rule: "a number of an operation does not grow evenly with the batch or the length",
        fix: "leave out `timeAxis`, or write it for one batch size with `freeBatch: false`")
    }
    return extent
  }

  /// The path of the innermost layer that made a vertex.
  func scope(_ vertex: Int) -> String {
    let number = vertices[vertex].tensor.graphNode.number
    return scopes.last { $0.values.contains(number) }?.path ?? ""
  }
}

/// One graph in an order in which inputs come before their users; equal graphs give equal orders.
private struct Walk {
  struct Step {
    var role: Trace.Vertex.Role
    var op: Op
    var inputs: [Int]
    var tensor: Tensor
  }
  var steps: [Step] = []
  var outputs: [Int] = []

  init(
    _ roots: [Tensor], inputs: [Tensor], names: [ObjectIdentifier: String], recurrences: [RecurrentCall]
  ) throws {
    var outputNumbers: [ObjectIdentifier: Int] = [:]
    for (number, call) in recurrences.enumerated() { outputNumbers[call.output.graphNode.identity] = number }
    var numbers: [ObjectIdentifier: Int] = [:]
    for (number, input) in inputs.enumerated() { numbers[input.graphNode.identity] = number }
    var index: [ObjectIdentifier: Int] = [:]
    // An explicit stack: a sequence unrolled in time is deep.
    struct Frame {
      let tensor: Tensor
      let node: GraphNode
      let role: Trace.Vertex.Role
      let inputs: [Tensor]
      var next = 0
    }
    func frame(_ tensor: Tensor) -> Frame {
      let node = tensor.graphNode
      let role: Trace.Vertex.Role
      var sources: [Tensor] = []
      if let number = numbers[node.identity] {
        role = .input(number)
      } else if let name = names[node.identity] {
        role = .named(name)
      } else if let number = outputNumbers[node.identity] {
        role = .recurrent(number)
        let call = recurrences[number]
        sources = [call.input] + (call.lengths.map { [$0] } ?? []) + call.weights
      } else if node.isInMemory {
        role = .literal
      } else {
        role = .computed
        sources = node.inputs
      }
      return Frame(tensor: tensor, node: node, role: role, inputs: sources)
    }
    for root in roots {
      var stack = index[root.graphNode.identity] == nil ? [frame(root)] : []
      while let top = stack.last {
        if top.next < top.inputs.count {
          let input = top.inputs[top.next]
          stack[stack.count - 1].next += 1
          if index[input.graphNode.identity] == nil { stack.append(frame(input)) }
        } else {
          stack.removeLast()
          guard index[top.node.identity] == nil else { continue }
          steps.append(
            Step(
              role: top.role, op: top.node.op, inputs: top.inputs.compactMap { index[$0.graphNode.identity] },
              tensor: top.tensor))
          index[top.node.identity] = steps.count - 1
        }
      }
    }
    outputs = roots.compactMap { index[$0.graphNode.identity] }
  }
}

extension Op {
  /// The operation with every number that a free size may change left out: equal for two probes of one model.
  fileprivate var withoutSizes: Op {
    switch self {
    case .view(.reshape): return .view(.reshape([]))
    case .view(.broadcast): return .view(.broadcast([]))
    case .view(.slice(_, _, let steps)): return .view(.slice(starts: [], counts: [], steps: steps))
    case .assemble(let assembly):
      return .assemble(Assembly(shape: [], starts: [], steps: assembly.steps, fill: assembly.fill))
    case .convolution(var convolution):
      convolution.batch = 0
      return .convolution(convolution)
    case .pool(var pool):
      pool.planes = 0
      return .pool(pool)
    case .gather(let gather): return .gather(Gather(kind: gather.kind, outer: 0, length: 0, inner: 0, count: 0))
    case .identity: return .identity(.stopGradient)
    default: return self
    }
  }
}
