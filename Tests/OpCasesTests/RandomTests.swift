import Foundation
import KilnDevices
import KilnEngine
import OpCases
import Testing

/// Random numbers: known answers, statistics, the same bits on every device and in every use.
@Suite struct RandomTests {
  private static let count = 100_000

  private func uniform(_ generator: RandomGenerator, _ device: Device = .cpu) throws -> [Float] {
    try Tensor.randomUniform([RandomTests.count], generator: generator, on: device).scalars()
  }

  @Test(arguments: TestDevices.all)
  func everyDeviceDrawsTheSameBits(_ device: Device) throws {
    func draws(_ device: Device) throws -> [[UInt8]] {
      let generator = RandomGenerator(seed: 99, stream: 3)
      var tensors: [Tensor] = []
      for _ in 0..<2 {
        tensors.append(.randomUniform([1031], generator: generator, on: device))
        tensors.append(.randomNormal([33, 70], generator: generator, on: device))
        tensors.append(.randomBernoulli([500], probability: 0.25, dtype: .bool, generator: generator, on: device))
        tensors.append(.randomIntegers([500], low: -7, high: 90, generator: generator, on: device))
        tensors.append(.randomPermutation(300, generator: generator, on: device))
      }
      if device.driver.supports(.float64) {
        tensors.append(.randomUniform([1031], dtype: .float64, generator: generator, on: device))
        tensors.append(.randomNormal([1031], dtype: .float64, generator: generator, on: device))
      }
      return try tensors.map { try $0.hostBytes() }
    }
    for (own, cpu) in try zip(draws(device), draws(.cpu)) { #expect(own == cpu) }
  }

  @Test(arguments: TestDevices.all)
  func slicingAndFusingChangeNoNumber(_ device: Device) throws {
    func fresh() -> Tensor {
      .randomNormal([40, 30], generator: RandomGenerator(seed: 5), on: device)
    }
    let whole: [Float] = try fresh().scalars()
    let part: [Float] = try fresh().sliced(axis: 0, from: 3, to: 39, step: 2).sliced(axis: 1, from: 7).scalars()
    var wanted: [Float] = []
    for i in stride(from: 3, to: 39, by: 2) { wanted += whole[(i * 30 + 7)..<(i * 30 + 30)] }
    #expect(part == wanted)
    #expect(try fresh().transposed().transposed().scalars() == whole)
    // In a larger kernel, twice in one graph, and as part of a reduction.
    let x = fresh()
    #expect(try (x - x).scalars(as: Float.self).allSatisfy { $0 == 0 })
    #expect(try maximum(fresh(), -1e30).scalars() == whole)
    let largest = try fresh().max().item()
    #expect(largest == whole.map(Double.init).max())
  }

  @Test func uniformNumbersAreUniform() throws {
    let values = try uniform(RandomGenerator(seed: 1)).map(Double.init).sorted()
    #expect(values[0] >= 0 && values[values.count - 1] < 1)
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
    // 5 standard errors.
    #expect(abs(mean - 0.5) < 5 * (1 / 12.0 / n).squareRoot())
    #expect(abs(variance - 1 / 12.0) < 5 * (1 / 180.0 / n).squareRoot())
    #expect(RandomTests.kolmogorov(values) { $0 } < 1.95)
  }

  @Test func normalNumbersAreNormal() throws {
    let generator = RandomGenerator(seed: 2)
    let values = try Tensor.randomNormal(
      [RandomTests.count], mean: 2, standardDeviation: 3, generator: generator, on: .cpu
    )
    .doubles().sorted()
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
    #expect(abs(mean - 2) < 5 * 3 / n.squareRoot())
    #expect(abs(variance - 9) < 5 * 9 * (2 / n).squareRoot())
    #expect(RandomTests.kolmogorov(values) { erfc(-($0 - 2) / 3 / 2.0.squareRoot()) / 2 } < 1.95)
  }

  @Test func truncatedNormalNumbersStayInside() throws {
    let values = try Tensor.randomTruncatedNormal([RandomTests.count], generator: RandomGenerator(seed: 3), on: .cpu)
      .doubles().sorted()
    #expect(values[0] >= -2 && values[values.count - 1] <= 2)
    func below(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
    #expect(RandomTests.kolmogorov(values) { (below($0) - below(-2)) / (below(2) - below(-2)) } < 1.95)
  }

  @Test func bernoulliAndIntegersHaveTheirFrequencies() throws {
    let n = Double(RandomTests.count)
    let hits = try Tensor.randomBernoulli(
      [RandomTests.count], probability: 0.3, generator: RandomGenerator(seed: 4), on: .cpu
    )
    .sum().item()
    #expect(abs(hits - 0.3 * n) < 5 * (n * 0.21).squareRoot())
    let integers: [Int] = try Tensor.randomIntegers(
      [RandomTests.count], low: -3, high: 7, generator: RandomGenerator(seed: 5), on: .cpu
    ).scalars()
    var counts = [Int: Int]()
    for i in integers { counts[i, default: 0] += 1 }
    #expect(Set(counts.keys) == Set(-3..<7))
    for count in counts.values { #expect(abs(Double(count) - n / 10) < 5 * (n * 0.09).squareRoot()) }
  }

  @Test func aPermutationHasEachNumberOnce() throws {
    let order: [Int] = try Tensor.randomPermutation(1000, generator: RandomGenerator(seed: 6), on: .cpu).scalars()
    #expect(order.sorted() == Array(0..<1000))
    #expect(order != Array(0..<1000))
  }

  @Test func seedsStreamsAndDrawsDiffer() throws {
    let first = RandomGenerator(seed: 1)
    let a = try uniform(first)
    let b = try uniform(first)
    #expect(a != b)
    #expect(try uniform(RandomGenerator(seed: 1)) == a)
    let others = [RandomGenerator(seed: 2), RandomGenerator(seed: 1, stream: 1)]
    for other in try [b] + others.map({ try uniform($0) }) {
      let pairs = zip(a, other)
      #expect(pairs.filter { $0 == $1 }.count < 20)
      let products = pairs.reduce(0.0) { $0 + (Double($1.0) - 0.5) * (Double($1.1) - 0.5) }
      // The correlation of independent draws is within 5 / sqrt(n).
      #expect(abs(products * 12 / Double(a.count)) < 5 / Double(a.count).squareRoot())
    }
  }

  @Test func aSavedStateResumes() throws {
    let generator = RandomGenerator(seed: 8)
    _ = try uniform(generator)
    let saved = generator.state
    let next = try uniform(generator)
    generator.state = saved
    #expect(try uniform(generator) == next)
    setSeed(11)
    let one = try Tensor.randomUniform([5]).scalars(as: Float.self)
    setSeed(11)
    #expect(try Tensor.randomUniform([5]).scalars(as: Float.self) == one)
  }

  /// sqrt(n) times the largest distance between the distribution of sorted `values` and `cumulative`: above 1.95 only
  /// once in a thousand samples of the right distribution (Kolmogorov).
  static func kolmogorov(_ values: [Double], _ cumulative: (Double) -> Double) -> Double {
    let n = Double(values.count)
    var largest = 0.0
    for (i, v) in values.enumerated() {
      let p = cumulative(v)
      largest = max(largest, abs(p - Double(i) / n), abs(p - Double(i + 1) / n))
    }
    return largest * n.squareRoot()
  }

  @Test func theDistanceFindsAWrongDistribution() {
    let values = (0..<10_000).map { (Double($0) + 0.5) / 10_000 }
    #expect(RandomTests.kolmogorov(values) { $0 } < 0.1)
    #expect(RandomTests.kolmogorov(values) { $0 * $0 } > 1.95)
  }
}
