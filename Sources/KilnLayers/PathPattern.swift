import KilnEngine

/// Names parameters or modules of a model by their paths: "features.0.weight" is one, "features" all below it,
/// "features.*" the same, "*.bias" every bias, "encoder.layers.?.attention.*" those of ten layers. "*" stands for any
/// characters, dots included, "?" for one.
public struct PathPattern: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let description: String
  public init(_ pattern: String) { description = pattern }
  public init(stringLiteral pattern: String) { self.init(pattern) }

  /// Whether the path, or a module that it lies in, is meant.
  public func matches(_ path: String) -> Bool {
    if description.isEmpty { return true }
    if Self.matches(Array(description), Array(path)) { return true }
    return path.indices.contains { path[$0] == "." && Self.matches(Array(description), Array(path[..<$0])) }
  }

  /// Backtracks to the last star alone, so the time is at most the product of the lengths.
  private static func matches(_ pattern: [Character], _ text: [Character]) -> Bool {
    var (p, t) = (0, 0)
    var star: (pattern: Int, text: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == "*" {
        star = (p, t)
        p += 1
      } else if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t] {
        p += 1
        t += 1
      } else if let last = star {
        star = (last.pattern, last.text + 1)
        p = last.pattern + 1
        t = last.text + 1
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
  }
}

extension Module {
  /// The parameters that a pattern names. Throws an error that lists near names where there are none.
  public func parameters(matching pattern: PathPattern) throws -> [NamedParameter] {
    let all = namedParameters
    let found = all.filter { pattern.matches($0.name) }
    guard !found.isEmpty else {
      let names = all.map(\.name)
      throw TensorError(
        operation: "parameters(matching:)", rule: "no parameter's path matches '\(pattern)'",
        fix: names.isEmpty
          ? "the model has no parameters"
          : "the nearest are " + nearestNames(to: pattern.description, in: names).joined(separator: ", "))
    }
    return found
  }

  /// Takes parameters out of training: they have no gradient, and optimizers made afterwards pass them over.
  ///
  /// As in PyTorch, running statistics and dropout are not touched; `eval()` of a part stops those. Throws where the
  /// pattern names no parameter.
  public func freeze(_ pattern: PathPattern = "*") throws {
    for named in try parameters(matching: pattern) { named.parameter.isTrainable = false }
  }

  /// Takes parameters into training again. Throws where the pattern names none.
  public func unfreeze(_ pattern: PathPattern = "*") throws {
    for named in try parameters(matching: pattern) { named.parameter.isTrainable = true }
  }
}

/// The names that take the fewest changes to become `name` (or that begin with it), nearest first.
func nearestNames(to name: String, in names: [String], limit: Int = 5) -> [String] {
  let wanted = Array(name.filter { $0 != "*" && $0 != "?" })
  let scored = names.map { candidate -> (name: String, distance: Int) in
    let letters = Array(candidate)
    // A pattern is often shorter than the path that it means: the rest costs little.
    let head = editDistance(wanted, Array(letters.prefix(wanted.count)))
    let tail = editDistance(wanted, Array(letters.suffix(wanted.count)))
    return (candidate, min(head, tail, editDistance(wanted, letters)))
  }
  let order = scored.enumerated().sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
  return order.prefix(limit).map(\.element.name)
}

/// Levenshtein's distance.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var row = Array(0...b.count)
  for i in a.indices {
    var corner = row[0]
    row[0] = i + 1
    for j in b.indices {
      let above = row[j + 1]
      row[j + 1] = min(above + 1, row[j] + 1, corner + (a[i] == b[j] ? 0 : 1))
      corner = above
    }
  }
  return row[b.count]
}
