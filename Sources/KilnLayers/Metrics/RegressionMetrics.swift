import Foundation
import KilnEngine

/// The mean of |prediction - target| over all elements. scikit-learn's mean_absolute_error, Keras' MeanAbsoluteError.
public struct MAE: Metric {
  private var sum = 0.0
  public private(set) var count: Int64 = 0

  public init() {}

  /// Takes in predictions and targets of one shape.
  public mutating func update(_ predictions: Tensor, targets: Tensor) throws {
    let (p, t) = try pairs("MAE", predictions, targets)
    for (p, t) in zip(p, t) { sum += Swift.abs(p - t) }
    count += Int64(p.count)
  }

  public mutating func merge(_ other: MAE) {
    sum += other.sum
    count += other.count
  }

  public var value: Double { sum / Double(count) }
}

/// The root of the mean of (prediction - target)^2 over all elements. scikit-learn's root_mean_squared_error, Keras'
/// RootMeanSquaredError.
public struct RMSE: Metric {
  private var squares = SquaredErrors()

  public init() {}

  /// Takes in predictions and targets of one shape.
  public mutating func update(_ predictions: Tensor, targets: Tensor) throws {
    try squares.update("RMSE", predictions, targets)
  }
  public mutating func merge(_ other: RMSE) { squares.merge(other.squares) }
  public var value: Double { squares.mean.squareRoot() }
}

/// The peak signal-to-noise ratio in decibels, 10 log10(range^2 / mean squared error), over all elements; infinite without
/// an error. scikit-image's peak_signal_noise_ratio, TensorFlow's psnr.
public struct PSNR: Metric {
  public let range: Double
  private var squares = SquaredErrors()

  /// The distance from the least to the greatest value of the images: 1 or 255.
  public init(range: Double = 1) { self.range = range }

  /// Takes in images and what they should be, of one shape.
  public mutating func update(_ predictions: Tensor, targets: Tensor) throws {
    try squares.update("PSNR", predictions, targets)
  }

  public mutating func merge(_ other: PSNR) throws {
    guard range == other.range else {
      throw metricError("PSNR", "the range is \(range), not \(other.range)", [], fix: "use one range")
    }
    squares.merge(other.squares)
  }

  public var value: Double { 10 * Foundation.log10(range * range / squares.mean) }
}

private struct SquaredErrors: Sendable, Codable {
  private var sum = 0.0
  private var count: Int64 = 0

  var mean: Double { sum / Double(count) }

  mutating func update(_ name: String, _ predictions: Tensor, _ targets: Tensor) throws {
    let (p, t) = try pairs(name, predictions, targets)
    for (p, t) in zip(p, t) { sum += (p - t) * (p - t) }
    count += Int64(p.count)
  }

  mutating func merge(_ other: SquaredErrors) {
    sum += other.sum
    count += other.count
  }
}

/// The share of the targets' variance that is explained: 1 - sum (t - p)^2 / sum (t - mean of t)^2, over all elements.
/// Equal targets give 1 where the predictions are equal to them, else 0, as scikit-learn's r2_score. Keras' R2Score.
public struct R2Score: Metric {
  public private(set) var count: Int64 = 0
  private var mean = 0.0
  /// Of the targets around their mean.
  private var deviation = 0.0
  private var residual = 0.0

  public init() {}

  /// Takes in predictions and targets of one shape.
  public mutating func update(_ predictions: Tensor, targets: Tensor) throws {
    let (p, t) = try pairs("R2Score", predictions, targets)
    // The mean first, so that large targets of small variance do not cancel.
    var batch = R2Score()
    batch.count = Int64(t.count)
    guard !t.isEmpty else { return }
    batch.mean = t.reduce(0, +) / Double(t.count)
    for (p, t) in zip(p, t) {
      batch.deviation += (t - batch.mean) * (t - batch.mean)
      batch.residual += (t - p) * (t - p)
    }
    merge(batch)
  }

  /// By the rule of Chan, Golub and LeVeque (1983).
  public mutating func merge(_ other: R2Score) {
    let total = count + other.count
    guard total > 0 else { return }
    let difference = other.mean - mean
    deviation += other.deviation + difference * difference * Double(count) * Double(other.count) / Double(total)
    mean += difference * Double(other.count) / Double(total)
    residual += other.residual
    count = total
  }

  public var value: Double {
    if count == 0 { return .nan }
    if deviation == 0 { return residual == 0 ? 1 : 0 }
    return 1 - residual / deviation
  }
}

/// exp of the mean cross-entropy of tokens. torchmetrics' and KerasHub's Perplexity.
public struct Perplexity: Metric {
  public let ignoreIndex: Int?
  private var sum = 0.0
  public private(set) var count: Int64 = 0

  public init(ignoreIndex: Int? = nil) { self.ignoreIndex = ignoreIndex }

  /// Takes in logits [..., classes] and labels [...]. Throws for a label outside its range.
  public mutating func update(_ logits: Tensor, labels: Tensor) throws {
    let losses = softmaxCrossEntropy(
      logits: logits, labels: labels, ignoreIndex: ignoreIndex, reduction: .none
    ).stopGradient()
    let (values, tokens) = (try losses.doubles(), try labels.cast(to: .int64).scalars(as: Int.self))
    for (value, token) in zip(values, tokens) where token != ignoreIndex {
      sum += value
      count += 1
    }
  }

  /// Takes in losses of single tokens.
  public mutating func update(losses: Tensor) throws {
    let values = try losses.stopGradient().doubles()
    sum += values.reduce(0, +)
    count += Int64(values.count)
  }

  public mutating func merge(_ other: Perplexity) {
    sum += other.sum
    count += other.count
  }

  public var value: Double { Foundation.exp(sum / Double(count)) }
}
