import KilnEngine

/// A CSV or TSV file read row by row, gzipped or not: memory does not grow with the file. Rules as for `Table`.
public struct TableStream: DataStream {
  public let path: String
  public var name: String { path }
  /// The names of the columns, if the file has a header.
  public let header: [String]?
  private let separator: UInt8
  private let decode: @Sendable ([String], [Int]) throws -> Sample

  /// Features: numbers of the given columns as float32 [columns]. Label: a whole number, or with `classes` one of these
  /// words, whose position is the label; without `label`, 0.
  ///
  /// Columns are named by the header, or counted ("0", "1") where there is none. Throws `DataError` for a missing column.
  public init(
    _ path: String, features: [String], label: String? = nil, classes: [String]? = nil, separator: Character? = nil,
    header: Table.Header = .automatic
  ) throws {
    let mark = try Self.mark(path, separator)
    self.separator = mark
    self.path = path
    let rows = try RowReader(path, separator: mark)
    let first = try rows.next()?.fields ?? []
    let isHeader =
      switch header {
      case .present: true
      case .absent: false
      case .automatic: !first.isEmpty && first.allSatisfy { Table.number($0) == nil }
      }
    self.header = isHeader ? first : nil
    let names = isHeader ? first : first.indices.map(String.init)
    func column(_ name: String) throws -> Int {
      if let index = names.firstIndex(of: name) { return index }
      throw DataError(
        file: path, place: "line 1", rule: "has no column '\(name)'",
        fix: "the columns are \(names.prefix(30).joined(separator: ", "))")
    }
    let chosen = try features.map(column)
    let target = try label.map(column)
    let file = path
    decode = { fields, place in
      func wrong(_ column: Int, _ rule: String, _ fix: String) -> DataError {
        DataError(file: file, place: "line \(place[0]), column \(column + 1)", rule: rule, fix: fix)
      }
      let values = try chosen.map { column -> Float in
        guard let value = Table.number(fields[column]) else {
          throw wrong(
            column, "a number is needed, got '\(fields[column].prefix(40))'", "mend the field, or leave the column out")
        }
        return Float(value)
      }
      var number = 0
      if let target, let classes {
        guard let index = classes.firstIndex(of: fields[target]) else {
          throw wrong(
            target,
            "the label must be one of \(classes.prefix(20).joined(separator: ", ")), got "
              + "'\(fields[target].prefix(40))'", "mend the field, or add the class")
        }
        number = index
      } else if let target {
        guard let value = Int(Table.trimmed(fields[target])) else {
          throw wrong(
            target, "a whole number is needed, got '\(fields[target].prefix(40))'", "mend the field, or give classes")
        }
        number = value
      }
      return Sample(features: HostArray(.float32, [values.count], values), label: number)
    }
  }

  static func mark(_ path: String, _ separator: Character?) throws -> UInt8 {
    let isTSV = path.hasSuffix(".tsv") || path.hasSuffix(".tsv.gz")
    guard let mark = (separator ?? (isTSV ? "\t" : ",")).asciiValue, mark != 10, mark != 13, mark != 34 else {
      throw DataError(
        file: path, rule: "the separator must be one ASCII character other than a quote or a line end",
        fix: "use ',' or a tab")
    }
    return mark
  }

  /// A reader at the first row of data.
  public func makeReader() throws -> any SampleReader {
    let rows = try RowReader(path, separator: separator)
    if header != nil { _ = try rows.next() }
    let decode = decode
    return ClosureReader { try rows.next().map { try decode($0.fields, [$0.line]) } }
  }
}

/// Rows of fields, one after the other, all of one width.
final class RowReader {
  private let stream: ByteStream
  private let separator: UInt8
  private var line = 1
  private var width: Int?

  init(_ path: String, separator: UInt8) throws {
    stream = try ByteStream(path)
    self.separator = separator
  }

  func next() throws -> (fields: [String], line: Int)? {
    while var bytes = try stream.line() {
      let start = line
      if start == 1, bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
      // A quote that is open at the line's end goes on in the next; a tab-separated file has none.
      if separator != 9 {
        var quotes = bytes.count { $0 == 34 }
        while quotes % 2 == 1, bytes.count < 1 << 26, let more = try stream.line() {
          bytes += more
          quotes += more.count { $0 == 34 }
          line += 1
        }
      }
      line += 1
      var parser = TableParser(bytes: bytes, file: stream.path, separator: separator, hasQuotes: separator != 9)
      parser.line = start
      guard let fields = try parser.parse().rows.first else { continue }
      if let width, width != fields.count {
        throw DataError(
          file: stream.path, place: "line \(start)", rule: "has \(fields.count) fields, the rows before have \(width)",
          fix: "mend the row")
      }
      width = fields.count
      return (fields, start)
    }
    return nil
  }
}
