/// What arguments a recording was made for.
struct Signature {
  private let layouts: [Layout]
  private let dtypes: [DType]
  private let stateCount: Int
  private let scalarCount: Int
  private let mode: [Int]
  private let device: Device
  private let options: EngineOptions.Flags

  init(_ arguments: Arguments) {
    layouts = arguments.storages.map(\.layout)
    dtypes = arguments.tensors.map(\.dtype)
    stateCount = arguments.stateCount
    scalarCount = arguments.scalars.count
    (mode, device, options) = (arguments.mode, arguments.device, arguments.options)
  }

  /// Inputs may begin anywhere in their buffers.
  func matches(_ arguments: Arguments) -> Bool {
    guard arguments.storages.count == layouts.count, arguments.stateCount == stateCount, arguments.mode == mode,
      arguments.scalars.count == scalarCount, arguments.device == device, arguments.options == options
    else { return false }
    for i in layouts.indices {
      let layout = arguments.storages[i].layout
      guard layout.strides == layouts[i].strides, layout.shape == layouts[i].shape,
        arguments.tensors[i].node.dtype == dtypes[i],
        i >= stateCount || layout.offset == layouts[i].offset
      else { return false }
    }
    return true
  }
}

/// A traced function: its program, and what each of the program's inputs, scalars and outputs is bound to.
struct Recording: Sendable {
  let signature: Signature
  /// Whether the next call must trace again and compare.
  var needsCheck = true
  private let graph: Graph
  private let plan: ProgramCache.Plan
  /// The argument of each program input.
  private let leaves: [Int]
  /// The traced scalars. Those of `given`, and those of draws, are replaced in every run.
  private let scalars: [Scalar]
  private let given: [(slot: Int, scalar: Int)]
  private let draws: [(generator: RandomGenerator, slot: Int?)]
  /// What each result is: state first, then outputs.
  private let results: [Result]
  private let stateCount: Int

  private enum Result: Equatable {
    /// The argument itself, unchanged.
    case argument(Int)
    /// The program's output, of this shape and dtype.
    case output(Int, Shape, DType)
  }

  // MARK: Tracing

  /// Runs the function on stand-ins for its arguments. `compiled` is an earlier recording whose program need not be made
  /// again.
  static func trace(
    _ arguments: Arguments, recorder: Recorder, compiled: Recording? = nil, _ body: CompiledFunction.Body
  ) throws -> (Recording, draws: [Scalar]) {
    let device = arguments.device
    let standIns = arguments.tensors.map { Node(.leaf, shape: $0.shape, dtype: $0.dtype, device: device) }
    let numbers = arguments.scalars.map {
      Node(.constant(Scalar($0, arguments.scalarType)), shape: [], dtype: arguments.scalarType, device: device)
    }
    let (state, outputs) = try Recorder.$current.withValue(recorder) {
      try body(
        standIns.prefix(arguments.stateCount).map { Tensor($0) },
        standIns.dropFirst(arguments.stateCount).map { Tensor($0) },
        // Behind a mark, or a broadcast would make another constant of the same value.
        numbers.map { Tensor($0).stopGradient() })
    }
    try checkResults(arguments, state, outputs)

    var argumentIndex: [ObjectIdentifier: Int] = [:]
    var stated: [ObjectIdentifier: Storage] = [:]
    for (i, node) in standIns.enumerated() {
      argumentIndex[ObjectIdentifier(node)] = i
      stated[ObjectIdentifier(node)] = arguments.storages[i]
    }
    // Results that are arguments need no work; the others are the program's roots, each once.
    var results: [Result] = []
    var roots: [Node] = []
    var rootIndex: [ObjectIdentifier: Int] = [:]
    for (i, tensor) in (state + outputs).enumerated() {
      if let argument = argumentIndex[ObjectIdentifier(tensor.node.unmarked)],
        i < state.count ? argument == i : argument >= state.count
      {
        results.append(.argument(argument))
        continue
      }
      let identity = ObjectIdentifier(tensor.node)
      // State owns its memory, so equal nodes are roots of their own there.
      if i >= state.count, let known = rootIndex[identity] {
        results.append(.output(known, tensor.shape, tensor.dtype))
        continue
      }
      rootIndex[identity] = roots.count
      results.append(.output(roots.count, tensor.shape, tensor.dtype))
      roots.append(tensor.node)
    }
    try refuseWhatCannotBeReplayed(roots, stated: stated)
    let snapshot = Snapshot(roots: roots, donated: Array(standIns.prefix(arguments.stateCount)), stated: stated)
    let leaves = snapshot.argumentOfLeaf(argumentIndex)
    let drawn = recorder.draws
    let values = drawn.flatMap { draw -> [Scalar] in
      guard let slot = snapshot.slotIndex[draw.node] else { return [] }
      return [snapshot.scalars[slot], snapshot.scalars[slot + 1]]
    }
    let plan: ProgramCache.Plan
    if let compiled, compiled.graph == snapshot.graph {
      plan = compiled.plan
    } else {
      plan = try ProgramCache.shared.plan(for: snapshot.graph, on: device)
    }
    let recording = Recording(
      signature: compiled?.signature ?? Signature(arguments), graph: snapshot.graph, plan: plan, leaves: leaves,
      scalars: snapshot.scalars,
      given: numbers.enumerated().compactMap { i, node in
        snapshot.slotIndex[ObjectIdentifier(node)].map { (slot: $0, scalar: i) }
      },
      draws: drawn.map { (generator: $0.generator, slot: snapshot.slotIndex[$0.node]) }, results: results,
      stateCount: state.count)
    return (recording, values)
  }

