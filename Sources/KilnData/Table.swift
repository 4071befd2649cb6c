import KilnEngine

/// A CSV or TSV file as text fields: every row has the same number of columns.
///
/// CSV follows RFC 4180: fields may stand in double quotes, inside which `""` is a quote and commas and line ends are
/// text; lines end with LF or CRLF. TSV has no quotes: a tab always separates. Empty lines are skipped, a UTF-8 byte
/// order mark is ignored, and a gzipped file is unpacked.
public struct Table: Sendable, Hashable {
  public enum Header: Sendable {
    /// The first row is a header if none of its fields is a number.
    case automatic
    case present, absent
  }

  /// The path, for error messages.
  public var file: String
  public var header: [String]?
  public var rows: [[String]]
  /// The line on which each row begins, from 1.
  public var lines: [Int]
  public var columns: Int { header?.count ?? rows.first?.count ?? 0 }

  /// No rows yet.
  init(file: String, header: [String]?) { (self.file, self.header, rows, lines) = (file, header, [], []) }

  /// Reads a file. `separator` is by default a tab for names that end in `.tsv` or `.tsv.gz`, else a comma.
  /// Throws `DataError` for ragged rows, stray or open quotes, and text that is not UTF-8, naming the line.
  public init(contentsOf path: String, separator: Character? = nil, header: Header = .automatic) throws {
    let isTSV = path.hasSuffix(".tsv") || path.hasSuffix(".tsv.gz")
    try self.init(
      bytes: Files.readUnpacked(path), file: path, separator: separator ?? (isTSV ? "\t" : ","), header: header)
  }

  init(bytes: [UInt8], file: String, separator: Character = ",", header: Header = .automatic) throws {
    guard let mark = separator.asciiValue, mark != 10, mark != 13, mark != 34 else {
      throw DataError(
        file: file, rule: "the separator must be one ASCII character other than a quote or a line end",
        fix: "use ',' or a tab")
    }
    var parser = TableParser(bytes: bytes, file: file, separator: mark, hasQuotes: mark != 9)
    (rows, lines) = try parser.parse()
    self.file = file
    let takesHeader: Bool
    switch header {
    case .present: takesHeader = true
    case .absent: takesHeader = false
    case .automatic:
      takesHeader = rows.first.map { $0.allSatisfy { Table.number($0) == nil } } ?? false
    }
    if takesHeader {
      guard !rows.isEmpty else {
        throw DataError(file: file, rule: "has no header line, it is empty", fix: "name a file with a header")
      }
      self.header = rows.removeFirst()
      lines.removeFirst()
    }
  }

  /// The position of the column with this name in the header.
  public func column(_ name: String) throws -> Int {
    guard let header else {
      throw DataError(file: file, rule: "has no header, so no column '\(name)'", fix: "give the column's number")
    }
    guard let index = header.firstIndex(of: name) else {
      throw DataError(
        file: file, place: "line 1", rule: "has no column '\(name)'",
        fix: "the columns are \(header.joined(separator: ", "))")
    }
    return index
  }

  /// The given columns (all by default) as float64 [rows, columns]. Throws where a field is not a number.
  public func numbers(columns: [Int]? = nil) throws -> HostArray {
    let chosen = try checked(columns ?? Array(0..<self.columns))
    var values: [Double] = []
    values.reserveCapacity(rows.count * chosen.count)
    for (row, line) in zip(rows, lines) {
      for column in chosen {
        guard let value = Table.number(row[column]) else {
          throw wrong(
            line, column, "a number is needed, got '\(row[column].prefix(40))'",
            "mend the field, or leave the column out")
        }
        values.append(value)
      }
    }
    return HostArray(.float64, [rows.count, chosen.count], values)
  }

  /// One column as int64 [rows]. Throws where a field is not a whole number that fits.
  public func integers(column: Int) throws -> HostArray {
    let index = try checked([column])[0]
    var values: [Int64] = []
    values.reserveCapacity(rows.count)
    for (row, line) in zip(rows, lines) {
      guard let value = Int64(Table.trimmed(row[index])) else {
        throw wrong(
          line, index, "a whole number is needed, got '\(row[index].prefix(40))'",
          "mend the field, or choose another column")
      }
      values.append(value)
    }
    return HostArray(.int64, [rows.count], values)
  }

