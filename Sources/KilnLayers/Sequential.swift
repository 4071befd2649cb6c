import KilnEngine

/// Layers applied one after the other. Their parameters are named by position: "0.weight", "2.bias".
///
///     let model = Sequential {
///       Flatten()
///       Dense(784, 128, activation: .relu)
///       Dense(128, 10)
///     }
public struct Sequential: Layer {
  public let layers: [any Layer]
  private let identity = LayerIdentity()

  public init(_ layers: [any Layer]) { self.layers = layers }
  public init(@LayerBuilder _ layers: () -> [any Layer]) { self.layers = layers() }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      var result = x
      for (index, layer) in layers.enumerated() { result = calling(layer, result, named: String(index)) }
      return result
    }
  }

  public var members: [(name: String, value: Any)] {
    layers.enumerated().map { (String($0.offset), $0.element) }
  }

  public var configuration: String { "" }

  public subscript(index: Int) -> any Layer { layers[index] }
}

/// Lists of layers with `if`, `switch` and `for`.
@resultBuilder
public enum LayerBuilder {
  public static func buildExpression(_ layer: any Layer) -> [any Layer] { [layer] }
  public static func buildExpression(_ layers: [any Layer]) -> [any Layer] { layers }
  public static func buildBlock(_ parts: [any Layer]...) -> [any Layer] { parts.flatMap { $0 } }
  public static func buildOptional(_ part: [any Layer]?) -> [any Layer] { part ?? [] }
  public static func buildEither(first: [any Layer]) -> [any Layer] { first }
  public static func buildEither(second: [any Layer]) -> [any Layer] { second }
  public static func buildArray(_ parts: [[any Layer]]) -> [any Layer] { parts.flatMap { $0 } }
}
