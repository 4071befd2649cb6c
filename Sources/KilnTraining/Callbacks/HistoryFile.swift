import KilnData

/// Writes `history.csv`: one line for each epoch, the whole file anew each time, so that it is right after a resume.
public final class HistoryFile: TrainingCallback {
  public let path: String

  public init(_ path: String) { self.path = path }

  public func trainingBegan(_ run: TrainingRun) throws { try write(run.state.history) }
  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws { try write(run.state.history) }

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
  }
}
