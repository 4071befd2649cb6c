import ArgumentParser
import Foundation
import Kiln

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a recipe and reports its accuracy on the test set.",
    discussion: "Recipes:\n" + Recipe.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

  @Argument(help: "digits or mnist-mlp")
  var recipe: String
  @Option(help: "Folder of the data sets; by default KILN_DATA, else ~/.cache/kiln.")
  var data: String?
  @Option(help: "Passes over the training set; by default the recipe's.")
  var epochs: Int?
  @Option(help: "Samples per update; by default the recipe's.")
  var batchSize: Int?
  @Option(help: "By default the recipe's.")
  var learningRate: Double?
  @Option(help: "Decides the first weights and the order of the samples.")
  var seed: UInt64 = 0
  @Option(help: "cpu, opencl:0, opencl:<part of a name>, or auto.")
  var device: String = "cpu"
  @Option(help: "The run's folder; by default runs/<recipe>-<time>.")
  var output: String?
  @Option(help: "Also writes a checkpoint every so many updates. By default at epochs' ends, at most every 5 seconds.")
  var checkpointEvery: Int?
  @Option(help: "Writes the result as JSON.")
  var json: String?
  @Option(help: "Writes the loss of every update, one a line.")
  var losses: String?

  func validate() throws {
    guard Recipe.all.contains(where: { $0.name == recipe }) else {
      let names = Recipe.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no recipe '\(recipe)'; choose one of \(names)")
    }
    if let epochs, epochs < 0 { throw ValidationError("--epochs must not be negative, got \(epochs)") }
    if let batchSize, batchSize < 1 { throw ValidationError("--batch-size must be at least 1, got \(batchSize)") }
    if let checkpointEvery, checkpointEvery < 1 {
      throw ValidationError("--checkpoint-every must be at least 1, got \(checkpointEvery)")
    }
    if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
      throw ValidationError("--learning-rate must be a positive number, got \(learningRate)")
    }
  }

  func run() throws {
    let recipe = try Recipe.named(recipe)
    let device = try Device.named(device)
    // Files that cannot be written are better refused before the work than after it.
    for path in [json, losses].compactMap({ $0 }) { try TextFile.write("", to: path) }

    let configuration = RunConfiguration(
      recipe: recipe.name, data: data, device: device.name, epochs: epochs ?? recipe.epochs,
      batchSize: batchSize ?? recipe.batchSize, learningRate: learningRate ?? recipe.learningRate, seed: seed,
      checkpointEvery: checkpointEvery)
    let folder = RunFolder(output ?? Self.newFolder(for: recipe.name))
    let session = try RunSession(folder, configuration)
    // What cannot be read leaves no folder behind.
    let sets = try session.data()
    try folder.create(configuration)
    try folder.lock()
    let (history, result) = try session.train(sets)
    let model = session.model

    if let json {
      let object: JSON = .object([
        ("recipe", .string(recipe.name)), ("device", .string(device.name)),
        ("seed", .integer(Int(truncatingIfNeeded: seed))),
        ("epochs", .integer(configuration.epochs)), ("parameters", .integer(model.parameterCount)),
        ("train_seconds", .number(history.seconds)), ("test_accuracy", .number(result.accuracy)),
        ("test_loss", .number(result.loss)), ("epoch_losses", .array(history.epochLosses.map { .number($0) })),
        ("weights", .string(try model.weightsHash())),
      ])
      try TextFile.write(object.text, to: json)
    }
    if let losses { try TextFile.write(history.stepLosses.map { "\($0)\n" }.joined(), to: losses) }
  }

  /// runs/<recipe>-<time>, with a number behind it if that is taken.
  private static func newFolder(for recipe: String) -> String {
    let style = Date.ISO8601FormatStyle().year().month().day().dateSeparator(.omitted).time(
      includingFractionalSeconds: false
    )
    .timeSeparator(.omitted)
    let time = Date().formatted(style)
    let first = "runs/\(recipe)-\(time)"
    var folder = first
    var number = 2
    while RunFolder(folder).exists {
      folder = "\(first)-\(number)"
      number += 1
    }
    return folder
  }
}
