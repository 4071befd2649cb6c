import Kiln

/// Chances that depend on a seed and a row's number alone (SplitMix64; Steele, Lea and Flood, 2014).
struct RowDraws: Sendable {
  let seed: UInt64
  let validation: Double
  let test: Double

  enum Part: Sendable { case training, validation, test }

  func part(of row: Int) -> Part {
    let draw = unit(row, 1)
    return draw < test ? .test : draw < test + validation ? .validation : .training
  }

  /// Uniform in 0..<1, one for each purpose.
  func unit(_ row: Int, _ purpose: UInt64) -> Double {
    var bits = seed &+ UInt64(truncatingIfNeeded: row) &* 0x9e37_79b9_7f4a_7c15 &+ purpose &* 0xd1b5_4a32_d192_ed03
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double((bits ^ (bits >> 31)) >> 11) * 0x1p-53
  }
}

/// Rows of a table that are drawn while it goes by, all with the same chance; at most so many.
struct RowSample {
  private var rows: [(draw: Double, fields: [String], line: Int)] = []
  private var threshold = 1.0
  static let limit = 100_000

  mutating func offer(_ fields: [String], line: Int, draw: Double) {
    guard draw < threshold else { return }
    rows.append((draw, fields, line))
    while rows.count > Self.limit {
      threshold /= 2
      rows.removeAll { $0.draw >= threshold }
    }
  }

  /// Rows of the table in place of its own.
  func table(like table: Table) -> Table {
    var copy = table
    (copy.rows, copy.lines) = (rows.map(\.fields), rows.map(\.line))
    return copy
  }
}

/// The rows of one part of a table as samples, read anew in every pass.
struct PreparedRows: DataStream {
  let chunks: TableChunks
  let draws: RowDraws
  let part: RowDraws.Part
  let learned: TablePreparation
  let labelColumn: Int
  /// Empty for a regression.
  let classes: [String: Int]
  var name: String { chunks.path }

  func makeReader() throws -> any SampleReader {
    let reader = try chunks.makeReader()
    var waiting: ArraySlice<Sample> = []
    return ClosureReader {
      while waiting.isEmpty {
        let first = reader.position
        guard let chunk = try reader.next() else { return nil }
        waiting = try samples(chunk.part(chunk.rows.indices.filter { draws.part(of: first + $0) == part }))[...]
      }
      return waiting.removeFirst()
    }
  }

  private func samples(_ table: Table) throws -> [Sample] {
    guard !table.rows.isEmpty else { return [] }
    let (features, kept) = try learned.features(table)
    let answers = classes.isEmpty ? try learned.answers(table.part(kept), labelColumn) : []
    return try features.rowValues().enumerated().map { index, values in
      let row = try HostArray(values.map { Float($0) }, shape: [values.count])
      if !classes.isEmpty {
        return Sample(features: row, label: classes[table.rows[kept[index]][labelColumn]] ?? 0)
      }
      return Sample(features: row, label: try HostArray([Float(answers[index])], shape: [1]))
    }
  }
}

extension Configuration {
  /// A table that is read row by row, one pass to learn from and one for every epoch.
  func streamedRows(_ path: String) throws -> PreparedData {
    let chunks = try TableChunks(path, header: .present)
    let draws = RowDraws(seed: seed, validation: validationShare, test: testShare)
    let reader = try chunks.makeReader()
    guard var chunk = try reader.next() else {
      throw DataError(file: path, rule: "has no rows", fix: "name a file with data")
    }
    let (label, chosen) = try tableColumns(chunk)
    let labelColumn = try chunk.column(label)
    let columns = try chosen.map { try chunk.column($0) }

    var counts: [String: Int] = [:]
    var isOfNumbers = columns.map { _ in true }
    var sample = RowSample()
    var (row, trainingCount) = (0, 0)
    while true {
      for (fields, line) in zip(chunk.rows, chunk.lines) {
        defer { row += 1 }
        let isTraining = draws.part(of: row) == .training
        if !isRegression { counts[fields[labelColumn], default: 0] += isTraining ? 1 : 0 }
        guard isTraining else { continue }
        trainingCount += 1
        for (index, column) in columns.enumerated() where isOfNumbers[index] {
          isOfNumbers[index] = TablePreparation.isNumberOrMissing(fields[column])
        }
        sample.offer(fields, line: line, draw: draws.unit(row, 2))
      }
      try checkClasses(counts.count, label, rows: row, isWhole: false)
      guard let next = try reader.next() else { break }
      chunk = next
    }
    try checkClasses(counts.count, label, rows: row, isWhole: true)
    guard trainingCount > 0 else { throw fault(0, "data", "no row is left for training") }
    let words = zip(chosen, isOfNumbers).filter { !$0.1 }.map(\.0)
    let learned = try tablePreparation(sample.table(like: chunk), label, chosen, words: words)
    let classes = isRegression ? [] : counts.keys.sorted(by: Self.classOrder)
    let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })

    func loader(_ part: RowDraws.Part, share: Double) throws -> TrainingData? {
      guard share > 0 else { return nil }
      let rows = PreparedRows(
        chunks: chunks, draws: draws, part: part, learned: learned, labelColumn: labelColumn, classes: places)
      let trains = part == .training
      return .loader(
        try DataLoader(
          stream: rows, batchSize: trains ? batchSize : 1000, shuffleBuffer: trains ? Self.shuffleBuffer : 0,
          seed: seed, lastBatch: trains ? lastBatch : .keep))
    }
    let features = try learned.features(chunk.part([0])).0.shape[1]
    var preparation = Preparation(
      inputShape: [features], outputs: isRegression ? 1 : classes.count, trainingCount: trainingCount)
    preparation.classes = classes
    preparation.table = learned
    preparation.classWeights = balancedWeights(counts: classes.map { counts[$0] ?? 0 })
    guard let training = try loader(.training, share: 1) else { throw fault(0, "data", "no row is left for training") }
    return PreparedData(
      training: training, validation: try loader(.validation, share: validationShare),
      test: try loader(.test, share: testShare), preparation: preparation)
  }

  /// Rows that are held in memory and drawn from at random.
  private static let shuffleBuffer = 10_000
}
