import KilnEngine

/// The share of right predictions. torchmetrics' and Keras' Accuracy.
public struct Accuracy: Metric {
  public private(set) var correct: Int64 = 0
  public private(set) var count: Int64 = 0
  /// Labels that are not counted.
  public let ignoreIndex: Int?

  public init(ignoreIndex: Int? = nil) { self.ignoreIndex = ignoreIndex }

  /// Takes in predictions (class indices [...] or scores [..., classes]) and labels [...].
  public mutating func update(_ predictions: Tensor, labels: Tensor) throws {
    let (predicted, actual) = try classIndices("Accuracy", predictions, like: labels)
    for (p, a) in zip(predicted, actual) where a != ignoreIndex {
      count += 1
      if p == a { correct += 1 }
    }
  }

  public mutating func merge(_ other: Accuracy) {
    correct += other.correct
    count += other.count
  }

  public var value: Double { Double(correct) / Double(count) }
}

/// The share of samples whose label is among the k greatest scores: fewer than k are greater than the label's own, equal
/// ones counting where their class is lower. Keras' TopKCategoricalAccuracy, scikit-learn's top_k_accuracy_score.
public struct TopKAccuracy: Metric {
  public let k: Int
  public private(set) var correct: Int64 = 0
  public private(set) var count: Int64 = 0

  public init(k: Int = 5) { self.k = k }

  /// Takes in scores [..., classes] and labels [...]; a NaN score of the label is wrong.
  public mutating func update(_ scores: Tensor, labels: Tensor) throws {
    if let error = scores.error ?? labels.error { throw error }
    guard scores.rank == labels.rank + 1, Array(scores.shape.dimensions.dropLast()) == labels.shape.dimensions,
      !labels.dtype.isFloat
    else {
      throw metricError(
        "TopKAccuracy", "scores must be [..., classes] and labels integers [...]",
        [("scores", scores), ("labels", labels)], fix: "put the classes on the last axis")
    }
    let classes = scores.shape[scores.rank - 1]
    let (all, wanted) = (try scores.stopGradient().doubles(), try labels.cast(to: .int64).scalars(as: Int.self))
    if let bad = wanted.firstIndex(where: { $0 < 0 || $0 >= classes }) {
      throw metricError(
        "TopKAccuracy", "label \(wanted[bad]) of sample \(bad) is outside 0..<\(classes)", [("labels", labels)],
        fix: "labels number the classes from 0")
    }
    for (row, label) in wanted.enumerated() {
      let own = all[row * classes + label]
      let before = (0..<classes).count { c in
        let other = all[row * classes + c]
        return other > own || (other == own && c < label)
      }
      count += 1
      if before < k, !own.isNaN { correct += 1 }
    }
  }

  public mutating func merge(_ other: TopKAccuracy) throws {
    guard k == other.k else { throw metricError("TopKAccuracy", "k is \(k), not \(other.k)", [], fix: "use one k") }
    correct += other.correct
    count += other.count
  }

  public var value: Double { Double(correct) / Double(count) }
}

/// How often each class was predicted for each class: `counts[actual][predicted]`. What precision, recall, F1 and IoU are
/// computed from. scikit-learn's confusion_matrix.
public struct ConfusionMatrix: Metric {
  public private(set) var counts: [[Int64]]
  public let ignoreIndex: Int?

  /// At least one class.
  public init(classes: Int, ignoreIndex: Int? = nil) {
    counts = [[Int64]](repeating: [Int64](repeating: 0, count: max(classes, 1)), count: max(classes, 1))
    self.ignoreIndex = ignoreIndex
  }

  public var classes: Int { counts.count }

  /// Takes in predictions (class indices [...] or scores [..., classes]) and labels [...].
  public mutating func update(_ predictions: Tensor, labels: Tensor) throws {
    let (predicted, actual) = try classIndices("ConfusionMatrix", predictions, like: labels)
    var new = counts
    for (sample, (p, a)) in zip(predicted, actual).enumerated() where a != ignoreIndex {
      guard counts.indices.contains(p), counts.indices.contains(a) else {
        throw metricError(
          "ConfusionMatrix", "sample \(sample) has prediction \(p) and label \(a), outside 0..<\(classes)",
          [("predictions", predictions), ("labels", labels)], fix: "make it with more classes, or give an ignoreIndex")
      }
      new[a][p] += 1
    }
    counts = new
  }

  public mutating func merge(_ other: ConfusionMatrix) throws {
    guard classes == other.classes else {
      throw metricError("ConfusionMatrix", "\(classes) classes, not \(other.classes)", [], fix: "use one number")
    }
    for a in counts.indices {
      for p in counts.indices { counts[a][p] += other.counts[a][p] }
    }
  }

  public var value: [[Int64]] { counts }

  /// The same counts with more classes; fewer change nothing.
  public mutating func grow(to classes: Int) {
    guard classes > counts.count else { return }
    for row in counts.indices { counts[row] += [Int64](repeating: 0, count: classes - counts[row].count) }
    while counts.count < classes { counts.append([Int64](repeating: 0, count: classes)) }
  }

