import Synchronization

/// Whether a layer is being trained. A layer that behaves differently then (dropout, batch normalization) holds one;
/// `train()` and `eval()` of the model find and set them all. Copies of a layer share it.
public final class LayerMode: Sendable {
  private let training = Atomic<Bool>(true)
  let place = LayerPlace()

  /// Layers start in training mode, as PyTorch's do.
  public init() {}

  public var isTraining: Bool {
    get { training.load(ordering: .relaxed) }
    set { training.store(newValue, ordering: .relaxed) }
  }
}

extension Module {
  package var modes: [LayerMode] { collect { _, value in value as? LayerMode } }

  /// Dropout drops, and batch normalization uses and updates the batch's statistics.
  public func train() { for mode in modes { mode.isTraining = true } }

  /// Dropout passes everything, and batch normalization uses its running statistics.
  public func eval() { for mode in modes { mode.isTraining = false } }

  /// The result of `body` with the model in evaluation mode; afterwards every layer is in the mode it was in.
  public func evaluating<Result>(_ body: () throws -> Result) rethrows -> Result {
    let modes = modes
    let before = modes.map(\.isTraining)
    defer { for (mode, isTraining) in zip(modes, before) { mode.isTraining = isTraining } }
    eval()
    return try body()
  }
}
