/// Where a tensor's elements lie in a buffer: element `i` is at `offset + sum(i[d] * strides[d])`, in elements.
///
/// All stride arithmetic of the project is here.
public struct Layout: Hashable, Sendable {
  public var shape: Shape
  /// Elements between neighbours along each axis; 0 along a broadcast axis, negative along a flipped one.
  public var strides: [Int]
  public var offset: Int

  public init(shape: Shape, strides: [Int], offset: Int = 0) {
    self.shape = shape
    self.strides = strides
    self.offset = offset
  }

  /// Row-major, dense, starting at `offset`.
  public init(contiguous shape: Shape, offset: Int = 0) {
    self.shape = shape
    self.offset = offset
    strides = Layout.contiguousStrides(shape)
  }

  public static func contiguousStrides(_ shape: Shape) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.rank)
    var next = 1
    for axis in stride(from: shape.rank - 1, through: 0, by: -1) {
      strides[axis] = next
      next *= max(shape[axis], 1)
    }
    return strides
  }

  /// Whether the elements are dense and in row-major order (axes of size 1 may have any stride).
  public var isContiguous: Bool {
    if shape.count <= 1 { return true }
    var next = 1
    for axis in Swift.stride(from: shape.rank - 1, through: 0, by: -1) where shape[axis] != 1 {
      if strides[axis] != next { return false }
      next *= shape[axis]
    }
    return true
  }

  /// The layout of `view` applied to this one, or `nil` when a reshape cannot be expressed by strides.
  public func applying(_ view: View) -> Layout? {
    switch view {
    case .reshape(let target): return reshaped(to: target)
    case .permute(let axes):
      return Layout(shape: Shape(axes.map { shape[$0] }), strides: axes.map { strides[$0] }, offset: offset)
    case .broadcast(let target):
      let lead = target.rank - shape.rank
      var result = [Int](repeating: 0, count: target.rank)
      for axis in 0..<shape.rank where shape[axis] == target[axis + lead] {
        // A broadcast from size 1 to size 1 keeps its stride; it is never stepped along.
        result[axis + lead] = strides[axis]
      }
      return Layout(shape: target, strides: result, offset: offset)
    case .slice(let starts, let counts, let steps):
      var result = Layout(shape: Shape(counts), strides: strides, offset: offset)
      for axis in 0..<shape.rank {
        result.offset += starts[axis] * strides[axis]
        result.strides[axis] = strides[axis] * steps[axis]
      }
      return result
    }
  }

  /// The layout of a chain of views, first to last, or `nil` when strides cannot express it.
  public func applying(_ views: [View]) -> Layout? {
    var result = self
    for view in views {
      guard let next = result.applying(view) else { return nil }
      result = next
    }
    return result
  }

  private func reshaped(to target: Shape) -> Layout? {
    if target == shape { return self }
    if shape.count == 0 || isContiguous { return Layout(contiguous: target, offset: offset) }
    // Match groups of axes with equal products, from the left; inside a group the source must be mergeable.
    let source = zip(shape.dimensions, strides).filter { $0.0 != 1 }
    var result = [Int](repeating: 0, count: target.rank)
    var s = 0
    var t = 0
    while t < target.rank {
      if target[t] == 1 { t += 1; continue }
      guard s < source.count else { return nil }
      var sourceEnd = s + 1
      var sourceCount = source[s].0
      var targetEnd = t + 1
      var targetCount = target[t]
      while sourceCount != targetCount {
        if sourceCount < targetCount {
          guard sourceEnd < source.count else { return nil }
          sourceCount *= source[sourceEnd].0
          sourceEnd += 1
        } else {
          guard targetEnd < target.rank else { return nil }
          targetCount *= target[targetEnd]
          targetEnd += 1
        }
      }
      for i in s..<(sourceEnd - 1) where source[i].1 != source[i + 1].0 * source[i + 1].1 { return nil }
      var next = source[sourceEnd - 1].1
      for i in Swift.stride(from: targetEnd - 1, through: t, by: -1) {
        result[i] = next
        next *= target[i]
      }
      s = sourceEnd
      t = targetEnd
    }
    return Layout(shape: target, strides: result, offset: offset)
  }

  /// The smallest and largest element address reached, inclusive; `nil` when there are no elements.
  public var extent: ClosedRange<Int>? {
    guard shape.count > 0 else { return nil }
    var low = offset
    var high = offset
    for axis in 0..<shape.rank {
      let span = (shape[axis] - 1) * strides[axis]
      if span < 0 { low += span } else { high += span }
    }
    return low...high
  }
}

/// A change of shape or order that moves no data.
public enum View: Hashable, Sendable {
  /// The same elements in row-major order under another shape of equal count.
  case reshape(Shape)
  /// Axis `d` of the result is axis `axes[d]` of the input.
  case permute([Int])
  /// numpy broadcasting to a shape of equal or higher rank.
  case broadcast(Shape)
  /// Along each axis `counts[d]` elements from `starts[d]` in steps of `steps[d]` (non-zero, may be negative).
  case slice(starts: [Int], counts: [Int], steps: [Int])

  /// The shape of the view of an input of shape `shape`.
  public func resultShape(_ shape: Shape) -> Shape {
    switch self {
    case .reshape(let target), .broadcast(let target): target
    case .permute(let axes): Shape(axes.map { shape[$0] })
    case .slice(_, let counts, _): Shape(counts)
    }
  }
}
