import KilnEngine
import KilnLayers

/// A metric of the library as a trainer uses it: what it needs of a batch is computed in the step's own program, and
/// read later.
public struct TrainingMetric: Sendable {
  /// Its place in reports and files: "accuracy".
  public let name: String
  /// Whether more is better.
  public let isMaximized: Bool
  /// What of predictions and labels is read, two tensors or one.
  let outputs: @Sendable (_ predictions: Tensor, _ labels: Tensor, PredictionKind) -> [Tensor]
  let start: @Sendable () -> any MetricSum
  let count: Int
  /// Of a name that was misspelt.
  private(set) var fault: TensorError?

  /// A metric of one's own. `outputs` chooses what of a batch's predictions and labels is read (`count` tensors);
  /// `update` takes it in.
  public init<M: Metric>(
    _ name: String, _ metric: M, isMaximized: Bool, count: Int = 2,
    outputs: @escaping @Sendable (_ predictions: Tensor, _ labels: Tensor, PredictionKind) -> [Tensor] = {
      predictions, labels, _ in [predictions, Loss.fitted(labels, to: predictions)]
    },
    update: @escaping @Sendable (inout M, [Tensor]) throws -> Void
  ) where M.Value == Double {
    (self.name, self.isMaximized, self.count, self.outputs) = (name, isMaximized, count, outputs)
    start = { MetricSumOf(metric: metric, update: update) }
  }

  /// The share of right answers: by the greatest of the classes' scores, or by the side of 0.5 (of 0 for logits).
  public static let accuracy = TrainingMetric(
    "accuracy", Accuracy(), isMaximized: true, outputs: classes, update: { try $0.update($1[0], labels: $1[1]) })
  /// See `TopKAccuracy`.
  public static func topKAccuracy(k: Int = 5) -> TrainingMetric {
    TrainingMetric(
      "top_\(k)_accuracy", TopKAccuracy(k: k), isMaximized: true, outputs: { p, l, _ in [p, l] },
      update: { try $0.update($1[0], labels: $1[1]) })
  }
  /// Of class 1 where there are two classes, else the mean over the classes. See `Precision`.
  public static let precision = figure("precision", Precision(classes: 2, average: .ofClass(1))) {
    Precision(classes: $0)
  }
  /// Of class 1 where there are two classes, else the mean over the classes. See `Recall`.
  public static let recall = figure("recall", Recall(classes: 2, average: .ofClass(1))) { Recall(classes: $0) }
  /// Of class 1 where there are two classes, else the mean over the classes. See `F1Score`.
  public static let f1 = figure("f1", F1Score(classes: 2, average: .ofClass(1))) { F1Score(classes: $0) }
  /// The mean over the classes, or of class 1 where there are two. See `IoU`.
  public static let iou = figure("iou", IoU(classes: 2, average: .ofClass(1))) { IoU(classes: $0) }
  /// Of class 1 of two. See `AUROC`.
  public static let auroc = TrainingMetric(
    "auroc", AUROC(), isMaximized: true, outputs: scores, update: { try $0.update($1[0], labels: $1[1]) })
  /// Of class 1 of two. See `AUPRC`.
  public static let auprc = TrainingMetric(
    "auprc", AUPRC(), isMaximized: true, outputs: scores, update: { try $0.update($1[0], labels: $1[1]) })
  /// The mean of |prediction - label|.
  public static let meanAbsoluteError = TrainingMetric("mae", MAE(), isMaximized: false) {
    try $0.update($1[0], targets: $1[1])
  }
  /// The root of the mean of (prediction - label)^2.
  public static let rootMeanSquaredError = TrainingMetric("rmse", RMSE(), isMaximized: false) {
    try $0.update($1[0], targets: $1[1])
  }
  /// See `R2Score`.
  public static let r2 = TrainingMetric("r2", R2Score(), isMaximized: true) { try $0.update($1[0], targets: $1[1]) }
  /// exp of the mean cross-entropy of the labels, from logits or probabilities. See `Perplexity`.
  public static let perplexity = TrainingMetric(
    "perplexity", Perplexity(), isMaximized: false, count: 1,
    outputs: { p, l, kind in
      let logits = kind == .probabilities ? log(p.clamped(min: 1e-7, max: 1)) : p
      return [softmaxCrossEntropy(logits: logits, labels: l, reduction: .none)]
    }, update: { try $0.update(losses: $1[0]) })

  private static func figure<M: ClassFigure>(
    _ name: String, _ two: M, _ more: @escaping @Sendable (_ classes: Int) -> M
  ) -> TrainingMetric {
    TrainingMetric(
      name, two, isMaximized: true, outputs: classes,
      update: { metric, tensors in
        // Which classes there are is known when they come.
        let highest = try tensors.filter { $0.count > 0 }.map { Int(try $0.max().item()) }.max() ?? 0
        if highest >= metric.matrix.classes {
          var matrix = metric.matrix
          matrix.grow(to: highest + 1)
          metric = more(highest + 1)
          metric.matrix = matrix
        }
        try metric.update(tensors[0], labels: tensors[1])
      })
  }

