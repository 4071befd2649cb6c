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
