/// Einstein's summation: axes are named by letters, those that the result does not name are summed over.
///
/// "ij,jk->ik" is a matrix product, "bii->bi" the diagonals, "ij->" the sum, "...ij->...ji" a transposition of the last
/// two axes. Without "->" the result has the letters that occur once, in alphabetical order (behind the "...").
/// Operands share one dtype (any but bool); an axis of size 1 broadcasts. Contractions are matrix products, from left to
/// right. Errors: an equation that cannot be read, ranks or sizes that do not fit it, dtypes that differ.
public func einsum(
  _ equation: String, _ operands: Tensor..., file: StaticString = #fileID, line: UInt = #line
) -> Tensor { einsum(equation, operands, file: file, line: line) }

public func einsum(
  _ equation: String, _ operands: [Tensor], file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  let named = operands.enumerated().map { ("operand \($0.offset)", $0.element) }
  let dtype = operands.first?.dtype ?? .float32
  for operand in operands {
    if let error = operand.error { return .carrying(error, shape: [], dtype: dtype, device: operand.device) }
  }
  let plan: EinsumPlan
  do {
    plan = try EinsumPlan(equation, operands.map(\.shape))
  } catch {
    return .failure(
      "einsum", rule: error.rule, operands: named, fix: error.fix, dtype: dtype, file: file, line: line)
  }
  if let bad = Tensor.dtypeFailure("einsum", named, shape: plan.resultShape, file: file, line: line) { return bad }
  guard dtype != .bool else {
    return .failure(
      "einsum", rule: "bool has no products", operands: named, fix: "use `.cast(to: .float32)`",
      shape: plan.resultShape, dtype: dtype, file: file, line: line)
  }
  if let other = operands.first(where: { $0.device != operands[0].device }) {
    return .failure(
      "einsum", rule: "all operands must be on one device, got \(operands[0].device) and \(other.device)",
      operands: named, fix: "move them together with `.to(device)`", shape: plan.resultShape, dtype: dtype, file: file,
      line: line)
  }
  return plan.contract(operands)
}

/// What can be wrong with an equation.
private struct EinsumMistake: Error {
  var rule: String
  var fix: String
}

/// A tensor whose axes have names.
private struct Named {
  var tensor: Tensor
  var labels: [Character]

  /// Without axes of size 1 where the name stands for a larger size, and with each name once (the diagonal).
  init(_ tensor: Tensor, _ labels: [Character], sizes: [Character: Int]) {
    let dropped = labels.indices.filter { tensor.shape[$0] == 1 && sizes[labels[$0]] != 1 }
    self.tensor = tensor.squeezed(axes: dropped)
    self.labels = labels.indices.filter { !dropped.contains($0) }.map { labels[$0] }
    while let (first, second) = repeated { takeDiagonal(first, second) }
  }

  private var repeated: (Int, Int)? {
    for second in labels.indices {
      if let first = labels.firstIndex(of: labels[second]), first < second { return (first, second) }
    }
    return nil
  }

  /// [..., n, n] seen as [..., n * n]: every (n + 1)-th element.
  private mutating func takeDiagonal(_ first: Int, _ second: Int) {
    let rest = labels.indices.filter { $0 != first && $0 != second }
    let n = tensor.shape[first]
    let lead = rest.map { tensor.shape[$0] }
    let flat = tensor.permuted(rest + [first, second]).reshaped(to: Shape(lead + [n * n]))
    tensor = flat.sliced(axis: rest.count, start: 0, count: n, step: n > 1 ? n + 1 : 1)
    labels = rest.map { labels[$0] } + [labels[first]]
  }

  /// Sums over the axes whose names are not wanted.
  mutating func sumOut(keeping wanted: (Character) -> Bool) {
    let gone = labels.indices.filter { !wanted(labels[$0]) }
    if gone.isEmpty { return }
    let dtype = tensor.dtype
    tensor = tensor.sum(axes: gone)
    if tensor.dtype != dtype { tensor = tensor.cast(to: dtype) }
    labels = labels.filter(wanted)
  }

  /// Axes in the order of `order`, in groups that are merged to one axis each.
  func grouped(_ groups: [[Character]]) -> Tensor {
    let positions = groups.joined().compactMap { labels.firstIndex(of: $0) }
    let sizes = groups.map { group in
      group.reduce(1) { product, label in product * (labels.firstIndex(of: label).map { tensor.shape[$0] } ?? 1) }
    }
    return tensor.permuted(positions).reshaped(to: Shape(sizes))
  }

  func size(_ label: Character) -> Int { labels.firstIndex(of: label).map { tensor.shape[$0] } ?? 1 }
}

private struct EinsumPlan {
  var inputs: [[Character]]
  var output: [Character]
  var sizes: [Character: Int] = [:]
  var resultShape: Shape { Shape(output.map { sizes[$0] ?? 1 }) }

