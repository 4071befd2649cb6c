import KilnEngine

/// [batch, ...] to [batch, features]: all axes from `start` on become one.
public struct Flatten: Layer {
  public let start: Int
  public init(from start: Int = 1) { self.start = start }
  public func callAsFunction(_ x: Tensor) -> Tensor { x.flattened(from: start) }
}
