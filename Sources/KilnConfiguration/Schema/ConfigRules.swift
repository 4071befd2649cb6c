import Kiln

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
    streaming(data, task)
    let training = root["training"]
    if let clip = training?["clip_value"], training?["clip_norm"] != nil {
      fault(clip, "training.clip_value", "stands beside clip_norm: choose one of them")
    }
    let isContinuingText = task == .text && data["set"]?.text != "sst2" && data["label"] == nil
    if let weights = training?["class_weights"], isRegression || isContinuingText {
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
    monitors(data, isRegression, isContinuingText)
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
    if let file = data["file"], task == .image, data["labels"] == nil, file.text?.hasSuffix(".bin") != true {
      fault(
        file, "data.file", "an image task takes a set, a folder, CIFAR's records (.bin), or a file with data.labels")
    }
    if let labels = data["labels"], task != .image || data["file"] == nil {
      fault(labels, "data.labels", "belongs to a file of images")
    }
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
      ("data", "label", [.tabular, .text]), ("data", "text", [.text]), ("data", "weights", [.tabular]),
      ("data", "stream", [.image, .tabular, .text]), ("data", "workers", [.image, .text]),
      ("data", "answers", [.tabular]), ("data", "columns", [.tabular, .series]),
      ("data", "targets", [.series]), ("data", "history", [.series]), ("data", "horizon", [.series]),
      ("data", "context", [.text]), ("data", "stride", [.text, .series]), ("data", "size", [.image]),
      ("data", "channels", [.image]), ("preparation", "scale", [.image]), ("preparation", "augmentation", [.image]),
      ("preparation", "missing", [.tabular]), ("preparation", "scaling", [.tabular, .series]),
      ("preparation", "balance", [.tabular, .image, .text]), ("preparation", "tokenizer", [.text]),
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
      if task == .text, data["label"] == nil, data["set"]?.text != "sst2" {
        fault(balance, "preparation.balance", "is for classes: give data.label")
      }
      if balance.text == "weights", root["training"]?["class_weights"] != nil {
        fault(balance, "preparation.balance", "stands beside training.class_weights: choose one of them")
      }
    }
  }

  /// What cannot be done while samples are read.
  private mutating func streaming(_ data: ConfigValue, _ task: LearningTask) {
    guard let stream = data["stream"], stream.flag == true else { return }
    if data["set"] != nil { fault(stream, "data.stream", "is for files and folders: sets are small") }
    if task == .text, root["preparation"]?["tokenizer"]?.text != "byte" || data["label"] != nil {
      fault(stream, "data.stream", "of texts needs preparation.tokenizer byte and no label")
    }
    guard task == .tabular else { return }
    for (path, value) in [("data.limit", data["limit"]), ("data.weights", data["weights"])] {
      if let value { fault(value, path, "does not go with data.stream: rows are read one after the other") }
    }
    if let balance = root["preparation"]?["balance"], balance.text == "smote" {
      fault(balance, "preparation.balance", "smote does not go with data.stream; weights do")
    }
  }

  /// Loss, metrics and output.
  private mutating func goal(_ task: LearningTask, _ isRegression: Bool) {
    let last = root["model"]?["output_activation"]?.text ?? "identity"
    if let value = root["loss"], let name = value["name"]?.text, let loss = try? Loss.named(name) {
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
    if let value = root["loss"] {
      let name =
        value["name"]?.text.flatMap { try? Loss.named($0).name } ?? (isRegression ? "" : "softmax_cross_entropy")
      let owners = [
        ("label_smoothing", ["softmax_cross_entropy", "sparse_categorical_crossentropy"]), ("delta", ["huber"]),
        ("beta", ["smooth_l1"]),
      ]
      for (option, losses) in owners where !losses.contains(name) {
        if let own = value[option] {
          fault(own, "loss.\(option)", "is a setting of \(losses.joined(separator: " and "))")
        }
      }
    }
    if let value = root["model"]?["output_activation"] {
      let loss = root["loss"]?["name"]?.text ?? (isRegression ? "mean_squared_error" : "softmax_cross_entropy")
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

  private mutating func monitors(_ data: ConfigValue, _ isRegression: Bool, _ isContinuingText: Bool) {
    let metrics =
      root["metrics"]?.list?.compactMap { $0.text.flatMap { try? TrainingMetric.named($0) }?.name }
      ?? Configuration.defaultMetrics(isRegression: isRegression, isContinuingText: isContinuingText)
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
