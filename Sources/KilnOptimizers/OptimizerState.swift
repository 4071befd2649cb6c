import KilnEngine
import KilnLayers
/// All that an optimizer remembers, to be kept with the weights: with both, training goes on bit for bit.
///
/// What the rules were made with (betas, epsilon, momentum) is not in it: the program that takes up the training says so.
public struct OptimizerState: Sendable {
  /// What one group of parameters has of its own.
  public struct Group: Sendable, Hashable, Codable {
    public var learningRate: Double
    public var weightDecay: Double
    /// The names of the group's parameters.
    public var parameters: [String]
    /// Where the rates and the members are as given.
    public init(learningRate: Double, weightDecay: Double, parameters: [String]) {
      (self.learningRate, self.weightDecay, self.parameters) = (learningRate, weightDecay, parameters)
    }
  }

  /// Steps taken by the optimizer.
  public var stepCount: Int
  /// Steps taken by each parameter: fewer where it was frozen for a while. PyTorch's "step".
  public var steps: [String: Int]
  /// Each parameter's slots as "<parameter>.<slot>", such as "output.bias.exp_avg".
  public var slots: [String: Tensor]
  public var groups: [Group]

  /// A state read from elsewhere.
  public init(stepCount: Int, steps: [String: Int], slots: [String: Tensor], groups: [Group]) {
    (self.stepCount, self.steps, self.slots, self.groups) = (stepCount, steps, slots, groups)
  }
}

extension Optimizer {
  /// The slots of every parameter that has taken a step, or may, as "<parameter>.<slot>". Snapshots: later steps do
  /// not change them.
  public var slots: [String: Tensor] {
    withState { state in
      var result: [String: Tensor] = [:]
      for index in allParameters.indices where allParameters[index].parameter.isTrainable || state.steps[index] > 0 {
        for (slot, tensor) in zip(state.rule(of: index).slots, slots(of: index, in: state)) {
          // In memory: the next step gives away only what nothing else holds.
          if !tensor.isEvaluated { try? evaluate(tensor) }
          result["\(allParameters[index].name).\(slot)"] = tensor.parameterLeaf(isWatched: false)
        }
      }
      return result
    }
  }

  /// Everything that continues the training bit for bit, with the weights.
  public var state: OptimizerState {
    let slots = slots
    return withState { state in
      let names = allParameters.map(\.name)
      let taken = zip(names, state.steps).filter { $0.1 > 0 }
      let groups = state.rules.indices.map { group in
        OptimizerState.Group(
          learningRate: state.rules[group].learningRate, weightDecay: state.rules[group].weightDecay,
          parameters: names.indices.filter { state.groupOf[$0] == group }.map { names[$0] })
      }
      return OptimizerState(
        stepCount: state.stepCount, steps: Dictionary(uniqueKeysWithValues: taken), slots: slots, groups: groups)
    }
  }

  /// Takes up a state. Throws, and changes nothing, when a slot of a parameter whose steps it names is missing or has
  /// another shape or dtype, or when the groups are others.
  public func restore(_ saved: OptimizerState) throws {
    try withState { state in
      let names = allParameters.map(\.name)
      let groups = state.rules.indices.map { group in names.indices.filter { state.groupOf[$0] == group } }
      guard saved.groups.map(\.parameters) == groups.map({ $0.map { names[$0] } }) else {
        throw TensorError(
          operation: "Optimizer.restore",
          rule: "the groups must hold the same parameters, got \(saved.groups.map(\.parameters.count)) "
            + "parameters for \(groups.map(\.count))", fix: "make the optimizer with the model and groups of the state")
      }
      var slots: [Int: [Tensor]] = [:]
      for index in names.indices {
        let own = state.rule(of: index).slots.map { "\(names[index]).\($0)" }
        // A parameter that has taken no step has new ones.
        if saved.steps[names[index]] == nil, !own.contains(where: { saved.slots[$0] != nil }) { continue }
        slots[index] = try own.map { name in
          let parameter = allParameters[index].parameter
          guard let tensor = saved.slots[name] else { throw Self.misfit(name, parameter, found: "nothing") }
          guard tensor.shape == parameter.shape, tensor.dtype == parameter.dtype else {
            throw Self.misfit(name, parameter, found: "\(tensor.shape) \(tensor.dtype)")
          }
          return tensor.to(parameter.value.device).parameterLeaf(isWatched: false)
        }
      }
      (state.blocks, state.resting) = ([], slots)
      state.steps = names.map { saved.steps[$0] ?? 0 }
      state.stepCount = saved.stepCount
      for (group, own) in saved.groups.enumerated() {
        state.rules[group].learningRate = own.learningRate
        state.rules[group].weightDecay = own.weightDecay
      }
    }
  }

  /// Takes up `slots` and `stepCount`, for every parameter the same number of steps.
  public func restore(slots: [String: Tensor], stepCount: Int) throws {
    var saved = state
    saved.stepCount = stepCount
    saved.slots = slots
    saved.steps = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, stepCount) })
    try restore(saved)
  }

  private static func misfit(_ name: String, _ parameter: Parameter, found: String) -> TensorError {
    TensorError(
      operation: "Optimizer.restore",
      rule: "'\(name)' must have shape \(parameter.shape) and dtype \(parameter.dtype), got \(found)",
      fix: "restore the state of the same model and rule")
  }
}
