/// Where training stands within an epoch.
public struct TrainingProgress: Sendable, Hashable {
  /// From 0.
  public var epoch: Int
  public var epochs: Int
  /// Samples seen in this epoch, of `sampleCount`.
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
  /// The optimizer's learning rate after the epoch.
  public var learningRate = 0.0
  /// Loss and accuracy over the validation data, if there are any.
  public var validation: Evaluation?

  /// The number that a name stands for: "loss", "validation loss" or "validation accuracy"; `nil` for one that is not
  /// there.
  public func value(_ monitored: MonitoredValue) -> Double? {
    switch monitored {
    case .loss: loss
    case .validationLoss: validation?.loss
    case .validationAccuracy: validation?.accuracy
    }
  }
}

/// What early stopping and the choice of the best checkpoint go by.
public enum MonitoredValue: String, Sendable, Hashable, Codable, CaseIterable {
  case loss
  case validationLoss
  case validationAccuracy

  /// Accuracies are the better the greater, losses the smaller. NaN is worse than all.
  public func isBetter(_ value: Double, than other: Double) -> Bool {
    if other.isNaN { return !value.isNaN }
    return self == .validationAccuracy ? value > other : value < other
  }
}

/// A whole run of `fit`.
public struct TrainingHistory: Sendable, Hashable, Codable {
  /// Every finished epoch.
  public var epochs: [EpochReport] = []
  public var epochLosses: [Double] { epochs.map(\.loss) }
  /// One value for each update.
  public var stepLosses: [Double] = []
  public var seconds = 0.0
  public init() {}
}

/// The mean loss and the share of right answers over a data set.
public struct Evaluation: Sendable, Hashable, Codable {
  public var loss: Double
  public var accuracy: Double
}
