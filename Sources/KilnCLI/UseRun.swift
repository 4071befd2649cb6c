import ArgumentParser
import Kiln

struct EvaluateRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Loss and accuracy of a run's model over its recipe's test set.")

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String
  @Flag(help: "The best checkpoint instead of the newest.")
  var best = false
  @Option(help: "By default the run's device.")
  var device: String?
  @Option(help: "Writes the result as JSON.")
  var json: String?

  func run() throws {
    var configuration = try RunFolder(path).configuration()
    if let device { configuration.device = device }
    let session = try RunSession(RunFolder(path), configuration)
    try session.loadWeights(best: best)
    let result = try session.trainer.evaluate(try session.data().test)
    print("Weights: \(try session.model.weightsHash())")
    print("Test loss: \(Terminal.fixed(result.loss, 4))")
    print("Test accuracy: \(Terminal.fixed(result.accuracy, 4))")
    if let json {
      let object: JSON = .object([
        ("run", .string(path)), ("weights", .string(try session.model.weightsHash())),
        ("test_accuracy", .number(result.accuracy)), ("test_loss", .number(result.loss)),
      ])
      try TextFile.write(object.text, to: json)
    }
  }
}

struct PredictRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "The class of each sample of a file by a run's model: lines of sample, class, probability.",
    discussion: """
      The file holds samples along its first dimension: .npy, or IDX as MNIST's. Bytes are scaled as the recipe's pixels \
      are; floats are taken as they are.
      """)

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String
  @Option(help: "The file of samples.")
  var input: String
  @Option(help: "Writes the lines here instead of printing them.")
  var output: String?
  @Flag(help: "The best checkpoint instead of the newest.")
  var best = false
  @Option(help: "By default the run's device.")
  var device: String?

  func run() throws {
    var configuration = try RunFolder(path).configuration()
    if let device { configuration.device = device }
    let session = try RunSession(RunFolder(path), configuration)
    let array = try input.hasSuffix(".npy") ? HostArray(npy: input) : HostArray(idx: input)
    try session.loadWeights(best: best)
    let raw = Tensor(array, on: session.device)
    let features = array.dtype == .uint8 ? raw.cast(to: .float32) * session.recipe.scale : raw.cast(to: .float32)
    let logits: Tensor
    do {
      logits = try session.trainer.predict(features)
    } catch let error as TensorError {
      throw DataError(
        file: input, rule: "\(array.shape) \(array.dtype) does not fit the model: \(error.rule)",
        fix: "give samples of the shape that '\(configuration.recipe)' was trained on")
    }
    let probabilities = logits.softmax(axis: -1)
    let classes = try logits.argmax(axis: -1).doubles()
    let highest = try probabilities.max(axes: [-1]).doubles()
    var text = "sample,class,probability\n"
    for (index, pair) in zip(classes, highest).enumerated() {
      text += "\(index),\(Int(pair.0)),\(Terminal.fixed(pair.1, 6))\n"
    }
    if let output { try TextFile.write(text, to: output) } else { print(text, terminator: "") }
  }
}

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a run's weights, or with onnx the whole model, to one file for other programs.")

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case safetensors, npz, onnx
  }

  @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
  var path: String
  @Option(name: .customLong("to"), help: "safetensors, npz or onnx")
  var format: Format
  @Option(help: "The file to write.")
  var output: String
  @Flag(help: "The best checkpoint instead of the newest.")
  var best = false

  func run() throws {
    let folder = RunFolder(path)
    let configuration = try folder.configuration()
    let checkpoint = try RunSession.checkpoint(of: folder, best: best)
    let tensors = try readSafetensors("\(checkpoint.path)/model.safetensors", on: .cpu)
    switch format {
    case .safetensors:
      try writeSafetensors(
        tensors, metadata: ["recipe": configuration.recipe, "step": "\(checkpoint.step)"], to: output)
    case .npz: try writeNPZ(tensors, to: output)
    case .onnx: return try writeONNX(folder, checkpoint)
    }
    print("\(tensors.count) tensors of step \(checkpoint.step) in \(output)")
  }

  /// The model that the run trained, for samples as its data set has them.
  private func writeONNX(_ folder: RunFolder, _ checkpoint: Checkpoint) throws {
    var configuration = try folder.configuration()
    configuration.device = "cpu"
    let session = try RunSession(folder, configuration)
    try checkpoint.loadWeights(into: session.model)
    let samples = try session.data().test.features
    let summary = try session.model.writeONNX(
      to: output, inputShape: Shape([1] + samples.shape.dimensions.dropFirst()), dtype: samples.dtype,
      metadata: ["recipe": configuration.recipe, "step": "\(checkpoint.step)"])
    let shapes = [summary.inputs, summary.outputs].map { $0.map { "\($0) [\($1.joined(separator: ", "))]" }.joined() }
    print("model of step \(checkpoint.step) in \(output): \(shapes.joined(separator: " to "))")
  }
}
