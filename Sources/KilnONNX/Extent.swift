import KilnEngine

/// A pair of sizes that a model was traced with.
struct Probe: Hashable {
  var batch: Int
  var time: Int
}

/// A size or place that may depend on the batch and on the length of a sequence:
/// offset + batch * B + time * T + both * B * T.
struct Extent: Hashable, CustomStringConvertible {
  var offset: Int
  var batch = 0
  var time = 0
  var both = 0

  init(_ constant: Int) { offset = constant }
  init(batch: Int = 0, time: Int = 0, both: Int = 0, offset: Int = 0) {
    (self.offset, self.batch, self.time, self.both) = (offset, batch, time, both)
  }

  /// What is `values[i]` for `probes[i]`: one probe, three in the batch alone, or the five of `Probe.pairs`. `nil` when
  /// there is no such number.
  init?(_ values: [Int], probes: [Probe]) {
    guard let first = values.first, values.count == probes.count else { return nil }
    self.init(first)
    guard values.contains(where: { $0 != first }) else { return }
    let (b1, t1, b2) = (probes[0].batch, probes[0].time, probes[1].batch)
    func divided(_ rise: Int, _ run: Int) -> Int? { run != 0 && rise % run == 0 ? rise / run : nil }
    if probes.count == 5 {
      let t2 = probes[2].time
      guard let both = divided(values[3] - values[2] - values[1] + first, (b2 - b1) * (t2 - t1)),
        let time = divided(values[2] - first, t2 - t1)
      else { return nil }
      (self.both, self.time) = (both, time - both * b1)
    }
    guard let batch = divided(values[1] - first, b2 - b1) else { return nil }
    self.batch = batch - both * t1
    offset = first - self.batch * b1 - time * t1 - both * b1 * t1
    let found = self
    guard zip(values, probes).allSatisfy({ $0 == found.value($1) }) else { return nil }
  }

  /// The size, where it depends on nothing.
  var constant: Int? { batch == 0 && time == 0 && both == 0 ? offset : nil }

  func value(_ probe: Probe) -> Int {
    offset + batch * probe.batch + time * probe.time + both * probe.batch * probe.time
  }

  static func + (a: Extent, b: Extent) -> Extent {
    Extent(batch: a.batch + b.batch, time: a.time + b.time, both: a.both + b.both, offset: a.offset + b.offset)
  }
  static func - (a: Extent, b: Extent) -> Extent { a + b * -1 }
  static func * (a: Extent, b: Int) -> Extent {
    Extent(batch: a.batch * b, time: a.time * b, both: a.both * b, offset: a.offset * b)
  }

  /// The product, if it has no square in it.
  static func product(_ a: Extent, _ b: Extent) -> Extent? {
    if let known = b.constant { return a * known }
    if let known = a.constant { return b * known }
    guard a.both == 0, b.both == 0, a.batch * b.batch == 0, a.time * b.time == 0 else { return nil }
    return Extent(
      batch: a.batch * b.offset + a.offset * b.batch, time: a.time * b.offset + a.offset * b.time,
      both: a.batch * b.time + a.time * b.batch, offset: a.offset * b.offset)
  }

  /// "3", "batch", "4*batch+1", "batch*time".
  var description: String {
    let terms = [(both, "batch*time"), (batch, "batch"), (time, "time")].filter { $0.0 != 0 }.map { factor, name in
      factor == 1 ? name : "\(factor)*\(name)"
    }
    if terms.isEmpty { return "\(offset)" }
    return (terms + (offset == 0 ? [] : ["\(offset)"])).joined(separator: "+").replacing("+-", with: "-")
  }
}

typealias Extents = [Extent]

extension Extents {
  init(_ shape: Shape) { self = shape.dimensions.map { Extent($0) } }

  /// All sizes, where none depends on anything.
  var constants: [Int]? {
    let known = compactMap(\.constant)
    return known.count == count ? known : nil
  }

  /// The number of elements; `nil` where it has a square in it.
  var product: Extent? {
    reduce(Extent(1)) { result, extent in result.flatMap { Extent.product($0, extent) } }
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
