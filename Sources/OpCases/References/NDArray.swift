/// A plain array of float64 with a shape: what the references compute on. It shares nothing with the engine.
///
/// Whole numbers of every integer dtype are held as doubles; the references keep them below 2^53.
public struct NDArray: Sendable, Equatable {
  public var shape: [Int]
  /// Row-major.
  public var values: [Double]
  /// For each element the error allowed beyond `OpCase.ulps`, in units of the result dtype's epsilon (2^-23, 2^-52);
  /// empty: none. A reference knows its magnitudes (sum of |x|), so it computes this itself.
  public var slack: [Double] = []

  public init(_ shape: [Int], _ values: [Double], slack: [Double] = []) {
    self.shape = shape
    self.values = values
    self.slack = slack
  }

  /// One value at each index, in row-major order.
  public init(_ shape: [Int], at: ([Int]) -> Double) {
    self.shape = shape
    values = []
    values.reserveCapacity(NDArray.count(shape))
    NDArray.forEachIndex(shape) { values.append(at($0)) }
  }

  public var count: Int { values.count }

  public static func count(_ shape: [Int]) -> Int {
    var total = 1
    for d in shape { total *= d }
    return total
  }

  /// Calls `body` with each index of `shape`, the last axis fastest.
  public static func forEachIndex(_ shape: [Int], _ body: ([Int]) -> Void) {
    if shape.contains(0) { return }
    var index = [Int](repeating: 0, count: shape.count)
    while true {
      body(index)
      var axis = shape.count - 1
      while axis >= 0 {
        index[axis] += 1
        if index[axis] < shape[axis] { break }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }

  /// The place of `index` in `values`.
  public func position(_ index: [Int]) -> Int {
    var result = 0
    for axis in 0..<shape.count { result = result * shape[axis] + index[axis] }
    return result
  }

  public subscript(index: [Int]) -> Double { values[position(index)] }

  /// The element that broadcasting puts at `index` of a larger shape: axes are aligned at the right, and an axis of
  /// size 1 is read at 0.
  public func broadcastValue(at index: [Int]) -> Double {
    let lead = index.count - shape.count
    var place = 0
    for axis in 0..<shape.count { place = place * shape[axis] + (shape[axis] == 1 ? 0 : index[axis + lead]) }
    return values[place]
  }

  public func map(_ body: (Double) -> Double) -> NDArray { NDArray(shape, values.map(body)) }
}

/// The references' own list arithmetic.
extension NDArray {
  /// The common shape of two, aligned at the right.
  public static func commonShape(_ a: [Int], _ b: [Int]) -> [Int] {
    let rank = max(a.count, b.count)
    let left = [Int](repeating: 1, count: rank - a.count) + a
    let right = [Int](repeating: 1, count: rank - b.count) + b
    return (0..<rank).map { left[$0] == 1 ? right[$0] : left[$0] }
  }

  public static func zip(_ a: NDArray, _ b: NDArray, _ body: (Double, Double) -> Double) -> NDArray {
    NDArray(commonShape(a.shape, b.shape)) { body(a.broadcastValue(at: $0), b.broadcastValue(at: $0)) }
  }

  public static func zip(
    _ a: NDArray, _ b: NDArray, _ c: NDArray, _ body: (Double, Double, Double) -> Double
  ) -> NDArray {
    let shape = commonShape(commonShape(a.shape, b.shape), c.shape)
    return NDArray(shape) {
      body(a.broadcastValue(at: $0), b.broadcastValue(at: $0), c.broadcastValue(at: $0))
    }
  }

  /// The values along `axes` (row-major among themselves) for each index of the other axes, reduced to one value and
  /// its slack. `axes` are from the front.
  public func reduced(
    _ axes: [Int], keepDims: Bool, _ body: ([Double]) -> (value: Double, slack: Double)
  ) -> NDArray {
    let kept = (0..<shape.count).filter { !axes.contains($0) }
    let sorted = axes.sorted()
    let outer = kept.map { shape[$0] }
    let inner = sorted.map { shape[$0] }
    var result = NDArray(
      keepDims ? shape.indices.map { axes.contains($0) ? 1 : shape[$0] } : outer, [Double]())
    var index = [Int](repeating: 0, count: shape.count)
    NDArray.forEachIndex(outer) { at in
      for (i, axis) in kept.enumerated() { index[axis] = at[i] }
      var row: [Double] = []
      NDArray.forEachIndex(inner) { inside in
        for (i, axis) in sorted.enumerated() { index[axis] = inside[i] }
        row.append(self[index])
      }
      let reduced = body(row)
      result.values.append(reduced.value)
      result.slack.append(reduced.slack)
    }
    return result
  }

  /// Each line along `axis` replaced by as many values (and their slacks, or none).
  public func mappedLines(_ axis: Int, _ body: ([Double]) -> (values: [Double], slack: [Double])) -> NDArray {
    var result = self
    result.slack = [Double](repeating: 0, count: count)
    var outer = shape
    outer[axis] = 1
    NDArray.forEachIndex(outer) { at in
      var index = at
      let places = (0..<shape[axis]).map { i -> Int in
        index[axis] = i
        return position(index)
      }
      let line = body(places.map { values[$0] })
      for (i, place) in places.enumerated() {
        result.values[place] = line.values[i]
        if !line.slack.isEmpty { result.slack[place] = line.slack[i] }
      }
    }
    return result
  }

  /// How many units of epsilon times sum|x| a sum of `n` values may be off, in any order of adding: a sequential sum
  /// is off by at most (n - 1) / 2 units, and by about sqrt(n) / 2 when roundings are independent.
  public static func sumUnits(_ n: Int) -> Double { n <= 1 ? 1 : min(Double(n), 4 + 2 * Double(n).squareRoot()) }

  /// Sum of `values` in float64 with its slack.
  public static func sum(_ values: [Double]) -> (value: Double, slack: Double) {
    var total = 0.0
    var magnitude = 0.0
    for v in values {
      total += v
      magnitude += abs(v)
    }
    return (total, magnitude * sumUnits(values.count))
  }
}
