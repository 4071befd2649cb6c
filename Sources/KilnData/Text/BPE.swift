import KilnEngine

/// Byte-pair encoding over UTF-8 bytes (Sennrich et al., 2016; bytes as in GPT-2): tokens 0..<256 are the bytes, each
/// further one is two tokens that often stand together. Knows every text.
///
/// Text is cut into words first, which merges never cross: letters, digits or other signs with the one space before them,
/// and white space.
public struct BPETokenizer: Tokenizer, Hashable, Codable {
  public struct Pair: Sendable, Hashable, Codable {
    public var left, right: Int
    public init(_ left: Int, _ right: Int) { (self.left, self.right) = (left, right) }
  }
  /// Merge i makes token 256 + i.
  public let merges: [Pair]
  private let ranks: [Pair: Int]
  private let bytes: [[UInt8]]

  public var vocabularySize: Int { 256 + merges.count }

  /// Learns merges from a text until there are `vocabularySize` tokens, or no pair comes twice. The pair that comes most
  /// often is merged first; of equals, the one of the smaller tokens. Throws `TensorError` for a size below 256.
  public init(trainedOn text: String, vocabularySize: Int) throws {
    guard vocabularySize >= 256 else {
      throw TensorError(
        operation: "BPETokenizer", rule: "the vocabulary needs at least the 256 bytes, got \(vocabularySize)",
        fix: "use 512 or more")
    }
    var trainer = BPETrainer(text)
    self.init(merges: trainer.train(count: vocabularySize - 256))
  }

  /// Merges that are known to be right: each of tokens before it, none twice.
  private init(merges: [Pair]) {
    self.merges = merges
    ranks = Dictionary(merges.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
    var bytes: [[UInt8]] = (0..<256).map { [UInt8($0)] }
    for pair in merges { bytes.append(bytes[pair.left] + bytes[pair.right]) }
    self.bytes = bytes
  }

  /// Never throws: every text has tokens.
  public func encode(_ text: String) -> [Int] {
    var known: [ArraySlice<UInt8>: [Int]] = [:]
    var result: [Int] = []
    for word in BPEWords.split(Array(text.utf8)) {
      if let tokens = known[word] {
        result += tokens
        continue
      }
      let tokens = encode(word: word)
      known[word] = tokens
      result += tokens
    }
    return result
  }

  private func encode(word: ArraySlice<UInt8>) -> [Int] {
    var tokens = word.map(Int.init)
    while tokens.count > 1 {
      var best: (rank: Int, pair: Pair)?
      for i in 1..<tokens.count {
        let pair = Pair(tokens[i - 1], tokens[i])
        if let rank = ranks[pair], rank < best?.rank ?? .max { best = (rank, pair) }
      }
      guard let best else { break }
      BPEWords.merge(&tokens, best.pair, into: 256 + best.rank)
    }
    return tokens
  }

  /// Throws `DataError` for numbers that are no tokens.
  public func decode(_ tokens: [Int]) throws -> String {
    var result: [UInt8] = []
    for (index, token) in tokens.enumerated() {
      try checkToken(token, vocabularySize, at: index)
      result += bytes[token]
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Writes a text file: "kiln bpe 1 COUNT", then a merge of two tokens a line.
  public func save(to path: String) throws {
    let lines = ["kiln bpe 1 \(merges.count)"] + merges.map { "\($0.left) \($0.right)" }
    try TextFile.write(lines.joined(separator: "\n") + "\n", to: path)
  }

  /// Reads what `save` wrote. Throws `DataError` with the line for anything else, also for a file that was cut short.
  public init(contentsOf path: String) throws {
    let lines = try TextFile.read(path).split(separator: "\n", omittingEmptySubsequences: false)
    func wrong(_ line: Int, _ rule: String) -> DataError {
      DataError(
        file: path, place: "line \(line + 1)", rule: rule,
        fix: "the file was cut short or changed; save the tokenizer again")
    }
    let head = lines[0].split(separator: " ", omittingEmptySubsequences: false)
    guard head.count == 4, head.prefix(3).elementsEqual(["kiln", "bpe", "1"]), let count = Int(head[3]), count >= 0
    else {
      throw wrong(0, "a BPE file begins with 'kiln bpe 1 COUNT', got '\(lines[0].prefix(40))'")
    }
    guard lines.last == "", lines.count - 2 == count else {
      throw wrong(
        lines.count - 1, "\(count) merges and a line end were promised, \(max(0, lines.count - 2)) whole lines follow")
    }
    var merges: [Pair] = []
    var seen: Set<Pair> = []
    var lengths = [Int](repeating: 1, count: 256)
    for (index, line) in lines.enumerated().dropFirst().dropLast() {
      let numbers = line.split(separator: " ", omittingEmptySubsequences: false).map { Int($0) }
      guard numbers.count == 2, let left = numbers[0], let right = numbers[1] else {
        throw wrong(index, "needs two tokens, got '\(line.prefix(40))'")
      }
      let known = 256 + merges.count
      guard left >= 0, left < known, right >= 0, right < known else {
        throw wrong(index, "may name tokens 0..<\(known), which come before it, got \(left) and \(right)")
      }
      let pair = Pair(left, right)
      guard seen.insert(pair).inserted else { throw wrong(index, "names the pair \(left) \(right) a second time") }
      // Tokens that double at every line would need more memory than there is.
      let length = lengths[left] + lengths[right]
      guard length <= 1 << 16 else { throw wrong(index, "makes a token of \(length) bytes, 65536 are allowed") }
      lengths.append(length)
      merges.append(pair)
    }
    self.init(merges: merges)
  }

  private enum CodingKeys: String, CodingKey { case merges }

  /// Decodes the merges. Throws for pairs that name later tokens.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let merges = try container.decode([Pair].self, forKey: .merges)
    for (index, pair) in merges.enumerated() {
      guard (0..<256 + index).contains(pair.left), (0..<256 + index).contains(pair.right) else {
        throw DecodingError.dataCorruptedError(
          forKey: .merges, in: container, debugDescription: "merge \(index) names a token that does not come before it")
      }
    }
    self.init(merges: merges)
  }

  /// Encodes the merges alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(merges, forKey: .merges)
  }
}

enum BPEWords {
  private enum Kind { case letter, digit, space, sign }

