/// A mistake in an operation's operands or arguments. It travels inside the tensor that could not be built and is
/// thrown when a value is asked for.
public struct TensorError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The public name of the operation, such as "matmul".
  public var operation: String
  /// The rule that was broken, with the actual values: "inner dimensions must be equal, got 3 and 4".
  public var rule: String
  /// Shapes and dtypes of the operands: "lhs [2, 3] float32, rhs [4, 5] float32".
  public var operands: String
  /// The likely mend: "transpose rhs, or reshape it to [3, n]".
  public var fix: String
  /// Where the call was written, "Module/File.swift:12", where the API can know it.
  public var location: String?
  /// The layer path, such as "features.0", when a layer made the call.
  public var layer: String?
  /// Which layer that is, for the models around it, which know its path from them.
  package var layerAnchor: LayerAnchor?

  public init(
    operation: String, rule: String, operands: String = "", fix: String, location: String? = nil, layer: String? = nil
  ) {
    (self.operation, self.rule, self.operands, self.fix) = (operation, rule, operands, fix)
    (self.location, self.layer) = (location, layer)
  }

  public var description: String {
    var text = "\(operation): \(rule)"
    if !operands.isEmpty { text += " [\(operands)]" }
    text += "; \(fix)"
    if let layer { text += " (in layer \(layer))" }
    if let location { text += " (at \(location))" }
    return text
  }
}

/// A place within the layer of this identity: "" is the layer itself.
package struct LayerAnchor: Hashable, Sendable {
  package var identity: ObjectIdentifier
  package var place: String
  package init(_ identity: ObjectIdentifier, place: String = "") { (self.identity, self.place) = (identity, place) }
}
