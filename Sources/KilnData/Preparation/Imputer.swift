import KilnEngine

/// Fills missing values of tables. Fit it on the training part alone, save it with the model, and apply it to all parts.
///
/// Tables are float64 [rows, columns], missing values NaN. scikit-learn: `SimpleImputer`.
public struct Imputer: Sendable, Hashable, Codable {
  public enum Strategy: String, Sendable, Hashable, Codable {
    case mean, median
    /// The smallest of those that come most often.
    case mostFrequent
    /// Rows with a missing value are left out.
    case drop
  }
  public var strategy: Strategy
  /// What fills each column; empty for `drop`.
  public var values: [Double]
  public var columns: Int

  /// Learns what fills each column. Throws `TensorError` for other arrays and for columns without any value.
  public init(_ strategy: Strategy, fittedOn table: HostArray) throws {
    let columns = try tableColumns(table, "Imputer")
    self.strategy = strategy
    self.columns = columns.count
    values = []
    if strategy == .drop { return }
    for (index, column) in columns.enumerated() {
      let known = column.filter { !$0.isNaN }.sorted()
      guard !known.isEmpty else {
        throw TensorError(
          operation: "Imputer", rule: "column \(index) has no value to learn from", operands: "\(table.shape)",
          fix: "leave the column out")
      }
      switch strategy {
      case .mean: values.append(known.reduce(0) { $0 + $1 / Double(known.count) })
      case .median:
        let middle = known.count / 2
        values.append(known.count % 2 == 1 ? known[middle] : known[middle - 1] / 2 + known[middle] / 2)
      case .mostFrequent, .drop: values.append(Imputer.mode(known))
      }
    }
  }

  private static func mode(_ sorted: [Double]) -> Double {
    var (best, bestCount, start) = (sorted[0], 0, 0)
    for i in sorted.indices where i + 1 == sorted.count || sorted[i + 1] != sorted[i] {
      if i + 1 - start > bestCount { (best, bestCount) = (sorted[i], i + 1 - start) }
      start = i + 1
    }
    return best
  }

  /// The table without missing values, and which of its rows are left (all but for `drop`).
  /// Throws `TensorError` for another number of columns.
  public func apply(_ table: HostArray) throws -> (table: HostArray, rows: [Int]) {
    let rows = try tableRows(table, columns, "Imputer")
    guard strategy == .drop else {
      let filled = rows.map { row in zip(row, values).map { $0.isNaN ? $1 : $0 } }
      return (HostArray(rows: filled, columns: columns), Array(rows.indices))
    }
    let kept = rows.indices.filter { rows[$0].allSatisfy { !$0.isNaN } }
    return (HostArray(rows: kept.map { rows[$0] }, columns: columns), kept)
  }
}

/// The columns of a float64 [rows, columns].
func tableColumns(_ table: HostArray, _ operation: String) throws -> [[Double]] {
  let rows = try tableRows(table, nil, operation)
  return (0..<table.shape[1]).map { column in rows.map { $0[column] } }
}

func tableRows(_ table: HostArray, _ columns: Int?, _ operation: String) throws -> [[Double]] {
  guard table.dtype == .float64, table.shape.rank == 2, columns == nil || columns == table.shape[1] else {
    throw TensorError(
      operation: operation, rule: "needs float64 [rows, \(columns.map(String.init) ?? "columns")]",
      operands: "\(table.shape) \(table.dtype)", fix: "read the same columns with Table's `numbers()`")
  }
  let values = table.values(as: Double.self)
  let width = table.shape[1]
  return (0..<table.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
}

extension HostArray {
  /// A table float64 [rows, columns] of equally long rows; shorter ones are filled with NaN, longer ones cut.
  public init(rows: [[Double]]) {
    let columns = rows.first?.count ?? 0
    self.init(
      rows: rows.map { Array($0.prefix(columns)) + Array(repeating: .nan, count: Swift.max(0, columns - $0.count)) },
      columns: columns)
  }

  /// A table's rows: the reverse. Throws `TensorError` for arrays that are no float64 [rows, columns].
  public func rowValues() throws -> [[Double]] { try tableRows(self, nil, "rowValues") }

  init(rows: [[Double]], columns: Int) { self.init(.float64, [rows.count, columns], rows.flatMap { $0 }) }
}

extension Table {
  /// Columns as float64 [rows, columns] with NaN where a field is one of `missing` (spaces around it do not count).
  /// Throws where any other field is not a number, naming line and column.
  public func numbers(columns: [Int]? = nil, missing: Set<String>) throws -> HostArray {
    var copy = self
    for row in copy.rows.indices {
      for column in copy.rows[row].indices where missing.contains(String(Table.trimmed(copy.rows[row][column]))) {
        copy.rows[row][column] = "nan"
      }
    }
    return try copy.numbers(columns: columns)
  }
}
