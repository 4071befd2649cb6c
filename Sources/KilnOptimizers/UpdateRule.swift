import KilnEngine

/// An optimizer's formula: a value that holds hyper-parameters and no state.
///
/// Numbers that change from step to step (the learning rate, bias corrections) enter as `Double` constants, which the
/// engine binds when it runs: changing them compiles nothing.
public protocol UpdateRule: Sendable {
  var learningRate: Double { get set }
  /// The names of the tensors that are kept for each parameter, which start at 0: PyTorch's names.
  var slots: [String] { get }
  /// One parameter's new value and slots, for step 1, 2, ...; all tensors have the parameter's shape and dtype.
  func update(value: Tensor, gradient: Tensor, slots: [Tensor], step: Int) -> (value: Tensor, slots: [Tensor])
}
