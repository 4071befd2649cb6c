import KilnEngine

/// A size or place that may depend on the batch: scale * batch + offset.
struct Extent: Hashable, CustomStringConvertible {
  var scale = 0
  var offset: Int

  init(_ constant: Int) { offset = constant }
  init(scale: Int, offset: Int) { (self.scale, self.offset) = (scale, offset) }

  /// What is `values[i]` when the batch is `batches[i]`; `nil` when no such line goes through them.
  init?(_ values: [Int], batches: [Int]) {
    guard let first = values.first, values.count == batches.count else { return nil }
    guard values.count > 1, values.contains(where: { $0 != first }) else {
      self.init(first)
      return
    }
    let (rise, run) = (values[1] - first, batches[1] - batches[0])
    guard run != 0, rise % run == 0 else { return nil }
    self.init(scale: rise / run, offset: first - rise / run * batches[0])
    let line = self
    guard zip(values, batches).allSatisfy({ $0 == line.value(batch: $1) }) else { return nil }
  }

  /// The size, where it does not depend on the batch.
  var constant: Int? { scale == 0 ? offset : nil }

  func value(batch: Int) -> Int { scale * batch + offset }

  static func + (a: Extent, b: Extent) -> Extent { Extent(scale: a.scale + b.scale, offset: a.offset + b.offset) }
  static func - (a: Extent, b: Extent) -> Extent { Extent(scale: a.scale - b.scale, offset: a.offset - b.offset) }
  static func * (a: Extent, b: Int) -> Extent { Extent(scale: a.scale * b, offset: a.offset * b) }

  /// "3", "batch", "4*batch+1".
  var description: String {
    if scale == 0 { return "\(offset)" }
    return (scale == 1 ? "batch" : "\(scale)*batch") + (offset == 0 ? "" : offset > 0 ? "+\(offset)" : "\(offset)")
  }
}

typealias Extents = [Extent]

extension Extents {
  init(_ shape: Shape) { self = shape.dimensions.map { Extent($0) } }

  /// All sizes, where none depends on the batch.
  var constants: [Int]? {
    let known = compactMap(\.constant)
    return known.count == count ? known : nil
  }

  /// The number of elements; `nil` where two sizes depend on the batch.
  var product: Extent? {
    var result = Extent(1)
    for extent in self {
      if let size = extent.constant {
        result = result * size
      } else if let known = result.constant {
        result = extent * known
      } else {
        return nil
      }
    }
    return result
  }

  /// numpy's rule; `nil` where the shapes do not broadcast.
  static func broadcast(_ lhs: Extents, _ rhs: Extents) -> Extents? {
    let rank = Swift.max(lhs.count, rhs.count)
    var result = Extents(repeating: Extent(1), count: rank)
    for i in 0..<rank {
      let a = i < lhs.count ? lhs[lhs.count - 1 - i] : Extent(1)
      let b = i < rhs.count ? rhs[rhs.count - 1 - i] : Extent(1)
      guard a == b || a == Extent(1) || b == Extent(1) else { return nil }
      result[rank - 1 - i] = a == Extent(1) ? b : a
    }
    return result
  }
}
