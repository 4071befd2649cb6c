/// How elementwise tensors are built: dtype rules, broadcasting, scalars. The public functions are thin wrappers.
extension Tensor {
  func unary(_ op: UnaryOp) -> Tensor {
    let row = op.row
    guard row.domain.contains(dtype) else {
      return .failure(
        op.rawValue, rule: "the dtype must be \(row.domain.words), got \(dtype)", operands: [("x", self)],
        fix: row.domain.contains(.float32) ? "use `.cast(to: .float32)`" : "compare it first, as in `x .!= 0`",
        shape: shape, dtype: row.isPredicate ? .bool : dtype)
    }
    return .make(.unary(op), [self], shape: shape, dtype: row.isPredicate ? .bool : dtype)
  }

  static func binary(_ op: BinaryOp, _ lhs: Tensor, _ rhs: Tensor) -> Tensor {
    let row = op.row
    var dtype = DType.promote(lhs.dtype, rhs.dtype)
    if op == .divide, dtype.isInteger { dtype = .float32 }
    let operands = [("lhs", lhs), ("rhs", rhs)]
    guard let shape = Shape.broadcast(lhs.shape, rhs.shape) else {
      return .failure(
        op.rawValue, rule: "shapes \(lhs.shape) and \(rhs.shape) do not broadcast", operands: operands,
        fix:
          "aligned at the right, each pair of dimensions must be equal or one of them 1; use `.reshaped(to:)` or `.expanded(axis:)`",
        shape: lhs.shape, dtype: row.isPredicate ? .bool : dtype)
    }
    guard row.domain.contains(dtype) else {
      return .failure(
        op.rawValue, rule: "the dtype must be \(row.domain.words), got \(dtype)", operands: operands,
        fix: dtype == .bool ? "use `.&&`, `.||`, `.^^`, or `.cast(to: .float32)`" : "use `.cast(to: .float32)`",
        shape: shape, dtype: row.isPredicate ? .bool : dtype)
    }
    let a = lhs.operand(dtype, shape)
    let b = rhs.operand(dtype, shape)
    return .make(.binary(op), [a, b], shape: shape, dtype: row.isPredicate ? .bool : dtype)
  }

  static func binary(_ op: BinaryOp, _ lhs: Tensor, _ rhs: Double) -> Tensor {
    binary(op, lhs, lhs.number(rhs))
  }
  static func binary(_ op: BinaryOp, _ lhs: Double, _ rhs: Tensor) -> Tensor {
    binary(op, rhs.number(lhs), rhs)
  }

  /// A Swift number beside this tensor: it takes the tensor's dtype, unless that is integer or bool and cannot hold
  /// it; then float32 (int64 for whole numbers beside bool).
  private func number(_ value: Double) -> Tensor {
    let isWhole = value == value.rounded() && abs(value) < 9e15
    let type: DType =
      switch dtype {
      case .float32, .float64: dtype
      case .int64: isWhole ? .int64 : .float32
      case .int32: isWhole && abs(value) < 2_147_483_648 ? .int32 : isWhole ? .int64 : .float32
      case .uint8: isWhole && value >= 0 && value < 256 ? .uint8 : isWhole ? .int64 : .float32
      case .bool: isWhole ? .int64 : .float32
      }
    return .constant(Scalar(value, type), shape: [], device: device)
  }

  /// This tensor, or an error in the name of a composite operation that takes float dtypes only.
  func requiringFloat(_ operation: String) -> Tensor {
    dtype.isFloat
      ? self
      : .failure(
        operation, rule: "the dtype must be \(Domain.float.words), got \(dtype)", operands: [("x", self)],
        fix: "use `.cast(to: .float32)`", shape: shape, dtype: .float32)
  }

  /// This tensor as an operand of a result of `dtype` and `shape`.
  func operand(_ dtype: DType, _ shape: Shape) -> Tensor {
    // An evaluated constant is data like any other: a first and a second training step must be the same graph.
    if case .constant(let scalar) = node.op, error == nil, !isEvaluated {
      return .constant(
        dtype.isFloat
          ? Scalar(scalar.double, dtype)
          : scalar.dtype.isFloat ? Scalar(scalar.double, dtype) : Scalar(scalar.int, dtype),
        shape: shape, device: device)
    }
    let typed = cast(to: dtype)
    return typed.shape == shape ? typed : .make(.view(.broadcast(shape)), [typed], shape: shape, dtype: dtype)
  }
}

extension Tensor {
  /// The same values in another dtype. Shape [any]; float to integer truncates towards zero, NaN becomes 0 and values
  /// out of int32's or int64's range saturate; to bool, anything but 0 is true. Integer to narrower integer, and
  /// anything to uint8, keeps the low bits.
  /// The gradient passes between float dtypes and is zero through integers and bool.
  public func cast(to dtype: DType) -> Tensor {
    dtype == self.dtype ? self : .make(.cast, [self], shape: shape, dtype: dtype)
  }

  /// The same value, which differentiation takes for a constant.
  public func stopGradient() -> Tensor {
    .make(.identity(.stopGradient), [self], shape: shape, dtype: dtype)
  }

  /// The same value as a starting point for differentiation. What is computed from it keeps its history after
  /// evaluation, so that `gradient` can go back through it; everything else lets go of its history once evaluated.
  public func watched() -> Tensor {
    if case .identity(.watch) = node.op { return self }
    if let storage = node.storage, !node.isWatched {
      // In memory and without history: a starting point of its own, which can be updated in place.
      return Tensor(
        Node(.identity(.watch), shape: shape, dtype: dtype, device: device, storage: storage, error: error))
    }
    return .make(.identity(.watch), [self], shape: shape, dtype: dtype)
  }
}

/// Gradient shares of maximum and minimum: all where one wins, half each where equal.
func shareOfExtreme(_ wins: Tensor, _ ties: Tensor, _ dtype: DType) -> Tensor {
  select(wins, 1, select(ties, 0.5, 0, dtype: dtype), dtype: dtype)
}
