import KilnEngine
import KilnLayers
import Synchronization

/// A rule at work on the parameters of a model: it holds their slots and counts the steps.
///
///     let optimizer = Optimizer(Adam(learningRate: 0.001), for: model)
///     let loss = softmaxCrossEntropy(logits: model(x), labels: y)
///     try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
public final class Optimizer: Sendable {
  /// What is updated, by name: the model's trainable parameters.
  public let parameters: [NamedParameter]
  /// The model's running statistics: what a step's forward pass left pending is evaluated with the step.
  private let buffers: [NamedBuffer]

  private struct State {
    var rule: any UpdateRule
    var slots: [[Tensor]]
    var stepCount = 0
  }
  private let state: Mutex<State>

  /// Works on the parameters of `model` that are trainable now.
  public convenience init(_ rule: any UpdateRule, for model: any Module) {
    self.init(rule, model.namedParameters.filter(\.parameter.isTrainable), buffers: model.namedBuffers)
  }

  public init(_ rule: any UpdateRule, _ parameters: [NamedParameter], buffers: [NamedBuffer] = []) {
    (self.parameters, self.buffers) = (parameters, buffers)
    let slots = parameters.map { named in
      rule.slots.map { slot in
        Tensor.full(
          named.parameter.shape, rule.initialValue(ofSlot: slot), dtype: named.parameter.dtype,
          on: named.parameter.value.device)
      }
    }
    state = Mutex(State(rule: rule, slots: slots))
  }

  /// The parameters' current values: what to differentiate the loss by.
  public var values: [Tensor] { parameters.map(\.parameter.value) }

  public var learningRate: Double {
    get { state.withLock { $0.rule.learningRate } }
    set { state.withLock { $0.rule.learningRate = newValue } }
  }

  /// The whole state: each parameter's slots as "<parameter>.<slot>".
  public var slots: [String: Tensor] {
    state.withLock { state in
      var result: [String: Tensor] = [:]
      for (named, tensors) in zip(parameters, state.slots) {
        for (slot, tensor) in zip(state.rule.slots, tensors) { result["\(named.name).\(slot)"] = tensor }
      }
      return result
    }
  }

  /// Takes up a state that `slots` and `stepCount` gave. Throws when a slot is missing or has another shape.
  public func restore(slots: [String: Tensor], stepCount: Int) throws {
    try state.withLock { state in
      let restored = try parameters.map { named in
        try state.rule.slots.map { slot -> Tensor in
          let name = "\(named.name).\(slot)"
          let found = slots[name].map { "\($0.shape)" } ?? "nothing"
          guard let tensor = slots[name], tensor.shape == named.parameter.shape else {
            throw TensorError(
              operation: "Optimizer.restore",
              rule:
                "'\(name)' must have shape \(named.parameter.shape), got \(found)",
              fix: "restore the state of the same model and rule")
          }
          return tensor
        }
      }
      state.slots = restored
      state.stepCount = stepCount
    }
  }

  /// Steps taken.
  public var stepCount: Int { state.withLock { $0.stepCount } }

  /// Updates every parameter, in place where nothing else holds its old value, and evaluates `others` (such as the
  /// loss) and the model's pending running statistics in the same run.
  ///
  /// `gradients` are in the order of `parameters`. Throws their errors, or those of the device; the parameters and the
  /// state are then as before, unless the device failed in the middle of the run.
  public func step(gradients: [Tensor], evaluating others: [Tensor] = []) throws {
    guard gradients.count == parameters.count else {
      throw TensorError(
        operation: "Optimizer.step",
        rule: "needs \(parameters.count) gradients, one for each parameter, got \(gradients.count)",
        fix: "differentiate by `optimizer.values`")
    }
    try state.withLock { state in
      // What was not computed yet: once all is in memory, every step is the same program. One by one, as equal values
      // of one evaluation share their memory, and each is to be updated in place.
      for tensor in values + state.slots.flatMap({ $0 }) where !tensor.isEvaluated { try evaluate(tensor) }
      var donated: [Tensor] = []
      var newValues: [Tensor] = []
      var slots: [[Tensor]] = []
      let scalars = state.rule.scalars(step: state.stepCount + 1)
      for (index, named) in parameters.enumerated() {
        let old = named.parameter.value
        guard gradients[index].error != nil || gradients[index].shape == old.shape else {
          throw TensorError(
            operation: "Optimizer.step", rule: "the gradient must have its parameter's shape",
            operands: "\(named.name) \(old.shape), gradient \(gradients[index].shape)",
            fix: "differentiate by `optimizer.values`")
        }
        let new = state.rule.update(
          value: old.stopGradient(), gradient: gradients[index].stopGradient(), slots: state.slots[index],
          scalars: scalars.map { .full([], $0, dtype: old.dtype, on: old.device) })
        newValues.append(new.value)
        slots.append(new.slots)
        donated.append(old)
        donated += state.slots[index]
      }
      // A buffer with an error says so when it is read; the step does not depend on it.
      let pending = buffers.map(\.buffer.value).filter { !$0.isEvaluated && $0.error == nil }
      try evaluate(newValues + slots.flatMap { $0 } + others + pending, donating: donated)
      for (named, value) in zip(parameters, newValues) { named.parameter.value = value }
      state.slots = slots
      state.stepCount += 1
    }
  }
}