  func hits(_ c: Int) -> Int64 { counts[c][c] }
  /// Samples of the class.
  func actual(_ c: Int) -> Int64 { counts[c].reduce(0, +) }
  /// Samples taken for the class.
  func predicted(_ c: Int) -> Int64 { counts.reduce(0) { $0 + $1[c] } }
}

/// How the figures of the classes become one. scikit-learn's `average`; its "binary" is `.ofClass(1)`.
public enum ClassAverage: Sendable, Hashable, Codable {
  /// Their mean.
  case macro
  /// That of all decisions together.
  case micro
  /// Their mean weighted by the samples of each class.
  case weighted
  /// One class' own.
  case ofClass(Int)
}

/// Precision: right ones among those taken for a class; 0 where none were. scikit-learn's precision_score, Keras'
/// Precision.
public struct Precision: ClassFigure {
  public var matrix: ConfusionMatrix
  public let average: ClassAverage
  public init(classes: Int, average: ClassAverage = .macro, ignoreIndex: Int? = nil) {
    (matrix, self.average) = (ConfusionMatrix(classes: classes, ignoreIndex: ignoreIndex), average)
  }
  public func figure(hits: Int64, predicted: Int64, actual: Int64) -> (Double, Double) {
    (Double(hits), Double(predicted))
  }
}

/// Recall: right ones among those of a class; 0 where there are none. scikit-learn's recall_score, Keras' Recall.
public struct Recall: ClassFigure {
  public var matrix: ConfusionMatrix
  public let average: ClassAverage
  public init(classes: Int, average: ClassAverage = .macro, ignoreIndex: Int? = nil) {
    (matrix, self.average) = (ConfusionMatrix(classes: classes, ignoreIndex: ignoreIndex), average)
  }
  public func figure(hits: Int64, predicted: Int64, actual: Int64) -> (Double, Double) {
    (Double(hits), Double(actual))
  }
}

/// F1: the harmonic mean of precision and recall, 2 hits / (predicted + actual); 0 where all are 0. scikit-learn's
/// f1_score, Keras' F1Score.
public struct F1Score: ClassFigure {
  public var matrix: ConfusionMatrix
  public let average: ClassAverage
  public init(classes: Int, average: ClassAverage = .macro, ignoreIndex: Int? = nil) {
    (matrix, self.average) = (ConfusionMatrix(classes: classes, ignoreIndex: ignoreIndex), average)
  }
  public func figure(hits: Int64, predicted: Int64, actual: Int64) -> (Double, Double) {
    (2 * Double(hits), Double(predicted + actual))
  }
}

/// Intersection over union of each class, hits / (predicted + actual - hits), 0 where there is no union; for masks and
/// segmentations. scikit-learn's jaccard_score, Keras' MeanIoU (which leaves out classes that never occur).
public struct IoU: ClassFigure {
  public var matrix: ConfusionMatrix
  public let average: ClassAverage
  public init(classes: Int, average: ClassAverage = .macro, ignoreIndex: Int? = nil) {
    (matrix, self.average) = (ConfusionMatrix(classes: classes, ignoreIndex: ignoreIndex), average)
  }
  public func figure(hits: Int64, predicted: Int64, actual: Int64) -> (Double, Double) {
    (Double(hits), Double(predicted + actual - hits))
  }
}

/// A figure of each class that is computed from the confusion matrix.
public protocol ClassFigure: Metric where Value == Double {
  var matrix: ConfusionMatrix { get set }
  var average: ClassAverage { get }
  /// Numerator and denominator; 0 / 0 counts as 0.
  func figure(hits: Int64, predicted: Int64, actual: Int64) -> (Double, Double)
}

extension ClassFigure {
  /// Takes in predictions (class indices [...] or scores [..., classes]) and labels [...].
  public mutating func update(_ predictions: Tensor, labels: Tensor) throws {
    try matrix.update(predictions, labels: labels)
  }

  public mutating func merge(_ other: Self) throws { try matrix.merge(other.matrix) }

  /// The figure of each class.
  public var perClass: [Double] {
    (0..<matrix.classes).map { c in
      quotient(figure(hits: matrix.hits(c), predicted: matrix.predicted(c), actual: matrix.actual(c)))
    }
  }

  public var value: Double {
    let classes = 0..<matrix.classes
    let total = classes.reduce(0) { $0 + matrix.actual($1) }
    switch average {
    case .macro: return perClass.reduce(0, +) / Double(matrix.classes)
    case .micro:
      let hits = classes.reduce(0) { $0 + matrix.hits($1) }
      return quotient(figure(hits: hits, predicted: total, actual: total))
    case .weighted:
      return zip(classes, perClass).reduce(0) { $0 + Double(matrix.actual($1.0)) * $1.1 } / Double(total)
    case .ofClass(let c): return classes.contains(c) ? perClass[c] : .nan
    }
  }

  private func quotient(_ parts: (Double, Double)) -> Double { parts.1 == 0 ? 0 : parts.0 / parts.1 }
}
