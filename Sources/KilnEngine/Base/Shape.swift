/// The dimensions of a tensor, outermost first. A scalar has none; a dimension may be 0.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public var dimensions: [Int]

  public init(_ dimensions: [Int]) { self.dimensions = dimensions }
  public init(arrayLiteral elements: Int...) { dimensions = elements }

  public var rank: Int { dimensions.count }
  /// The number of elements: the product of the dimensions, 1 for a scalar.
  public var count: Int { dimensions.reduce(1, *) }
  public subscript(axis: Int) -> Int {
    get { dimensions[axis] }
    set { dimensions[axis] = newValue }
  }
  public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }

  /// The product of the dimensions, or `nil` when one is negative or the product overflows.
  public static func checkedCount(_ dimensions: [Int]) -> Int? {
    var total = 1
    for d in dimensions {
      guard d >= 0 else { return nil }
      let (product, overflow) = total.multipliedReportingOverflow(by: d)
      if overflow { return nil }
      total = product
    }
    return total
  }

  /// numpy's rule: shapes are aligned at the right; each pair of dimensions must be equal or one of them 1.
  /// Returns `nil` when the shapes do not broadcast.
  public static func broadcast(_ lhs: Shape, _ rhs: Shape) -> Shape? {
    if lhs == rhs { return lhs }
    let rank = max(lhs.rank, rhs.rank)
    var result = [Int](repeating: 1, count: rank)
    for i in 0..<rank {
      let a = i < lhs.rank ? lhs[lhs.rank - 1 - i] : 1
      let b = i < rhs.rank ? rhs[rhs.rank - 1 - i] : 1
      if a == b || b == 1 {
        result[rank - 1 - i] = a
      } else if a == 1 {
        result[rank - 1 - i] = b
      } else {
        return nil
      }
    }
    return Shape(result)
  }

  /// An axis counted from the front (0...rank-1) or the back (-1...-rank); `nil` when out of range.
  public func axis(_ axis: Int) -> Int? {
    let index = axis < 0 ? axis + rank : axis
    return index >= 0 && index < rank ? index : nil
  }

  /// This shape with the listed axes set to 1.
  public func keepingDims(reducing axes: [Int]) -> Shape {
    var result = self
    for axis in axes { result[axis] = 1 }
    return result
  }

  /// This shape without the listed axes.
  public func removing(_ axes: [Int]) -> Shape {
    Shape(dimensions.enumerated().filter { !axes.contains($0.offset) }.map(\.element))
  }
}