  init(_ equation: String, _ shapes: [Shape]) throws(EinsumMistake) {
    let text = equation.filter { $0 != " " }
    let sides = text.split(separator: "->", omittingEmptySubsequences: false).map(String.init)
    guard sides.count <= 2, let left = sides.first else {
      throw EinsumMistake(rule: "'\(equation)' has more than one '->'", fix: "write it as in 'ij,jk->ik'")
    }
    let terms = left.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard terms.count == shapes.count else {
      throw EinsumMistake(
        rule: "'\(equation)' names \(terms.count) operands, got \(shapes.count)", fix: "give one operand for each term")
    }
    inputs = []
    var depth = 0
    for (position, term) in terms.enumerated() {
      let (labels, dots) = try EinsumPlan.letters(term, equation)
      let rank = shapes[position].rank
      let free = rank - labels.count
      guard dots == nil ? free == 0 : free >= 0 else {
        throw EinsumMistake(
          rule: "term '\(term)' names \(labels.count) axes, operand \(position) has \(rank)",
          fix: "name each axis by one letter, or several by '...'")
      }
      var all = labels
      all.insert(contentsOf: (0..<free).map { EinsumPlan.anonymous(free - 1 - $0) }, at: dots ?? 0)
      inputs.append(all)
      depth = Swift.max(depth, free)
      for (axis, label) in all.enumerated() {
        let size = shapes[position][axis]
        let known = sizes[label] ?? 1
        guard size == known || size == 1 || known == 1 else {
          let name = label.isLetter ? "'\(label)'" : "'...'"
          throw EinsumMistake(
            rule: "\(name) stands for \(known) and, in operand \(position), for \(size)",
            fix: "use another letter, or make the sizes equal")
        }
        sizes[label] = size == 1 ? known : size
      }
    }
    let anonymous = (0..<depth).map { EinsumPlan.anonymous(depth - 1 - $0) }
    let all = inputs.joined()
    if sides.count == 2 {
      let (labels, dots) = try EinsumPlan.letters(sides[1], equation)
      output = labels
      output.insert(contentsOf: dots == nil ? [] : anonymous, at: dots ?? 0)
    } else {
      let letters = Set(all).filter { label in label.isLetter && all.filter { $0 == label }.count == 1 }
      output = anonymous + letters.sorted()
    }
    for label in output {
      guard all.contains(label) else {
        throw EinsumMistake(rule: "the result's '\(label)' is in no operand", fix: "name only axes of the operands")
      }
      guard output.filter({ $0 == label }).count == 1 else {
        throw EinsumMistake(rule: "the result names '\(label)' twice", fix: "name each axis of the result once")
      }
    }
  }

  /// The letters of a term, and where among them the "..." stands.
  private static func letters(_ term: String, _ equation: String) throws(EinsumMistake) -> ([Character], Int?) {
    let parts = term.split(separator: "...", omittingEmptySubsequences: false).map(Array.init)
    let labels = Array(parts.joined())
    guard parts.count <= 2, labels.allSatisfy({ $0.isASCII && $0.isLetter }) else {
      throw EinsumMistake(
        rule: "cannot read term '\(term)' of '\(equation)'", fix: "use letters and at most one '...' in each term")
    }
    return (labels, parts.count == 2 ? parts[0].count : nil)
  }

  /// A name, no letter, for the axis that is `position` from the right end of "...".
  private static func anonymous(_ position: Int) -> Character {
    Character(UnicodeScalar(UInt32(0xE000 + position % 0x1000)) ?? "?")
  }

  func contract(_ operands: [Tensor]) -> Tensor {
    let pieces = zip(operands, inputs).map { Named($0, $1, sizes: sizes) }
    guard var total = pieces.first else { return operands[0] }
    for position in pieces.indices.dropFirst() {
      let later = Set(pieces[(position + 1)...].flatMap(\.labels)).union(output)
      total = product(total, pieces[position], keeping: later)
    }
    total.sumOut { output.contains($0) }
    let order = output.compactMap { total.labels.firstIndex(of: $0) }
    return total.tensor.permuted(order).reshaped(to: resultShape)
  }

  private func product(_ a: Named, _ b: Named, keeping wanted: Set<Character>) -> Named {
    var (lhs, rhs) = (a, b)
    lhs.sumOut { wanted.contains($0) || b.labels.contains($0) }
    rhs.sumOut { wanted.contains($0) || a.labels.contains($0) }
    let shared = lhs.labels.filter { rhs.labels.contains($0) }
    let batch = shared.filter { wanted.contains($0) }
    let inner = shared.filter { !wanted.contains($0) }
    let rows = lhs.labels.filter { !shared.contains($0) }
    let columns = rhs.labels.filter { !shared.contains($0) }
    let labels = batch + rows + columns
    let shape = Shape(batch.map(lhs.size) + rows.map(lhs.size) + columns.map(rhs.size))
    if inner.isEmpty {  // nothing to sum: an elementwise product, which fuses
      let left = lhs.grouped(batch.map { [$0] } + rows.map { [$0] } + columns.map { _ in [] })
      let right = rhs.grouped(batch.map { [$0] } + rows.map { _ in [] } + columns.map { [$0] })
      return Named(result: (left * right).reshaped(to: shape), labels)
    }
    let product = matmul(lhs.grouped([batch, rows, inner]), rhs.grouped([batch, inner, columns]))
    return Named(result: product.reshaped(to: shape), labels)
  }
}

extension Named {
  fileprivate init(result: Tensor, _ labels: [Character]) {
    tensor = result
    self.labels = labels
  }
}
