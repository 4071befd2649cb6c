import KilnEngine

/// What a table must look like. All violations are found, with their lines.
public struct Schema: Sendable, Hashable, Codable {
  public enum Kind: Sendable, Hashable, Codable {
    case number(ClosedRange<Double>?)
    case integer(ClosedRange<Int>?)
    case category([String])
    case text
  }
  public struct Column: Sendable, Hashable, Codable {
    public var name: String
    public var kind: Kind
    /// Empty fields are allowed.
    public var isOptional: Bool
    /// No two rows may have the same.
    public var isUnique: Bool

    public init(_ name: String, _ kind: Kind, isOptional: Bool = false, isUnique: Bool = false) {
      (self.name, self.kind, self.isOptional, self.isUnique) = (name, kind, isOptional, isUnique)
    }
  }
  public var columns: [Column]

  public init(_ columns: [Column]) { self.columns = columns }

  /// Everything in a table that breaks the schema, in the order of the lines, at most `limit`; empty if all is well.
  public func violations(in table: Table, limit: Int = 100) -> [DataError] {
    var found: [DataError] = []
    for column in columns {
      guard let index = try? table.column(column.name) else {
        found.append(
          DataError(
            file: table.file, place: "line 1", rule: "the column '\(column.name)' is missing",
            fix: "the file has \(table.header?.prefix(30).joined(separator: ", ") ?? "no header")"))
        continue
      }
      var seen: [String: Int] = [:]
      for (row, line) in zip(table.rows, table.lines) {
        if let rule = column.violation(of: row[index], seen: &seen, line) {
          found.append(
            DataError(
              file: table.file, place: "line \(line), column \(index + 1)", rule: "'\(column.name)' \(rule)",
              fix: "mend the field, or the schema"))
        }
        if found.count >= limit { return found }
      }
    }
    return found
  }

  /// Throws the first violation, with the number of the others.
  public func check(_ table: Table) throws {
    let found = violations(in: table)
    guard var first = found.first else { return }
    if found.count > 1 { first.fix += " (and \(found.count - 1)\(found.count == 100 ? " or more" : "") others)" }
    throw first
  }
}

extension Schema.Column {
  fileprivate func violation(of field: String, seen: inout [String: Int], _ line: Int) -> String? {
    let text = String(Table.trimmed(field))
    if text.isEmpty { return isOptional ? nil : "must not be empty" }
    if isUnique {
      if let before = seen[text] { return "must be unique, '\(text.prefix(40))' was on line \(before) too" }
      seen[text] = line
    }
    switch kind {
    case .text: return nil
    case .number(let range):
      guard let value = Double(text), !value.isNaN else { return "must be a number, got '\(text.prefix(40))'" }
      if let range, !range.contains(value) {
        return "must lie in \(range.lowerBound)...\(range.upperBound), got \(text.prefix(40))"
      }
    case .integer(let range):
      guard let value = Int(text) else { return "must be a whole number, got '\(text.prefix(40))'" }
      if let range, !range.contains(value) {
        return "must lie in \(range.lowerBound)...\(range.upperBound), got \(value)"
      }
    case .category(let words):
      if !words.contains(text) {
        return "must be one of \(words.prefix(20).joined(separator: ", ")), got '\(text.prefix(40))'"
      }
    }
    return nil
  }
}

/// Rows that are the same, byte for byte.
public enum Duplicates {
  /// The positions of rows that came before, with the first of their kind: [(row, first)].
  public static func within(_ features: HostArray) throws -> [(row: Int, first: Int)] {
    var seen: [ArraySlice<UInt8>: Int] = [:]
    var found: [(row: Int, first: Int)] = []
    for (index, row) in try rows(features).enumerated() {
      if let first = seen[row] { found.append((index, first)) } else { seen[row] = index }
    }
    return found
  }

  /// Rows of `test` that are in `training` too: the model has seen their answers. [(test row, training row)].
  public static func across(_ training: HostArray, _ test: HostArray) throws -> [(test: Int, training: Int)] {
    guard training.dtype == test.dtype else {
      throw TensorError(
        operation: "Duplicates.across", rule: "both need one dtype, got \(training.dtype) and \(test.dtype)",
        fix: "read both the same way")
    }
    var seen: [ArraySlice<UInt8>: Int] = [:]
    for (index, row) in try rows(training).enumerated() where seen[row] == nil { seen[row] = index }
    return try rows(test).enumerated().compactMap { index, row in seen[row].map { (index, $0) } }
  }

  /// The positions of the first of each kind, in order.
  public static func removed(from features: HostArray) throws -> [Int] {
    let repeated = Set(try within(features).map(\.row))
    return (0..<features.shape[0]).filter { !repeated.contains($0) }
  }

  private static func rows(_ array: HostArray) throws -> [ArraySlice<UInt8>] {
    guard array.shape.rank >= 1 else {
      throw TensorError(
        operation: "Duplicates", rule: "needs rows, got a scalar", operands: "\(array.dtype)", fix: "give [rows, ...]")
    }
    let size = array.shape.dimensions.dropFirst().reduce(array.dtype.size, *)
    return (0..<array.shape[0]).map { array.bytes[$0 * size..<($0 + 1) * size] }
  }
}

/// Synthetic samples of the smaller classes, between neighbours of the same class (SMOTE; Chawla et al., 2002).
///
/// features float64 [rows, columns]; every class gets as many rows as the largest. New rows follow the old ones: each lies
/// at a random place between a row and one of its `neighbors` nearest (Euclid) of the same class, so scale the
/// columns first. A class of one row is repeated. Use it on the training part alone. imbalanced-learn: `SMOTE`.
public func smote(features: HostArray, labels: [Int], neighbors: Int = 5, seed: UInt64) throws -> (
  features: HostArray, labels: [Int]
) {
  let rows = try tableRows(features, nil, "smote")
  guard rows.count == labels.count, neighbors >= 1 else {
    throw TensorError(
      operation: "smote",
      rule:
        "needs one label for each row and at least 1 neighbor, got \(labels.count) for \(rows.count) and \(neighbors)",
      fix: "use 5 neighbors")
  }
  var generator = OrderGenerator(seed: seed, epoch: 0)
  let groups = classGroups(labels)
  let most = groups.map(\.count).max() ?? 0
  var (made, madeLabels) = (rows, labels)
  for group in groups where group.count < most {
    var nearest: [Int: [Int]] = [:]
    for _ in group.count..<most {
      let row = group[generator.below(group.count)]
      let near =
        nearest[row]
        ?? group.filter { $0 != row }.map { other in
          (other, zip(rows[row], rows[other]).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) })
        }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.prefix(neighbors).map(\.0)
      nearest[row] = near
      let other = near.isEmpty ? row : near[generator.below(near.count)]
      let share = generator.unit()
      made.append(zip(rows[row], rows[other]).map { $0 + share * ($1 - $0) })
      madeLabels.append(labels[row])
    }
  }
  return (HostArray(rows: made, columns: features.shape[1]), madeLabels)
}
