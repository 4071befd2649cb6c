import Kiln

/// What was learned from a table's training rows.
struct TablePreparation: Sendable, Codable {
  var label: String
  var isRegression: Bool
  /// Columns of numbers, and of words.
  var numbers: [String]
  var words: [String]
  var imputer: Imputer?
  var scaler: Scaler?
  var encoder: CategoryEncoder?
  /// Of the answers of a regression.
  var answers: Scaler?

  static let missing: Set<String> = ["", "?", "NA", "N/A", "NaN", "nan", "null"]

  /// The rows' features, float64 [rows, features], and which rows are left (all but for `drop`).
  func features(_ table: Table) throws -> (HostArray, rows: [Int]) {
    var rows = Array(table.rows.indices)
    var parts: [[[Double]]] = []
    if !numbers.isEmpty {
      var array = try table.numbers(columns: numbers.map { try table.column($0) }, missing: Self.missing)
      if let imputer { (array, rows) = try imputer.apply(array) }
      if let scaler { array = try scaler.apply(array) }
      parts.append(try array.rowValues())
    }
    if let encoder {
      let kept = table.part(rows)
      parts.append(try encoder.oneHot(kept, columns: words.map { try kept.column($0) }).rowValues())
    }
    let merged = rows.indices.map { row in parts.flatMap { $0[row] } }
    return (HostArray(rows: merged), rows)
  }

  /// The scaled answers of a regression.
  func answers(_ table: Table, _ column: Int) throws -> [Double] {
    let array = try table.numbers(columns: [column])
    return try (answers?.apply(array) ?? array).rowValues().map { $0[0] }
  }

  static func isNumberOrMissing(_ field: String) -> Bool {
    let text = field.trimmed
    return missing.contains(text) || Double(text) != nil
  }
}

extension Configuration {
  func rows(_ folder: DataFolder) throws -> PreparedData {
    let data = root["data"]
    let path: String
    if let set = data?["set"]?.text {
      path = try NamedSet.named(set).paths(in: folder)[0]
    } else {
      path = data?["file"]?.text ?? ""
    }
    if streams(bytes: Self.size(of: path)) { return try streamedRows(path) }
    let table = try Table(contentsOf: path, header: .present)
    guard !table.rows.isEmpty else { throw DataError(file: path, rule: "has no rows", fix: "name a file with data") }
    let (label, chosen) = try tableColumns(table)
    let labelColumn = try table.column(label)
    let weights = try data?["weights"]?.text.map { try sampleWeights(table, $0) }

    let classes = isRegression ? [] : Set(table.rows.map { $0[labelColumn] }).sorted(by: Self.classOrder)
    try checkClasses(classes.count, label, rows: table.rows.count, isWhole: true)
    let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    let labels = isRegression ? nil : table.rows.map { places[$0[labelColumn]] ?? 0 }
    let parts = try parts(labels, count: table.rows.count, test: testShare)
    guard !parts.training.isEmpty else { throw fault(0, "data", "no row is left for training") }
    let learned = try tablePreparation(table.part(parts.training), label, chosen)

    func dataset(_ positions: [Int], balances: Bool) throws -> ArrayDataset? {
      let part = table.part(positions)
      guard !part.rows.isEmpty else { return nil }
      let (features, rows) = try learned.features(part)
      guard !rows.isEmpty else { return nil }
      // As class weights, they count in training alone.
      let own = balances ? weights.map { all in rows.map { all[positions[$0]] } } : nil
      if isRegression {
        let answers = HostArray(rows: try learned.answers(part.part(rows), labelColumn).map { [$0] })
        return try onHost { host in
          try ArrayDataset(
            computing: Tensor(features, on: host).cast(to: .float32), Tensor(answers, on: host).cast(to: .float32),
            weights: own.map { Tensor($0, on: host) })
        }
      }
      var (made, answers) = (features, rows.map { places[part.rows[$0][labelColumn]] ?? 0 })
      if balances, root["preparation"]?["balance"]?.text == "smote" {
        (made, answers) = try smote(features: features, labels: answers, seed: seed)
      }
      return try onHost { host in
        try ArrayDataset(
          computing: Tensor(made, on: host).cast(to: .float32), Tensor(answers, on: host),
          weights: own.map { Tensor($0, on: host) })
      }
    }
    guard let training = try dataset(parts.training, balances: true) else {
      throw DataError(file: path, rule: "no training row is without missing values", fix: "set preparation.missing")
    }
    var preparation = Preparation(
      inputShape: Array(training.features.shape.dimensions.dropFirst()), outputs: isRegression ? 1 : classes.count,
      trainingCount: training.count)
    preparation.classes = classes
    preparation.table = learned
    if let labels {
      preparation.classWeights = balancedWeights(parts.training.map { labels[$0] }, classes: classes.count)
    }
    return PreparedData(
      training: training, validation: try dataset(parts.validation, balances: false),
      test: try dataset(parts.test, balances: false), preparation: preparation)
  }

