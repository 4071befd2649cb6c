import KilnEngine

/// An optimizer's formula: a value that holds hyper-parameters and no state.
///
/// What changes from step to step (the learning rate, bias corrections) is computed on the host by `scalars(step:)` and
/// enters `update` as tensors, so that every step is the same program and a recorded one can be replayed with new
/// numbers. `update` must therefore not read the step or the learning rate by itself; what stays the same for the whole
/// training (a decay, epsilon, whether there is momentum) it may use as `Double`s.
public protocol UpdateRule: Sendable {
  var learningRate: Double { get set }
  /// How much of the weights is added to the gradient or taken from the weights: what the rule says.
  var weightDecay: Double { get set }
  /// The tensors that are kept for each parameter: PyTorch's names.
  var slots: [String] { get }
  /// What the elements of a slot are before the first step: 0 unless the rule says otherwise.
  func initialValue(ofSlot slot: String) -> Double
  /// Whether each element of a new value depends on that element of value, gradient and slots alone, so that many
  /// parameters may be updated as one flat tensor. True unless the rule says otherwise.
  var isElementwise: Bool { get }
  /// The numbers of step 1, 2, ...: as many in every step.
  func scalars(step: Int) -> [Double]
  /// One parameter's new value and slots; all tensors have the parameter's shape and dtype, except `scalars`, which are
  /// scalars of its dtype.
  func update(value: Tensor, gradient: Tensor, slots: [Tensor], scalars: [Tensor]) -> (value: Tensor, slots: [Tensor])
}

extension UpdateRule {
  public func initialValue(ofSlot slot: String) -> Double { 0 }
  public var isElementwise: Bool { true }
}
