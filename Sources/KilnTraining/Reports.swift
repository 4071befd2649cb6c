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
public struct EpochReport: Sendable, Hashable {
  /// From 0.
  public var epoch: Int
  public var epochs: Int
  /// The mean over all samples of the loss that each had when its batch came.
  public var loss: Double
  public var seconds: Double
}

/// A whole run of `fit`.
public struct TrainingHistory: Sendable, Hashable {
  public var epochLosses: [Double] = []
  /// One value for each update.
  public var stepLosses: [Double] = []
  public var seconds = 0.0
  public init() {}
}

/// The mean loss and the share of right answers over a data set.
public struct Evaluation: Sendable, Hashable {
  public var loss: Double
  public var accuracy: Double
}
