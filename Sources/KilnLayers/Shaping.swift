import KilnEngine

/// [batch, ...] to [batch, features]: the axes `start` to `end` become one. PyTorch's and Keras' Flatten.
public struct Flatten: Layer {
  public let start: Int
  public let end: Int
  private let identity = LayerIdentity()

  /// Axes may count from the back; both are included.
  public init(from start: Int = 1, to end: Int = -1) { (self.start, self.end) = (start, end) }

  /// [a, b, c, d] from 1 to 2 is [a, b * c, d].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      if end == -1 { return x.flattened(from: start) }
      guard let first = x.shape.axis(start), let last = x.shape.axis(end), first <= last else {
        return .layerFailure(
          "Flatten", rule: "axes \(start) to \(end) are no range of x's \(x.rank) axes", operands: [("x", x)],
          fix: "use axes in -\(x.rank)..<\(x.rank), the first one first", dtype: x.dtype)
      }
      let d = x.shape.dimensions
      return x.reshaped(to: Shape(d[..<first] + [d[first...last].reduce(1, *)] + d[(last + 1)...]))
    }
  }

  public var configuration: String {
    [start == 1 ? nil : "from: \(start)", end == -1 ? nil : "to: \(end)"].compactMap(\.self).joined(separator: ", ")
  }
}

/// Each sample in another shape: [batch, ...] to [batch, shape...]. Keras' Reshape, and PyTorch's Unflatten after a
/// Flatten. One dimension may be -1: what the others leave. Errors: another number of elements.
public struct Reshape: Layer {
  /// Without the batch.
  public let shape: Shape
  private let identity = LayerIdentity()

  /// The new axes after the first.
  public init(_ shape: Shape) { self.shape = shape }

  /// [batch, ...] to [batch, shape...].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      guard x.rank > 0 else {
        return .layerFailure(
          "Reshape", rule: "x must have a batch axis", operands: [("x", x)], fix: "use `.expanded(axis: 0)`",
          dtype: x.dtype)
      }
      var target = shape.dimensions
      // In an empty batch -1 could be anything; one sample's own size says what it is.
      if let free = target.firstIndex(of: -1), target.count(where: { $0 == -1 }) == 1 {
        let known = Shape.checkedCount(target.filter { $0 != -1 }) ?? 0
        let elements = x.shape.dimensions[1...].reduce(1, *)
        if known > 0, elements % known == 0 { target[free] = elements / known }
      }
      return x.reshaped(to: Shape([x.shape[0]] + target))
    }
  }

  public var configuration: String { "\(shape)" }
}
