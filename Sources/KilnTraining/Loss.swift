import KilnEngine
import KilnLayers

/// What the numbers are that a model gives.
public enum PredictionKind: String, Sendable, Hashable, Codable {
  /// Scores [..., classes] before a softmax.
  case logits
  /// [..., classes] with the sum 1: a softmax' results.
  case probabilities
  /// One score for each answer, before a sigmoid.
  case binaryLogits
  /// One number in 0...1 for each answer: a sigmoid's results.
  case binaryProbabilities
  /// Any numbers: a regression.
  case values
  /// Only the one who wrote the loss knows.
  case unspecified
}

/// A function from predictions and labels to the number that training makes small, with what it expects of a model.
///
///     Trainer(model, optimizer: Adam(), loss: .sparseCategoricalCrossEntropy(fromLogits: true))
///     Trainer(model, optimizer: Adam(), loss: try .named("mse"))
///     Trainer(model, optimizer: Adam(), loss: Loss("my loss") { predictions, labels, _ in ... })
///
/// Labels of classes are integers [...] beside predictions [..., classes]. Labels of binary losses and regressions have
/// the predictions' shape; one that differs from it by axes of size 1 alone is reshaped, and its dtype converted.
/// Weights [batch] or of the labels' shape multiply the samples' losses; the mean is over samples, whatever they weigh,
/// as in Keras' `fit`.
public struct Loss: Sendable {
  /// (predictions, labels, weights) to a scalar.
  public typealias Function = @Sendable (_ predictions: Tensor, _ labels: Tensor, _ weights: Tensor?) -> Tensor

  public let name: String
  /// What it takes for predictions: metrics go by it, and models that end otherwise are refused.
  public let predictions: PredictionKind
  private let function: Function
  /// Of a name that was misspelt.
  private(set) var fault: TensorError?

  /// A loss of one's own.
  public init(_ name: String, predictions: PredictionKind = .unspecified, _ function: @escaping Function) {
    (self.name, self.predictions, self.function) = (name, predictions, function)
  }

  /// The loss, a scalar. Errors: those of its function; weights that do not fit.
  public func callAsFunction(_ predictions: Tensor, _ labels: Tensor, weights: Tensor? = nil) -> Tensor {
    function(predictions, labels, weights)
  }

  /// Logits [..., classes], integer labels [...]. PyTorch's CrossEntropyLoss. Labels that are `ignoreIndex` do not count.
  public static func softmaxCrossEntropy(labelSmoothing: Double = 0, ignoreIndex: Int? = nil) -> Loss {
    Loss("softmax_cross_entropy", predictions: .logits) {
      KilnLayers.softmaxCrossEntropy(
        logits: $0, labels: $1, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing, weights: $2)
    }
  }

  /// Keras' SparseCategoricalCrossentropy: of probabilities, held at 1e-7, or, more exactly, of logits.
  public static func sparseCategoricalCrossEntropy(fromLogits: Bool = false, labelSmoothing: Double = 0) -> Loss {
    if fromLogits { return softmaxCrossEntropy(labelSmoothing: labelSmoothing) }
    return Loss("sparse_categorical_crossentropy", predictions: .probabilities) {
      KilnLayers.softmaxCrossEntropy(
        logits: logarithm($0), labels: $1, labelSmoothing: labelSmoothing, weights: $2)
    }
  }

  /// Keras' CategoricalCrossentropy: labels are probabilities [..., classes], such as one-hot ones.
  public static func categoricalCrossEntropy(fromLogits: Bool = false, labelSmoothing: Double = 0) -> Loss {
    Loss(
      fromLogits ? "categorical_crossentropy_from_logits" : "categorical_crossentropy",
      predictions: fromLogits ? .logits : .probabilities
    ) {
      KilnLayers.softmaxCrossEntropy(
        logits: fromLogits ? $0 : logarithm($0), probabilities: $1, labelSmoothing: labelSmoothing, weights: $2)
    }
  }

  /// Keras' BinaryCrossentropy: labels 0 or 1 (or between); of probabilities, or, more exactly, of logits.
  public static func binaryCrossEntropy(fromLogits: Bool = false) -> Loss {
    if fromLogits {
      return Loss("binary_crossentropy_from_logits", predictions: .binaryLogits) {
        KilnLayers.binaryCrossEntropy(logits: $0, targets: fitted($1, to: $0), weights: $2)
      }
    }
    return Loss("binary_crossentropy", predictions: .binaryProbabilities) {
      KilnLayers.binaryCrossEntropy(probabilities: $0, targets: fitted($1, to: $0), weights: $2)
    }
  }

