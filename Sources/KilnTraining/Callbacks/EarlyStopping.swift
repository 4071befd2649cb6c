import KilnData
import KilnEngine
import KilnLayers

/// Stops when a value has not become better for some epochs, and then gives the model the weights of the best epoch,
/// bit for bit. Keras' `EarlyStopping(restore_best_weights=True)`.
public final class EarlyStopping: TrainingCallback {
  public let monitor: MonitoredValue
  /// So many epochs in a row without a better value are one too many: PyTorch Lightning's and Keras' `patience`.
  public let patience: Int
  /// A value counts as better only if it is so by more than this.
  public let minimumChange: Double
  public let restoresBest: Bool

  private var best = Double.nan
  /// Counted from 1; 0 before the first.
  public private(set) var bestEpoch = 0
  private var waited = 0
  /// Host copies: the optimizer updates the tensors themselves in place.
  private var weights: [String: HostArray] = [:]
  private var averageUpdates = 0
  private static let reason = "early stopping"
  /// Before the names of averages of weights, among the weights.
  private static let averaged = "average of "

  public init(
    monitor: MonitoredValue = .validationLoss, patience: Int = 3, minimumChange: Double = 0, restoresBest: Bool = true
  ) {
    (self.monitor, self.patience) = (monitor, max(patience, 1))
    (self.minimumChange, self.restoresBest) = (abs(minimumChange), restoresBest)
  }

  public var saved: CallbackState {
    CallbackState(
      numbers: [
        "best": best, "epoch": Double(bestEpoch), "waited": Double(waited), "averageUpdates": Double(averageUpdates),
      ], arrays: weights)
  }

  public func restore(_ state: CallbackState) throws {
    best = state.numbers["best"] ?? .nan
    bestEpoch = Int(state.numbers["epoch"] ?? 0)
    waited = Int(state.numbers["waited"] ?? 0)
    averageUpdates = Int(state.numbers["averageUpdates"] ?? 0)
    weights = state.arrays
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    try monitor.check(run, "EarlyStopping")
    if !run.isResumed { try restore(CallbackState()) }
  }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    guard let value = report.value(monitor) else { return }
    let bar = monitor.isMaximized ? best + minimumChange : best - minimumChange
    if bestEpoch == 0 || monitor.isBetter(value, than: bar) {
      (best, bestEpoch, waited) = (value, report.epoch + 1, 0)
      if restoresBest {
        weights = try run.trainer.model.stateDict.mapValues { try HostArray($0) }
        if let average = try run.trainer.average?.saved() {
          averageUpdates = average.updates
          for (name, tensor) in average.averages { weights[Self.averaged + name] = try HostArray(tensor) }
        }
      }
    } else {
      waited += 1
      if waited >= patience { run.stop(Self.reason) }
    }
  }

  public func trainingEnded(_ run: TrainingRun) throws {
    // An interrupted run goes on from where it is.
    guard restoresBest, !weights.isEmpty, run.stopReason == Self.reason || run.state.epoch == run.epochs else { return }
    let entries = run.trainer.model.stateEntries
    let tensors = weights.reduce(into: [String: Tensor]()) { result, pair in
      guard let entry = entries[pair.key] else { return }
      result[pair.key] = Tensor(pair.value, on: entry.value.device)
    }
    try run.trainer.model.loadStateDict(tensors)
    let averages = weights.filter { $0.key.hasPrefix(Self.averaged) }.map { name, array in
      (String(name.dropFirst(Self.averaged.count)), Tensor(array, on: run.trainer.device))
    }
    if !averages.isEmpty {
      try run.trainer.restoreAverage((Dictionary(uniqueKeysWithValues: averages), averageUpdates))
    }
    run.weightsChanged = true
  }
}
