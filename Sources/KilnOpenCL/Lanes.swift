import KilnEngine

/// For how many neighbouring elements a text is. Sixteen are a vector of OpenCL C: not every driver's compiler turns a loop
/// into vectors, least of all one that calls a function.
enum Lanes {
  case one, sixteen

  /// The type of registers. Of sixteen there are float32, and bool as a mask of 0 and -1.
  func type(_ dtype: DType) -> String {
    switch self {
    case .one: dtype.openCL
    case .sixteen: dtype == .bool ? "int16" : "\(dtype.openCL)16"
    }
  }
}

extension Expression {
  /// Whether `ExpressionText` can write it for sixteen elements: only operations whose text means the same for vectors and
  /// which give the same bits in both, so that a value does not depend on its place in a row.
  var hasVectorText: Bool {
    zip(instructions, dtypes).allSatisfy { instruction, dtype in
      guard dtype == .float32 || dtype == .bool else { return false }
      switch instruction {
      case .load, .select, .cast: return true
      case .scalar, .result: return dtype == .float32
      case .address, .random: return false
      case .unary(let op, _): return op.hasVectorText
      case .binary(let op, let a, _): return op.hasVectorText(dtypes[a])
      }
    }
  }

  /// The operands that it reads.
  var loaded: Set<Int> {
    Set(
      instructions.compactMap { instruction in
        if case .load(let operand) = instruction { operand } else { nil }
      })
  }
}

extension UnaryOp {
  fileprivate var hasVectorText: Bool {
    switch self {
    case .negate, .abs, .square, .reciprocal, .sqrt, .rsqrt, .relu, .floor, .ceil, .round, .isNaN, .isFinite: true
    case .logicalNot, .exp, .expm1, .tanh, .sigmoid, .erf, .gelu, .geluDerivative: true
    // A predicate that is used as a number is -1 in a vector; a driver's own functions may differ from those for one element.
    default: false
    }
  }
}

extension BinaryOp {
  fileprivate func hasVectorText(_ dtype: DType) -> Bool {
    switch self {
    case .add, .subtract, .multiply, .divide, .maximum, .minimum, .equal, .notEqual, .and, .or, .xor: true
    // True is less than false in a mask.
    case .less, .lessEqual, .greater, .greaterEqual: dtype == .float32
    default: false
    }
  }
}
