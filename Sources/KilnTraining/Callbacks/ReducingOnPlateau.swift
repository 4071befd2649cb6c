import KilnOptimizers

/// Lowers the learning rate when a value has stopped getting better; see `ReduceOnPlateau`. Keras' and PyTorch's
/// `ReduceLROnPlateau`. A schedule, if there is one, goes on from the lowered rate.
public final class ReducingOnPlateau: TrainingCallback {
  public let monitor: MonitoredValue
  private var plateau: ReduceOnPlateau

  /// `plateau` says when and how; its goal is the monitored value's.
  public init(monitor: MonitoredValue = .validationLoss, _ plateau: ReduceOnPlateau = ReduceOnPlateau()) {
    self.monitor = monitor
    self.plateau = plateau
    self.plateau.goal = monitor.isMaximized ? .maximum : .minimum
  }

  public var saved: CallbackState {
    CallbackState(numbers: [
      "best": plateau.best ?? .nan, "bad": Double(plateau.badCount), "cooldown": Double(plateau.cooldownLeft),
    ])
  }

  public func restore(_ state: CallbackState) throws {
    plateau.restore(
      best: state.numbers["best"].flatMap { $0.isNaN ? nil : $0 }, badCount: Int(state.numbers["bad"] ?? 0),
      cooldownLeft: Int(state.numbers["cooldown"] ?? 0))
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    try monitor.check(run, "ReducingOnPlateau")
    if !run.isResumed { try restore(CallbackState()) }
  }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    guard let value = report.value(monitor) else { return }
    let optimizer = run.trainer.optimizer
    let rate = plateau.update(value, learningRate: optimizer.learningRate)
    if rate != optimizer.learningRate { optimizer.learningRate = rate }
  }
}
