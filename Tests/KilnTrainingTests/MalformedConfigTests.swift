import Foundation
import Kiln
import Testing

/// A configuration that is wrong in one way, and what must be said of it.
struct MalformedConfig: Sendable {
  var name: String
  var bytes: [UInt8]
  var says: String
  /// 2: a mistake of the configuration; 1: a file that is no text.
  var status: Int32 = 2

  private static let head = "task: tabular\ndata:\n  file: rows.csv\n"
  private static let base = head + "model:\n  layers:\n    - dense: 4\n"
  private static let image = "task: image\ndata:\n  set: digits\nmodel:\n  layers:\n    - flatten\n"
  private static let text = "task: text\ndata:\n  file: a.txt\nmodel:\n  layers:\n    - embedding: 4\n"

  private static func layer(_ text: String) -> String { head + "model:\n  layers:\n    \(text)\n" }
  private static func data(_ text: String) -> String { head + text + "\nmodel:\n  layers:\n    - dense: 4\n" }

  static var all: [MalformedConfig] {
    texts.map { MalformedConfig(name: $0, bytes: Array($1.utf8), says: $2) } + sizes + encodings
  }

  private static let texts: [(String, String, String)] = [
    ("task twice", base + "task: tabular\n", "line 7: 'task' is here for the second time, line 1 has it too"),
    (
      "a section twice", base + "data:\n  file: b.csv\n",
      "line 7: 'data' is here for the second time, line 2 has it too"
    ),
    (
      "a field of a section twice", data("  file: b.csv"),
      "line 4: 'file' is here for the second time, line 3 has it too"
    ),
    (
      "a field in braces twice", "task: tabular\ndata: {file: a.csv, file: b.csv}\nmodel:\n  layers:\n    - dense: 4\n",
      "line 2: has twice: 'file'"
    ),
    (
      "a quoted key twice",
      "\"task\": tabular\ntask: tabular\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 2: 'task' is here for the second time, line 1 has it too"
    ),
    (
      "a layer's field twice", layer("- dense:\n        units: 4\n        units: 5"),
      "line 8: 'units' is here for the second time, line 7 has it too"
    ),
    (
      "a key twice under a list", base + "metrics:\n  - accuracy\nmetrics:\n  - f1\n",
      "line 9: 'metrics' is here for the second time, line 7 has it too"
    ),
    ("unknown field", base + "sed: 3\n", "line 7: sed: there is no such field"),
    ("unknown field of data", data("  colums: [a]"), "line 4: data.colums: there is no such field"),
    (
      "unknown field of preparation", base + "preparation:\n  scalng: none\n",
      "line 8: preparation.scalng: there is no such field"
    ),
    ("unknown field of optimizer", base + "optimizer:\n  lr: 0.1\n", "line 8: optimizer.lr: there is no such field"),
    ("unknown field of schedule", base + "schedule:\n  warmup: 1\n", "line 8: schedule.warmup: there is no such field"),
    ("unknown field of training", base + "training:\n  epoch: 3\n", "line 8: training.epoch: there is no such field"),
    (
      "unknown field of callbacks", base + "callbacks:\n  early_stoping: 3\n",
      "line 8: callbacks.early_stoping: there is no such field"
    ),
    (
      "unknown field of early_stopping", base + "callbacks:\n  early_stopping:\n    patiens: 3\n",
      "line 9: callbacks.early_stopping.patiens: there is no such field"
    ),
    (
      "unknown field of plateau", base + "callbacks:\n  plateau:\n    facter: 0.5\n",
      "line 9: callbacks.plateau.facter: there is no such field"
    ),
    (
      "unknown field of checkpoint", base + "callbacks:\n  checkpoint:\n    keeps: 3\n",
      "line 9: callbacks.checkpoint.keeps: there is no such field"
    ),
    (
      "unknown field of average", base + "training:\n  average:\n    decoy: 0.9\n",
      "line 9: training.average.decoy: there is no such field"
    ),
    ("unknown field of model", base + "  layer: 3\n", "line 7: model.layer: there is no such field"),
    (
      "unknown field of a layer", layer("- dense: {units: 4, bias: false}"),
      "line 6: model.layers[0].dense.bias: there is no such field"
    ),
    ("unknown layer", layer("- dens: 4"), "line 6: model.layers[0]: there is no 'dens'"),
    (
      "unknown augmentation", image + "preparation:\n  augmentation: [crops: 2]\n",
      "line 8: preparation.augmentation[0]: there is no 'crops'"
    ),
    (
      "unknown field of an augmentation", image + "preparation:\n  augmentation: [{crop: {pading: 2}}]\n",
      "line 8: preparation.augmentation[0].crop.pading: there is no such field"
    ),
    (
      "unknown task", "task: images\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 1: task: needs one of"
    ),
    ("unknown loss", base + "loss: mean_square_eror\n", "line 7: loss: needs one of"),
    ("unknown optimizer", base + "optimizer: adm\n", "line 7: optimizer: needs one of"),
    ("unknown schedule", base + "schedule: cosinus\n", "line 7: schedule: needs one of"),
    ("unknown metrics", base + "metrics: [acuracy]\n", "line 7: metrics[0]: needs one of"),
    (
      "unknown set", "task: image\ndata:\n  set: digit\nmodel:\n  layers:\n    - flatten\n",
      "line 3: data.set: needs one of"
    ),
    (
      "unknown activation", layer("- dense: {units: 4, activation: rellu}"),
      "line 6: model.layers[0].dense.activation: needs one of"
    ),
    (
      "epochs are a word", base + "training:\n  epochs: many\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got 'many'"
    ),
    (
      "epochs are a fraction", base + "training:\n  epochs: 1.5\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '1.5'"
    ),
    (
      "epochs are a list", base + "training:\n  epochs: [1]\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got a list"
    ),
    (
      "epochs are a section", base + "training:\n  epochs: {a: 1}\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got a section"
    ),
    (
      "epochs are a text", base + "training:\n  epochs: '3'\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '3'"
    ),
    (
      "epochs are an exponent", base + "training:\n  epochs: 1e1\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '1e1'"
    ),
    (
      "epochs are a flag", base + "training:\n  epochs: true\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got 'true'"
    ),
    (
      "epochs are a hexadecimal", base + "training:\n  epochs: 0x1F\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '0x1F'"
    ),
    (
      "epochs are a date", base + "training:\n  epochs: 2001-01-01\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '2001-01-01'"
    ),
    (
      "epochs are an underscore", base + "training:\n  epochs: 1_000\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '1_000'"
    ),
    (
      "learning rate is a word", base + "optimizer:\n  learning_rate: fast\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got 'fast'"
    ),
    (
      "learning rate is a text", base + "optimizer:\n  learning_rate: \"0.1\"\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '0.1'"
    ),
    (
      "learning rate is a list", base + "optimizer:\n  learning_rate: [0.1]\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got a list"
    ),
    (
      "learning rate is a percent", base + "optimizer:\n  learning_rate: 10%\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '10%'"
    ),
    (
      "learning rate is a comma", base + "optimizer:\n  learning_rate: 0,1\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '0,1'"
    ),
    (
      "nesterov is a word", base + "optimizer: {name: sgd, momentum: 0.9, nesterov: perhaps}\n",
      "line 7: optimizer.nesterov: needs true or false, got 'perhaps'"
    ),
    (
      "layers are a word", "task: tabular\ndata:\n  file: rows.csv\nmodel:\n  layers: dense\n",
      "line 5: model.layers: needs a list, got 'dense'"
    ),
    ("layers are a section", layer("dense: 4"), "line 6: model.layers: needs a list, got a section"),
    ("a layer is a number", layer("- 4"), "line 6: model.layers[0]: there is no '4'"),
    (
      "a layer is a list", layer("- [dense, 4]"),
      "line 6: model.layers[0]: needs one name, as in '- flatten', got a list"
    ),
    (
      "a layer has two names", layer("- {dense: 4, dropout: 0.5}"),
      "line 6: model.layers[0]: needs one name, as in '- flatten', got a section"
    ),
    (
      "data is a word", "task: tabular\ndata: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 2: data: needs a section with fields, got 'rows.csv'"
    ),
    (
      "data is a list", "task: tabular\ndata: [rows.csv]\nmodel:\n  layers:\n    - dense: 4\n",
      "line 2: data: needs a section with fields, got a list"
    ),
    ("columns are a word", data("  columns: a"), "line 4: data.columns: needs a list, got 'a'"),
    ("a column is a list", data("  columns: [[a]]"), "line 4: data.columns[0]: needs text, got a list"),
    ("name is a section", base + "name: {a: b}\n", "line 7: name: needs text, got a section"),
    ("metrics are a word", base + "metrics: accuracy\n", "line 7: metrics: needs a list, got 'accuracy'"),
    (
      "class weights are words", base + "training: {class_weights: [heavy]}\n",
      "line 7: training.class_weights[0]: needs a number of at least 0.0, got 'heavy'"
    ),
    (
      "training epochs -1", base + "training:\n  epochs: -1\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '-1'"
    ),
    (
      "training epochs 1000001", base + "training:\n  epochs: 1000001\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '1000001'"
    ),
    (
      "training epochs 99999999999999999999", base + "training:\n  epochs: 99999999999999999999\n",
      "line 8: training.epochs: needs a whole number in 0...1000000, got '99999999999999999999'"
    ),
    (
      "training batch_size 0", base + "training:\n  batch_size: 0\n",
      "line 8: training.batch_size: needs a whole number of at least 1, got '0'"
    ),
    (
      "training batch_size -32", base + "training:\n  batch_size: -32\n",
      "line 8: training.batch_size: needs a whole number of at least 1, got '-32'"
    ),
    (
      "optimizer learning_rate 0", base + "optimizer:\n  learning_rate: 0\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '0'"
    ),
    (
      "optimizer learning_rate -0.1", base + "optimizer:\n  learning_rate: -0.1\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '-0.1'"
    ),
    (
      "optimizer learning_rate .inf", base + "optimizer:\n  learning_rate: .inf\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '.inf'"
    ),
    (
      "optimizer learning_rate .nan", base + "optimizer:\n  learning_rate: .nan\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '.nan'"
    ),
    (
      "optimizer learning_rate 1e999", base + "optimizer:\n  learning_rate: 1e999\n",
      "line 8: optimizer.learning_rate: needs a number above 0, got '1e999'"
    ),
    (
      "optimizer weight_decay -1", base + "optimizer:\n  weight_decay: -1\n",
      "line 8: optimizer.weight_decay: needs a number of at least 0.0, got '-1'"
    ),
    (
      "training clip_norm 0", base + "training:\n  clip_norm: 0\n",
      "line 8: training.clip_norm: needs a number above 0, got '0'"
    ),
    (
      "training average 1", base + "training:\n  average: 1\n",
      "line 8: training.average: needs a number of at least 0.0 and below 1, got '1'"
    ),
    (
      "training average -0.5", base + "training:\n  average: -0.5\n",
      "line 8: training.average: needs a number of at least 0.0 and below 1, got '-0.5'"
    ),
    (
      "training accumulation 0", base + "training:\n  accumulation: 0\n",
      "line 8: training.accumulation: needs a whole number of at least 1, got '0'"
    ),
    (
      "training class_weights [1, -1]", base + "training:\n  class_weights: [1, -1]\n",
      "line 8: training.class_weights[1]: needs a number of at least 0.0, got '-1'"
    ),
    (
      "callbacks early_stopping {patience 0}", base + "callbacks:\n  early_stopping: {patience: 0}\n",
      "line 8: callbacks.early_stopping.patience: needs a whole number of at least 1, got '0'"
    ),
    (
      "callbacks checkpoint {keep 0}", base + "callbacks:\n  checkpoint: {keep: 0}\n",
      "line 8: callbacks.checkpoint.keep: needs a whole number of at least 1, got '0'"
    ),
    (
      "schedule {name step, every_epochs 0}", base + "schedule: {name: step, every_epochs: 0}\n",
      "line 7: schedule.every_epochs: needs a number above 0, got '0'"
    ),
    ("seed -1", base + "seed: -1\n", "line 7: seed: needs a whole number of at least 0, got '-1'"),
    (
      "seed 18446744073709551616", base + "seed: 18446744073709551616\n",
      "line 7: seed: needs a whole number of at least 0, got '18446744073709551616'"
    ),
    (
      "validation 1", data("  validation: 1"),
      "line 4: data.validation: needs a number of at least 0.0 and below 1, got '1'"
    ),
    (
      "validation 1.5", data("  validation: 1.5"),
      "line 4: data.validation: needs a number of at least 0.0 and below 1, got '1.5'"
    ),
    (
      "validation -0.1", data("  validation: -0.1"),
      "line 4: data.validation: needs a number of at least 0.0 and below 1, got '-0.1'"
    ),
    (
      "nothing for training", data("  validation: 0.5\n  test: 0.5"),
      "line 3: data: validation and test leave nothing for training: together they are 1.0"
    ),
    (
      "layer dense 0", layer("- dense: 0"), "line 6: model.layers[0].dense: needs a whole number of at least 1, got '0'"
    ),
    (
      "layer conv {filters 4, kernel 0}", layer("- conv: {filters: 4, kernel: 0}"),
      "line 6: model.layers[0].conv.kernel: needs a whole number of at least 1, got '0'"
    ),
    (
      "layer dropout 1", layer("- dropout: 1"),
      "line 6: model.layers[0].dropout: needs a number of at least 0.0 and below 1, got '1'"
    ),
    (
      "layer dropout -0.1", layer("- dropout: -0.1"),
      "line 6: model.layers[0].dropout: needs a number of at least 0.0 and below 1, got '-0.1'"
    ),
    ("layer lstm 0", layer("- lstm: 0"), "line 6: model.layers[0].lstm: needs a whole number of at least 1, got '0'"),
    (
      "layer max_pool 0", layer("- max_pool: 0"),
      "line 6: model.layers[0].max_pool: needs a whole number of at least 1, got '0'"
    ),
    (
      "layer transformer 0", layer("- transformer: 0"),
      "line 6: model.layers[0].transformer: needs a whole number of at least 1, got '0'"
    ),
    (
      "layer embedding -3", layer("- embedding: -3"),
      "line 6: model.layers[0].embedding: needs a whole number of at least 1, got '-3'"
    ),
    (
      "vocabulary 5", text + "preparation: {tokenizer: bpe, vocabulary: 5}\n",
      "line 7: preparation.vocabulary: needs a whole number in 257...1000000, got '5'"
    ),
    (
      "context 0", "task: text\ndata:\n  file: a.txt\n  context: 0\nmodel:\n  layers:\n    - embedding: 4\n",
      "line 4: data.context: needs a whole number of at least 1, got '0'"
    ),
    (
      "flip of 2", image + "preparation: {augmentation: [horizontal_flip: 2]}\n",
      "line 7: preparation.augmentation[0].horizontal_flip: needs a number in 0.0...1.0, got '2'"
    ),
    (
      "rotation of 181", image + "preparation: {augmentation: [rotation: 181]}\n",
      "line 7: preparation.augmentation[0].rotation: needs a number in 0.0...180.0, got '181'"
    ),
    (
      "no task", "data:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 1: task: must be given: what kind of data it is; decides the output layer"
    ),
    ("no data", "task: tabular\nmodel:\n  layers:\n    - dense: 4\n", "line 1: data: must be given: the samples"),
    ("no model", "task: tabular\ndata:\n  file: rows.csv\n", "line 1: model: must be given: the layers"),
    (
      "no layers", "task: tabular\ndata:\n  file: rows.csv\nmodel:\n  output_activation: identity\n",
      "line 5: model.layers: must be given: one after the other; sizes of inputs follow by themselves"
    ),
    (
      "a layer without its units", layer("- dense"),
      "line 6: model.layers[0].dense.units: must be given: numbers that it gives"
    ),
    (
      "a task of nothing", "task:\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 1: task: must be given: what kind of data it is; decides the output layer"
    ),
    (
      "no source", "task: tabular\ndata:\n  label: a\nmodel:\n  layers:\n    - dense: 4\n",
      "line 3: data: needs exactly one of set, file and folder, got none"
    ),
    ("two sources", data("  set: iris"), "line 3: data: needs exactly one of set, file and folder, got set and file"),
    (
      "tab before a key", "task: tabular\n\tname: a\n",
      "line 2: is no YAML here: found a tab character that violates indentation (column 1)"
    ),
    (
      "tab in a section", "task: tabular\ndata:\n\tfile: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 3: is no YAML here: found character that cannot start any token (column 1)"
    ),
    ("open quote", base + "name: 'a\n", "line 8: is no YAML here: found unexpected end of stream (column 1)"),
    ("open double quote", base + "name: \"a\n", "line 8: is no YAML here: found unexpected end of stream (column 1)"),
    (
      "open bracket", base + "metrics: [accuracy\n",
      "line 8: is no YAML here: did not find expected ',' or ']' (column 1)"
    ),
    (
      "open brace", base + "optimizer: {name: adam\n",
      "line 8: is no YAML here: did not find expected ',' or '}' (column 1)"
    ),
    ("closed twice", base + "metrics: [accuracy]]\n", "line 7: is no YAML here: did not find expected key (column 20)"),
    ("no colon", base + "name\n", "line 8: is no YAML here: could not find expected ':' (column 1)"),
    (
      "two colons", base + "name: a: b\n",
      "line 7: is no YAML here: mapping values are not allowed in this context (column 8)"
    ),
    ("wrong indentation", base + "   name: a\n", "line 7: is no YAML here: did not find expected key (column 4)"),
    ("unknown escape", base + "name: \"\\q\"\n", "line 7: is no YAML here: found unknown escape character (column 8)"),
    (
      "cut in a list", "task: tabular\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense",
      "line 6: model.layers[0].dense.units: must be given: numbers that it gives"
    ),
    (
      "cut in a flow list", base + "metrics: [accuracy,",
      "line 8: is no YAML here: did not find expected node content (column 1)"
    ),
    (
      "cut in an escape", base + "name: \"\\x",
      "line 7: is no YAML here: did not find expected hexdecimal number (column 10)"
    ),
    ("cut after a question mark", base + "?", "line 7: there is no such field"),
    (
      "two documents", base + "---\ntask: tabular\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 7: is no YAML here: but found another document (column 1)"
    ),
    ("a list", "- task\n- data\n", "line 1: needs a section with fields, got a list"),
    ("a word", "tabular\n", "line 1: needs a section with fields, got 'tabular'"),
    ("a key that is a list", base + "? [a, b]\n: 3\n", "line 7: a field's name must be a word"),
    (
      "a directive", "%YAML 9.9\n---\ntask: tabular\ndata:\n  file: rows.csv\nmodel:\n  layers:\n    - dense: 4\n",
      "line 1: is no YAML here: found incompatible YAML document (column 1)"
    ),
    ("at sign", base + "name: @a\n", "line 7: is no YAML here: found character that cannot start any token (column 7)"),
    (
      "backtick", base + "name: `a`\n",
      "line 7: is no YAML here: found character that cannot start any token (column 7)"
    ),
    ("an alias of nothing", base + "name: *nothing\n", "line 7: is no YAML here: found undefined alias (column 7)"),
    ("a cycle", base + "metrics: &m [*m]\n", "line 7: is no YAML here: found undefined alias (column 14)"),
    (
      "a cycle of sections", base + "callbacks: &c {plateau: *c}\n",
      "line 7: is no YAML here: found undefined alias (column 25)"
    ),
    ("a merge", base + "<<: {name: a}\n", "line 7: <<: there is no such field"),
    ("unknown field of loss", base + "loss:\n  smoothing: 0.1\n", "line 8: loss.smoothing: there is no such field"),
    (
      "label smoothing 1", base + "loss:\n  label_smoothing: 1\n",
      "line 8: loss.label_smoothing: needs a number of at least 0.0 and below 1, got '1'"
    ),
    (
      "beta of another loss", base + "loss:\n  beta: 2\n", "line 8: loss.beta: is a setting of smooth_l1"
    ),
  ]

