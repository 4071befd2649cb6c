/// Where a public call was written. Public functions that can fail take `file: StaticString = #fileID,
/// line: UInt = #line` last and hand them on, so that an error names the user's line and not the engine's.
struct CallSite: Sendable {
  var file: StaticString
  var line: UInt
  init(_ file: StaticString, _ line: UInt) {
    self.file = file
    self.line = line
  }
  var description: String { "\(file):\(line)" }
}

extension Tensor {
  /// A node of the graph, or a tensor with an error: the first input's own, one for operands on two devices, one for
  /// a dtype that the device cannot hold, or one for a shape that no memory could hold.
  ///
  /// The caller has checked the operation's own rules. `shape` and `dtype` are the result's.
  static func make(
    _ op: Op, _ inputs: [Tensor], shape: Shape, dtype: DType, device: Device? = nil, file: StaticString? = nil,
    line: UInt = 0
  ) -> Tensor {
    let home = device ?? inputs.first?.device ?? .default
    let site = file.map { CallSite($0, line) }
    guard Shape.isRepresentable(shape.dimensions) else {
      return failure(
        op.publicName, rule: "the result's shape \(shape) has a negative dimension or too many elements",
        operands: inputs.labelled, fix: "use smaller, non-negative dimensions", dtype: dtype, device: home, site: site)
    }
    for input in inputs {
      if let error = input.error { return carrying(error, shape: shape, dtype: dtype, device: home) }
    }
    if op != .transfer, let other = inputs.first(where: { $0.device != home }) {
      return failure(
        op.publicName, rule: "all operands must be on one device, got \(home) and \(other.device)",
        operands: inputs.labelled, fix: "move them together with `.to(device)`", shape: shape, dtype: dtype,
        device: home, site: site)
    }
    guard home.driver.supports(dtype) else {
      return failure(
        op.publicName, rule: "device \(home) does not support \(dtype)", operands: inputs.labelled,
        fix: "use `.cast(to: .float32)`, or another device", shape: shape, dtype: dtype, device: home, site: site)
    }
    let tensor = Tensor(Node(op, inputs: inputs.map(\.node), shape: shape, dtype: dtype, device: home))
    guard EngineOptions.current.eager else { return tensor }
    do { try evaluate([tensor]) } catch { return carrying(error, shape: shape, dtype: dtype, device: home) }
    return tensor
  }

  /// A tensor that carries an error that exists already.
  static func carrying(_ error: any Error, shape: Shape, dtype: DType, device: Device) -> Tensor {
    let known = Shape.isRepresentable(shape.dimensions) ? shape : []
    return Tensor(Node(.leaf, shape: known, dtype: dtype, device: device, error: error))
  }

  /// A tensor that carries a mistake, or the first operand's own error if one has any.
  /// `shape` is what the operation would have given, where that can be known.
  static func failure(
    _ operation: String, rule: String, operands: [(String, Tensor)] = [], fix: String, shape: Shape = [],
    dtype: DType = .float32, device: Device? = nil, file: StaticString? = nil, line: UInt = 0
  ) -> Tensor {
    failure(
      operation, rule: rule, operands: operands, fix: fix, shape: shape, dtype: dtype, device: device,
      site: file.map { CallSite($0, line) })
  }

  static func failure(
    _ operation: String, rule: String, operands: [(String, Tensor)] = [], fix: String, shape: Shape = [],
    dtype: DType = .float32, device: Device? = nil, site: CallSite?
  ) -> Tensor {
    let home = device ?? operands.first?.1.device ?? .default
    for (_, operand) in operands {
      if let error = operand.error { return carrying(error, shape: shape, dtype: dtype, device: home) }
    }
    let words = operands.map { "\($0.0) \($0.1.shape) \($0.1.dtype)" }.joined(separator: ", ")
    let error = TensorError(
      operation: operation, rule: rule, operands: words, fix: fix, location: site?.description)
    return carrying(error, shape: shape, dtype: dtype, device: home)
  }

  /// The same value everywhere; fused into whatever uses it.
  static func constant(_ value: Scalar, shape: Shape, device: Device) -> Tensor {
    make(.constant(value), [], shape: shape, dtype: value.dtype, device: device)
  }

  /// A number in this tensor's dtype and device, as a 0-d tensor.
  func like(_ value: Double) -> Tensor { .constant(Scalar(value, dtype), shape: [], device: device) }
}

extension [Tensor] {
  /// Names for the operands of an error: "x", or "lhs" and "rhs", or "operand 0", "operand 1", ...
  var labelled: [(String, Tensor)] {
    switch count {
    case 1: [("x", self[0])]
    case 2: [("lhs", self[0]), ("rhs", self[1])]
    default: enumerated().map { ("operand \($0.offset)", $0.element) }
    }
  }
}

extension Shape {
  /// Whether all dimensions are non-negative and byte addresses of such a tensor fit in an `Int`, even where another
  /// dimension is 0.
  static func isRepresentable(_ dimensions: [Int]) -> Bool {
    guard !dimensions.contains(where: { $0 < 0 }) else { return false }
    guard let total = checkedCount(dimensions.map { Swift.max($0, 1) }) else { return false }
    return total <= Int.max / 16
  }

  /// Axes resolved to 0..<rank, `nil` when one is out of range or named twice.
  func resolve(_ axes: [Int]) -> [Int]? {
    var result: [Int] = []
    for given in axes {
      guard let axis = axis(given), !result.contains(axis) else { return nil }
      result.append(axis)
    }
    return result
  }

  /// "-2..<2", or words for a scalar: the axes that a message may offer.
  var axisRange: String { rank == 0 ? "none (a scalar has no axes)" : "-\(rank)..<\(rank)" }
}

extension Op {
  /// The name that errors use: the public function's.
  var publicName: String {
    switch self {
    case .leaf: "Tensor"
    case .constant: "full"
    case .position: "arange"
    case .random: "random"
    case .unary(let op): op.rawValue
    case .binary(let op): op.rawValue
    case .select: "select"
    case .cast: "cast"
    case .view(let view): view.publicName
    case .assemble: "concatenate"
    case .reduce(let reduction, _): reduction.publicName
    case .scan(.sum, _): "cumulativeSum"
    case .scan(.product, _): "cumulativeProduct"
    case .argsort: "argsorted"
    case .rowwise(let row): row.publicName
    case .attention: "dotProductAttention"
    case .matmul: "matmul"
    case .convolution: "convolution2D"
    case .pool: "pool2D"
    case .gather: "gathered"
    case .transfer: "to"
    case .identity(.stopGradient): "stopGradient"
    case .identity(.watch): "watched"
    case .identity(.custom): "customGradient"
    }
  }
}

extension View {
  var publicName: String {
    switch self {
    case .reshape: "reshaped"
    case .permute: "permuted"
    case .broadcast: "broadcast"
    case .slice: "sliced"
    }
  }
}

extension Reduction {
  var publicName: String {
    switch self {
    case .sum: "sum"
    case .product: "product"
    case .max: "max"
    case .min: "min"
    case .argmax: "argmax"
    case .argmin: "argmin"
    }
  }
}

extension Rowwise {
  var publicName: String {
    switch self {
    case .softmax, .softmaxGradient: "softmax"
    case .logSoftmax, .logSoftmaxGradient: "logSoftmax"
    case .layerNorm, .layerNormGradient: "layerNorm"
    case .rmsNorm, .rmsNormGradient: "rmsNorm"
    case .crossEntropy, .crossEntropyGradient: "crossEntropy"
    }
  }
}
