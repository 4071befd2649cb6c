import KilnEngine
import KilnLayers
import Synchronization

/// A whole training step (forward, loss, backward, update, running statistics) that is traced once for each signature
/// and then replayed as one program: see `CompiledFunction`. PyTorch's `torch.compile` of a step, Keras' `jit_compile`.
///
///     let step = CompiledTrainingStep(model, optimizer) { inputs in
///       [softmaxCrossEntropy(logits: model(inputs[0]), labels: inputs[1])]
///     }
///     for (x, y) in batches { let loss = try step([x, y])[0] }
///
/// Its numbers are those of `Optimizer.step`, to the bit. Parameters, slots, step counts and buffers are read anew at every
/// call, so values set from outside are taken up; a changed learning rate, schedule or random state is too. Another shape
/// of the batch, training instead of evaluation mode, frozen or thawed parameters are traced once each. A loss that reads
/// values, or uses tensors in memory that belong to neither model nor inputs, is refused with an error that names
/// "CompiledFunction": use `Optimizer.step` for it.
public final class CompiledTrainingStep: Sendable {
  /// The step's inputs to a scalar, the loss, and whatever else is wanted of the step (predictions, say).
  public typealias Loss = @Sendable (_ inputs: [Tensor]) throws -> [Tensor]
  /// The gradients of the optimizer's parameters to those that it is given: clipping, for example.
  public typealias Transform = @Sendable (_ gradients: [Tensor]) throws -> [Tensor]

  private let optimizer: Optimizer
  private let model: ModelParts
  private let function: CompiledFunction
  private let course: Course

  public init(
    _ model: any Module, _ optimizer: Optimizer, transformingGradients transform: Transform? = nil,
    loss: @escaping Loss
  ) {
    self.optimizer = optimizer
    let parts = ModelParts(model, optimizer)
    let course = Course()
    (self.model, self.course) = (parts, course)
    function = CompiledFunction { state, inputs, scalars in
      try course.current.trace(parts, state, inputs, scalars, transform, loss)
    }
  }

  /// How often the model has run. A steady loop leaves it unchanged.
  public var traces: Int { function.traces }

  /// Makes the next step trace again and compare; see `CompiledFunction.recheck`.
  public func recheck() { function.recheck() }

  /// One update. The results are those of the loss before it, evaluated but not read.
  ///
  /// Throws the errors of the loss or of gradients, what cannot be replayed, and those of the device; parameters and
  /// state are then as before, unless the device failed in the middle of the run.
  @discardableResult
  public func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor] {
    // A copy, so that a loss may ask the optimizer something while it is traced.
    var state = try optimizer.arranged()
    let plan = StepPlan(optimizer, state, model, inputCount: inputs.count)
    course.begin(plan)
    let old = state.blocks.flatMap { [$0.storage.whole] + $0.slots } + model.buffers.map(\.value)
    let fixed = plan.fixed.map { model.parameters[$0].value.stopGradient() }
    let result = try function(
      state: old, inputs: inputs + fixed, scalars: plan.update.scalars.flatMap { $0 }, mode: plan.mode)
    var next = result.state[...]
    let new = plan.slotCounts.map { count in
      BlockTensors(value: next.removeFirst(), slots: (0..<count).map { _ in next.removeFirst() })
    }
    optimizer.commit(new, to: &state)
    for (buffer, value) in zip(model.buffers, next) { buffer.value = value }
    let (blocks, steps, stepCount) = (state.blocks, state.steps, state.stepCount)
    optimizer.withState { ($0.blocks, $0.steps, $0.stepCount) = (blocks, steps, stepCount) }
    return result.outputs
  }
}

extension Optimizer {
  /// The state with the blocks of the coming step.
  fileprivate func arranged() throws -> State {
    try withState { state in
      try arrange(&state, trainable)
      return state
    }
  }
}

/// What a step reads of the model, found once.
struct ModelParts: Sendable {
  /// Every parameter, whether the optimizer knows it or not.
  let parameters: [Parameter]
  let buffers: [LayerBuffer]
  let modes: [LayerMode]
  /// For each parameter its index in the optimizer.
  let indexInOptimizer: [Int?]

  init(_ model: any Module, _ optimizer: Optimizer) {
    let known = optimizer.allParameters.map(\.parameter)
    var parameters = model.parameters
    parameters += known.filter { known in !parameters.contains { $0 === known } }
    self.parameters = parameters
    buffers = model.namedBuffers.map(\.buffer)
    modes = model.modes
    indexInOptimizer = parameters.map { parameter in known.firstIndex { $0 === parameter } }
  }
}

