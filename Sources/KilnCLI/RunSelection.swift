import ArgumentParser
import Kiln

/// Which run, which of its checkpoints, and on what: what commands about trained models share.
struct RunSelection: ParsableArguments {
  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String
  @Flag(help: "The best checkpoint instead of the newest.")
  var best = false
  @Option(help: "By default the run's device.")
  var device: String?

  /// The run with the weights of that checkpoint, on the device that was named, else on `fallback`, else on its own.
  func session(fallback: String? = nil) throws -> (RunSession, Checkpoint) {
    let folder = RunFolder(path)
    var configuration = try folder.configuration()
    if let device = device ?? fallback { configuration.device = device }
    let session = try RunSession(folder, configuration)
    return (session, try session.loadWeights(best: best))
  }
}