  /// See `focalLoss`: binary, of logits.
  public static func focal(alpha: Double? = 0.25, gamma: Double = 2) -> Loss {
    Loss("focal", predictions: .binaryLogits) {
      focalLoss(logits: $0, targets: fitted($1, to: $0), alpha: alpha, gamma: gamma, weights: $2)
    }
  }

  /// The mean of (prediction - label)^2.
  public static let meanSquaredError = values("mean_squared_error") { KilnLayers.meanSquaredError($0, $1, weights: $2) }
  /// The mean of |prediction - label|.
  public static let meanAbsoluteError = values("mean_absolute_error") {
    KilnLayers.meanAbsoluteError($0, $1, weights: $2)
  }
  /// See `huberLoss`.
  public static func huber(delta: Double = 1) -> Loss {
    values("huber") { huberLoss($0, $1, delta: delta, weights: $2) }
  }
  /// See `smoothL1Loss`.
  public static func smoothL1(beta: Double = 1) -> Loss {
    values("smooth_l1") { smoothL1Loss($0, $1, beta: beta, weights: $2) }
  }
  /// See `hingeLoss`: labels -1 or 1.
  public static let hinge = values("hinge") { hingeLoss($0, $1, weights: $2) }

  private static func values(_ name: String, _ function: @escaping Function) -> Loss {
    Loss(name, predictions: .values) { function($0, fitted($1, to: $0), $2) }
  }

  private static func logarithm(_ probabilities: Tensor) -> Tensor { log(probabilities.clamped(min: 1e-7, max: 1)) }

  /// Labels of the predictions' dtype, and of their shape where that differs by axes of size 1 alone.
  public static func fitted(_ labels: Tensor, to predictions: Tensor) -> Tensor {
    guard labels.error == nil, predictions.error == nil else { return labels }
    let labels = labels.dtype == predictions.dtype ? labels : labels.cast(to: predictions.dtype)
    func essence(_ shape: Shape) -> [Int] { shape.dimensions.filter { $0 != 1 } }
    let isOtherwiseEqual = labels.shape != predictions.shape && essence(labels.shape) == essence(predictions.shape)
    return isOtherwiseEqual ? labels.reshaped(to: predictions.shape) : labels
  }

  private static let table: [(names: [String], value: Loss)] = [
    (["sparse_categorical_crossentropy"], .sparseCategoricalCrossEntropy()),
    (
      ["softmax_cross_entropy", "cross_entropy", "sparse_categorical_crossentropy_from_logits"],
      .softmaxCrossEntropy()
    ),
    (["categorical_crossentropy"], .categoricalCrossEntropy()),
    (["categorical_crossentropy_from_logits"], .categoricalCrossEntropy(fromLogits: true)),
    (["binary_crossentropy", "bce"], .binaryCrossEntropy()),
    (["binary_crossentropy_from_logits", "bce_with_logits"], .binaryCrossEntropy(fromLogits: true)),
    (["focal"], .focal()), (["mean_squared_error", "mse"], .meanSquaredError),
    (["mean_absolute_error", "mae", "l1"], .meanAbsoluteError), (["huber"], .huber()),
    (["smooth_l1"], .smoothL1()), (["hinge"], .hinge),
  ]

  /// The first spelling of every name.
  public static var names: [String] { table.compactMap(\.names.first) }
  /// All of them.
  public static var spellings: [String] { table.flatMap(\.names) }

  /// The loss of this name, Keras' or PyTorch's. As in Keras, "sparse_categorical_crossentropy" and its like take
  /// probabilities, and have "_from_logits" added where they take logits. Throws a `TensorError` with near matches for a
  /// name that is not known.
  public static func named(_ name: String) throws -> Loss { try Names.find(name, kind: "loss", in: table) }
}

/// By its name: `Trainer(model, optimizer: Adam(), loss: "mse")`. A name that is not known makes a loss whose values carry
/// the error that `named` throws, and that a trainer refuses.
extension Loss: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) {
    do {
      self = try .named(name)
    } catch {
      let fault =
        error as? TensorError ?? TensorError(operation: "Loss", rule: "\(error)", fix: "choose one of Loss.names")
      self.init(name) { predictions, _, _ in predictions.sum().replacing(fault) }
      self.fault = fault
    }
  }
}