  /// Bytes above ASCII count as letters, so that no character is ever cut by a word's end.
  private static func kind(_ byte: UInt8) -> Kind {
    switch byte {
    case 0x30...0x39: .digit
    case 0x41...0x5a, 0x61...0x7a, 0x80...: .letter
    case 0x20, 0x09...0x0d: .space
    default: .sign
    }
  }

  static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var words: [ArraySlice<UInt8>] = []
    var start = 0
    while start < bytes.count {
      var end = start
      // One space goes with the word after it.
      if bytes[start] == 0x20, start + 1 < bytes.count, kind(bytes[start + 1]) != .space { end += 1 }
      let sort = kind(bytes[end])
      end += 1
      while end < bytes.count, kind(bytes[end]) == sort {
        if sort == .space, bytes[end] == 0x20, end + 1 < bytes.count, kind(bytes[end + 1]) != .space { break }
        end += 1
      }
      words.append(bytes[start..<end])
      start = end
    }
    return words
  }

  static func merge(_ tokens: inout [Int], _ pair: BPETokenizer.Pair, into token: Int) {
    var (read, write) = (0, 0)
    while read < tokens.count {
      if read + 1 < tokens.count, tokens[read] == pair.left, tokens[read + 1] == pair.right {
        tokens[write] = token
        read += 2
      } else {
        tokens[write] = tokens[read]
        read += 1
      }
      write += 1
    }
    tokens.removeLast(tokens.count - write)
  }
}

/// Counts of pairs, kept up to date while words change.
private struct BPETrainer {
  private var words: [[Int]] = []
  private var counts: [Int] = []
  private var pairs: [BPETokenizer.Pair: Int] = [:]
  /// The words that a pair was seen in; some may have lost it since.
  private var places: [BPETokenizer.Pair: Set<Int>] = [:]

  init(_ text: String) {
    var known: [ArraySlice<UInt8>: Int] = [:]
    let bytes = Array(text.utf8)
    for word in BPEWords.split(bytes) {
      if let index = known[word] {
        counts[index] += 1
      } else {
        known[word] = words.count
        words.append(word.map(Int.init))
        counts.append(1)
      }
    }
    for index in words.indices { count(index, sign: 1) }
  }

  mutating func train(count wanted: Int) -> [BPETokenizer.Pair] {
    var merges: [BPETokenizer.Pair] = []
    while merges.count < wanted {
      var best: (count: Int, pair: BPETokenizer.Pair)?
      for (pair, count) in pairs where count > 1 {
        if let top = best, (top.count, -top.pair.left, -top.pair.right) >= (count, -pair.left, -pair.right) { continue }
        best = (count, pair)
      }
      guard let best else { break }
      for index in places[best.pair] ?? [] {
        count(index, sign: -1)
        BPEWords.merge(&words[index], best.pair, into: 256 + merges.count)
        count(index, sign: 1)
      }
      merges.append(best.pair)
    }
    return merges
  }

  private mutating func count(_ index: Int, sign: Int) {
    let word = words[index]
    for i in word.indices.dropFirst() {
      let pair = BPETokenizer.Pair(word[i - 1], word[i])
      let left = (pairs[pair] ?? 0) + sign * counts[index]
      if left == 0 {
        pairs[pair] = nil
        places[pair] = nil
      } else {
        pairs[pair] = left
        if sign > 0 { places[pair, default: []].insert(index) }
      }
    }
  }
}
