/// A JSON value whose keys keep their order.
indirect enum JSON {
  case string(String)
  case number(Double)
  case integer(Int)
  case bool(Bool)
  case array([JSON])
  case object([(String, JSON)])

  /// One value a line at the top level, compact below. Numbers that JSON cannot hold become null.
  var text: String {
    guard case .object(let members) = self else { return compact }
    return "{\n" + members.map { "  \(JSON.quoted($0.0)): \($0.1.compact)" }.joined(separator: ",\n") + "\n}\n"
  }

  private var compact: String {
    switch self {
    case .string(let value): JSON.quoted(value)
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .integer(let value): "\(value)"
    case .bool(let value): value ? "true" : "false"
    case .array(let values): "[" + values.map(\.compact).joined(separator: ", ") + "]"
    case .object(let members):
      "{" + members.map { "\(JSON.quoted($0.0)): \($0.1.compact)" }.joined(separator: ", ") + "}"
    }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      default:
        if scalar.value < 0x20 {
          let digits = String(scalar.value, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }
}