  /// What would need much memory, time or stack if it were followed.
  private static let sizes: [MalformedConfig] = {
    let doubling = (0..<9).map { place in
      "  - &a\(place) [\(Array(repeating: place == 0 ? "x" : "*a\(place - 1)", count: 9).joined(separator: ", "))]\n"
    }
    return [
      ("too deep", base + "metrics: " + String(repeating: "[", count: 200) + "\n", "line 1: is too large or too deep"),
      ("too deep by dashes", base + String(repeating: "- ", count: 5000) + "\n", "line 1: is too large or too deep"),
      ("a megabyte", base + String(repeating: "#", count: 1 << 20) + "\n", "line 1: is too large or too deep"),
      ("a long key", base + String(repeating: "k", count: 2000) + ": 3\n", "line 7: is no YAML here"),
      ("anchors that multiply", data("  columns:\n" + doubling.joined()), "too many values for a configuration"),
    ].map { MalformedConfig(name: $0, bytes: Array($1.utf8), says: $2) }
  }()

  private static let encodings: [MalformedConfig] = {
    let own = Array(base.utf8)
    func wide(_ bigEndian: Bool) -> [UInt8] { own.flatMap { bigEndian ? [0, $0] : [$0, 0] } }
    let notText: [(String, [UInt8], String)] = [
      ("UTF-16", [0xff, 0xfe] + wide(false), "byte 0: is not UTF-8 text"),
      ("UTF-16 of the other order", [0xfe, 0xff] + wide(true), "byte 0: is not UTF-8 text"),
      ("Latin-1", own + [110, 58, 32, 0xe9, 10], "byte \(own.count + 3): is not UTF-8 text"),
      ("a character cut short", own + [110, 58, 32, 0xe4, 0xbd], "byte \(own.count + 3): is not UTF-8 text"),
      ("a surrogate", own + [110, 58, 32, 0xed, 0xa0, 0x80], "byte \(own.count + 3): is not UTF-8 text"),
      ("bytes of a picture", [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], "byte 0: is not UTF-8 text"),
      ("half a gzip file", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "the compressed data ends too early"),
    ]
    let controls: [(String, [UInt8], String)] = [
      ("UTF-16 without a mark", wide(false), "line 1: is no YAML: control characters are not allowed"),
      ("a zero byte", own + [110, 58, 32, 0, 10], "line 7: is no YAML: control characters are not allowed"),
      ("a control character", own + [110, 58, 32, 1, 10], "line 7: is no YAML: control characters are not allowed"),
    ]
    return notText.map { MalformedConfig(name: $0, bytes: $1, says: $2, status: 1) }
      + controls.map { MalformedConfig(name: $0, bytes: $1, says: $2) }
  }()
}

@Suite("Malformed configurations")
struct MalformedConfigTests {
  @Test(
    "each gives one line that names the file, the line and the rule, the exit code 2 or 1, and leaves no run behind")
  func oneLine() throws {
    let all = MalformedConfig.all
    #expect(all.count >= 140 && Set(all.map(\.name)).count == all.count)
    print("\(all.count) malformed configurations")
    let folder = try TemporaryFolder()
    let (path, run) = (folder.path + "/bad.yaml", folder.path + "/run")
    for one in all {
      try Data(one.bytes).write(to: URL(filePath: path))
      let outcome = try RunCommandTests.kiln("train", path, "--output", run)
      let lines = outcome.errors.split(separator: "\n")
      #expect(outcome.status == one.status, "\(one.name): \(outcome.status)")
      #expect(
        lines.contains { $0.hasPrefix("kiln: \(path), ") && $0.contains(one.says) }, "\(one.name): \(outcome.errors)")
      #expect(lines.count == 1 && outcome.errors.utf8.count < 1000, "\(one.name): \(outcome.errors)")
      #expect(outcome.output.isEmpty && !FileManager.default.fileExists(atPath: run), "\(one.name)")
    }
  }
}
