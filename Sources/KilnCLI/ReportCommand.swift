import ArgumentParser
import Kiln

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a run's report.html anew: curves, confusion matrix, predictions, diagnoses.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String
  @Flag(help: "The best checkpoint instead of the newest.")
  var best = false
  @Option(help: "By default the run's device.")
  var device: String?
  @Option(help: "The file to write, by default report.html in the run's folder.")
  var output: String?

  func run() throws {
    let folder = RunFolder(path)
    var configuration = try folder.configuration()
    if let device { configuration.device = device }
    let session = try RunSession(folder, configuration)
    try session.loadWeights(best: best)
    let history = try RunSession.checkpoint(of: folder, best: best).state().history
    let file = output ?? folder.reportPath
    try session.writeReport(history, test: try session.plan.sets(configuration, on: session.device).test, to: file)
    print("Report: \(file)")
  }
}

extension RunSession {
  /// The report of what the model is now.
  func writeReport(_ history: TrainingHistory, test: ArrayDataset?, to file: String) throws {
    let sizes = "epochs \(configuration.epochs), batch size \(configuration.batchSize)"
    var facts = [
      ("run", folder.path), ("what", plan.name), ("device", "\(device.name) (\(device.driver.summary))"),
      ("started", configuration.started),
      ("configuration", "\(sizes), learning rate \(configuration.learningRate), seed \(configuration.seed)"),
      ("parameters", "\(model.parameterCount)"), ("weights", try model.weightsHash()),
    ]
    if let test { facts.append(("test samples", "\(test.count)")) }
    let report = RunReport(
      title: "\(plan.name) on \(device.name)", history: history, diagnoses: try folder.diagnoses(),
      test: try test.map { try trainer.evaluate($0) }, predictions: try test.map { try SamplePredictions(trainer, $0) },
      facts: facts.map { (name: $0.0, value: $0.1) })
    try TextFile.write(report.html, to: file)
  }
}