  private init(
    signature: Signature, graph: Graph, plan: ProgramCache.Plan, leaves: [Int], scalars: [Scalar],
    given: [(slot: Int, scalar: Int)], draws: [(generator: RandomGenerator, slot: Int?)], results: [Result],
    stateCount: Int
  ) {
    (self.signature, self.graph, self.plan, self.leaves, self.scalars) = (signature, graph, plan, leaves, scalars)
    (self.given, self.draws, self.results, self.stateCount) = (given, draws, results, stateCount)
  }

  private static func checkResults(_ arguments: Arguments, _ state: [Tensor], _ outputs: [Tensor]) throws {
    for tensor in state + outputs { if let error = tensor.error { throw error } }
    guard state.count == arguments.stateCount else {
      throw TensorError(
        operation: "CompiledFunction",
        rule: "must return as many state tensors as it takes: \(arguments.stateCount), not \(state.count)",
        fix: "return those that do not change as they are")
    }
    for (i, new) in state.enumerated() {
      let old = arguments.tensors[i]
      guard new.shape == old.shape, new.dtype == old.dtype else {
        throw TensorError(
          operation: "CompiledFunction", rule: "new state must have the shape and dtype of the old",
          operands: "state \(i) \(old.shape) \(old.dtype), returned \(new.shape) \(new.dtype)",
          fix: "reshape or cast it, or return it as an output")
      }
    }
    if let other = (state + outputs).first(where: { $0.device != arguments.device }) {
      throw TensorError(
        operation: "CompiledFunction", rule: "results must be on the arguments' device",
        operands: "\(arguments.device), result on \(other.device)", fix: "copy results after the call")
    }
  }

  /// Looks through the graph for what would be the same in every replay although it need not be.
  private static func refuseWhatCannotBeReplayed(_ roots: [Node], stated: [ObjectIdentifier: Storage]) throws {
    var seen: Set<ObjectIdentifier> = []
    var pending = roots
    while let node = pending.popLast() {
      let identity = ObjectIdentifier(node)
      guard seen.insert(identity).inserted, stated[identity] == nil else { continue }
      if let error = node.error { throw error }
      if node.isDonated { throw Evaluator.donatedError(node) }
      if node.storage != nil {
        throw TensorError(
          operation: "CompiledFunction",
          rule: "a tensor in memory that is no argument would keep its value in every replay",
          operands: "x \(node.shape) \(node.dtype)",
          fix: "pass it among `inputs` (or `state`); a number can be a Swift number or one of `scalars`")
      }
      if case .transfer = node.op {
        throw TensorError(
          operation: "CompiledFunction", rule: "a copy between devices cannot be replayed",
          operands: "x \(node.shape) \(node.dtype)", fix: "copy before or after the call")
      }
      // The arguments of a custom rule are of no more use.
      if case .identity = node.op { pending += node.inputs.prefix(1) } else { pending += node.inputs }
    }
  }

