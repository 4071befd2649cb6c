import KilnEngine

extension Activation {
  private static let table: [(names: [String], value: Activation)] = [
    (["identity", "linear", "none"], .identity), (["relu"], .relu), (["leaky_relu"], .leakyReLU()), (["elu"], .elu()),
    (["gelu"], .gelu), (["gelu_tanh"], .geluTanh), (["silu", "swish"], .silu), (["sigmoid"], .sigmoid),
    (["tanh"], .tanh), (["softplus"], .softplus), (["relu6"], .relu6), (["selu"], .selu), (["celu"], .celu()),
    (["mish"], .mish), (["hardtanh", "hard_tanh"], .hardtanh()), (["hard_sigmoid"], .hardsigmoid),
    (["hard_swish", "hard_silu"], .hardswish), (["softsign"], .softsign), (["log_sigmoid"], .logSigmoid),
    (["softmax"], .softmax), (["log_softmax"], .logSoftmax),
  ]

  /// The first spelling of every name.
  public static var names: [String] { table.compactMap(\.names.first) }
  /// All of them.
  public static var spellings: [String] { table.flatMap(\.names) }

  /// The activation of this name, Keras' or PyTorch's ("relu", "swish", ...), with its defaults. Throws a `TensorError`
  /// with near matches for a name that is not known.
  public static func named(_ name: String) throws -> Activation {
    try Names.find(name, kind: "activation", in: table)
  }
}

/// By its name: `Dense(784, 128, activation: "relu")`. A name that is not known makes a layer whose results carry the
/// error that `named` throws, with the near matches.
extension Activation: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) { self.init(name) }

  /// The same for a name that is only known when the program runs.
  public init(_ name: String) { self = (try? .named(name)) ?? .unknown(name) }

  /// What a name that is not known does to a layer's results.
  static func refused(_ name: String, _ x: Tensor) -> Tensor { x.refused { _ = try named(name) } }
}

extension Tensor {
  /// This, carrying the error of a look-up that failed.
  func refused(_ lookUp: () throws -> Void) -> Tensor {
    do {
      try lookUp()
      return self
    } catch let error as TensorError {
      return replacing(error)
    } catch {
      return replacing(TensorError(operation: "Names", rule: "\(error)", fix: "see the names in the documentation"))
    }
  }
}
