import Foundation
import KilnEngine

/// The order in which an epoch visits samples. All but `sequential` depend on (seed, epoch) and nothing else.
public enum Sampler: Sendable, Hashable {
  /// 0, 1, 2, ...
  case sequential
  /// Every sample once, in random order: the order of `BatchIterator`.
  case shuffled
  /// `count` draws with replacement, each sample with a probability proportional to its weight.
  /// PyTorch: `WeightedRandomSampler`.
  case weighted([Double], count: Int)
  /// Every class as often as the largest: each sample once, and draws with replacement from the smaller classes.
  case oversampled(labels: [Int])
  /// Every class as often as the smallest: a random part of the larger classes, another in every epoch.
  case undersampled(labels: [Int])

  /// The positions of one epoch. Throws `TensorError` for weights or labels that do not fit `count` samples.
  public func order(count: Int, seed: UInt64, epoch: Int) throws -> [Int] {
    var generator = OrderGenerator(seed: seed, epoch: epoch)
    switch self {
    case .sequential: return Array(0..<max(count, 0))
    case .shuffled:
      return try BatchIterator(count: count, batchSize: 1, seed: seed, epoch: epoch).order
    case .weighted(let weights, let draws):
      return try Sampler.draw(weights, draws, count, &generator)
    case .oversampled(let labels):
      let groups = try Sampler.groups(labels, count)
      let most = groups.map(\.count).max() ?? 0
      var order: [Int] = []
      for group in groups {
        order += group
        for _ in group.count..<most { order.append(group[generator.below(group.count)]) }
      }
      generator.shuffle(&order)
      return order
    case .undersampled(let labels):
      let groups = try Sampler.groups(labels, count)
      let least = groups.map(\.count).min() ?? 0
      var order: [Int] = []
      for var group in groups {
        generator.shuffle(&group)
        order += group[..<least]
      }
      generator.shuffle(&order)
      return order
    }
  }

  private static func draw(_ weights: [Double], _ draws: Int, _ count: Int, _ generator: inout OrderGenerator) throws
    -> [Int]
  {
    guard weights.count == count, draws >= 0 else {
      throw TensorError(
        operation: "Sampler.weighted",
        rule:
          "needs a weight for each of \(count) samples and a count of at least 0, got \(weights.count) and \(draws)",
        fix: "give one weight for each sample")
    }
    var sums: [Double] = []
    var sum = 0.0
    for (position, weight) in weights.enumerated() {
      guard weight >= 0, weight.isFinite else {
        throw TensorError(
          operation: "Sampler.weighted", rule: "weights must be finite and not negative, got \(weight) at \(position)",
          fix: "use 0 for samples that are never drawn")
      }
      sum += weight
      sums.append(sum)
    }
    guard draws == 0 || sum > 0 && sum.isFinite else {
      throw TensorError(
        operation: "Sampler.weighted", rule: "the weights' sum must be positive and finite, got \(sum)",
        fix: "give at least one sample a positive weight, and scale very large ones")
    }
    return (0..<draws).map { _ in
      let target = generator.unit() * sum
      // The first running sum above the target; samples of weight 0 have none.
      var (low, high) = (0, sums.count - 1)
      while low < high {
        let middle = (low + high) / 2
        if sums[middle] > target { high = middle } else { low = middle + 1 }
      }
      while low > 0, weights[low] == 0 { low -= 1 }
      return low
    }
  }

  /// The positions of each class, by class.
  private static func groups(_ labels: [Int], _ count: Int) throws -> [[Int]] {
    guard labels.count == count else {
      throw TensorError(
        operation: "Sampler", rule: "needs a label for each of \(count) samples, got \(labels.count)",
        fix: "give one label for each sample")
    }
    return classGroups(labels)
  }
}

/// The positions of each class, in the order of the classes.
func classGroups(_ labels: [Int]) -> [[Int]] {
  var groups: [Int: [Int]] = [:]
  for (position, label) in labels.enumerated() { groups[label, default: []].append(position) }
  return groups.sorted { $0.key < $1.key }.map(\.value)
}

extension OrderGenerator {
  /// Uniform in 0..<1, with 53 random bits.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Normal with mean 0 and deviation 1 (Box and Muller).
  mutating func normal() -> Double {
    let radius = (-2 * log(1 - unit())).squareRoot()
    return radius * cos(2 * .pi * unit())
  }

  /// Gamma with scale 1, shape `a` > 0 (Marsaglia and Tsang, 2000).
  mutating func gamma(_ a: Double) -> Double {
    if a < 1 {
      let u = 1 - unit()
      return gamma(a + 1) * pow(u, 1 / a)
    }
    let d = a - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let v = pow(1 + c * x, 3)
      if v > 0, log(1 - unit()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }
}

extension Split {
  /// `folds` splits of 0..<count: each sample is held out in exactly one. The same seed gives the same folds.
  ///
  /// scikit-learn: `KFold(shuffle=True)`. Throws `TensorError` unless 2 <= folds <= count.
  public static func folds(_ folds: Int, count: Int, seed: UInt64) throws -> [Split] {
    try self.folds(folds, groups: [Array(0..<max(count, 0))], seed: seed)
  }

  /// Stratified folds: every class is spread evenly over them (scikit-learn: `StratifiedKFold(shuffle=True)`).
  ///
  /// Throws `TensorError` unless 2 <= folds <= the number of samples.
  public static func folds(_ folds: Int, labels: [Int], seed: UInt64) throws -> [Split] {
    try self.folds(folds, groups: classGroups(labels), seed: seed)
  }

  private static func folds(_ folds: Int, groups: [[Int]], seed: UInt64) throws -> [Split] {
    let count = groups.reduce(0) { $0 + $1.count }
    guard folds >= 2, folds <= count else {
      throw TensorError(
        operation: "Split.folds", rule: "the number of folds must lie in 2...\(count) (the samples), got \(folds)",
        fix: "use 5, say")
    }
    var generator = OrderGenerator(seed: seed, epoch: 0)
    var heldOut = [[Int]](repeating: [], count: folds)
    var next = 0
    for var group in groups {
      generator.shuffle(&group)
      for position in group {
        heldOut[next].append(position)
        next = (next + 1) % folds
      }
    }
    return heldOut.map { part in
      let out = Set(part)
      return Split(training: (0..<count).filter { !out.contains($0) }, heldOut: part.sorted())
    }
  }

  init(training: [Int], heldOut: [Int]) { (self.training, self.heldOut) = (training, heldOut) }
}