  /// Predicted classes and labels, int64 both.
  @Sendable private static func classes(_ predictions: Tensor, _ labels: Tensor, _ kind: PredictionKind) -> [Tensor] {
    switch kind {
    case .binaryLogits, .binaryProbabilities:
      let chosen = predictions .> (kind == .binaryLogits ? 0 : 0.5)
      return [chosen.cast(to: .int64), Loss.fitted(labels, to: predictions).cast(to: .int64)]
    case .logits, .probabilities, .values, .unspecified:
      // One-hot labels.
      let isOneHot = labels.dtype.isFloat && labels.shape == predictions.shape
      let actual = isOneHot ? labels.argmax(axis: -1) : labels
      return [predictions.argmax(axis: -1).cast(to: .int64), actual.cast(to: .int64)]
    }
  }

  /// Scores of class 1, and labels of their shape.
  @Sendable private static func scores(_ predictions: Tensor, _ labels: Tensor, _ kind: PredictionKind) -> [Tensor] {
    guard predictions.error == nil, predictions.rank == labels.rank + 1, predictions.shape.dimensions.last == 2 else {
      return [predictions, Loss.fitted(labels, to: predictions)]
    }
    let axis = predictions.rank - 1
    func column(_ index: Int) -> Tensor {
      predictions.sliced(axis: axis, from: index, to: index + 1).reshaped(to: labels.shape)
    }
    // In the order of the probabilities of class 1, for logits too.
    return [column(1) - column(0), labels]
  }

  private static let table: [(names: [String], value: TrainingMetric)] = [
    (["accuracy", "acc", "binary_accuracy", "sparse_categorical_accuracy", "categorical_accuracy"], .accuracy),
    (["top_5_accuracy", "top_k_categorical_accuracy", "top_k_accuracy"], .topKAccuracy()),
    (["top_3_accuracy"], .topKAccuracy(k: 3)), (["precision"], .precision), (["recall"], .recall),
    (["f1", "f1_score"], .f1), (["iou", "mean_iou"], .iou), (["auroc", "auc", "roc_auc"], .auroc),
    (["auprc", "average_precision"], .auprc), (["mae", "mean_absolute_error"], .meanAbsoluteError),
    (["rmse", "root_mean_squared_error"], .rootMeanSquaredError), (["r2", "r2_score"], .r2),
    (["perplexity"], .perplexity),
  ]

  /// The first spelling of every name.
  public static var names: [String] { table.compactMap(\.names.first) }
  /// All of them.
  public static var spellings: [String] { table.flatMap(\.names) }

  /// The metric of this name, as Keras, scikit-learn or torchmetrics spell it. Throws a `TensorError` with near matches
  /// for a name that is not known.
  public static func named(_ name: String) throws -> TrainingMetric { try Names.find(name, kind: "metric", in: table) }
}

/// By its name: `metrics: ["accuracy", .f1]`. A name that is not known makes a metric that a trainer refuses with the error
/// that `named` throws.
extension TrainingMetric: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) {
    do {
      self = try .named(name)
    } catch {
      self.init(name, Accuracy(), isMaximized: true, update: { _, _ in throw error })
      fault =
        error as? TensorError
        ?? TensorError(operation: "TrainingMetric", rule: "\(error)", fix: "choose one of TrainingMetric.names")
    }
  }
}

/// A metric at work.
protocol MetricSum: Sendable {
  mutating func add(_ outputs: [Tensor]) throws
  var value: Double { get }
  /// As JSON, and back.
  func saved() throws -> String
  mutating func restore(_ saved: String) throws
}

private struct MetricSumOf<M: Metric>: MetricSum where M.Value == Double {
  var metric: M
  let update: @Sendable (inout M, [Tensor]) throws -> Void

  mutating func add(_ outputs: [Tensor]) throws { try update(&metric, outputs) }
  var value: Double { metric.value }
  func saved() throws -> String { try JSONFile.encode(metric, file: "metrics") }
  mutating func restore(_ saved: String) throws { metric = try JSONFile.decode(M.self, text: saved) }
}

/// The metrics of a trainer over some batches.
struct MetricSums: Sendable {
  private let metrics: [TrainingMetric]
  private var sums: [any MetricSum]

  init(_ metrics: [TrainingMetric]) {
    self.metrics = metrics
    sums = metrics.map { $0.start() }
  }

  /// What a batch's program gave, in the order of the metrics.
  mutating func add(_ outputs: [Tensor]) throws {
    var rest = outputs[...]
    for index in metrics.indices {
      try sums[index].add(Array(rest.prefix(metrics[index].count)))
      rest = rest.dropFirst(metrics[index].count)
    }
  }

  var values: [String: Double] {
    Dictionary(zip(metrics, sums).map { ($0.name, $1.value) }, uniquingKeysWith: { first, _ in first })
  }

  func saved() throws -> [String: String] {
    Dictionary(try zip(metrics, sums).map { ($0.name, try $1.saved()) }, uniquingKeysWith: { first, _ in first })
  }

  mutating func restore(_ saved: [String: String]) throws {
    for (index, metric) in metrics.enumerated() {
      if let own = saved[metric.name] { try sums[index].restore(own) }
    }
  }
}
