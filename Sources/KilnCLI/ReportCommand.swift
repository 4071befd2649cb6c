import ArgumentParser
import Kiln

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a run's report.html anew: curves, confusion matrix, predictions, diagnoses.")

  @OptionGroup var selection: RunSelection
  @Option(help: "The file to write, by default report.html in the run's folder.")
  var output: String?

  func run() throws {
    let (session, checkpoint) = try selection.session()
    let history = try checkpoint.state().history
    let file = output ?? session.folder.reportPath
    let test = try session.plan.sets(session.configuration, on: session.device).test
    try session.writeReport(
      history, test: test, result: try test.map { try session.trainer.evaluate($0) }, to: file)
    print("Report: \(file)")
  }
}

extension RunSession {
  /// The report of what the model is now; `result` is its evaluation on the test set.
  func writeReport(_ history: TrainingHistory, test: TrainingData?, result: Evaluation?, to file: String) throws {
    let sizes = "epochs \(configuration.epochs), batch size \(configuration.batchSize)"
    var facts = [
      ("run", folder.path), ("what", plan.name), ("device", "\(device.name) (\(device.driver.summary))"),
      ("started", configuration.started),
      ("configuration", "\(sizes), learning rate \(configuration.learningRate), seed \(configuration.seed)"),
      ("parameters", "\(model.parameterCount)"), ("weights", try model.weightsHash()),
    ]
    let shown = try test?.samples(Self.shownSize)
    if let test, test.count > 0 { facts.append(("test samples", "\(test.count)")) }
    if let shown, test?.array == nil { facts.append(("of these in the matrix below", "\(shown.count)")) }
    let report = RunReport(
      title: "\(plan.name) on \(device.name)", history: history, diagnoses: try folder.diagnoses(),
      test: result,
      predictions: try shown.map { try SamplePredictions(trainer, $0) },
      facts: facts.map { (name: $0.0, value: $0.1) })
    try TextFile.write(report.html, to: file)
  }
}
