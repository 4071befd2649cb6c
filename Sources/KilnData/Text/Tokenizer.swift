import KilnEngine

/// Text as numbers and back. Every tokenizer gives back exactly the text that it was given, where it can encode it.
public protocol Tokenizer: Sendable {
  /// Tokens are 0..<vocabularySize.
  var vocabularySize: Int { get }
  /// The tokens of a text. Throws `DataError` for what the tokenizer does not know.
  func encode(_ text: String) throws -> [Int]
  /// The text of tokens. Throws `DataError` for numbers that are no tokens. Tokens that end inside a character give the
  /// replacement character there.
  func decode(_ tokens: [Int]) throws -> String
}

func checkToken(_ token: Int, _ count: Int, at index: Int) throws {
  guard token >= 0, token < count else {
    throw DataError(
      file: "tokens", place: "token \(index)", rule: "must lie in 0..<\(count), got \(token)",
      fix: "use the tokenizer that the model was trained with")
  }
}

/// A token for each Unicode scalar of a training text, in their order.
public struct CharacterTokenizer: Tokenizer, Hashable, Codable {
  /// The scalars, sorted; a token is a place in it.
  public let characters: [String]
  private let places: [UInt32: Int]

  public var vocabularySize: Int { characters.count }

  /// Learns the characters of a text.
  public init(fittedOn text: String) {
    self.init(Set(text.unicodeScalars).sorted())
  }

  /// Scalars that are sorted, none twice. Found by number: as strings, some different ones are equal.
  private init(_ scalars: [Unicode.Scalar]) {
    characters = scalars.map(String.init)
    places = Dictionary(
      scalars.enumerated().map { ($0.element.value, $0.offset) }, uniquingKeysWith: { first, _ in first })
  }

  /// Throws `DataError` for a character that was not in the training text.
  public func encode(_ text: String) throws -> [Int] {
    try text.unicodeScalars.enumerated().map { index, scalar in
      guard let place = places[scalar.value] else {
        throw DataError(
          file: "text", place: "character \(index)",
          rule: "'\(scalar)' (U+\(String(scalar.value, radix: 16, uppercase: true))) was not in the training text",
          fix: "remove it, or use a byte tokenizer, which knows every text")
      }
      return place
    }
  }

  /// Throws `DataError` for numbers that are no tokens.
  public func decode(_ tokens: [Int]) throws -> String {
    var text = String.UnicodeScalarView()
    for (index, token) in tokens.enumerated() {
      try checkToken(token, characters.count, at: index)
      text.append(contentsOf: characters[token].unicodeScalars)
    }
    return String(text)
  }

  /// Writes a text file: "kiln characters 1", then each scalar's number in hexadecimal, one a line.
  public func save(to path: String) throws {
    let lines = characters.flatMap { $0.unicodeScalars.map { String($0.value, radix: 16) } }
    try TextFile.write((["kiln characters 1"] + lines).joined(separator: "\n") + "\n", to: path)
  }

  /// Reads what `save` wrote. Throws `DataError` with the line for anything else.
  public init(contentsOf path: String) throws {
    let lines = try TextFile.read(path).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == "kiln characters 1", lines.last == "" else {
      throw DataError(
        file: path, place: lines.first == "kiln characters 1" ? "line \(lines.count)" : "line 1",
        rule: "a character file begins with 'kiln characters 1' and ends with a line end",
        fix: "the file was cut short or is of another kind; save the tokenizer again")
    }
    var scalars: [Unicode.Scalar] = []
    var last: UInt32?
    for (index, line) in lines.enumerated().dropFirst().dropLast() {
      guard let value = UInt32(line, radix: 16), let scalar = Unicode.Scalar(value), value > last ?? 0 || last == nil
      else {
        throw DataError(
          file: path, place: "line \(index + 1)",
          rule: "needs a Unicode scalar in hexadecimal, above the one before, got '\(line.prefix(40))'",
          fix: "save the tokenizer again")
      }
      last = value
      scalars.append(scalar)
    }
    self.init(scalars)
  }
}

/// A token for each byte of UTF-8: knows every text, needs no training.
public struct ByteTokenizer: Tokenizer, Hashable, Codable {
  public init() {}
  public var vocabularySize: Int { 256 }

  /// The bytes of UTF-8.
  public func encode(_ text: String) -> [Int] { text.utf8.map(Int.init) }

  /// Throws `DataError` for numbers outside 0..<256.
  public func decode(_ tokens: [Int]) throws -> String {
    for (index, token) in tokens.enumerated() { try checkToken(token, 256, at: index) }
    return String(decoding: tokens.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
  }
}
