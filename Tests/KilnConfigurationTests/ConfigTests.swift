import Foundation
import Kiln
import Testing

@testable import KilnConfiguration

@Suite("Configurations")
struct ConfigTests {
  static let small = """
    task: tabular
    data:
      file: rows.csv
    model:
      layers:
        - dense: 4

    """

  static func faults(_ text: String, _ settings: [String] = []) -> [ConfigFault] {
    do {
      _ = try Configuration(text: text, file: "a.yaml", settings: settings)
      return []
    } catch let error as ConfigError {
      return error.faults
    } catch {
      Issue.record("\(error)")
      return []
    }
  }

  @Test("docs/config.md is what the schema says")
  func reference() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/config.md"), encoding: .utf8)
    #expect(page == ConfigSchema.reference, "write it anew: kiln new --reference > docs/config.md")
    for name in ["early_stopping", "warmup_epochs", "global_average_pool", "cutout", "class_weights"] {
      #expect(page.contains("`\(name)`") || page.contains("### \(name)"), "\(name)")
    }
  }

  @Test("every template is without a fault, and every set that can be named exists", arguments: LearningTask.allCases)
  func templates(task: LearningTask) throws {
    let configuration = try Configuration(text: task.template, file: "template")
    #expect(configuration.task == task)
    let names = LearningTask.sets.filter { $0.task == task }.map(\.name)
    #expect(names.contains { task.template.contains("set: \($0)") })
    for name in names { _ = try NamedSet.named(name) }
    _ = try (configuration.loss(), configuration.metrics(), configuration.rule(), configuration.callbacks())
    for line in task.template.split(separator: "\n") { #expect(line.count <= 120) }
  }

  @Test("all mistakes are listed at once, each with its line and near names")
  func allFaults() {
    let text = """
      task: image
      sed: 3
      seed: -1
      data:
        set: digit
        validation: 1.5
        validation: 0.1
      model:
        layers:
          - dens: 4
          - dense: {units: many, activation: rellu}
          - conv: {kernel: 0}
          - dropout
      loss: sparse_categorial_crossentropy
      optimizer:
        name: adm
        learning_rate: "0.1"
        learning_rate: 0.2
      training:
        epochs: [1]
        epochs: 3
        batch_size:
          size: 3
      metrics: accuracy
      callbacks: 3
      """
    let found = Self.faults(text)
    let expected: [(Int, String)] = [
      (2, "there is no such field; near it: 'seed'"), (3, "needs a whole number of at least 0, got '-1'"),
      (5, "got 'digit'; near it: 'digits'"), (6, "needs a number of at least 0.0 and below 1, got '1.5'"),
      (7, "'validation' is here for the second time, line 6 has it too"), (10, "there is no 'dens'; near it: 'dense'"),
      (11, "needs a whole number of at least 1, got 'many'"), (11, "near it: 'relu'"), (12, "filters: must be given"),
      (12, "got '0'"), (14, "near it: 'sparse_categorical_crossentropy'"), (16, "near it: 'adam'"),
      (17, "needs a number above 0, got '0.1'"), (18, "'learning_rate' is here for the second time"),
      (20, "needs a whole number in 0...1000000, got a list"), (21, "'epochs' is here for the second time"),
      (23, "needs a whole number of at least 1, got a section"), (24, "needs a list"), (25, "needs a section"),
    ]
    let lines = ConfigError(file: "a.yaml", faults: found).description.split(separator: "\n").map(String.init)
    for (line, part) in expected {
      #expect(lines.contains { $0.hasPrefix("a.yaml, line \(line): ") && $0.contains(part) }, "\(line): \(part)")
    }
    #expect(found.count == expected.count, "\(lines.joined(separator: "\n"))")
  }

  @Test("what is no YAML is one fault with its line")
  func syntax() {
    for (text, line) in [
      ("task: image\n  data: [", 2), ("a: b: c", 1), ("task: 'image\n", 2), ("task: image\n\tdata: 3\n", 2),
      ("- a\n- b\n", 1), ("", 1), ("task: *nothing", 1), ("{a: 1, a: 2}", 1), ("\u{0}", 1),
      (String(repeating: "[", count: 100_000), 1), ("? [a, b]\n: 3\n", 1),
    ] {
      let found = Self.faults(text)
      #expect(!found.isEmpty, "\(text.prefix(40))")
      #expect(found.allSatisfy { $0.line <= line + 1 && !$0.rule.contains("\n") }, "\(text.prefix(40)): \(found)")
    }
  }

  @Test(
    "fields that cannot be together are faults",
    arguments: [
      ("data.set=iris", "needs exactly one of set, file and folder, got set and file"),
      ("data.file=", "needs exactly one of set, file and folder, got none"),
      ("task=image", "an image task takes a set, a folder, CIFAR's records"),
      ("data.labels=a.npy", "belongs to a file of images"),
      ("data.history=3", "is a setting of series, the task is tabular"),
      ("data.test=0.95", "leave nothing for training"),
      ("loss=mse", "does not fit classes"), ("loss=bce", "does not fit classes"),
      ("loss=categorical_crossentropy", "does not fit classes"),
      ("loss=sparse_categorical_crossentropy", "set model.output_activation to softmax"),
      ("model.output_activation=softmax", "softmax does not fit the loss 'softmax_cross_entropy'"),
      ("data.answers=numbers metrics=[accuracy]", "does not fit numbers"), ("metrics=[r2]", "does not fit classes"),
      ("training.clip_norm=1 training.clip_value=1", "choose one of them"),
      ("optimizer={name: sgd, nesterov: true}", "needs a momentum"),
      ("optimizer.momentum=0.9", "is a setting of sgd alone"),
      ("callbacks.early_stopping.monitor=validation_acuracy", "near it: 'validation_accuracy'"),
      ("callbacks.plateau.monitor=validation_loss data.validation=0", "needs validation data"),
      ("preparation.balance=weights training.class_weights=[1,2]", "choose one of them"),
      ("preparation.tokenizer=bpe", "is a setting of text"), ("training.epoch=3", "near it: 'epochs'"),
      ("training.epochs=-1", "needs a whole number"), ("nothing", "needs the form field=value"),
      ("model.layers.7.dense=3", "'7' is no place of a list of 1"), ("seed={", "the value is no YAML"),
    ])
  func together(settings: String, part: String) {
    let found = Self.faults(
      Self.small,
      settings.split(separator: " ").reduce(into: [String]()) { list, word in
        // A setting's value may have spaces.
        if word.contains("=") || list.isEmpty { list.append(String(word)) } else { list[list.count - 1] += " " + word }
      })
    #expect(found.contains { $0.rule.contains(part) }, "\(found)")
  }

  @Test("the examples are without a fault")
  func examples() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "docs/examples")
    let files = try FileManager.default.contentsOfDirectory(at: root, includingPropertiesForKeys: nil)
    #expect(!files.isEmpty)
    for file in files { _ = try Configuration(contentsOf: file.path(percentEncoded: false)) }
  }

  @Test("settings of the command line change the tree, shorthands too, and are kept")
  func settings() throws {
    let configuration = try Configuration(
      text: Self.small, file: "a.yaml",
      settings: [
        "training.epochs=7", "model.layers.0.dense.activation=relu", "model.layers.0.dense.units=9", "optimizer=sgd",
        "name=\"it's: odd # one\"", "data.columns=[a, \"b c\"]",
      ])
    #expect(configuration.epochs == 7 && configuration.name == "it's: odd # one")
    let again = try Configuration(text: configuration.yaml, file: "again")
    #expect(again.yaml == configuration.yaml && again.epochs == 7)
    #expect(again.root["data"]?["columns"]?.list?.compactMap(\.text) == ["a", "b c"])
    #expect(try again.rule() is SGD)
  }

  @Test("templates survive being written again", arguments: LearningTask.allCases)
  func roundTrip(task: LearningTask) throws {
    let first = try Configuration(text: task.template, file: "a")
    #expect(try Configuration(text: first.yaml, file: "b").yaml == first.yaml)
  }

  @Test("5,000 mutated templates end with a configuration or with faults")
  func mutations() {
    var random: UInt64 = 1
    func next(_ count: Int) -> Int {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(random >> 33) % count
    }
    var refused = 0
    for round in 0..<5000 {
      var bytes = Array(LearningTask.allCases[round % 4].template.utf8)
      for _ in 0...next(4) {
        let place = next(bytes.count)
        switch next(4) {
        case 0: bytes[place] = UInt8(next(128))
        case 1: bytes.removeSubrange(place..<min(place + next(20), bytes.count))
        case 2: bytes.insert(contentsOf: Array("[]{}:-#&*!|>'\"%@`\n \t".utf8.dropFirst(next(20)).prefix(2)), at: place)
        default: bytes.insert(contentsOf: bytes[place..<min(place + next(40), bytes.count)], at: place)
        }
      }
      do {
        let made = try Configuration(text: String(decoding: bytes, as: UTF8.self), file: "m")
        _ = try (made.loss(), made.metrics(), made.rule(), made.callbacks())
      } catch let error as ConfigError {
        refused += 1
        if error.faults.isEmpty { Issue.record("refused without a fault") }
      } catch { Issue.record("\(error)") }
    }
    #expect(refused > 1000)
  }
}
