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
