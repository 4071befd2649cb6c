import KilnEngine

/// The area under the ROC curve: the share of pairs of a positive and a negative sample where the positive one scores
/// higher, equal scores counting half. Exact: it keeps all scores. NaN without either kind. scikit-learn's roc_auc_score,
/// Keras' AUC (which approximates).
public struct AUROC: Metric {
  private var samples = RankedSamples()

  public init() {}

  /// Takes in scores and labels (0 or 1, or bool) of one shape.
  public mutating func update(_ scores: Tensor, labels: Tensor) throws {
    try samples.update("AUROC", scores, labels)
  }
  public mutating func merge(_ other: AUROC) { samples.merge(other.samples) }

  public var value: Double {
    var (below, doubled) = (Int64(0), 0.0)
    for group in samples.groups().reversed() {
      // Pairs are counted twice, so that halves stay whole numbers.
      doubled += Double(group.positives) * Double(2 * below + group.negatives)
      below += group.negatives
    }
    return doubled / 2 / (Double(samples.positives) * Double(samples.count - samples.positives))
  }
}

/// The area under the precision-recall curve as average precision: the sum over score thresholds of
/// (recall - recall before) * precision. Exact: it keeps all scores. NaN without positives. scikit-learn's
/// average_precision_score (0 there).
public struct AUPRC: Metric {
  private var samples = RankedSamples()

  public init() {}

  /// Takes in scores and labels (0 or 1, or bool) of one shape.
  public mutating func update(_ scores: Tensor, labels: Tensor) throws {
    try samples.update("AUPRC", scores, labels)
  }
  public mutating func merge(_ other: AUPRC) { samples.merge(other.samples) }

  public var value: Double {
    var (hits, taken, sum) = (Int64(0), Int64(0), 0.0)
    for group in samples.groups() {
      hits += group.positives
      taken += group.positives + group.negatives
      sum += Double(group.positives) * Double(hits) / Double(taken)
    }
    return sum / Double(samples.positives)
  }
}

/// Scores with their labels.
private struct RankedSamples: Sendable, Codable {
  private var scores: [Double] = []
  private var isPositive: [Bool] = []

  var count: Int64 { Int64(scores.count) }
  var positives: Int64 { Int64(isPositive.count { $0 }) }

  mutating func update(_ name: String, _ scores: Tensor, _ labels: Tensor) throws {
    let (s, l) = try pairs(name, scores, labels)
    if let bad = s.firstIndex(where: \.isNaN) {
      throw metricError(name, "the score of sample \(bad) is NaN", [("scores", scores)], fix: "NaN has no rank")
    }
    if let bad = l.firstIndex(where: { $0 != 0 && $0 != 1 }) {
      throw metricError(
        name, "labels must be 0 or 1, got \(l[bad]) for sample \(bad)", [("labels", labels)],
        fix: "compare with the positive class: `labels .== 3`")
    }
    self.scores += s
    isPositive += l.map { $0 == 1 }
  }

  mutating func merge(_ other: RankedSamples) {
    scores += other.scores
    isPositive += other.isPositive
  }

  /// Samples of equal scores together, highest first.
  func groups() -> [(positives: Int64, negatives: Int64)] {
    let order = scores.indices.sorted { scores[$0] > scores[$1] }
    var result: [(positives: Int64, negatives: Int64)] = []
    var last: Double?
    for i in order {
      if scores[i] != last { result.append((0, 0)) }
      last = scores[i]
      if isPositive[i] { result[result.count - 1].positives += 1 } else { result[result.count - 1].negatives += 1 }
    }
    return result
  }
}