  /// The label, and the columns to learn from.
  func tableColumns(_ table: Table) throws -> (label: String, columns: [String]) {
    let data = root["data"]
    let label = data?["label"]?.text ?? "label"
    _ = try table.column(label)
    let weights = data?["weights"]?.text
    let chosen =
      data?["columns"]?.list?.compactMap(\.text) ?? (table.header ?? []).filter { $0 != label && $0 != weights }
    for name in chosen { _ = try table.column(name) }
    if chosen.isEmpty || chosen.contains(label) {
      throw fault(
        data?["columns"]?.line ?? 0, "data.columns", "needs columns other than the label '\(label)' to learn from")
    }
    return (label, chosen)
  }

  /// Throws where there are too few classes, or, with all rows seen or very many of them, too many.
  func checkClasses(_ count: Int, _ label: String, rows: Int, isWhole: Bool) throws {
    if isRegression || !isWhole && count <= 10_000 { return }
    guard count < 2 || count > max(2, rows / 2) || !isWhole else { return }
    throw fault(
      root["data"]?["label"]?.line ?? 0, "data.label",
      "column '\(label)' has \(count) different answers in \(rows) rows; for numbers set data.answers to numbers")
  }

  private func sampleWeights(_ table: Table, _ name: String) throws -> [Float] {
    let column = try table.column(name)
    let values = try table.numbers(columns: [column]).rowValues().map { Float($0[0]) }
    if let bad = values.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
      throw DataError(
        file: table.file, place: "line \(table.lines[bad]), column \(column + 1)",
        rule: "a sample's weight must be finite and not negative, got \(values[bad])", fix: "1 counts as one sample")
    }
    return values
  }

  func tablePreparation(
    _ table: Table, _ label: String, _ columns: [String], words known: [String] = []
  ) throws -> TablePreparation {
    func isOfNumbers(_ name: String) throws -> Bool {
      let index = try table.column(name)
      return !known.contains(name) && table.rows.allSatisfy { TablePreparation.isNumberOrMissing($0[index]) }
    }
    let numbers = try columns.filter(isOfNumbers)
    let words = columns.filter { !numbers.contains($0) }
    var result = TablePreparation(label: label, isRegression: isRegression, numbers: numbers, words: words)
    if !numbers.isEmpty {
      var array = try table.numbers(columns: numbers.map { try table.column($0) }, missing: TablePreparation.missing)
      let names: [String: Imputer.Strategy] = [
        "mean": .mean, "median": .median, "most_frequent": .mostFrequent, "drop": .drop,
      ]
      let imputer = try Imputer(names[root["preparation"]?["missing"]?.text ?? "median"] ?? .median, fittedOn: array)
      result.imputer = imputer
      array = try imputer.apply(array).table
      result.scaler = try scaler(array)
    }
    if !words.isEmpty {
      result.encoder = try CategoryEncoder(
        fittedOn: table, columns: words.map { try table.column($0) }, unknown: .ignore)
    }
    if isRegression { result.answers = try Scaler(.standard, fittedOn: table.numbers(columns: [table.column(label)])) }
    return result
  }

  /// As configured, learned from a float64 [rows, columns].
  func scaler(_ array: HostArray) throws -> Scaler? {
    switch root["preparation"]?["scaling"]?.text ?? "standard" {
    case "standard": try Scaler(.standard, fittedOn: array)
    case "min_max": try Scaler(.minMax, fittedOn: array)
    default: nil
    }
  }

  /// Numbers by size, words by the alphabet.
  static func classOrder(_ a: String, _ b: String) -> Bool {
    if let a = Double(a), let b = Double(b) { return a < b }
    return a < b
  }
}

extension Table {
  /// Some rows, with their lines.
  func part(_ positions: [Int]) -> Table {
    var copy = self
    copy.rows = positions.map { rows[$0] }
    copy.lines = positions.map { lines[$0] }
    return copy
  }
}

extension String {
  var trimmed: String {
    var text = self[...]
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }
}
