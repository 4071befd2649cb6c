import ArgumentParser
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
    if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
      throw ValidationError("--learning-rate must be a positive number, got \(learningRate)")
    }
  }

  func run() throws {
    let recipe = try Recipe.named(recipe)
    let device = try Device.named(device)
    // Files that cannot be written are better refused before the work than after it.
    for path in [json, losses].compactMap({ $0 }) { try TextFile.write("", to: path) }

    let (training, test) = try recipe.data(DataFolder(data), seed, device)
    let model = recipe.model(RandomGenerator(seed: seed), device)
    let trainer = Trainer(model, optimizer: recipe.rule(learningRate ?? recipe.learningRate))
    let epochs = epochs ?? recipe.epochs
    print("Training \(recipe.name) on \(device.name) (\(device.driver.summary))")

    let bar = ProgressBar()
    let history = try trainer.fit(
      training, epochs: epochs, batchSize: batchSize ?? recipe.batchSize, seed: seed,
      onProgress: { progress in
        let rate = Double(progress.samples) / max(progress.seconds, 1e-9)
        let left = Double(progress.sampleCount - progress.samples) / max(rate, 1e-9)
        bar.draw(
          label: "Epoch \(progress.epoch + 1)/\(progress.epochs)", done: progress.samples, of: progress.sampleCount,
          note: "loss \(Terminal.fixed(progress.loss, 4)), \(Int(rate)) samples/s, \(Terminal.fixed(left, 0)) s left")
      },
      onEpoch: { report in
        bar.clear()
        let (loss, seconds) = (Terminal.fixed(report.loss, 4), Terminal.fixed(report.seconds, 2))
        print("Epoch \(report.epoch + 1)/\(report.epochs): loss \(loss), \(seconds) s")
      })
    let result = try trainer.evaluate(test)
    print("Parameters: \(model.parameterCount)")
    print("Weights: \(try model.weightsHash())")
    print("Training time: \(Terminal.fixed(history.seconds, 2)) s")
    print("Test loss: \(Terminal.fixed(result.loss, 4))")
    print("Test accuracy: \(Terminal.fixed(result.accuracy, 4))")

    if let json {
      let object: JSON = .object([
        ("recipe", .string(recipe.name)), ("device", .string(device.name)),
        ("seed", .integer(Int(truncatingIfNeeded: seed))),
        ("epochs", .integer(epochs)), ("parameters", .integer(model.parameterCount)),
        ("train_seconds", .number(history.seconds)), ("test_accuracy", .number(result.accuracy)),
        ("test_loss", .number(result.loss)), ("epoch_losses", .array(history.epochLosses.map { .number($0) })),
        ("weights", .string(try model.weightsHash())),
      ])
      try TextFile.write(object.text, to: json)
    }
    if let losses { try TextFile.write(history.stepLosses.map { "\($0)\n" }.joined(), to: losses) }
  }
}
