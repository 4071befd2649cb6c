import Kiln
import KilnConfiguration

/// What a run does: a recipe, or a configuration.
enum RunPlan {
  case recipe(Recipe)
  case configured(Configuration)

  /// The plan of a run that exists.
  init(_ folder: RunFolder) throws {
    let configuration = try folder.configuration()
    if let path = folder.file(Self.configurationFile) {
      self = .configured(try Configuration(contentsOf: path))
    } else {
      self = .recipe(try Recipe.named(configuration.recipe))
    }
  }

  static let configurationFile = "config.yaml"
  static let preparationFile = "preparation.json"

  var name: String {
    switch self {
    case .recipe(let recipe): recipe.name
    case .configured(let configuration): configuration.name
    }
  }

  /// Its samples, on no device in particular.
  func sets(_ configuration: RunConfiguration, on device: Device) throws -> RunSets {
    let folder = DataFolder(configuration.data)
    switch self {
    case .recipe(let recipe):
      let (training, test) = try recipe.data(folder, configuration.seed, device)
      return RunSets(training: .array(training), test: .array(test))
    case .configured(let own):
      let data = try PreparedData(own, folder: folder)
      return RunSets(
        training: data.training, validation: data.validation, test: data.test, preparation: data.preparation)
    }
  }

  /// A fresh model with its trainer. `preparation` is a configuration's alone.
  func trainer(_ configuration: RunConfiguration, _ preparation: Preparation?, on device: Device) throws -> (
    Sequential, Trainer
  ) {
    switch self {
    case .recipe(let recipe):
      let model = recipe.model(RandomGenerator(seed: configuration.seed), device)
      return (model, Trainer(model, optimizer: recipe.rule(configuration.learningRate)))
    case .configured(let own):
      guard let preparation else {
        throw DataError(
          file: configuration.recipe, rule: "was not prepared yet", fix: "go on with it by `kiln resume`")
      }
      // Dropout draws from the default generator.
      setSeed(own.seed)
      let model = try own.model(for: preparation, on: device)
      return (model, try own.trainer(model, preparation))
    }
  }

  /// What becomes of an update whose loss is not finite.
  var nonFinite: RunDiagnostics.NonFinite {
    if case .configured(let own) = self { return own.nonFinite }
    return .stop
  }

  func callbacks() throws -> [any TrainingCallback] {
    if case .configured(let own) = self { return try own.callbacks() }
    return []
  }
}

/// The samples of a run.
struct RunSets {
  var training: TrainingData
  var validation: TrainingData?
  var test: TrainingData?
  var preparation: Preparation?
}

/// Which device takes the shortest time for a step of a model.
enum FastestDevice {
  /// Tries every device with one batch, a few steps each; those that cannot are passed over with the reason.
  static func choose(_ plan: RunPlan, _ configuration: RunConfiguration, _ sets: RunSets) throws -> Device {
    var measured: [(device: Device, seconds: Double)] = []
    var notes: [String] = []
    let some = try sets.training.samples(configuration.batchSize)
    let batch = try some.subset(Array(0..<min(configuration.batchSize, some.count)))
    for device in Device.all {
      do {
        let (_, trainer) = try plan.trainer(configuration, sets.preparation, on: device)
        let own = try batch.to(device)
        // The first ones compile.
        for _ in 0..<2 { _ = try trainer.step(own.features, own.labels).item() }
        let clock = ContinuousClock()
        let times = try (0..<3).map { _ in
          try clock.measure { _ = try trainer.step(own.features, own.labels).item() } / .seconds(1)
        }
        let best = times.min() ?? .infinity
        measured.append((device, best))
        notes.append("\(device.name) \(Terminal.fixed(best * 1000, 2)) ms")
      } catch {
        notes.append("\(device.name) cannot (\(error))")
      }
    }
    guard let fastest = measured.min(by: { $0.seconds < $1.seconds }) else {
      throw DataError(
        file: configuration.recipe, rule: "no device can train it: " + notes.joined(separator: ", "),
        fix: "see `kiln devices` and `kiln selftest`")
    }
    print("Device auto: a step takes \(notes.joined(separator: ", ")); \(fastest.device.name) is the fastest")
    return fastest.device
  }
}
