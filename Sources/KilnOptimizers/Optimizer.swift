import KilnEngine
import KilnLayers
import Synchronization

/// A rule at work on the parameters of a model: it holds their slots and counts the steps.
///
///     let optimizer = Optimizer(Adam(learningRate: 0.001), for: model)
///     let loss = softmaxCrossEntropy(logits: model(x), labels: y)
///     try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
public final class Optimizer: Sendable {
  let allParameters: [NamedParameter]
  /// The model's running statistics: what a step's forward pass left pending is evaluated with the step.
  private let buffers: [NamedBuffer]

  struct State {
    /// One for each group, the first for the parameters that no other holds.
    var rules: [any UpdateRule]
    var groupOf: [Int]
    var schedule: (any Schedule)?
    var clipping: GradientClipping?
    /// Steps taken by each parameter.
    var steps: [Int]
    var stepCount = 0
    /// How the parameters of the last step lie.
    var blocks: [ParameterBlock] = []
    /// The slots of parameters that are in no block.
    var resting: [Int: [Tensor]] = [:]

    func rule(of parameter: Int) -> any UpdateRule { rules[groupOf[parameter]] }

    /// A group's rule with the learning rate of the coming step.
    func scheduledRule(_ group: Int) -> any UpdateRule {
      var rule = rules[group]
      if let schedule { rule.learningRate = schedule.learningRate(step: stepCount, base: rule.learningRate) }
      return rule
    }
  }
  private let guarded: Mutex<State>

  /// Works on the parameters of `model`. Those that are not trainable at a step are passed over by it.
  public convenience init(_ rule: any UpdateRule, for model: any Module, schedule: (any Schedule)? = nil) {
    self.init(rule, model.namedParameters, buffers: model.namedBuffers, schedule: schedule)
  }

  /// Works on the parameters of `model`, some in groups with rates of their own. Throws when a group holds none.
  public convenience init(
    _ rule: any UpdateRule, for model: any Module, groups: [ParameterGroup], schedule: (any Schedule)? = nil
  ) throws {
    let parameters = model.namedParameters
    let groupOf = parameters.map { named in (groups.firstIndex { $0.holds(named.name) } ?? -1) + 1 }
    for (index, group) in groups.enumerated() where !groupOf.contains(index + 1) {
      throw TensorError(
        operation: "Optimizer",
        rule:
          "group \(index) with the patterns \(group.patterns) holds none of the model's \(parameters.count) parameters",
        fix: "a parameter belongs to the first group that names it; see `model.namedParameters`")
    }
    let rules = groups.map { group -> any UpdateRule in
      var own = rule
      own.learningRate = group.learningRate ?? rule.learningRate
      own.weightDecay = group.weightDecay ?? rule.weightDecay
      return own
    }
    self.init([rule] + rules, groupOf, parameters, model.namedBuffers, schedule)
  }

  /// Works on the given parameters, and evaluates the given buffers.
  public convenience init(
    _ rule: any UpdateRule, _ parameters: [NamedParameter], buffers: [NamedBuffer] = [],
    schedule: (any Schedule)? = nil
  ) {
    self.init([rule], parameters.map { _ in 0 }, parameters, buffers, schedule)
  }

  private init(
    _ rules: [any UpdateRule], _ groupOf: [Int], _ parameters: [NamedParameter], _ buffers: [NamedBuffer],
    _ schedule: (any Schedule)?
  ) {
    (allParameters, self.buffers) = (parameters, buffers)
    guarded = Mutex(
      State(rules: rules, groupOf: groupOf, schedule: schedule, steps: parameters.map { _ in 0 }))
    // Now rather than in the first step, so that its graph reads the parameters where those of later steps do; unless there
    // is such a graph already. What cannot be evaluated says so in the step.
    if !trainable.contains(where: { allParameters[$0].parameter.isInUse }) {
      withState { try? arrange(&$0, trainable) }
    }
  }

  func withState<R>(_ body: (inout State) throws -> R) rethrows -> R { try guarded.withLock { try body(&$0) } }

