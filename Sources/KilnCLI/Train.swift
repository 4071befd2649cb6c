import ArgumentParser
import Foundation
import Kiln
import KilnConfiguration

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a recipe or a configuration and reports on the test set.",
    discussion: "Recipes:\n" + Recipe.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n")
      + "\nA configuration is a YAML file; `kiln new` writes one, docs/config.md has every field.")

  @Argument(help: ArgumentHelp("digits, mnist-mlp, or a configuration's file.", valueName: "recipe-or-config"))
  var what: String
  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp(
      "A field of the configuration, any number of times: training.epochs=5.", valueName: "field=value"))
  var settings: [String] = []
  @Option(help: "Folder of the data sets; by default KILN_DATA, else ~/.cache/kiln.")
  var data: String?
  @Option(help: "Passes over the training set; by default the recipe's.")
  var epochs: Int?
  @Option(help: "Samples per update; by default the recipe's.")
  var batchSize: Int?
  @Option(help: "By default the recipe's.")
  var learningRate: Double?
  @Option(help: "Decides the first weights and the order of the samples.")
  var seed: UInt64?
  @Option(help: "cpu, opencl:0, opencl:<part of a name>, or auto: the one that takes a step fastest.")
  var device: String?
  @Option(help: "The run's folder; by default runs/<name>-<time>.")
  var output: String?
  @Option(help: "Also writes a checkpoint every so many updates. By default at epochs' ends, at most every 5 seconds.")
  var checkpointEvery: Int?
  @Option(help: "Writes the result as JSON.")
  var json: String?
  @Option(help: "Writes the loss of every batch, one a line.")
  var losses: String?

  private var isRecipe: Bool { Recipe.all.contains { $0.name == what } }

  func validate() throws {
    let isFile = what.hasSuffix(".yaml") || what.hasSuffix(".yml") || FileManager.default.fileExists(atPath: what)
    if !isRecipe, !isFile {
      let names = Recipe.all.map(\.name)
      throw ValidationError(
        "there is no recipe '\(what)', nor a file of that name\(Names.hint(what, in: names)); choose one of "
          + names.joined(separator: ", ") + ", or a configuration's file (.yaml)")
    }
    if isRecipe, !settings.isEmpty {
      throw ValidationError("--set is for configurations; '\(what)' is a recipe: use --epochs and the like")
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
    let (plan, device, start) = try planned()
    let requested = device
    // Files that cannot be written are better refused before the work than after it.
    for path in [json, losses].compactMap({ $0 }) { try TextFile.write("", to: path) }

    var configuration = start
    let sets: RunSets
    if requested == "auto" {
      sets = try plan.sets(configuration, on: try Device.named("cpu"))
      configuration.device = try FastestDevice.choose(plan, configuration, sets).name
    } else {
      let device = try Device.named(requested)
      configuration.device = device.name
      sets = try plan.sets(configuration, on: device)
    }
    let folder = RunFolder(output ?? Self.newFolder(for: plan.name))
    let session = try RunSession(folder, configuration, plan, sets.preparation)
    // What cannot be read leaves no folder behind.
    try folder.create(configuration) { path in
      if case .configured(let own) = plan {
        try TextFile.write(own.yaml, to: "\(path)/\(RunPlan.configurationFile)")
      }
      try sets.preparation?.save(to: "\(path)/\(RunPlan.preparationFile)")
    }
    try folder.lock()
    let (history, result) = try session.train(sets)
    try write(session, history, result)
  }

  private func planned() throws -> (RunPlan, device: String, RunConfiguration) {
    if isRecipe {
      let recipe = try Recipe.named(what)
      return (
        .recipe(recipe), device ?? "cpu",
        RunConfiguration(
          recipe: recipe.name, data: data, device: "", epochs: epochs ?? recipe.epochs,
          batchSize: batchSize ?? recipe.batchSize, learningRate: learningRate ?? recipe.learningRate, seed: seed ?? 0,
          checkpointEvery: checkpointEvery)
      )
    }
    var all = settings
    if let epochs { all.append("training.epochs=\(epochs)") }
    if let batchSize { all.append("training.batch_size=\(batchSize)") }
    if let learningRate { all.append("optimizer.learning_rate=\(learningRate)") }
    if let seed { all.append("seed=\(seed)") }
    if let checkpointEvery { all.append("callbacks.checkpoint.every_steps=\(checkpointEvery)") }
    let own = try Configuration(contentsOf: what, settings: all)
    return (
      .configured(own), device ?? own.device,
      RunConfiguration(
        recipe: own.name, data: data, device: "", epochs: own.epochs, batchSize: own.batchSize,
        learningRate: try own.learningRate(), seed: own.seed, checkpointEvery: own.checkpointEvery)
    )
  }

  private func write(_ session: RunSession, _ history: TrainingHistory, _ result: Evaluation) throws {
    let configuration = session.configuration
    if let json {
      var members: [(String, JSON)] = [
        ("recipe", .string(configuration.recipe)), ("run", .string(session.folder.path)),
        ("device", .string(configuration.device)), ("seed", .integer(Int(truncatingIfNeeded: configuration.seed))),
        ("epochs", .integer(configuration.epochs)), ("parameters", .integer(session.model.parameterCount)),
        ("train_seconds", .number(history.seconds)), ("compile_seconds", .number(history.compileSeconds)),
      ]
      members += JSON.members(of: result)
      members += [
        ("epoch_losses", .array(history.epochLosses.map { .number($0) })),
        (
          "validation_losses", .array(history.epochs.compactMap(\.validation?.loss).map { .number($0) })
        ),
        ("weights", .string(try session.model.weightsHash())),
      ]
      try TextFile.write(JSON.object(members).text, to: json)
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

extension JSON {
  /// "test_loss" and a "test_<metric>" for each metric.
  static func members(of result: Evaluation) -> [(String, JSON)] {
    [("test_loss", .number(result.loss))]
      + result.metrics.sorted { $0.key < $1.key }.map { ("test_\($0.key)", .number($0.value)) }
  }
}
