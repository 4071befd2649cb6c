import KilnLayers
import KilnOptimizers

/// Update rules by their names.
public enum UpdateRules {
  private static let table: [(names: [String], value: @Sendable () -> any UpdateRule)] = [
    (["adam"], { Adam() }), (["adamw"], { AdamW() }), (["sgd"], { SGD() }), (["rmsprop"], { RMSprop() }),
    (["adagrad"], { Adagrad() }), (["adadelta"], { Adadelta() }), (["adamax"], { Adamax() }),
    (["nadam"], { NAdam() }), (["lamb"], { LAMB() }), (["lion"], { Lion() }),
  ]

  /// The first spelling of every name.
  public static var names: [String] { table.compactMap(\.names.first) }
  /// All of them.
  public static var spellings: [String] { table.flatMap(\.names) }

  /// The rule of this name ("adam", "sgd", ...) with its own defaults, or another learning rate. Throws a `TensorError`
  /// with near matches for a name that is not known.
  public static func named(_ name: String, learningRate: Double? = nil) throws -> any UpdateRule {
    var rule = try Names.find(name, kind: "optimizer", in: table)()
    if let learningRate { rule.learningRate = learningRate }
    return rule
  }
}

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
