import Foundation
import KilnEngine
import KilnLayers
import Synchronization

/// An exponential moving average of a model's weights, which often does better than the weights themselves:
///
///     average = decay * average + (1 - decay) * w     after each step
///
/// With `correctsBias` it starts at 0 and is divided by 1 - decay^updates when used (as Adam's moments), so that the first
/// weights have no more than their share; without, it starts as a copy of them. PyTorch's AveragedModel with
/// get_ema_multi_avg_fn, Keras' use_ema. Running statistics are not averaged.
public final class WeightAverage: Sendable {
  public let decay: Double
  public let correctsBias: Bool
  public let parameters: [NamedParameter]

  private struct State {
    var averages: [Tensor]
    var updates = 0
    /// The model's own weights while the averages are in their place.
    var own: [Tensor]?
  }
  private let state: Mutex<State>

  /// Averages the parameters of `model`, trainable or not. Throws when they cannot be evaluated.
  public init(of model: any Module, decay: Double = 0.999, correctsBias: Bool = false) throws {
    (self.decay, self.correctsBias, parameters) = (decay, correctsBias, model.namedParameters)
    let averages = parameters.map { named in
      // Memory of its own: the weights are updated in place.
      correctsBias ? named.parameter.value.stopGradient() * 0 : named.parameter.value.stopGradient() + 0
    }
    for average in averages { try evaluate(average) }
    state = Mutex(State(averages: averages))
  }

  /// Takes the present weights into the averages, in place; to be called after each step. Throws while the averages are
  /// swapped in, and what the device reports.
  public func update() throws {
    try state.withLock { state in
      guard state.own == nil else {
        throw TensorError(
          operation: "WeightAverage.update", rule: "the averages must not be swapped in",
          fix: "call `swapOut()` first")
      }
      let new = zip(state.averages, parameters).map { average, named in
        average + (named.parameter.value.stopGradient() - average) * (1 - decay)
      }
      try evaluate(new, donating: state.averages)
      state.averages = new
      state.updates += 1
    }
  }

  /// The averages by the parameters' names, corrected if asked for; before the first update they are the weights.
  /// Snapshots: later updates do not change them.
  public func values() throws -> [String: Tensor] {
    try state.withLock { state in
      let averages = corrected(state)
      try evaluate(averages)
      return Dictionary(zip(parameters, averages).map { ($0.name, $1) }, uniquingKeysWith: { first, _ in first })
    }
  }

  private func corrected(_ state: State) -> [Tensor] {
    guard correctsBias else { return state.averages.map { $0.parameterLeaf(isWatched: false) } }
    if state.updates == 0 { return parameters.map { $0.parameter.value.parameterLeaf(isWatched: false) } }
    let share = 1 - Foundation.pow(decay, Double(state.updates))
    return state.averages.map { $0 / share }
  }

  /// What continues the averaging bit for bit: the averages as they are, uncorrected, and the number of updates.
  public func saved() throws -> (averages: [String: Tensor], updates: Int) {
    try state.withLock { state in
      try evaluate(state.averages)
      let averages = state.averages.map { $0.parameterLeaf(isWatched: false) }
      return (
        Dictionary(zip(parameters, averages).map { ($0.name, $1) }, uniquingKeysWith: { first, _ in first }),
        state.updates
      )
    }
  }

  /// Takes up what `saved` gave. Throws, and changes nothing, when a parameter's average is missing or has another shape.
  public func restore(averages: [String: Tensor], updates: Int) throws {
    let new = try parameters.map { named -> Tensor in
      guard let average = averages[named.name], average.shape == named.parameter.shape else {
        throw TensorError(
          operation: "WeightAverage.restore",
          rule: "'\(named.name)' must have shape \(named.parameter.shape), got "
            + (averages[named.name].map { "\($0.shape)" } ?? "nothing"), fix: "restore the averages of the same model")
      }
      // Memory of its own: it is updated in place.
      let copy = average.stopGradient().to(named.parameter.value.device) + 0
      try evaluate(copy)
      return copy
    }
    try state.withLock { state in
      guard state.own == nil else {
        throw TensorError(
          operation: "WeightAverage.restore", rule: "the averages must not be swapped in",
          fix: "call `swapOut()` first")
      }
      (state.averages, state.updates) = (new, updates)
    }
  }

  /// Puts the averages into the model, until `swapOut()`. A second call changes nothing.
  public func swapIn() throws {
    try state.withLock { state in
      guard state.own == nil else { return }
      let averages = corrected(state)
      try evaluate(averages)
      state.own = parameters.map { $0.parameter.value.parameterLeaf(isWatched: false) }
      for (named, average) in zip(parameters, averages) { named.parameter.value = average }
    }
  }

  /// Puts the model's own weights back.
  public func swapOut() {
    state.withLock { state in
      guard let own = state.own else { return }
      for (named, value) in zip(parameters, own) { named.parameter.value = value }
      state.own = nil
    }
  }

  /// `body` with the averages in the model's place.
  public func whileSwappedIn<R>(_ body: () throws -> R) throws -> R {
    try swapIn()
    defer { swapOut() }
    return try body()
  }
}
