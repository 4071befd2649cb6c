import KilnEngine

/// Scales the columns of tables. Fit it on the training part alone, save it with the model.
public struct Scaler: Sendable, Hashable, Codable {
  public enum Kind: String, Sendable, Hashable, Codable {
    /// (x - mean) / standard deviation of the population. scikit-learn: `StandardScaler`.
    case standard
    /// (x - minimum) / (maximum - minimum). scikit-learn: `MinMaxScaler`.
    case minMax
  }
  public var kind: Kind
  public var offsets: [Double]
  /// A constant column has 1.
  public var scales: [Double]

  /// Learns from a float64 [rows, columns]. NaN is left out of the figures. Throws `TensorError` for other arrays and for
  /// columns without a value.
  public init(_ kind: Kind, fittedOn table: HostArray) throws {
    self.kind = kind
    (offsets, scales) = ([], [])
    for (index, column) in try tableColumns(table, "Scaler").enumerated() {
      let known = column.filter { !$0.isNaN }
      guard let low = known.min(), let high = known.max(), low.isFinite, high.isFinite else {
        throw TensorError(
          operation: "Scaler", rule: "column \(index) has no value, or an infinite one", operands: "\(table.shape)",
          fix: "leave the column out, or mend it")
      }
      switch kind {
      case .minMax:
        offsets.append(low)
        scales.append(high > low ? high - low : 1)
      case .standard:
        let mean = known.reduce(0) { $0 + $1 / Double(known.count) }
        let variance = known.reduce(0) { $0 + ($1 - mean) * ($1 - mean) / Double(known.count) }
        offsets.append(mean)
        scales.append(high > low && variance > 0 ? variance.squareRoot() : 1)
      }
    }
  }

  /// The scaled table. Throws `TensorError` for another number of columns.
  public func apply(_ table: HostArray) throws -> HostArray {
    let rows = try tableRows(table, offsets.count, "Scaler")
    return HostArray(
      rows: rows.map { row in row.indices.map { (row[$0] - offsets[$0]) / scales[$0] } }, columns: offsets.count)
  }

  /// What `apply` made, in the original units.
  public func invert(_ table: HostArray) throws -> HostArray {
    let rows = try tableRows(table, offsets.count, "Scaler")
    return HostArray(
      rows: rows.map { row in row.indices.map { row[$0] * scales[$0] + offsets[$0] } }, columns: offsets.count)
  }

  /// `apply` on a device: features [..., columns] of any float dtype. Errors: another size of the last axis.
  public func apply(_ features: Tensor) -> Tensor {
    func row(_ values: [Double]) -> Tensor { Tensor(values, on: features.device).cast(to: features.dtype) }
    return (features - row(offsets)) / row(scales)
  }
}

/// Words as numbers: the categories of each column of text. Fit it on the training part alone.
public struct CategoryEncoder: Sendable, Hashable, Codable {
  /// What becomes of a word that was not there when the encoder was fitted.
  public enum Unknown: String, Sendable, Hashable, Codable {
    case refuse
    /// One-hot: zeros. Ordinal: -1.
    case ignore
  }
  /// Sorted, for each column.
  public var categories: [[String]]
  public var unknown: Unknown

  /// Learns the words of some columns. Throws `DataError` for columns that do not exist.
  public init(fittedOn table: Table, columns: [Int], unknown: Unknown = .refuse) throws {
    let columns = try table.checked(columns)
    categories = columns.map { column in Set(table.rows.map { $0[column] }).sorted() }
    self.unknown = unknown
  }

  /// Each word's place among its column's categories: int64 [rows, columns]. scikit-learn: `OrdinalEncoder`.
  /// Throws `DataError` with the line for an unknown word, unless they are ignored.
  public func ordinal(_ table: Table, columns: [Int]) throws -> HostArray {
    let places = try encode(table, columns)
    return HostArray(.int64, [places.count, categories.count], places.flatMap { $0 }.map { Int64($0) })
  }

  /// 1 for each word's category, else 0: float64 [rows, categories of all columns]. scikit-learn: `OneHotEncoder`.
  public func oneHot(_ table: Table, columns: [Int]) throws -> HostArray {
    let rows = try encode(table, columns).map { places -> [Double] in
      zip(places, categories).flatMap { place, words in words.indices.map { $0 == place ? 1 : 0 } }
    }
    return HostArray(rows: rows, columns: categories.reduce(0) { $0 + $1.count })
  }

  private func encode(_ table: Table, _ columns: [Int]) throws -> [[Int]] {
    let columns = try table.checked(columns)
    guard columns.count == categories.count else {
      throw DataError(
        file: table.file, rule: "\(categories.count) columns were learned, got \(columns.count)",
        fix: "give the columns that the encoder was fitted on, in that order")
    }
    let known = categories.map { words in
      Dictionary(words.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }
    return try zip(table.rows, table.lines).map { row, line in
      try zip(columns, known).map { column, places in
        if let place = places[row[column]] { return place }
        guard unknown == .ignore else {
          throw DataError(
            file: table.file, place: "line \(line), column \(column + 1)",
            rule: "'\(row[column].prefix(40))' was not among the \(places.count) categories that were learned",
            fix: "mend the field, or make the encoder with unknown: .ignore")
        }
        return -1
      }
    }
  }
}
