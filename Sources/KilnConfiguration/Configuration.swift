import Foundation
import Kiln

/// A configuration that was checked: every field with its value, defaults filled in.
public struct Configuration: Sendable {
  public let task: LearningTask
  public let name: String
  public let seed: UInt64
  public let device: String
  public let epochs: Int
  public let batchSize: Int
  /// The same configuration as YAML, with what the command line set: to be kept with the run.
  public let yaml: String
  let file: String
  let root: ConfigValue

  /// Reads and checks a file. `settings` are "training.epochs=5" and the like. Throws a `ConfigError` with every fault, or
  /// a `DataError` where the file cannot be read.
  public init(contentsOf path: String, settings: [String] = []) throws {
    try self.init(text: TextFile.read(path), file: path, settings: settings)
  }

  /// Checks a text; `file` names it in errors.
  public init(text: String, file: String, settings: [String] = []) throws {
    var reader = ConfigReader(file: file)
    guard var tree = reader.read(text) else { throw ConfigError(file: file, faults: reader.faults) }
    var check = SchemaCheck()
    for setting in settings { Self.apply(setting, to: &tree, &check) }
    let root = check.section(tree, ConfigSchema.root, at: "")
    let faults = reader.faults + check.faults + (check.faults.isEmpty ? ConfigRules(root).faults : [])
    guard faults.isEmpty, let task = root["task"]?.text.flatMap(LearningTask.init(rawValue:)) else {
      throw ConfigError(file: file, faults: faults)
    }
    (self.task, self.root, self.file, yaml) = (task, root, file, tree.yaml)
    name = root["name"]?.text ?? task.rawValue
    seed = UInt64(root["seed"]?.integer ?? 0)
    device = root["device"]?.text ?? "cpu"
    epochs = root["training"]?["epochs"]?.integer ?? 10
    batchSize = root["training"]?["batch_size"]?.integer ?? 32
  }

  private static func apply(_ setting: String, to tree: inout ConfigNode, _ check: inout SchemaCheck) {
    guard let equals = setting.firstIndex(of: "="), equals != setting.startIndex else {
      check.fault(0, "--set \(setting)", "needs the form field=value")
      return
    }
    let path = String(setting[..<equals])
    var reader = ConfigReader(file: "")
    guard var value = reader.read(String(setting[setting.index(after: equals)...])), reader.faults.isEmpty else {
      check.fault(0, "--set \(path)", "the value is no YAML")
      return
    }
    if setting.hasSuffix("=") { value = .null }
    value.forgetLines()
    if let fault = tree.set(path.split(separator: ".").map(String.init), to: value) {
      check.fault(0, "--set \(path)", fault)
    }
  }

  func fault(_ line: Int, _ path: String, _ rule: String) -> ConfigError {
    ConfigError(file: file, faults: [ConfigFault(line: line, path: path, rule: rule)])
  }
}

extension ConfigNode {
  /// What came from the command line has none.
  mutating func forgetLines() {
    line = 0
    switch value {
    case .scalar: break
    case .list(var items):
      for index in items.indices { items[index].forgetLines() }
      value = .list(items)
    case .map(var entries):
      for index in entries.indices {
        entries[index].line = 0
        entries[index].value.forgetLines()
      }
      value = .map(entries)
    }
  }
}

/// What fields must be together.
struct ConfigRules {
  private(set) var faults: [ConfigFault] = []
  private let root: ConfigValue

  init(_ root: ConfigValue) {
    self.root = root
    guard let task = root["task"]?.text.flatMap(LearningTask.init(rawValue:)), let data = root["data"] else { return }
    source(data, task)
    shares(data)
    belongs(data, task)
    let isRegression = task == .series || task == .tabular && data["answers"]?.text == "numbers"
    goal(task, isRegression)
    let training = root["training"]
    if let clip = training?["clip_value"], training?["clip_norm"] != nil {
      fault(clip, "training.clip_value", "stands beside clip_norm: choose one of them")
    }
    if let weights = training?["class_weights"], isRegression || task == .text {
      fault(weights, "training.class_weights", "are for tasks with classes")
    }
    if let nesterov = root["optimizer"]?["nesterov"], nesterov.flag == true,
      root["optimizer"]?["momentum"]?.number ?? 0 == 0
    {
      fault(nesterov, "optimizer.nesterov", "needs a momentum")
    }
    for name in ["momentum", "nesterov"] {
      if let value = root["optimizer"]?[name], root["optimizer"]?["name"]?.text ?? "adam" != "sgd" {
        fault(value, "optimizer.\(name)", "is a setting of sgd alone")
      }
    }
    monitors(data, isRegression)
  }

  private mutating func fault(_ value: ConfigValue, _ path: String, _ rule: String) {
    faults.append(ConfigFault(line: value.line, path: path, rule: rule))
  }

  private mutating func source(_ data: ConfigValue, _ task: LearningTask) {
    let given = ["set", "file", "folder"].filter { data[$0] != nil }
    if given.count != 1 {
      fault(
        data, "data",
        "needs exactly one of set, file and folder, got \(given.isEmpty ? "none" : given.joined(separator: " and "))")
    }
    if let set = data["set"], let known = LearningTask.sets.first(where: { $0.name == set.text }), known.task != task {
      let fitting = LearningTask.sets.filter { $0.task == task }.map(\.name)
      fault(
        set, "data.set",
        "'\(known.name)' is for the task \(known.task.rawValue); for \(task.rawValue) there are "
          + fitting.joined(separator: ", "))
    }
    if let file = data["file"], task == .image { fault(file, "data.file", "an image task takes a set or a folder") }
    if let folder = data["folder"], task != .image {
      fault(folder, "data.folder", "is for image tasks; give a file")
    }
  }

