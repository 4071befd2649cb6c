import ArgumentParser
import Kiln
import KilnConfiguration

struct EvaluateRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Loss and metrics of a run's model over its test set.")

  @OptionGroup var selection: RunSelection
  @Option(help: "Writes the result as JSON.")
  var json: String?

  func run() throws {
    let (session, _) = try selection.session()
    let result = try session.trainer.evaluate(try session.testSet())
    let weights = try session.model.weightsHash()
    print("Weights: \(weights)")
    session.report(result)
    if let json {
      let object: JSON = .object(
        [("run", .string(selection.path)), ("weights", .string(weights))] + JSON.members(of: result))
      try TextFile.write(object.text, to: json)
    }
  }
}

struct PredictRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "What a run's model says to a file: a class with its probability for each sample.",
    discussion: """
      Images are .npy or IDX files with samples along the first dimension, or one .png or .jpg: bytes are scaled as the \
      training's pixels are, floats are taken as they are. A table's run takes a CSV file with the same columns, a series' \
      one that ends where the forecast begins, a text's run the beginning of a text, which it continues, or a text to \
      classify a line.
      """)

  @OptionGroup var selection: RunSelection
  @Option(help: "The file of samples.")
  var input: String
  @Option(help: "Writes the lines here instead of printing them.")
  var output: String?
  @Option(help: "How many tokens a text is continued by.")
  var length = 200
  @Option(help: "Writes the predictions as JSON.")
  var json: String?

  func run() throws {
    let (session, _) = try selection.session()
    let result: Predictions
    switch session.plan {
    case .recipe(let recipe): result = try classes(session, recipe)
    case .configured(let own):
      guard let preparation = session.preparation else { return }
      result = try own.predict(input, session.trainer, preparation, length: length)
    }
    if let json { try TextFile.write(Self.object(result).text, to: json) }
    if let output {
      try TextFile.write(result.lines, to: output)
    } else if json == nil {
      print(result.lines, terminator: "")
    }
  }

  private static func object(_ result: Predictions) -> JSON {
    if let text = result.text { return .object([("text", .string(text))]) }
    let rows: [JSON] = result.rows.map { row in
      .object(
        zip(result.header, row).map { name, cell in
          (name, Int(cell).map { JSON.integer($0) } ?? Double(cell).map { JSON.number($0) } ?? .string(cell))
        })
    }
    return .object([("predictions", .array(rows))])
  }

  private func classes(_ session: RunSession, _ recipe: Recipe) throws -> Predictions {
    let array = try input.hasSuffix(".npy") ? HostArray(npy: input) : HostArray(idx: input)
    let raw = Tensor(array, on: session.device)
    let features = array.dtype == .uint8 ? raw.cast(to: .float32) * recipe.scale : raw.cast(to: .float32)
    let logits: Tensor
    do {
      logits = try session.trainer.predict(features)
    } catch let error as TensorError {
      throw DataError(
        file: input, rule: "\(array.shape) \(array.dtype) does not fit the model: \(error.rule)",
        fix: "give samples of the shape that '\(recipe.name)' was trained on")
    }
    let probabilities = logits.softmax(axis: -1)
    let classes = try logits.argmax(axis: -1).doubles()
    let highest = try probabilities.max(axes: [-1]).doubles()
    let rows = zip(classes, highest).enumerated().map { index, pair in
      ["\(index)", "\(Int(pair.0))", Terminal.fixed(pair.1, 6)]
    }
    return Predictions(header: ["sample", "class", "probability"], rows: rows)
  }
}

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a run's weights, or with onnx the whole model, to one file for other programs.")

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case safetensors, npz, onnx
  }

  @OptionGroup var selection: RunSelection
  @Option(name: .customLong("to"), help: "safetensors, npz or onnx")
  var format: Format
  @Option(help: "The file to write.")
  var output: String

  func run() throws {
    // What trained on another device is exported where there is none.
    let (session, checkpoint) = try selection.session(fallback: "cpu")
    let tensors = try session.trainer.withAverage { () throws -> [String: Tensor] in
      // Copies: the weights themselves come back.
      try session.model.stateDict.mapValues { Tensor(try HostArray($0), on: $0.device) }
    }
    switch format {
    case .safetensors:
      try writeSafetensors(
        tensors, metadata: ["recipe": session.configuration.recipe, "step": "\(checkpoint.step)"], to: output)
    case .npz: try writeNPZ(tensors, to: output)
    case .onnx: return try writeONNX(session, checkpoint)
    }
    print("\(tensors.count) tensors of step \(checkpoint.step) in \(output)")
  }

  /// The model that the run trained, for samples as its data set has them.
  private func writeONNX(_ session: RunSession, _ checkpoint: Checkpoint) throws {
    let sample = try session.sample()
    let summary = try session.trainer.withAverage {
      try session.model.writeONNX(
        to: output, inputShape: Shape([1] + sample.shape), dtype: sample.dtype,
        metadata: ["recipe": session.configuration.recipe, "step": "\(checkpoint.step)"])
    }
    let shapes = [summary.inputs, summary.outputs].map { $0.map { "\($0) [\($1.joined(separator: ", "))]" }.joined() }
    print("model of step \(checkpoint.step) in \(output): \(shapes.joined(separator: " to "))")
  }
}
