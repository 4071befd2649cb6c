import Kiln

extension Configuration {
  /// Whether a text task is one of classes, not of the next token.
  var isClassifyingText: Bool {
    task == .text && (root["data"]?["set"]?.text == "sst2" || root["data"]?["label"] != nil)
  }

  /// Texts and a class for each, from a table or from a set that Kiln knows.
  func sentences(_ folder: DataFolder) throws -> PreparedData {
    let data = root["data"]
    let isKnown = data?["set"]?.text == "sst2"
    let paths = isKnown ? try NamedSet.named("sst2").paths(in: folder) : [data?["file"]?.text ?? ""]
    let tables = try paths.map { try Table(contentsOf: $0, header: isKnown ? .absent : .present) }
    let table = tables[0]
    let textColumn = isKnown ? 0 : try table.column(data?["text"]?.text ?? "text")
    let label = data?["label"]?.text ?? "label"
    let labelColumn = isKnown ? 1 : try table.column(label)
    for one in tables {
      guard !one.rows.isEmpty, one.columns > max(textColumn, labelColumn) else {
        throw DataError(
          file: one.file, rule: "needs rows with a text and a label, got \(one.rows.count) of \(one.columns) columns",
          fix: "name a table of both")
      }
    }
    let classes = Set(table.rows.map { $0[labelColumn] }).sorted(by: Self.classOrder)
    try checkClasses(classes.count, label, rows: table.rows.count, isWhole: true)
    let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    func labels(_ table: Table) throws -> [Int] {
      try zip(table.rows, table.lines).map { row, line in
        guard let place = places[row[labelColumn]] else {
          throw DataError(
            file: table.file, place: "line \(line), column \(labelColumn + 1)",
            rule: "the label must be one of \(classes.prefix(20).joined(separator: ", ")), got "
              + "'\(row[labelColumn].prefix(40))'", fix: "mend the field")
        }
        return place
      }
    }
    let all = try labels(table)
    let parts = try parts(all, count: table.rows.count, test: isKnown ? 0 : testShare)
    let texts = table.rows.map { $0[textColumn] }
    let saved = try tokenizer(learnedFrom: parts.training.map { texts[$0] }.joined(separator: "\n"))
    let context = data?["context"]?.integer ?? 64
    func dataset(_ texts: [String], _ labels: [Int]) throws -> ArrayDataset? {
      guard !texts.isEmpty else { return nil }
      return try onHost { host in
        let tokens = try texts.flatMap { try saved.padded($0, to: context) }
        return try ArrayDataset(
          features: Tensor(tokens, shape: [texts.count, context], on: host), labels: Tensor(labels, on: host))
      }
    }
    func part(_ positions: [Int]) throws -> ArrayDataset? {
      try dataset(positions.map { texts[$0] }, positions.map { all[$0] })
    }
    guard let training = try part(parts.training) else { throw fault(0, "data", "no sample is left for training") }
    var preparation = Preparation(inputShape: [context], outputs: classes.count, trainingCount: training.count)
    preparation.vocabulary = saved.paddedVocabulary
    preparation.tokenizer = saved
    preparation.classes = classes
    preparation.classWeights = balancedWeights(parts.training.map { all[$0] }, classes: classes.count)
    let test =
      try tables.count > 1 ? dataset(tables[1].rows.map { $0[textColumn] }, labels(tables[1])) : part(parts.test)
    return PreparedData(
      training: training, validation: try part(parts.validation), test: test, preparation: preparation)
  }

  /// As configured; pieces of words where texts are classified, else characters.
  func tokenizer(learnedFrom text: @autoclosure () -> String) throws -> SavedTokenizer {
    switch root["preparation"]?["tokenizer"]?.text ?? (isClassifyingText ? "bpe" : "character") {
    case "byte": return .byte
    case "bpe":
      return .bpe(
        try BPETokenizer(trainedOn: text(), vocabularySize: root["preparation"]?["vocabulary"]?.integer ?? 512))
    default: return .character(CharacterTokenizer(fittedOn: text()))
    }
  }
}

extension SavedTokenizer {
  /// The tokens, and one that fills texts up.
  var paddedVocabulary: Int { tokenizer.vocabularySize + 1 }

  /// A text's first tokens, filled up before them, so that what comes last is the text's own end.
  func padded(_ text: String, to length: Int) throws -> [Int] {
    let tokens = try tokenizer.encode(text).prefix(length)
    return [Int](repeating: tokenizer.vocabularySize, count: length - tokens.count) + tokens
  }
}
