import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers
import KilnTraining

/// A data set, a model and the settings that go well together: what `kiln train NAME` runs.
public struct Recipe: Sendable {
  public var name: String
  /// One line for people.
  public var summary: String
  public var epochs: Int
  public var batchSize: Int
  public var learningRate: Double
  /// What bytes of pixels are multiplied by before the model sees them.
  public var scale: Double
  /// Training and test set on a device. `seed` decides a random split, where there is one.
  public var data: @Sendable (DataFolder, _ seed: UInt64, Device) throws -> (training: ArrayDataset, test: ArrayDataset)
  public var model: @Sendable (RandomGenerator, Device) -> Sequential
  public var rule: @Sendable (_ learningRate: Double) -> any UpdateRule

  public init(
    name: String, summary: String, epochs: Int, batchSize: Int, learningRate: Double,
    scale: Double = 1,
    data: @escaping @Sendable (DataFolder, UInt64, Device) throws -> (training: ArrayDataset, test: ArrayDataset),
    model: @escaping @Sendable (RandomGenerator, Device) -> Sequential,
    rule: @escaping @Sendable (Double) -> any UpdateRule = { Adam(learningRate: $0) }
  ) {
    (self.name, self.summary) = (name, summary)
    (self.epochs, self.batchSize, self.learningRate) = (epochs, batchSize, learningRate)
    self.scale = scale
    (self.data, self.model, self.rule) = (data, model, rule)
  }

  /// All that `kiln train` knows.
  public static let all: [Recipe] = [.digits, .mnistMLP]

  /// The recipe of this name; throws an error that lists them all.
  public static func named(_ name: String) throws -> Recipe {
    if let recipe = all.first(where: { $0.name == name }) { return recipe }
    throw TensorError(
      operation: "Recipe", rule: "there is no recipe '\(name)'",
      fix: "choose one of " + all.map(\.name).joined(separator: ", "))
  }

  /// UCI's 8x8 digits, embedded; a fifth of every class is held out.
  public static let digits = Recipe(
    name: "digits", summary: "UCI's embedded 8x8 handwritten digits, 64-64-10", epochs: 30, batchSize: 32,
    learningRate: 0.003, scale: 1.0 / 16,
    data: { _, _, device in
      // The held-out fifth is the same for every seed, so that accuracies can be compared.
      let (training, test) = try Digits.split()
      return (try training.dataset(scale: 1.0 / 16, on: device), try test.dataset(scale: 1.0 / 16, on: device))
    },
    model: { digitsMLP(generator: $0, on: $1) })

  /// The classic first program on MNIST.
  public static let mnistMLP = Recipe(
    name: "mnist-mlp", summary: "MNIST from the data folder, 784-128-10", epochs: 5, batchSize: 32,
    learningRate: 0.001, scale: 1.0 / 255,
    data: { folder, _, device in
      let (training, test) = try MNIST.load(from: folder)
      return (try training.dataset(scale: 1.0 / 255, on: device), try test.dataset(scale: 1.0 / 255, on: device))
    },
    model: { KilnModels.mnistMLP(generator: $0, on: $1) })
}
