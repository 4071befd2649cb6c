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

  public func trainingBegan(_ run: TrainingRun) throws { try write(run.state.history) }
  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    if seconds(clock.now - writtenAt) >= minimumSeconds { try write(run.state.history) }
  }
  public func trainingEnded(_ run: TrainingRun) throws { try write(run.state.history) }

  private func write(_ history: TrainingHistory) throws {
    var text = "epoch,loss,validation_loss,validation_accuracy,learning_rate,seconds\n"
    for report in history.epochs {
      let cells = [
        "\(report.epoch + 1)", "\(report.loss)", report.validation.map { "\($0.loss)" } ?? "",
        report.validation.map { "\($0.accuracy)" } ?? "", "\(report.learningRate)", "\(report.seconds)",
      ]
      text += cells.joined(separator: ",") + "\n"
    }
    try TextFile.write(text, to: path)
    writtenAt = clock.now
  }
}
