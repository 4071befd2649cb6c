import ArgumentParser
import Kiln

struct Resume: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Goes on with a run that was interrupted or killed: it ends with the same weights, bit for bit.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String

  func run() throws {
    let folder = RunFolder(path)
    let configuration = try folder.configuration()
    try folder.lock()
    let plan = try RunPlan(folder)
    let sets = try plan.sets(configuration, on: Device.named(configuration.device))
    _ = try RunSession(folder, configuration, plan, sets.preparation).train(sets)
  }
}
