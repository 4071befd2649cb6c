import KilnEngine
import KilnOptimizers

/// What a trainer does beside loss, gradients and update.
public struct TrainerOptions: Sendable {
  /// An exponential moving average of the weights; see `WeightAverage`.
  public struct Averaging: Sendable, Hashable {
    public var decay: Double
    public var correctsBias: Bool
    /// `evaluate`, `predict` and validation use the averages in the weights' place.
    public var isUsedForEvaluation: Bool

    public init(decay: Double = 0.999, correctsBias: Bool = false, isUsedForEvaluation: Bool = true) {
      (self.decay, self.correctsBias, self.isUsedForEvaluation) = (decay, correctsBias, isUsedForEvaluation)
    }
  }

  /// The learning rate of each update.
  public var schedule: (any Schedule)?
  public var clipping: GradientClipping?
  /// An update for every so many batches, by the mean of their gradients over their samples. An epoch's last batches make
  /// an update of their own, however many they are, so that nothing is pending between epochs.
  public var accumulation: Int
  public var averaging: Averaging?
  /// A weight for each class, by its number: a sample's loss is multiplied by its label's. In training alone, as in
  /// Keras' `class_weight`.
  public var classWeights: [Double]?
  /// Whether metrics are computed in training too, not only over validation data.
  public var measuresTraining: Bool

  public init(
    schedule: (any Schedule)? = nil, clipping: GradientClipping? = nil, accumulation: Int = 1,
    averaging: Averaging? = nil, classWeights: [Double]? = nil, measuresTraining: Bool = true
  ) {
    (self.schedule, self.clipping, self.accumulation) = (schedule, clipping, accumulation)
    (self.averaging, self.classWeights, self.measuresTraining) = (averaging, classWeights, measuresTraining)
  }

  /// The first rule that is broken.
  func fault() -> (rule: String, fix: String)? {
    if accumulation < 1 { return ("accumulation must be at least 1, got \(accumulation)", "use 1 for none") }
    if let averaging, !(averaging.decay >= 0 && averaging.decay < 1) {
      return ("an average's decay must lie in 0..<1, got \(averaging.decay)", "0.999 is usual")
    }
    switch clipping {
    case .value(let limit), .globalNorm(let limit):
      if !(limit > 0) { return ("clipping needs a positive limit, got \(limit)", "1 is usual") }
    case nil: break
    }
    if let bad = classWeights?.first(where: { !($0 >= 0 && $0.isFinite) }) {
      return ("class weights must be finite and not negative, got \(bad)", "1 changes nothing")
    }
    return nil
  }
}
