import KilnEngine

/// Turns an `Expression` into OpenCL C statements.
struct ExpressionText {
  /// How the places that an expression names are written.
  struct Names {
    var load: (Int) -> String
    var address: (Int) -> String
    var scalar: (Int) -> String
  }

  /// Declarations of the registers, in order.
  private(set) var statements: [String] = []
  /// The registers of the expression's outputs.
  private(set) var outputs: [String] = []

  init(_ expression: Expression, register: String, names: Names, lanes: Lanes = .one) {
    func r(_ index: Int) -> String { "\(register)\(index)" }
    for (index, instruction) in expression.instructions.enumerated() {
      let dtype = expression.dtypes[index]
      let value: String
      switch instruction {
      case .load(let operand): value = names.load(operand)
      case .address(let operand): value = names.address(operand)
      case .scalar(let scalar): value = lanes == .one ? names.scalar(scalar) : "(float16)(\(names.scalar(scalar)))"
      case .result: value = "result"
      case .unary(let op, let x):
        value = ExpressionText.unary(op, r(x), expression.dtypes[x], lanes)
      case .binary(let op, let a, let b):
        value = ExpressionText.binary(op, r(a), r(b), expression.dtypes[a], lanes)
      case .select(let condition, let then, let otherwise): value = "\(r(condition)) ? \(r(then)) : \(r(otherwise))"
      case .cast(let x): value = ExpressionText.cast(r(x), from: expression.dtypes[x], to: dtype, lanes)
      case .random(let distribution, let key, let counter, let position):
        let function =
          switch distribution {
          case .uniform: "uniform"
          case .normal: "normal"
          case .bits: "bits"
          }
        value =
          "kiln_random_\(function)_\(dtype.openCL)((ulong)\(names.scalar(key)), (ulong)\(names.scalar(counter)), \(r(position)))"
      }
      statements.append("const \(lanes.type(dtype)) \(r(index)) = \(value);")
    }
    outputs = expression.outputs.map(r)
  }

  private static func unary(_ op: UnaryOp, _ x: String, _ dtype: DType, _ lanes: Lanes) -> String {
    let row = op.row
    let wraps = !dtype.isFloat && (op == .negate || op == .square)
    let text = dtype.isFloat ? row.openCL : row.openCLInteger ?? row.openCL
    let operand = wraps ? "((\(dtype.openCLWrapping))\(x))" : x
    let body = substitute(text, ["x": operand, "T": lanes.type(dtype)], type: lanes.type(dtype))
    return "(\(lanes.type(row.isPredicate ? .bool : dtype)))(\(body))"
  }

  private static func binary(_ op: BinaryOp, _ a: String, _ b: String, _ dtype: DType, _ lanes: Lanes) -> String {
    let row = op.row
    let wraps = !dtype.isFloat && (op == .add || op == .subtract || op == .multiply)
    let text = dtype.isFloat ? row.openCL : row.openCLInteger ?? row.openCL
    func operand(_ name: String) -> String { wraps ? "((\(dtype.openCLWrapping))\(name))" : name }
    let body = substitute(
      text, ["a": operand(a), "b": operand(b), "T": lanes.type(dtype)], type: lanes.type(dtype))
    return "(\(lanes.type(row.isPredicate ? .bool : dtype)))(\(body))"
  }

  /// The rules of docs/numerics.md.
  static func cast(_ x: String, from: DType, to: DType, _ lanes: Lanes) -> String {
    if from == to { return x }
    if lanes == .sixteen { return to == .bool ? "(\(x) != 0)" : "(\(x) ? (float16)(1) : (float16)(0))" }
    switch to {
    case .bool: return "(uchar)(\(x) != 0)"
    case .float32, .float64: return "(\(to.openCL))\(x)"
    case .int32: return from.isFloat ? "kiln_to_int_\(from.openCL)(\(x))" : "(int)\(x)"
    case .int64: return from.isFloat ? "kiln_to_long_\(from.openCL)(\(x))" : "(long)\(x)"
    case .uint8: return from.isFloat ? "(uchar)kiln_to_long_\(from.openCL)(\(x))" : "(uchar)\(x)"
    }
  }

  /// What prelude.cl has a version of that a CPU's compiler can vectorise.
  private static let ownFunctions: Set<String> = ["exp", "expm1", "tanh", "erf"]

  /// Replaces whole identifiers; `kiln_...` functions get the type as suffix, as prelude.cl defines them.
  private static func substitute(_ text: String, _ words: [String: String], type: String) -> String {
    var result = ""
    var word = ""
    func flush() {
      if word.isEmpty { return }
      if let replacement = words[word] {
        result += replacement
      } else if word.hasPrefix("kiln_") {
        result += "\(word)_\(type)"
      } else if ownFunctions.contains(word) {
        result += "kiln_\(word)_\(type)"
      } else {
        result += word
      }
      word = ""
    }
    for character in text {
      let isPart = character.isLetter || character == "_" || (character.isNumber && !word.isEmpty)
      if isPart {
        word.append(character)
      } else {
        flush()
        result.append(character)
      }
    }
    flush()
    return result
  }
}