  func checked(_ chosen: [Int]) throws -> [Int] {
    for column in chosen where column < 0 || column >= columns {
      throw DataError(
        file: file, rule: "has columns 0..<\(columns), got \(column)", fix: "choose a column that exists")
    }
    return chosen
  }

  private func wrong(_ line: Int, _ column: Int, _ rule: String, _ fix: String) -> DataError {
    DataError(file: file, place: "line \(line), column \(column + 1)", rule: rule, fix: fix)
  }

  static func number(_ field: String) -> Double? { Double(trimmed(field)) }

  static func trimmed(_ field: String) -> Substring {
    var text = field[...]
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}

/// One pass over the bytes of a table.
struct TableParser {
  let bytes: [UInt8]
  let file: String
  let separator: UInt8
  let hasQuotes: Bool
  private var position = 0
  var line = 1

  init(bytes: [UInt8], file: String, separator: UInt8, hasQuotes: Bool) {
    self.bytes = bytes
    self.file = file
    self.separator = separator
    self.hasQuotes = hasQuotes
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
  }

  mutating func parse() throws -> (rows: [[String]], lines: [Int]) {
    var rows: [[String]] = []
    var lines: [Int] = []
    while position < bytes.count {
      if skipLineEnd() { continue }
      let start = line
      let row = try parseRow(reserving: rows.last?.count ?? 0)
      if let first = rows.first, first.count != row.count {
        throw DataError(
          file: file, place: "line \(start)",
          rule: "every row must have the \(first.count) columns of line \(lines[0]), got \(row.count)",
          fix: "mend the line, or check the separator")
      }
      rows.append(row)
      lines.append(start)
    }
    return (rows, lines)
  }

  /// LF, CRLF or the end of the file: consumed, except for the latter.
  private mutating func skipLineEnd() -> Bool {
    guard position < bytes.count else { return true }
    if bytes[position] == 10 {
      position += 1
    } else if bytes[position] == 13, position + 1 < bytes.count, bytes[position + 1] == 10 {
      position += 2
    } else {
      return false
    }
    line += 1
    return true
  }

  private mutating func parseRow(reserving count: Int) throws -> [String] {
    var row: [String] = []
    row.reserveCapacity(count)
    while true {
      row.append(
        try hasQuotes && position < bytes.count && bytes[position] == 34 ? quoted(row.count) : plain(row.count))
      if position < bytes.count, bytes[position] == separator {
        position += 1
        continue
      }
      _ = skipLineEnd()
      return row
    }
  }

  private mutating func plain(_ column: Int) throws -> String {
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == separator || byte == 10 { break }
      if byte == 13, position + 1 < bytes.count, bytes[position + 1] == 10 { break }
      if byte == 34, hasQuotes {
        throw wrong(column, "a quote may only begin a field", "put the whole field in quotes and double those inside")
      }
      position += 1
    }
    return try text(bytes[start..<position], column)
  }

  private mutating func quoted(_ column: Int) throws -> String {
    let start = line
    position += 1
    var field: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == 10 { line += 1 }
      if byte != 34 {
        field.append(byte)
      } else if position < bytes.count, bytes[position] == 34 {
        field.append(34)
        position += 1
      } else {
        let isEnd =
          position == bytes.count || bytes[position] == separator || bytes[position] == 10
          || bytes[position] == 13 && position + 1 < bytes.count && bytes[position + 1] == 10
        guard isEnd else {
          throw wrong(
            column, "only a separator or a line end may follow a closing quote", "double the quotes inside the field")
        }
        return try text(field[...], column)
      }
    }
    throw DataError(
      file: file, place: "line \(start), column \(column + 1)", rule: "the quote that begins here is never closed",
      fix: "close it, or double the quotes inside the field")
  }

  private func text(_ field: ArraySlice<UInt8>, _ column: Int) throws -> String {
    guard let text = String(validating: field, as: UTF8.self) else {
      throw wrong(column, "the field is not UTF-8 text", "convert the file to UTF-8")
    }
    return text
  }

  private func wrong(_ column: Int, _ rule: String, _ fix: String) -> DataError {
    DataError(file: file, place: "line \(line), column \(column + 1)", rule: rule, fix: fix)
  }
}
