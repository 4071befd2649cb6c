import Synchronization

/// A function of tensors that is traced once and then replayed: later calls build no graph, look nothing up, and run the
/// compiled program on new buffers and numbers.
///
///     let step = CompiledFunction { state, inputs, scalars in
///       let w = state[0].watched()
///       let loss = square(matmul(inputs[0], w) - inputs[1]).mean()
///       let g = try gradient(of: loss, withRespectTo: w)
///       return (state: [w.stopGradient() - g * scalars[0]], outputs: [loss])
///     }
///     (weights, outputs) = try step(state: weights, inputs: [x, y], scalars: [learningRate])
///
/// PyTorch's `torch.compile` with CUDA graphs, JAX's `jit` with donated arguments. The first call and every replay are one
/// program with one kind of bindings, so their bits are equal.
///
/// - *State* is given away: its memory is updated in place where no other tensor shows it, and the old tensors can no
///   longer be read. As many tensors come back, in the same shapes and dtypes.
/// - *Inputs* are read only. Other shapes, dtypes or strides, another `mode`, other `EngineOptions` are traced anew, each
///   once.
/// - *Scalars* are numbers that change from call to call; inside they are tensors of rank 0 that take part in operations
///   but cannot be read: float64 if an argument is, else float32.
/// - *Random numbers* are drawn at every call from the generators that the function drew from when it was traced, in the
///   same order: seeding one, or going back to an earlier state, has the effect that it always has.
///
/// Nothing else can change without being noticed. A tensor in memory that is neither state nor input (captured, or made
/// of numbers inside), a value that is read inside, a copy to another device: refused with an error. A Swift number used
/// inside is traced as it is. The second call traces once more and refuses a number or a structure that differs without
/// one of the arguments differing; `recheck()` asks for the same at the next call, after code ran that may have changed
/// something. A mode that the function looks at belongs into `mode`.
public final class CompiledFunction: Sendable {
  /// (state, inputs, scalars) to (new state, outputs).
  public typealias Body =
    @Sendable (_ state: [Tensor], _ inputs: [Tensor], _ scalars: [Tensor]) throws -> (
      state: [Tensor], outputs: [Tensor]
    )

  private struct State {
    /// The latest used first.
    var recordings: [Recording] = []
    var traces = 0
  }
  private let state = Mutex(State())
  private let body: Body
  /// Signatures kept; batches of ever new shapes must not fill the memory.
  static let capacity = 32

  public init(_ body: @escaping Body) { self.body = body }

  /// How often the function itself has run. A steady loop leaves it unchanged.
  public var traces: Int { state.withLock { $0.traces } }

  /// Makes the next call of every signature trace once more and compare; what differs is then an error.
  public func recheck() { state.withLock { for i in $0.recordings.indices { $0.recordings[i].needsCheck = true } } }

  /// Forgets everything: the next call is traced as the first one was.
  public func reset() { state.withLock { $0.recordings.removeAll() } }

  /// Runs the function. Arguments that are not computed yet are evaluated first.
  ///
  /// - Parameter mode: whatever else the function depends on, such as whether its layers are in training mode, as numbers.
  /// - Throws: errors that arguments or results carry; a `TensorError` for what cannot be replayed (see above); what the
  ///   device reports. State is given away only by a call that succeeds.
  public func callAsFunction(
    state tensors: [Tensor] = [], inputs: [Tensor], scalars: [Double] = [], mode: [Int] = []
  ) throws -> (state: [Tensor], outputs: [Tensor]) {
    try Recorder.refuseReading()
    for tensor in tensors + inputs where !tensor.isEvaluated || tensor.error != nil { try evaluate(tensor) }
    if EngineOptions.current.eager { return try runEagerly(tensors, inputs, scalars) }
    let arguments = try Arguments(state: tensors, inputs: inputs, scalars: scalars, mode: mode)
    return try state.withLock { state in
      if let found = state.recordings.firstIndex(where: { $0.signature.matches(arguments) }) {
        if found > 0 { state.recordings.swapAt(0, found) }
        if state.recordings[0].needsCheck {
          state.traces += 1
          let draws = try check(state.recordings[0], arguments)
          state.recordings[0].needsCheck = false
          return try state.recordings[0].run(arguments, draws: draws)
        }
        let recording = state.recordings[0]
        return try recording.run(arguments, draws: recording.drawAgain())
      }
      state.traces += 1
      let (recording, draws) = try trace(arguments)
      state.recordings.insert(recording, at: 0)
      if state.recordings.count > Self.capacity { state.recordings.removeLast() }
      return try recording.run(arguments, draws: draws)
    }
  }

  /// In the debugging mode every operation is evaluated as it is made; there is nothing to record.
  private func runEagerly(_ tensors: [Tensor], _ inputs: [Tensor], _ scalars: [Double]) throws -> (
    state: [Tensor], outputs: [Tensor]
  ) {
    let arguments = try Arguments(state: tensors, inputs: inputs, scalars: scalars, mode: [])
    let numbers = scalars.map {
      Tensor.constant(Scalar($0, arguments.scalarType), shape: [], device: arguments.device)
    }
    let results = try body(tensors, inputs, numbers)
    try evaluate(results.state + results.outputs, donating: tensors)
    return results
  }

  private func trace(_ arguments: Arguments) throws -> (Recording, draws: [Scalar]) {
    let recorder = Recorder()
    do {
      return try Recording.trace(arguments, recorder: recorder, body)
    } catch {
      recorder.undoDraws()
      throw error
    }
  }

  /// Traces again and compares. The result are the draws of that trace, which stand for this call's.
  private func check(_ recording: Recording, _ arguments: Arguments) throws -> [Scalar] {
    let recorder = Recorder()
    do {
      let (again, draws) = try Recording.trace(arguments, recorder: recorder, compiled: recording, body)
      try recording.compare(with: again)
      return draws
    } catch {
      recorder.undoDraws()
      throw error
    }
  }
}

/// One call's arguments: all in memory, on one device.
struct Arguments {
  /// State first, then inputs.
  let tensors: [Tensor]
  let storages: [Storage]
  let stateCount: Int
  let scalars: [Double]
  let mode: [Int]
  let device: Device
  let options: EngineOptions.Flags
  var scalarType: DType { tensors.contains { $0.node.dtype == .float64 } ? .float64 : .float32 }

  init(state: [Tensor], inputs: [Tensor], scalars: [Double], mode: [Int]) throws {
    tensors = state + inputs
    stateCount = state.count
    (self.scalars, self.mode) = (scalars, mode)
    device = tensors.first?.device ?? .default
    options = EngineOptions.current
    var storages: [Storage] = []
    storages.reserveCapacity(tensors.count)
    for tensor in tensors {
      guard tensor.node.device == device else {
        throw TensorError(
          operation: "CompiledFunction", rule: "all arguments must be on one device",
          operands: "\(device) and \(tensor.device)", fix: "move them together with `.to(device)`")
      }
      guard let storage = tensor.node.storage else { throw Evaluator.donatedError(tensor.node) }
      storages.append(storage)
    }
    self.storages = storages
  }
}
