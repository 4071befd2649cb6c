import KilnLayers

/// Parameters that are trained with a learning rate or a weight decay of their own.
///
///     let optimizer = try Optimizer(
///       AdamW(learningRate: 3e-4, weightDecay: 0.1), for: model,
///       groups: [ParameterGroup("*.bias", "*norm*", weightDecay: 0), ParameterGroup("encoder", learningRate: 3e-5)])
public struct ParameterGroup: Sendable {
  /// A parameter belongs to the first group of which one pattern names it.
  public var patterns: [PathPattern]
  /// The rule's own where nil.
  public var learningRate: Double?
  /// The rule's own where nil.
  public var weightDecay: Double?

  public init(_ patterns: PathPattern..., learningRate: Double? = nil, weightDecay: Double? = nil) {
    (self.patterns, self.learningRate, self.weightDecay) = (patterns, learningRate, weightDecay)
  }

  func holds(_ name: String) -> Bool { patterns.contains { $0.matches(name) } }
}
