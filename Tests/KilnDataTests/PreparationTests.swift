import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("Preparation of tables and text")
struct PreparationTests {
  private func table(_ rows: [[Double]]) -> HostArray { HostArray(rows: rows, columns: rows.first?.count ?? 0) }
  private func coded<T: Codable>(_ value: T) throws -> T {
    try JSONDecoder().decode(T.self, from: JSONEncoder().encode(value))
  }

  @Test("missing values are filled with what the training part says")
  func imputer() throws {
    let training = table([[1, 10], [2, .nan], [2, 40], [.nan, 40], [7, 20]])
    let expected: [(Imputer.Strategy, [Double])] = [
      (.mean, [3, 27.5]), (.median, [2, 30]), (.mostFrequent, [2, 40]),
    ]
    for (strategy, values) in expected {
      let imputer = try coded(Imputer(strategy, fittedOn: training))
      let filled = try imputer.apply(table([[.nan, .nan], [5, 6]]))
      #expect(filled.table.values(as: Double.self) == values + [5, 6], "\(strategy)")
      #expect(filled.rows == [0, 1])
    }
    let dropped = try Imputer(.drop, fittedOn: training).apply(training)
    #expect(dropped.rows == [0, 2, 4] && dropped.table.shape == [3, 2])
    #expect(throws: TensorError.self) { try Imputer(.mean, fittedOn: table([[.nan]])) }
    #expect(throws: TensorError.self) { try Imputer(.mean, fittedOn: training).apply(table([[1]])) }
    let text = try Table(bytes: Array("a,b\n1,?\n,4\n".utf8), file: "t.csv")
    #expect(
      try text.numbers(missing: ["?", ""]).values(as: Double.self).map { $0.isNaN } == [false, true, true, false])
  }

  @Test("columns are scaled by the training part's figures, and back")
  func scaler() throws {
    let training = table([[1, 5], [3, 5], [5, 5]])
    let standard = try coded(Scaler(.standard, fittedOn: training))
    let scaled = try standard.apply(training)
    let deviation = (8.0 / 3).squareRoot()
    for (value, expected) in zip(scaled.values(as: Double.self), [-2 / deviation, 0, 0, 0, 2 / deviation, 0]) {
      #expect(abs(value - expected) < 1e-12)
    }
    #expect(try standard.invert(scaled).values(as: Double.self).map { $0.rounded() } == [1, 5, 3, 5, 5, 5])
    let minMax = try Scaler(.minMax, fittedOn: training)
    #expect(try minMax.apply(table([[2, 6]])).values(as: Double.self) == [0.25, 1])
    let onDevice = minMax.apply(Tensor([2, 6] as [Float], shape: [1, 2]))
    #expect(try onDevice.doubles() == [0.25, 1])
    #expect(throws: TensorError.self) { try Scaler(.minMax, fittedOn: table([[.infinity]])) }
  }

  @Test("words become places or ones")
  func encoder() throws {
    let training = try Table(bytes: Array("c,d\nred,x\nblue,y\nred,x\n".utf8), file: "t.csv")
    let other = try Table(bytes: Array("c,d\nblue,x\ngreen,y\n".utf8), file: "o.csv")
    let encoder = try coded(CategoryEncoder(fittedOn: training, columns: [0, 1], unknown: .ignore))
    #expect(encoder.categories == [["blue", "red"], ["x", "y"]])
    #expect(try encoder.ordinal(other, columns: [0, 1]).values(as: Int64.self) == [0, 0, -1, 1])
    #expect(try encoder.oneHot(other, columns: [0, 1]).values(as: Double.self) == [1, 0, 1, 0, 0, 0, 0, 1])
    let strict = try CategoryEncoder(fittedOn: training, columns: [0])
    #expect(
      DataFiles.message { _ = try strict.ordinal(other, columns: [0]) }.contains("o.csv, line 3, column 1: 'green'"))
  }

  @Test("a schema lists every violation with its line")
  func schema() throws {
    let text = "id,age,kind\n1,30,a\n2,-4,b\n2,x,c\n4,,a\n"
    let table = try Table(bytes: Array(text.utf8), file: "t.csv", header: .present)
    let schema = Schema([
      .init("id", .integer(1...3), isUnique: true), .init("age", .number(0...120), isOptional: true),
      .init("kind", .category(["a", "b"])), .init("more", .text),
    ])
    let found = schema.violations(in: table).map(\.description)
    #expect(found.count == 6)
    #expect(found[0].contains("line 4, column 1: 'id' must be unique, '2' was on line 3 too"))
    #expect(found[1].contains("line 5, column 1: 'id' must lie in 1...3, got 4"))
    #expect(found[2].contains("line 3, column 2: 'age' must lie in"))
    #expect(found[3].contains("line 4, column 2: 'age' must be a number"))
    #expect(found[4].contains("line 4, column 3: 'kind' must be one of a, b, got 'c'"))
    #expect(found[5].contains("'more' is missing"))
    #expect(DataFiles.message { try schema.check(table) }.contains("(and 5 others)"))
  }

  @Test("duplicates within a part and across parts")
  func duplicates() throws {
    let training = HostArray(.int32, [4, 2], [1, 2, 3, 4, 1, 2, 5, 6] as [Int32])
    let test = HostArray(.int32, [2, 2], [5, 6, 7, 8] as [Int32])
    #expect(try Duplicates.within(training).map { [$0.row, $0.first] } == [[2, 0]])
    #expect(try Duplicates.removed(from: training) == [0, 1, 3])
    #expect(try Duplicates.across(training, test).map { [$0.test, $0.training] } == [[0, 3]])
  }

  @Test("SMOTE fills the smaller classes between their rows")
  func smoteRows() throws {
    var generator = OrderGenerator(seed: 1, epoch: 0)
    let rows = (0..<40).map { i in [Double(i < 35 ? 0 : 10) + generator.unit(), generator.unit()] }
    let labels = (0..<40).map { $0 < 35 ? 0 : 1 }
    let made = try smote(features: table(rows), labels: labels, neighbors: 3, seed: 2)
    #expect(made.labels.filter { $0 == 1 }.count == 35 && made.features.shape == [70, 2])
    let new = made.features.values(as: Double.self)
    #expect(Array(new[..<80]) == rows.flatMap { $0 })
    let minority = rows[35...]
    for row in 40..<70 {
      #expect(made.labels[row] == 1)
      #expect(new[row * 2] >= minority.map { $0[0] }.min() ?? 0 && new[row * 2] <= minority.map { $0[0] }.max() ?? 0)
      #expect(!rows.contains([new[row * 2], new[row * 2 + 1]]))
    }
    #expect(try smote(features: table(rows), labels: labels, neighbors: 3, seed: 2).features == made.features)
    #expect(
      try smote(features: table([[1], [2], [3]]), labels: [0, 0, 1], seed: 0).features.values(as: Double.self) == [
        1, 2, 3, 3,
      ])
  }

  static let texts = [
    "", "a", "hello  world\n\n  x", "na\u{ef}ve caf\u{e9} \u{65}\u{301}",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} family",
    "\u{212b}\u{c5}A\u{30a}", "\u{0}\u{7f}\u{feff}\r\n\t", "\u{4f60}\u{597d}\u{ff0c}\u{4e16}\u{754c} 12345",
    "\u{10ffff}\u{d7ff}\u{e000}",
    String(repeating: "ab ", count: 100),
  ]

  @Test("every text comes back from every tokenizer, also after saving")
  func roundTrip() throws {
    let training = Self.texts.joined(separator: " ")
    let folder = NSTemporaryDirectory() + "kiln-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bpe = try BPETokenizer(trainedOn: training, vocabularySize: 300)
    let characters = CharacterTokenizer(fittedOn: training)
    try bpe.save(to: folder + "/bpe")
    try characters.save(to: folder + "/characters")
    #expect(try BPETokenizer(contentsOf: folder + "/bpe") == bpe)
    #expect(try CharacterTokenizer(contentsOf: folder + "/characters") == characters)
    #expect(try coded(bpe) == bpe)
    let tokenizers: [any Tokenizer] = [bpe, characters, ByteTokenizer()]
    var generator = OrderGenerator(seed: 4, epoch: 0)
    let random = (0..<200).map { _ in
      String(
        String.UnicodeScalarView(
          (0..<generator.below(30)).compactMap { _ in Unicode.Scalar(generator.below(0x11_0000)) }))
    }
    for tokenizer in tokenizers {
      for text in Self.texts + (tokenizer is CharacterTokenizer ? [] : random) {
        let tokens = try tokenizer.encode(text)
        #expect(tokens.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize })
        #expect(Array(try tokenizer.decode(tokens).utf8) == Array(text.utf8))
      }
      #expect(throws: DataError.self) { try tokenizer.decode([tokenizer.vocabularySize]) }
      #expect(throws: DataError.self) { try tokenizer.decode([-1]) }
    }
    #expect(throws: DataError.self) { try characters.encode("\u{3a9}") }
  }

  @Test("BPE merges the pairs that come most often first")
  func merges() throws {
    let bpe = try BPETokenizer(trainedOn: "aaab aaab aaab xy", vocabularySize: 260)
    // By hand: aa 6 times; then ab and (aa)a 3 times each, of which ab has the smaller token; (aa)(ab); space and that.
    #expect(bpe.merges == [.init(97, 97), .init(97, 98), .init(256, 257), .init(32, 258)])
    #expect(bpe.encode("aaab aaab") == [258, 259])
    #expect(try BPETokenizer(trainedOn: "abc", vocabularySize: 1000).merges.isEmpty)
    #expect(throws: TensorError.self) { try BPETokenizer(trainedOn: "abc", vocabularySize: 255) }
  }
}
