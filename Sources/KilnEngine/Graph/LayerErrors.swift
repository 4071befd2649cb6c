/// How layers refuse: as operations do, in their own name.
extension Tensor {
  /// A tensor that carries a layer's complaint, or the first operand's own error if one has any. `shape` is what the
  /// layer would have given, where that can be known.
  package static func refused(
    _ layer: String, rule: String, operands: [(String, Tensor)] = [], fix: String, shape: Shape = [],
    dtype: DType = .float32, device: Device? = nil
  ) -> Tensor {
    failure(layer, rule: rule, operands: operands, fix: fix, shape: shape, dtype: dtype, device: device)
  }
}
