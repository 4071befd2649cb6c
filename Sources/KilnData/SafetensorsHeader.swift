import KilnEngine

/// The header of a safetensors file: JSON of a narrow form, read with a parser that accepts nothing else.
struct SafetensorsHeader {
  struct Entry {
    /// As in the file: "F32", "BF16".
    var type: String
    var shape: [Int]
    /// In bytes from the end of the header.
    var range: Range<Int>
  }
  private(set) var entries: [String: Entry] = [:]
  private(set) var metadata: [String: String] = [:]

  /// Bytes of an element; `nil` for types that are not known.
  static func size(of type: String) -> Int? {
    [
      "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8,
      "U64": 8, "F64": 8,
    ][type]
  }

  private let text: [UInt8]
  private let file: String
  private var position = 0

  /// Parses and checks the header of a file whose tensors take `dataBytes`.
  init(_ text: [UInt8], dataBytes: Int, file: String) throws {
    self.text = text
    self.file = file
    try parse()
    try check(dataBytes)
  }

  private mutating func parse() throws {
    var seen: Set<String> = []
    try object { header, key in
      guard seen.insert(key).inserted else {
        throw header.wrong("the key '\(key.prefix(80))' occurs twice", "write the file again")
      }
      if key == "__metadata__" {
        try header.object { header, key in
          guard header.metadata[key] == nil else {
            throw header.wrong("the key '\(key.prefix(80))' of the metadata occurs twice", "write the file again")
          }
          header.metadata[key] = try header.string()
        }
      } else {
        header.entries[key] = try header.entry(key)
      }
    }
    while peek() == UInt8(ascii: " ") { position += 1 }
    guard position == text.count else { throw wrong("the header goes on after its end", "write the file again") }
  }

  private mutating func entry(_ name: String) throws -> Entry {
    var type: String?
    var shape: [Int]?
    var offsets: [Int]?
    let start = position
    try object { header, key in
      switch key {
      case "dtype" where type == nil: type = try header.string()
      case "shape" where shape == nil: shape = try header.numbers()
      case "data_offsets" where offsets == nil: offsets = try header.numbers()
      default:
        throw header.wrong(
          "the key '\(key.prefix(80))' of '\(name.prefix(80))' is not known or occurs twice",
          "an entry has dtype, shape and data_offsets")
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      position = start
      throw wrong(
        "'\(name.prefix(80))' needs dtype, shape and two data_offsets",
        "write the file again with the safetensors library")
    }
    guard offsets[0] <= offsets[1] else {
      throw wrong("'\(name.prefix(80))' begins at \(offsets[0]) and ends at \(offsets[1])", "write the file again")
    }
    return Entry(type: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  /// Every tensor has the bytes that its shape needs, and all of them fill the data without gaps and overlaps.
  private func check(_ dataBytes: Int) throws {
    var end = 0
    for (name, entry) in entries.sorted(by: {
      ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
        < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
    }) {
      func wrong(_ rule: String, _ fix: String) -> DataError {
        DataError(file: file, place: "tensor '\(name.prefix(80))'", rule: rule, fix: fix)
      }
      guard let size = Self.size(of: entry.type) else {
        throw wrong("the type '\(entry.type.prefix(20))' is not read", "save it as F32, F16 or BF16")
      }
      guard let need = Shape.checkedCount(entry.shape + [size]) else {
        throw wrong("the shape \(Shape(entry.shape)) overflows", "the file is damaged; write it again")
      }
      guard entry.range.count == need else {
        throw wrong(
          "\(Shape(entry.shape)) of \(entry.type) needs \(need) bytes, its offsets span \(entry.range.count)",
          "the file is damaged; write it again")
      }
      guard entry.range.lowerBound == end else {
        throw wrong(
          "begins at byte \(entry.range.lowerBound) of the data, where \(end) is the end of the one before",
          "tensors must neither overlap nor leave gaps; write the file again")
      }
      end = entry.range.upperBound
    }
    guard end == dataBytes else {
      throw DataError(
        file: file, rule: "the tensors take \(end) bytes, \(dataBytes) follow the header",
        fix: end > dataBytes ? "the file was cut short; fetch it again" : "the file is damaged; write it again")
    }
  }

  // MARK: JSON

  private mutating func object(_ member: (inout SafetensorsHeader, String) throws -> Void) throws {
    try expect("{")
    if accept("}") { return }
    while true {
      let key = try string()
      try expect(":")
      try member(&self, key)
      if accept("}") { return }
      try expect(",")
    }
  }

  private mutating func numbers() throws -> [Int] {
    try expect("[")
    var result: [Int] = []
    if accept("]") { return result }
    while true {
      skipSpace()
      let digits = text[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard let value = Int(String(decoding: digits, as: UTF8.self)),
        digits.count == 1 || digits.first != UInt8(ascii: "0")
      else { throw wrong("a whole number that fits is needed", "write the file again") }
      position += digits.count
      result.append(value)
      if accept("]") { return result }
      try expect(",")
    }
  }

  private mutating func string() throws -> String {
    try expect("\"")
    var bytes: [UInt8] = []
    while let byte = peek(), byte != UInt8(ascii: "\"") {
      position += 1
      guard byte >= 0x20 else { throw wrong("a control character in a string", "write the file again") }
      if byte == UInt8(ascii: "\\") { bytes += try escaped() } else { bytes.append(byte) }
    }
    guard peek() != nil else { throw wrong("a string has no end", "the file was cut short; fetch it again") }
    position += 1
    guard let result = String(validating: bytes, as: UTF8.self) else {
      throw wrong("a string is no valid UTF-8", "write the file again")
    }
    return result
  }

  /// What follows a backslash, as UTF-8.
  private mutating func escaped() throws -> [UInt8] {
    guard let letter = peek() else { throw wrong("a string has no end", "the file was cut short; fetch it again") }
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [letter]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if (0xd800..<0xdc00).contains(code), accept("\\u") {
        let low = try hexadecimal()
        guard (0xdc00..<0xe000).contains(low) else { throw wrong("half a surrogate pair", "write the file again") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw wrong("half a surrogate pair", "write the file again") }
      return Array(String(Character(scalar)).utf8)
    default: throw wrong("an unknown escape in a string", "write the file again")
    }
  }

  private mutating func hexadecimal() throws -> UInt32 {
    let digits = text[position...].prefix(4)
    guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw wrong("four hexadecimal digits are needed after \\u", "write the file again") }
    position += 4
    return value
  }

  private func peek() -> UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  private mutating func accept(_ token: String) -> Bool {
    if !token.hasPrefix("\\") { skipSpace() }
    guard text[position...].starts(with: token.utf8) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func expect(_ token: String) throws {
    if !accept(token) {
      throw wrong("'\(token)' is needed in the header", "the file is no safetensors file or damaged; write it again")
    }
  }

  private func wrong(_ rule: String, _ fix: String) -> DataError {
    DataError(file: file, place: "byte \(8 + position)", rule: rule, fix: fix)
  }
}