/// What one step's course depends on beside tensors: the trace follows it, and it is the recording's mode.
private struct StepPlan: Sendable {
  let update: BlockUpdate
  let storages: [ParameterStorage]
  let slotCounts: [Int]
  /// Of the model's parameters, those that the step only reads.
  let fixed: [Int]
  let inputCount: Int
  let mode: [Int]

  init(_ optimizer: Optimizer, _ state: Optimizer.State, _ model: ModelParts, inputCount: Int) {
    update = BlockUpdate(state)
    storages = state.blocks.map(\.storage)
    slotCounts = state.blocks.map(\.slots.count)
    self.inputCount = inputCount
    var isUpdated = optimizer.allParameters.map { _ in false }
    for block in state.blocks { for member in block.members { isUpdated[member] = true } }
    fixed = model.indexInOptimizer.indices.filter { i in model.indexInOptimizer[i].map { !isUpdated[$0] } ?? true }
    var mode = model.modes.map { $0.isTraining ? 1 : 0 }
    for block in state.blocks { mode += [-1, block.group] + block.members }
    mode += update.blocks.map { Int(bitPattern: UInt(truncatingIfNeeded: $0.rule.weightDecay.bitPattern)) }
    self.mode = mode + (update.clipping?.signature ?? [])
  }

  /// The step on stand-ins.
  func trace(
    _ model: ModelParts, _ state: [Tensor], _ inputs: [Tensor], _ scalars: [Tensor],
    _ transform: CompiledTrainingStep.Transform?, _ loss: CompiledTrainingStep.Loss
  ) throws -> (state: [Tensor], outputs: [Tensor]) {
    var rest = state[...]
    let old = slotCounts.map { count in
      BlockTensors(value: rest.removeFirst(), slots: (0..<count).map { _ in rest.removeFirst() })
    }
    // The model sees the stand-ins for the time of the trace.
    var values: [Int: Tensor] = [:]
    for (block, whole) in old.enumerated() {
      for (position, member) in update.blocks[block].members.enumerated() {
        values[member] = storages[block].part(position, of: whole.value).watched()
      }
    }
    var constants = inputs.dropFirst(inputCount)
    var substituted: [Parameter] = []
    for (i, parameter) in model.parameters.enumerated() {
      let standIn = model.indexInOptimizer[i].flatMap { values[$0] } ?? constants.removeFirst()
      parameter.substitute(standIn)
      substituted.append(parameter)
    }
    let buffersBefore = zip(model.buffers, rest).map { ($0, $0.exchange($1)) }
    defer {
      for parameter in substituted { parameter.substitute(nil) }
      for (buffer, value) in buffersBefore { _ = buffer.exchange(value) }
    }

    let results = try loss(Array(inputs.prefix(inputCount)))
    guard let first = results.first else {
      throw TensorError(
        operation: "CompiledTrainingStep", rule: "the loss must return at least one tensor", fix: "return [loss]")
    }
    let trainable = values.sorted { $0.key < $1.key }.map(\.value)
    var gradients = try gradient(of: first, withRespectTo: trainable)
    if let transform { gradients = try transform(gradients) }
    guard gradients.count == trainable.count else {
      throw TensorError(
        operation: "CompiledTrainingStep",
        rule: "transformingGradients must return \(trainable.count) gradients, got \(gradients.count)",
        fix: "return one for each that it is given")
    }
    let new = update.apply(to: old, gradients: gradients, scalars: sets(scalars, old))
    return (
      new.flatMap(\.all) + model.buffers.map { $0.value.stopGradient() }, results.map { $0.stopGradient() }
    )
  }

  /// Each block's numbers, in its dtype.
  private func sets(_ flat: [Tensor], _ blocks: [BlockTensors]) -> [[Tensor]] {
    var rest = flat[...]
    return zip(update.scalars, blocks).map { set, block in
      set.map { _ in
        let number = rest.removeFirst()
        return number.dtype == block.value.dtype ? number : number.cast(to: block.value.dtype)
      }
    }
  }
}

/// Hands the plan of the step under way to the function that traces it.
private final class Course: Sendable {
  private let plan = Mutex<StepPlan?>(nil)
  var current: StepPlan {
    get throws {
      guard let plan = plan.withLock({ $0 }) else {
        throw TensorError(operation: "CompiledTrainingStep", rule: "no step is under way", fix: "call the step")
      }
      return plan
    }
  }
  func begin(_ next: StepPlan) { plan.withLock { $0 = next } }
}