  /// Indices of the parameters that are trainable now.
  var trainable: [Int] { allParameters.indices.filter { allParameters[$0].parameter.isTrainable } }

  /// What the next step updates, by name: the parameters that are trainable now.
  public var parameters: [NamedParameter] { allParameters.filter(\.parameter.isTrainable) }

  /// The current values of `parameters`: what to differentiate the loss by.
  public var values: [Tensor] { parameters.map(\.parameter.value) }

  /// The first group's learning rate, before the schedule. A new one changes those of other groups in proportion.
  public var learningRate: Double {
    get { withState { $0.rules[0].learningRate } }
    set {
      withState { state in
        let old = state.rules[0].learningRate
        for group in state.rules.indices.dropFirst() where old != 0 {
          state.rules[group].learningRate *= newValue / old
        }
        state.rules[0].learningRate = newValue
      }
    }
  }

  /// What makes of each group's learning rate the one of a step; its steps are those of the optimizer.
  public var schedule: (any Schedule)? {
    get { withState { $0.schedule } }
    set { withState { $0.schedule = newValue } }
  }

  /// What is done to the gradients before they are used; over all of them, on their flat tensors. By default nothing.
  public var clipping: GradientClipping? {
    get { withState { $0.clipping } }
    set { withState { $0.clipping = newValue } }
  }

  /// The learning rate of each group in the coming step.
  public var scheduledLearningRates: [Double] {
    withState { state in state.rules.indices.map { state.scheduledRule($0).learningRate } }
  }

  /// Steps taken.
  public var stepCount: Int { withState { $0.stepCount } }

  /// Updates every trainable parameter, in place where nothing else holds its old value, and evaluates `others` (such as
  /// the loss) and the model's pending running statistics in the same run.
  ///
  /// `gradients` are in the order of `parameters`. Where a parameter was evaluated by itself since the last step (read, say),
  /// its group gets new memory once, by a program of its own. Throws their errors, or those of the device; the parameters and the
  /// state are then as before, unless the device failed in the middle of the run.
  public func step(gradients: [Tensor], evaluating others: [Tensor] = []) throws {
    try withState { state in
      let trainable = trainable
      try check(gradients, for: trainable)
      try arrange(&state, trainable)
      let update = BlockUpdate(state)
      let old = state.blocks.map { BlockTensors(value: $0.storage.whole, slots: $0.slots) }
      let numbers = zip(update.scalars, state.blocks).map { set, block in
        set.map { Tensor.full([], $0, dtype: block.dtype, on: block.device) }
      }
      let new = update.apply(to: old, gradients: gradients, scalars: numbers)
      // A buffer with an error says so when it is read; the step does not depend on it.
      let pending = buffers.map(\.buffer.value).filter { !$0.isEvaluated && $0.error == nil }
      try evaluate(new.flatMap(\.all) + others + pending, donating: old.flatMap(\.all))
      commit(new, to: &state)
    }
  }

  /// Takes a step's results.
  func commit(_ new: [BlockTensors], to state: inout State) {
    for (index, tensors) in new.enumerated() {
      state.blocks[index].storage.replace(with: tensors.value)
      state.blocks[index].slots = tensors.slots
      for member in state.blocks[index].members { state.steps[member] += 1 }
    }
    state.stepCount += 1
  }

  private func check(_ gradients: [Tensor], for trainable: [Int]) throws {
    guard gradients.count == trainable.count else {
      throw TensorError(
        operation: "Optimizer.step",
        rule: "needs \(trainable.count) gradients, one for each trainable parameter, got \(gradients.count)",
        fix: "differentiate by `optimizer.values`")
    }
    for (index, gradient) in zip(trainable, gradients) {
      let named = allParameters[index]
      guard gradient.error != nil || gradient.shape == named.parameter.shape else {
        throw TensorError(
          operation: "Optimizer.step", rule: "the gradient must have its parameter's shape",
          operands: "\(named.name) \(named.parameter.shape), gradient \(gradient.shape)",
          fix: "differentiate by `optimizer.values`")
      }
    }
  }
}