  private mutating func shares(_ data: ConfigValue) {
    let sum = (data["validation"]?.number ?? 0.1) + (data["test"]?.number ?? 0.2)
    if sum >= 1 { fault(data, "data", "validation and test leave nothing for training: together they are \(sum)") }
  }

  /// Fields of another task are mistakes.
  private mutating func belongs(_ data: ConfigValue, _ task: LearningTask) {
    let owners: [(section: String, name: String, tasks: [LearningTask])] = [
      ("data", "label", [.tabular]), ("data", "answers", [.tabular]), ("data", "columns", [.tabular, .series]),
      ("data", "targets", [.series]), ("data", "history", [.series]), ("data", "horizon", [.series]),
      ("data", "context", [.text]), ("data", "stride", [.text, .series]), ("data", "size", [.image]),
      ("data", "channels", [.image]), ("preparation", "scale", [.image]), ("preparation", "augmentation", [.image]),
      ("preparation", "missing", [.tabular]), ("preparation", "scaling", [.tabular, .series]),
      ("preparation", "balance", [.tabular, .image]), ("preparation", "tokenizer", [.text]),
      ("preparation", "vocabulary", [.text]),
    ]
    for owner in owners where !owner.tasks.contains(task) {
      if let value = root[owner.section]?[owner.name] {
        fault(
          value, "\(owner.section).\(owner.name)",
          "is a setting of \(owner.tasks.map(\.rawValue).joined(separator: " and ")), the task is \(task.rawValue)")
      }
    }
    if let balance = root["preparation"]?["balance"], balance.text != "none" {
      if data["answers"]?.text == "numbers" { fault(balance, "preparation.balance", "is for classes") }
      if balance.text == "smote", task != .tabular { fault(balance, "preparation.balance", "smote is for tables") }
      if balance.text == "weights", root["training"]?["class_weights"] != nil {
        fault(balance, "preparation.balance", "stands beside training.class_weights: choose one of them")
      }
    }
  }

  /// Loss, metrics and output.
  private mutating func goal(_ task: LearningTask, _ isRegression: Bool) {
    let last = root["model"]?["output_activation"]?.text ?? "identity"
    if let name = root["loss"]?.text, let value = root["loss"], let loss = try? Loss.named(name) {
      let fits =
        isRegression ? loss.predictions == .values : loss.predictions == .logits || loss.predictions == .probabilities
      let oneHot = name.hasPrefix("categorical")
      if !fits || oneHot {
        fault(
          value, "loss",
          "'\(name)' does not fit \(isRegression ? "numbers" : "classes"); use "
            + (isRegression
              ? "mean_squared_error, mean_absolute_error, huber or smooth_l1"
              : "softmax_cross_entropy or, with output_activation softmax, sparse_categorical_crossentropy"))
      } else if loss.predictions == .probabilities, last != "softmax" {
        fault(value, "loss", "'\(name)' takes probabilities: set model.output_activation to softmax")
      }
    }
    if let value = root["model"]?["output_activation"] {
      let loss = root["loss"]?.text ?? (isRegression ? "mean_squared_error" : "softmax_cross_entropy")
      if last == "softmax", loss == "softmax_cross_entropy" || isRegression {
        fault(value, "model.output_activation", "softmax does not fit the loss '\(loss)'")
      }
      if last == "sigmoid", !isRegression {
        fault(value, "model.output_activation", "sigmoid does not fit classes: use softmax or identity")
      }
    }
    let ofNumbers = ["mae", "rmse", "r2"]
    for (index, metric) in (root["metrics"]?.list ?? []).enumerated() {
      guard let name = metric.text else { continue }
      if ofNumbers.contains((try? TrainingMetric.named(name))?.name ?? name) != isRegression {
        fault(metric, "metrics[\(index)]", "'\(name)' does not fit \(isRegression ? "numbers" : "classes")")
      }
    }
  }

  private mutating func monitors(_ data: ConfigValue, _ isRegression: Bool) {
    let metrics =
      root["metrics"]?.list?.compactMap { $0.text.flatMap { try? TrainingMetric.named($0) }?.name }
      ?? Configuration.defaultMetrics(isRegression: isRegression, task: root["task"]?.text)
    let known = ["loss", "validation_loss"] + metrics + metrics.map { "validation_" + $0 }
    for section in ["early_stopping", "plateau", "checkpoint"] {
      guard let own = root["callbacks"]?[section] else { continue }
      let path = "callbacks.\(section).monitor"
      let name = own["monitor"]?.text ?? (section == "checkpoint" ? "loss" : "validation_loss")
      guard known.contains(name) else {
        fault(
          own["monitor"] ?? own, path,
          "'\(name)' is not measured\(Names.hint(name, in: known)); known are \(known.joined(separator: ", "))")
        continue
      }
      if name.hasPrefix("validation"), data["validation"]?.number == 0 {
        fault(own["monitor"] ?? own, path, "'\(name)' needs validation data: data.validation is 0")
      }
      if metrics.contains(name), root["training"]?["measure_training"]?.flag == false {
        fault(own["monitor"] ?? own, path, "'\(name)' needs training.measure_training")
      }
    }
  }
}