  /// Throws unless a second trace gave the same.
  func compare(with other: Recording) throws {
    func refuse(_ what: String) -> TensorError {
      TensorError(
        operation: "CompiledFunction", rule: "\(what) although no argument did",
        fix: "pass numbers that change among `scalars`, and what the function's course depends on as `mode`")
    }
    guard other.graph == graph, other.results == results, other.leaves == leaves, other.draws.count == draws.count,
      zip(other.draws, draws).allSatisfy({ $0.generator === $1.generator && $0.slot == $1.slot })
    else { throw refuse("what the function computes has changed") }
    var isFree = Set(given.map(\.slot))
    for case let slot? in draws.map(\.slot) { isFree.formUnion([slot, slot + 1]) }
    for i in scalars.indices where !isFree.contains(i) && scalars[i] != other.scalars[i] {
      let (old, new) = (scalars[i], other.scalars[i])
      let words = old.dtype.isFloat ? "from \(old.double) to \(new.double)" : "from \(old.int) to \(new.int)"
      throw refuse("a number in the function has changed, \(words),")
    }
  }

  // MARK: Replaying

  /// Draws from the same generators, in the same order; key and counter of every draw that is used.
  func drawAgain() -> [Scalar] {
    if draws.isEmpty { return [] }
    var values: [Scalar] = []
    values.reserveCapacity(draws.count * 2)
    for draw in draws {
      let state = draw.generator.takeState()
      if draw.slot != nil { values += [Scalar(bits: state.key), Scalar(bits: state.counter)] }
    }
    return values
  }

  func run(_ arguments: Arguments, draws values: [Scalar]) throws -> (state: [Tensor], outputs: [Tensor]) {
    let program = plan.compiled.program
    let driver = arguments.device.driver
    var scalars = scalars
    for (slot, scalar) in given { scalars[slot] = Scalar(arguments.scalars[scalar], arguments.scalarType) }
    var next = 0
    for case let slot? in draws.lazy.map(\.slot) {
      (scalars[slot], scalars[slot + 1]) = (values[next], values[next + 1])
      next += 2
    }
    // A buffer that another tensor or another argument shows is not overwritten.
    var shared: Set<ObjectIdentifier> = []
    if !program.donations.isEmpty {
      var seen = Set<ObjectIdentifier>(minimumCapacity: arguments.storages.count)
      for storage in arguments.storages {
        let identity = ObjectIdentifier(storage.buffer)
        if !seen.insert(identity).inserted || storage.buffer.holders.load(ordering: .acquiring) != 1 {
          shared.insert(identity)
        }
      }
    }
    var outputs: [Buffer] = []
    outputs.reserveCapacity(program.outputs.count)
    for (i, type) in program.outputs.enumerated() {
      if let input = program.donations[i] {
        let buffer = arguments.storages[leaves[input]].buffer
        if !shared.contains(ObjectIdentifier(buffer)) {
          outputs.append(buffer)
          continue
        }
      }
      outputs.append(try driver.allocate(byteCount: type.byteCount))
    }
    let arena = program.arenaBytes > 0 ? try driver.allocate(byteCount: program.arenaBytes) : nil
    try plan.compiled.run(
      Bindings(
        inputs: leaves.map { (arguments.storages[$0].buffer, arguments.storages[$0].layout.offset) }, outputs: outputs,
        arena: arena, scalars: scalars))
    return finish(arguments, outputs)
  }

  private func finish(_ arguments: Arguments, _ outputs: [Buffer]) -> (state: [Tensor], outputs: [Tensor]) {
    for i in 0..<stateCount where results[i] != .argument(i) { arguments.tensors[i].node.donate() }
    var made: [Tensor?] = Array(repeating: nil, count: outputs.count)
    var tensors: [Tensor] = []
    tensors.reserveCapacity(results.count)
    for result in results {
      switch result {
      case .argument(let i): tensors.append(arguments.tensors[i])
      case .output(let root, let shape, let dtype):
        let index = plan.outputIndex[root]
        if let known = made[index] {
          tensors.append(known)
          continue
        }
        let storage = Storage(buffer: outputs[index], layout: Layout(contiguous: shape))
        let tensor = Tensor(Node(.leaf, shape: shape, dtype: dtype, device: arguments.device, storage: storage))
        made[index] = tensor
        tensors.append(tensor)
      }
    }
    return (Array(tensors.prefix(stateCount)), Array(tensors.dropFirst(stateCount)))
  }
}

extension Snapshot {
  /// The argument that each leaf is.
  func argumentOfLeaf(_ argumentIndex: [ObjectIdentifier: Int]) -> [Int] {
    var result = [Int](repeating: 0, count: leaves.count)
    for (node, leaf) in leafIndex { result[leaf] = argumentIndex[node] ?? 0 }
    return result
  }
}

extension Node {
  /// The node behind marks that do not change its value.
  fileprivate var unmarked: Node {
    var node = self
    while case .identity = node.op, let input = node.inputs.first { node = input }
    return node
  }
}
