import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("CSV and TSV files")
struct TableTests {
  static func table(_ text: String, separator: Character = ",", header: Table.Header = .automatic) throws -> Table {
    try Table(bytes: Array(text.utf8), file: "t.csv", separator: separator, header: header)
  }

  @Test("quotes, CRLF, empty lines, a byte order mark and a missing last line end")
  func rfc4180() throws {
    let table = try Self.table(
      "\u{feff}name,note\r\n\"Smith, J.\",\"said \"\"hi\"\"\"\r\n\r\n\"two\nlines\",\r\nlast,\"\"", header: .present)
    #expect(table.header == ["name", "note"])
    #expect(table.rows == [["Smith, J.", "said \"hi\""], ["two\nlines", ""], ["last", ""]])
    #expect(table.lines == [2, 4, 6])
    #expect(try table.column("note") == 1)
  }

  @Test("the first row is a header if none of its fields is a number")
  func header() throws {
    #expect(try Self.table("a,b\n1,2\n").header == ["a", "b"])
    #expect(try Self.table("a,1\n1,2\n").header == nil)
    #expect(try Self.table("a,b\n1,2\n", header: .absent).rows.count == 2)
    #expect(try Self.table("").rows.isEmpty)
  }

  @Test("tabs separate .tsv files, where quotes are text")
  func tabs() throws {
    try DataFiles.with(Array("it's \"so\" good\t1\n\"\t0\n".utf8), suffix: ".tsv") { path in
      let table = try Table(contentsOf: path, header: .absent)
      #expect(table.rows == [["it's \"so\" good", "1"], ["\"", "0"]])
    }
  }

  @Test("numbers and whole numbers")
  func numbers() throws {
    let table = try Self.table("1, -2.5e3 ,7\nnan,inf,-9\n", header: .absent)
    let values = try table.numbers(columns: [0, 1])
    #expect(values.shape == [2, 2])
    #expect(values.dtype == .float64)
    let numbers = values.values(as: Double.self)
    #expect(numbers[0] == 1 && numbers[1] == -2500 && numbers[2].isNaN && numbers[3] == .infinity)
    #expect(try table.integers(column: 2).values(as: Int64.self) == [7, -9])
  }

  static let malformedTables: [(text: String, message: String)] = [
    (
      "1,2\n3\n",
      "t.csv, line 2: every row must have the 2 columns of line 1, got 1; mend the line, or check the separator"
    ),
    (
      "1,2\n3,4,5",
      "t.csv, line 2: every row must have the 2 columns of line 1, got 3; mend the line, or check the separator"
    ),
    (
      "1,\"2\n3,4\n",
      "t.csv, line 1, column 2: the quote that begins here is never closed; "
        + "close it, or double the quotes inside the field"
    ),
    (
      "a\"b,1\n",
      "t.csv, line 1, column 1: a quote may only begin a field; put the whole field in quotes and double those inside"
    ),
    (
      "1,2\n\"a\"b,1\n",
      "t.csv, line 2, column 1: only a separator or a line end may follow a closing quote; "
        + "double the quotes inside the field"
    ),
  ]

  @Test("malformed tables are refused with the line", arguments: malformedTables.indices)
  func malformed(_ index: Int) {
    let (text, message) = Self.malformedTables[index]
    #expect(DataFiles.message { _ = try Self.table(text) } == message)
  }

  @Test("bad numbers, bad columns and text that is not UTF-8 are refused")
  func badFields() throws {
    let table = try Self.table("1,2\n3,x\n5,99999999999999999999\n", header: .absent)
    #expect(
      DataFiles.message { _ = try table.numbers() }
        == "t.csv, line 2, column 2: a number is needed, got 'x'; mend the field, or leave the column out")
    #expect(
      DataFiles.message { _ = try table.integers(column: 1) }
        == "t.csv, line 2, column 2: a whole number is needed, got 'x'; mend the field, or choose another column")
    #expect(DataFiles.message { _ = try table.numbers(columns: [2]) }.contains("columns 0..<2, got 2"))
    #expect(DataFiles.message { _ = try table.column("a") }.contains("no header"))
    #expect(
      DataFiles.message { _ = try Table(bytes: [0x61, 0x2c, 0xff], file: "t.csv") }
        == "t.csv, line 1, column 2: the field is not UTF-8 text; convert the file to UTF-8")
    #expect(throws: DataError.self) { try Self.table("1", separator: "\"") }
  }
}
