import Kiln

/// What was learned from a series' training part.
struct SeriesPreparation: Sendable, Codable {
  var columns: [String]
  var targets: [String]
  var history: Int
  var horizon: Int
  var scaler: Scaler?

  /// The targets' places among the columns.
  var places: [Int] { targets.compactMap { columns.firstIndex(of: $0) } }

  /// A table's columns, scaled, float64 [rows, columns].
  func values(_ table: Table) throws -> HostArray {
    let array = try table.numbers(columns: columns.map { try table.column($0) })
    return try scaler?.apply(array) ?? array
  }
}

extension Configuration {
  /// The parts of something in the order of time: training first, the test last.
  private func cuts(_ count: Int) -> (Range<Int>, Range<Int>, Range<Int>) {
    let test = Int((Double(count) * testShare).rounded())
    let validation = Int((Double(count) * validationShare).rounded())
    let first = max(count - test - validation, 0)
    return (0..<first, first..<max(count - test, first), max(count - test, first)..<count)
  }

  func tokens(_ folder: DataFolder) throws -> PreparedData {
    let data = root["data"]
    let path = try data?["set"]?.text.map { try NamedSet.named($0).paths(in: folder)[0] } ?? data?["file"]?.text ?? ""
    if root["preparation"]?["tokenizer"]?.text == "byte", streams(bytes: Self.size(of: path)) {
      return try bytes(path)
    }
    let text = try TextFile.read(path)
    let saved = try tokenizer(learnedFrom: text)
    let tokens = try saved.tokenizer.encode(text)
    let context = data?["context"]?.integer ?? 64
    let stride = data?["stride"]?.integer ?? context
    let (first, second, third) = cuts(tokens.count)
    guard first.count > context else {
      throw fault(
        data?["context"]?.line ?? 0, "data.context",
        "needs more than \(context) tokens for training, there are \(first.count)")
    }
    func windows(_ range: Range<Int>, limit: Int?) throws -> ArrayDataset? {
      guard range.count > context else { return nil }
      var starts = Array(Swift.stride(from: range.lowerBound, to: range.upperBound - context, by: stride))
      if let limit, limit < starts.count {
        starts = try BatchIterator(count: starts.count, batchSize: 1, seed: seed).order.prefix(limit).map { starts[$0] }
      }
      return try onHost { host in
        let features = starts.flatMap { tokens[$0..<$0 + context] }
        let labels = starts.flatMap { tokens[$0 + 1..<$0 + 1 + context] }
        let shape: Shape = [starts.count, context]
        return try ArrayDataset(
          features: Tensor(features, shape: shape, on: host), labels: Tensor(labels, shape: shape, on: host))
      }
    }
    guard let training = try windows(first, limit: limit) else { throw fault(0, "data", "has too few tokens") }
    var preparation = Preparation(
      inputShape: [context], outputs: saved.tokenizer.vocabularySize, trainingCount: training.count)
    preparation.vocabulary = saved.tokenizer.vocabularySize
    preparation.tokenizer = saved
    return PreparedData(
      training: training, validation: try windows(second, limit: nil), test: try windows(third, limit: nil),
      preparation: preparation)
  }

  /// Windows of a file of bytes, read as they are needed.
  private func bytes(_ path: String) throws -> PreparedData {
    let data = root["data"]
    let context = data?["context"]?.integer ?? 64
    let (first, second, third) = cuts(Self.size(of: path))
    func windows(_ range: Range<Int>, trains: Bool) throws -> TrainingData? {
      guard range.count > context else { return nil }
      let windows = try ByteWindows(path, bytes: range, length: context, stride: data?["stride"]?.integer)
      var positions = Array(0..<windows.count)
      if trains, let limit, limit < positions.count {
        positions = Array(try BatchIterator(count: positions.count, batchSize: 1, seed: seed).order.prefix(limit))
      }
      return try loader(windows, positions, sampleBytes: 16 * context, trains: trains)
    }
    guard let training = try windows(first, trains: true) else { throw fault(0, "data", "has too few bytes") }
    var preparation = Preparation(
      inputShape: [context], outputs: SavedTokenizer.byte.tokenizer.vocabularySize, trainingCount: training.count)
    preparation.vocabulary = preparation.outputs
    preparation.tokenizer = .byte
    return PreparedData(
      training: training, validation: try windows(second, trains: false), test: try windows(third, trains: false),
      preparation: preparation)
  }

  func windows(_ folder: DataFolder) throws -> PreparedData {
    let data = root["data"]
    let path = try data?["set"]?.text.map { try NamedSet.named($0).paths(in: folder)[0] } ?? data?["file"]?.text ?? ""
    let table = try Table(contentsOf: path, header: .present)
    let header = table.header ?? []
    let columns =
      data?["columns"]?.list?.compactMap(\.text)
      ?? header.filter { name in
        guard let index = header.firstIndex(of: name) else { return false }
        return !table.rows.isEmpty && table.rows.allSatisfy { Double($0[index].trimmed) != nil }
      }
    for name in columns { _ = try table.column(name) }
    guard !columns.isEmpty else {
      throw DataError(file: path, rule: "has no column of numbers alone", fix: "name some with data.columns")
    }
    let targets = data?["targets"]?.list?.compactMap(\.text) ?? columns
    if let bad = targets.first(where: { !columns.contains($0) }) {
      throw fault(
        data?["targets"]?.line ?? 0, "data.targets",
        "'\(bad)' is none of the columns\(Names.hint(bad, in: columns)); they are \(columns.joined(separator: ", "))")
    }
    let history = data?["history"]?.integer ?? 24
    let horizon = data?["horizon"]?.integer ?? 1
    let stride = data?["stride"]?.integer ?? 1
    let (first, second, third) = cuts(table.rows.count)
    guard first.count >= history + horizon else {
      throw fault(
        data?["history"]?.line ?? 0, "data.history",
        "history and horizon need \(history + horizon) rows for training, there are \(first.count)")
    }
    var series = SeriesPreparation(columns: columns, targets: targets, history: history, horizon: horizon)
    series.scaler = try scaler(series.values(table.part(Array(first))))
    let rows = try series.values(table).rowValues()
    let places = series.places
    func windows(_ range: Range<Int>, limit: Int?) throws -> ArrayDataset? {
      guard range.count >= history + horizon else { return nil }
      var starts = Array(
        Swift.stride(from: range.lowerBound, through: range.upperBound - history - horizon, by: stride))
      if let limit, limit < starts.count {
        starts = try BatchIterator(count: starts.count, batchSize: 1, seed: seed).order.prefix(limit).map { starts[$0] }
      }
      return try onHost { host in
        let features = starts.flatMap { start in rows[start..<start + history].flatMap { $0.map { Float($0) } } }
        let labels = starts.flatMap { start in
          rows[start + history..<start + history + horizon].flatMap { row in places.map { Float(row[$0]) } }
        }
        return try ArrayDataset(
          features: Tensor(features, shape: [starts.count, history, columns.count], on: host),
          labels: Tensor(labels, shape: [starts.count, horizon, targets.count], on: host))
      }
    }
    guard let training = try windows(first, limit: limit) else { throw fault(0, "data", "has too few rows") }
    var preparation = Preparation(
      inputShape: [history, columns.count], outputs: horizon * targets.count, trainingCount: training.count)
    preparation.outputShape = [horizon, targets.count]
    preparation.series = series
    return PreparedData(
      training: training, validation: try windows(second, limit: nil), test: try windows(third, limit: nil),
      preparation: preparation)
  }
}
