import KilnEngine

/// Initializers by their names, Keras' and PyTorch's, each with its defaults.
extension Initializer: ExpressibleByStringLiteral {
  private static let table: [(names: [String], value: Initializer)] = [
    (["glorot_uniform", "xavier_uniform"], .glorotUniform), (["glorot_normal", "xavier_normal"], .glorotNormal),
    (["he_uniform", "kaiming_uniform"], .heUniform), (["he_normal", "kaiming_normal"], .heNormal),
    (["lecun_uniform"], .leCunUniform), (["lecun_normal"], .leCunNormal), (["zeros"], .zeros), (["ones"], .ones),
    (["orthogonal"], .orthogonal()), (["pytorch"], .pyTorch),
    (["random_uniform", "uniform"], .uniform(from: -0.05, to: 0.05)),
    (["random_normal", "normal"], .normal(standardDeviation: 0.05)),
    (["truncated_normal"], .truncatedNormal(standardDeviation: 0.05)),
  ]

  /// The first spelling of every name.
  public static var names: [String] { table.compactMap(\.names.first) }
  /// All of them.
  public static var spellings: [String] { table.flatMap(\.names) }

  /// The initializer of this name ("he_normal", "glorot_uniform", ...); uniform and normal ones without a fan spread as
  /// Keras' do, by 0.05. Throws a `TensorError` with near matches for a name that is not known.
  public static func named(_ name: String) throws -> Initializer {
    try Names.find(name, kind: "initializer", in: table)
  }

  /// `Dense(784, 128, initializer: "he_normal")`. A name that is not known makes a layer whose results carry the error
  /// that `named` throws.
  public init(stringLiteral name: String) { self.init(name) }

  /// The same for a name that is only known when the program runs.
  public init(_ name: String) {
    do {
      self = try .named(name)
    } catch {
      self = Initializer { shape, _, dtype, device, _ in
        Tensor.zeros(shape, dtype: dtype, on: device).refused { throw error }
      }
    }
  }
}
