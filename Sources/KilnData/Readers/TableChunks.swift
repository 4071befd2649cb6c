import KilnEngine

/// A CSV or TSV file some rows at a time, gzipped or not: memory does not grow with the file. Rules as for `Table`.
public struct TableChunks: Sendable {
  public let path: String
  public let header: [String]?
  private let separator: UInt8
  private let count: Int

  /// `rows` at a time. Reads the first row. Throws as `Table` does.
  public init(
    _ path: String, separator: Character? = nil, header: Table.Header = .automatic, rows count: Int = 1024
  ) throws {
    let mark = try TableStream.mark(path, separator)
    (self.path, self.separator, self.count) = (path, mark, max(count, 1))
    let first = try RowReader(path, separator: mark).next()?.fields
    let isHeader =
      switch header {
      case .present: true
      case .absent: false
      case .automatic: first?.allSatisfy { Table.number($0) == nil } ?? false
      }
    guard !isHeader || first != nil else {
      throw DataError(file: path, rule: "has no header line, it is empty", fix: "name a file with a header")
    }
    self.header = isHeader ? first : nil
  }

  /// One pass from the first row of data.
  public func makeReader() throws -> TableChunkReader {
    let rows = try RowReader(path, separator: separator)
    if header != nil { _ = try rows.next() }
    return TableChunkReader(rows, path, header, count)
  }
}

/// One pass over the rows of a table. One thread uses it.
public final class TableChunkReader {
  private let rows: RowReader
  private var table: Table
  private let count: Int
  /// Rows that were handed out.
  public private(set) var position = 0

  init(_ rows: RowReader, _ path: String, _ header: [String]?, _ count: Int) {
    (self.rows, self.count) = (rows, count)
    table = Table(file: path, header: header)
  }

  /// The next rows, with their lines; `nil` after the last. Throws `DataError` that names the line.
  public func next() throws -> Table? {
    table.rows.removeAll(keepingCapacity: true)
    table.lines.removeAll(keepingCapacity: true)
    while table.rows.count < count, let (fields, line) = try rows.next() {
      table.rows.append(fields)
      table.lines.append(line)
    }
    position += table.rows.count
    return table.rows.isEmpty ? nil : table
  }
}
