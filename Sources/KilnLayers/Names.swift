import KilnEngine

/// Names as people write them: case, "_", "-" and spaces do not count ("sparse_categorical_crossentropy" is
/// "SparseCategoricalCrossentropy").
public enum Names {
  /// What two spellings of one name have in common.
  public static func key(_ name: String) -> String { name.lowercased().filter { $0.isLetter || $0.isNumber } }

  /// The known names that are spelt most like this one, at most `limit`, nearest first; none where nothing is near.
  public static func nearest(_ name: String, in known: [String], limit: Int = 3) -> [String] {
    let wanted = Array(key(name))
    guard !wanted.isEmpty else { return [] }
    let scored = known.enumerated().compactMap { index, candidate -> (distance: Int, index: Int)? in
      let other = Array(key(candidate))
      let edits = distance(wanted, other)
      let isPart = wanted.count > 2 && other.count > 2 && (contains(other, wanted) || contains(wanted, other))
      guard isPart || edits <= max(1, max(wanted.count, other.count) / 3) else { return nil }
      return (isPart ? min(edits, 2) : edits, index)
    }
    var nearest: [String] = []
    for one in scored.sorted(by: { ($0.distance, $0.index) < ($1.distance, $1.index) })
    where nearest.count < limit && !nearest.contains(known[one.index]) {
      nearest.append(known[one.index])
    }
    return nearest
  }

  /// What `nearest` found, for an error: "; near it: 'adam', 'nadam'", or nothing.
  public static func hint(_ name: String, in known: [String]) -> String {
    let near = nearest(name, in: known)
    return near.isEmpty ? "" : "; near it: " + near.map { "'\($0)'" }.joined(separator: ", ")
  }

  /// The value of the entry that has this name. Throws a `TensorError` with near matches and all first names.
  package static func find<Value>(
    _ name: String, kind: String, in table: [(names: [String], value: Value)]
  ) throws -> Value {
    let wanted = key(name)
    if let entry = table.first(where: { $0.names.contains { key($0) == wanted } }) { return entry.value }
    throw TensorError(
      operation: "Names", rule: "there is no \(kind) '\(name)'" + hint(name, in: table.flatMap(\.names)),
      fix: "choose one of " + table.compactMap(\.names.first).joined(separator: ", "))
  }

  /// Edits of one character, and swaps of neighbours (Damerau and Levenshtein's distance, its restricted form).
  private static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var rows = [Array(0...b.count)]
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var cost = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
        row.append(cost)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }

  private static func contains(_ whole: [Character], _ part: [Character]) -> Bool {
    guard part.count <= whole.count else { return false }
    return (0...(whole.count - part.count)).contains { whole[$0..<$0 + part.count].elementsEqual(part) }
  }
}
