import KilnData

/// Writes `history.csv`: one line for each epoch, the whole file anew each time, so that it is right after a resume.
/// It is flushed to the disk, so very short epochs are better written some at a time.
public final class HistoryFile: TrainingCallback {
  public let path: String
  /// An epoch that ends sooner after the last writing is written with a later one, or at the end.
  public let minimumSeconds: Double
  private let clock = ContinuousClock()
  private var writtenAt: ContinuousClock.Instant

  public init(_ path: String, minimumSeconds: Double = 0) {
    (self.path, self.minimumSeconds, writtenAt) = (path, minimumSeconds, ContinuousClock.now)
  }

  public func trainingBegan(_ run: TrainingRun) throws { try write(run) }
  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    if seconds(clock.now - writtenAt) >= minimumSeconds { try write(run) }
  }
  public func trainingEnded(_ run: TrainingRun) throws { try write(run) }

  private func write(_ run: TrainingRun) throws {
    let names = run.trainer.metrics.map(\.name)
    let own = run.trainer.measuresTraining ? names : []
    let header =
      ["epoch", "loss"] + own + ["validation_loss"] + names.map { "validation_" + $0 } + ["learning_rate", "seconds"]
    var text = header.joined(separator: ",") + "\n"
    for report in run.state.history.epochs {
      var cells = ["\(report.epoch + 1)", "\(report.loss)"] + own.map { report.metrics[$0].map { "\($0)" } ?? "" }
      cells.append(report.validation.map { "\($0.loss)" } ?? "")
      cells += names.map { report.validation?.metrics[$0].map { "\($0)" } ?? "" }
      text += (cells + ["\(report.learningRate)", "\(report.seconds)"]).joined(separator: ",") + "\n"
    }
    try TextFile.write(text, to: path)
    writtenAt = clock.now
  }
}
