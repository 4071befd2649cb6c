import KilnEngine
import KilnLayers

/// Where training stands within an epoch.
public struct TrainingProgress: Sendable, Hashable {
  /// From 0.
  public var epoch: Int
  public var epochs: Int
  /// Samples seen in this epoch, of `sampleCount`; that is 0 for a stream, whose length is not known.
  public var samples: Int
  public var sampleCount: Int
  /// The latest batch's loss.
  public var loss: Double
  /// Time since the epoch began.
  public var seconds: Double
}

/// One finished epoch.
public struct EpochReport: Sendable, Hashable, Codable {
  /// From 0.
  public var epoch: Int
  public var epochs: Int
  /// The mean over all samples of the loss that each had when its batch came.
  public var loss: Double
  public var seconds: Double
  /// The coming step's learning rate: the optimizer's, after its schedule.
  public var learningRate = 0.0
  /// The trainer's metrics over the batches as they came, by name; empty unless they were asked for.
  public var metrics: [String: Double] = [:]
  /// Loss and metrics over the validation data, if there are any.
  public var validation: Evaluation?

  /// The number that is monitored; `nil` where it is not there.
  public func value(_ monitored: MonitoredValue) -> Double? {
    switch (monitored.name, monitored.isOfValidation) {
    case ("loss", false): loss
    case ("loss", true): validation?.loss
    case (let name, false): metrics[name]
    case (let name, true): validation?.metrics[name]
    }
  }
}

/// What early stopping, the choice of the best checkpoint and a plateau go by: a loss or a metric.
public struct MonitoredValue: Sendable, Hashable, Codable {
  /// "loss", or a metric's name.
  public let name: String
  public let isOfValidation: Bool
  /// Whether more is better.
  public let isMaximized: Bool

  public static let loss = MonitoredValue(name: "loss", isOfValidation: false, isMaximized: false)
  public static let validationLoss = MonitoredValue(name: "loss", isOfValidation: true, isMaximized: false)
  public static let validationAccuracy = MonitoredValue(name: "accuracy", isOfValidation: true, isMaximized: true)

  private init(name: String, isOfValidation: Bool, isMaximized: Bool) {
    (self.name, self.isOfValidation, self.isMaximized) = (name, isOfValidation, isMaximized)
  }

  /// A metric over the validation data, or, with `ofValidation: false`, over the training's.
  public init(_ metric: TrainingMetric, ofValidation: Bool = true) {
    self.init(name: metric.name, isOfValidation: ofValidation, isMaximized: metric.isMaximized)
  }

  /// Throws where a training has nothing of the kind.
  func check(_ run: TrainingRun, _ operation: String) throws {
    let measured = run.trainer.metrics.map(\.name)
    let known = (["loss"] + measured).flatMap { [$0, "val_" + $0, "validation_" + $0] }
    let isThere = name == "loss" || measured.contains(name) && (isOfValidation || run.trainer.measuresTraining)
    guard isThere, run.hasValidation || !isOfValidation else {
      throw TensorError(
        operation: operation,
        rule: isThere
          ? "\(title) needs validation data, got none"
          : "\(title) is not measured: the metrics are \(measured)\(Names.hint(name, in: known))",
        fix: isThere ? "give `fit` validation data, or monitor .loss" : "add it to the trainer's metrics")
    }
  }

  /// As configurations and Keras name it: "loss", "accuracy", "validation_loss" or "val_loss", "validation_f1" or "val_f1".
  /// Throws a `TensorError` with near matches for a metric that is not known.
  public static func named(_ name: String) throws -> MonitoredValue {
    let prefix = ["validation_", "val_"].first { name.hasPrefix($0) }
    let rest = String(name.dropFirst(prefix?.count ?? 0))
    if rest == "loss" { return prefix == nil ? .loss : .validationLoss }
    return MonitoredValue(try .named(rest), ofValidation: prefix != nil)
  }

  /// "validation loss", "accuracy".
  public var title: String { (isOfValidation ? "validation " : "") + name }

  /// Whether one value beats another. NaN is worse than all.
  public func isBetter(_ value: Double, than other: Double) -> Bool {
    if other.isNaN { return !value.isNaN }
    return isMaximized ? value > other : value < other
  }
}

/// `EarlyStopping(monitor: "val_accuracy")`. A name that is not known is found out when the training begins: no trainer
/// measures it.
extension MonitoredValue: ExpressibleByStringLiteral {
  public init(stringLiteral name: String) {
    self = (try? .named(name)) ?? MonitoredValue(name: name, isOfValidation: false, isMaximized: false)
  }
}

/// A whole run of `fit`.
public struct TrainingHistory: Sendable, Hashable, Codable {
  /// Every finished epoch.
  public var epochs: [EpochReport] = []
  public var epochLosses: [Double] { epochs.map(\.loss) }
  /// One value for each batch: for each update, unless gradients are accumulated.
  public var stepLosses: [Double] = []
  public var seconds = 0.0
  /// Of `seconds`, those in which training steps were traced and compiled; 0 where their programs were known already.
  public var compileSeconds = 0.0
  public init() {}

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    epochs = try values.decode([EpochReport].self, forKey: .epochs)
    stepLosses = try values.decode([Double].self, forKey: .stepLosses)
    seconds = try values.decode(Double.self, forKey: .seconds)
    // Older files lack it.
    compileSeconds = try values.decodeIfPresent(Double.self, forKey: .compileSeconds) ?? 0
  }
}

/// The mean loss and the metrics over a data set.
public struct Evaluation: Sendable, Hashable, Codable {
  public var loss: Double
  /// By name.
  public var metrics: [String: Double]
  /// The share of right answers; NaN where that is none of the metrics.
  public var accuracy: Double { metrics["accuracy"] ?? .nan }

  public init(loss: Double, metrics: [String: Double]) { (self.loss, self.metrics) = (loss, metrics) }
}
