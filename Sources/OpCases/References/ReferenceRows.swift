import Foundation

/// References over rows and over reduced axes: lists of doubles to a double (or a list), each with its slack.
public enum Reference {
  public static func mean(_ row: [Double]) -> (value: Double, slack: Double) {
    let sum = NDArray.sum(row)
    return (sum.value / Double(row.count), sum.slack / Double(row.count) + abs(sum.value) / Double(row.count))
  }

  public static func product(_ row: [Double]) -> (value: Double, slack: Double) {
    var result = 1.0
    for v in row { result *= v }
    return (result, abs(result) * Double(row.count))
  }

  /// Largest; NaN if there is one.
  public static func max(_ row: [Double]) -> Double { row[argmax(row)] }
  public static func min(_ row: [Double]) -> Double { row[argmin(row)] }

  /// The first NaN, else the first of the largest.
  public static func argmax(_ row: [Double]) -> Int {
    var best = 0
    for (i, v) in row.enumerated() {
      if v.isNaN { return i }
      if v > row[best] { best = i }
    }
    return best
  }

  public static func argmin(_ row: [Double]) -> Int {
    var best = 0
    for (i, v) in row.enumerated() {
      if v.isNaN { return i }
      if v < row[best] { best = i }
    }
    return best
  }

  /// Mean of squared distances from the mean, over count - `correction`.
  public static func variance(_ row: [Double], correction: Int) -> (value: Double, slack: Double) {
    let m = row.reduce(0, +) / Double(row.count)
    var total = 0.0
    var largest = 0.0
    for v in row {
      total += (v - m) * (v - m)
      largest = Swift.max(largest, abs(v))
    }
    let value = total / Double(row.count - correction)
    let units = NDArray.sumUnits(row.count) + 6
    // Each difference is off by eps * largest, and so is the mean: first order, and second for values that are alike.
    return (value, units * value + 4 * (value.squareRoot() * largest) + 16 * 0x1p-23 * largest * largest)
  }

  /// The root of a variance; near 0 its error is the root of the variance's.
  public static func standardDeviation(_ row: [Double], correction: Int) -> (value: Double, slack: Double) {
    let v = variance(row, correction: correction)
    let root = v.value.squareRoot()
    let steep = (v.slack / 0x1p-23).squareRoot()
    return (root, root > 0 ? Swift.min(v.slack / root, steep) + root : steep)
  }

  public static func logSumExp(_ row: [Double]) -> (value: Double, slack: Double) {
    let m = max(row)
    if m == -.infinity || m == .infinity || m.isNaN { return (m, 0) }
    var total = 0.0
    for v in row { total += exp(v - m) }
    let spread = m - min(row)
    return (m + log(total), abs(m) + NDArray.sumUnits(row.count) + 6 + Swift.min(spread, 20))
  }

  /// (sum |x|^p)^(1/p); the largest |x| for infinity.
  public static func norm(_ row: [Double], order: Double) -> (value: Double, slack: Double) {
    if order == .infinity { return (row.map { abs($0) }.max() ?? 0, 0) }
    if order == 1 { return NDArray.sum(row.map { abs($0) }) }
    var total = 0.0
    for v in row { total += pow(abs(v), order) }
    let value = pow(total, 1 / order)
    return (value, value * (NDArray.sumUnits(row.count) + 40))
  }

  public static func softmax(_ row: [Double]) -> (values: [Double], slack: [Double]) {
    if row.isEmpty { return ([], []) }
    let m = max(row)
    let e = row.map { exp($0 - m) }
    let total = e.reduce(0, +)
    let units = NDArray.sumUnits(row.count) + 8
    let values = e.map { $0 / total }
    return (values, zip(values, row).map { y, x in y * (units + 2 * abs(x - m) + 2 * abs(m - min(row))) })
  }

  public static func logSoftmax(_ row: [Double]) -> (values: [Double], slack: [Double]) {
    if row.isEmpty { return ([], []) }
    let lse = logSumExp(row)
    return (row.map { $0 - lse.value }, row.map { abs($0) + abs($0 - lse.value) + abs(lse.value) + lse.slack })
  }

  /// (x - mean) / sqrt(variance + epsilon) * scale + shift.
  public static func layerNorm(
    _ row: [Double], scale: [Double], shift: [Double], epsilon: Double
  ) -> (values: [Double], slack: [Double]) {
    if row.isEmpty { return ([], []) }
    let m = row.reduce(0, +) / Double(row.count)
    let v = row.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(row.count)
    let inverse = 1 / (v + epsilon).squareRoot()
    let largest = row.map { abs($0) }.max() ?? 0
    let units = NDArray.sumUnits(row.count) + 8
    var values: [Double] = []
    var slack: [Double] = []
    for i in row.indices {
      let normal = (row[i] - m) * inverse
      values.append(normal * scale[i] + shift[i])
      slack.append(units * (abs(scale[i]) * (abs(normal) + largest * inverse) + abs(shift[i])))
    }
    return (values, slack)
  }

  /// x / sqrt(mean(x^2) + epsilon) * scale.
  public static func rmsNorm(
    _ row: [Double], scale: [Double], epsilon: Double
  ) -> (values: [Double], slack: [Double]) {
    if row.isEmpty { return ([], []) }
    let inverse = 1 / (row.reduce(0) { $0 + $1 * $1 } / Double(row.count) + epsilon).squareRoot()
    let values = row.indices.map { row[$0] * inverse * scale[$0] }
    return (values, values.map { abs($0) * (NDArray.sumUnits(row.count) + 8) })
  }

  /// logSumExp(row) - row[label], 0 for the ignored label.
  public static func crossEntropy(_ row: [Double], label: Int, ignore: Int) -> (value: Double, slack: Double) {
    if label == ignore { return (0, 0) }
    let lse = logSumExp(row)
    return (lse.value - row[label], lse.slack + abs(row[label]) + abs(lse.value))
  }

  public static func cumulativeSum(_ row: [Double], reverse: Bool) -> (values: [Double], slack: [Double]) {
    scan(row, reverse: reverse, from: 0) { line in (NDArray.sum(line).value, NDArray.sum(line).slack) }
  }

  public static func cumulativeProduct(_ row: [Double]) -> (values: [Double], slack: [Double]) {
    scan(row, reverse: false, from: 1, product)
  }

  private static func scan(
    _ row: [Double], reverse: Bool, from start: Double, _ body: ([Double]) -> (value: Double, slack: Double)
  ) -> (values: [Double], slack: [Double]) {
    let parts = row.indices.map { i in body(reverse ? Array(row[i...]) : Array(row[...i])) }
    return (parts.map(\.value), parts.map(\.slack))
  }

  /// Stable positions in ascending or descending order; NaN is the greatest.
  public static func argsort(_ row: [Double], descending: Bool) -> [Int] {
    func precedes(_ a: Double, _ b: Double) -> Bool { b.isNaN ? !a.isNaN : a < b }
    // Insertion keeps equal elements in their order by construction.
    var order: [Int] = []
    for i in row.indices {
      var place = order.count
      while place > 0 {
        let before = row[order[place - 1]]
        guard descending ? precedes(before, row[i]) : precedes(row[i], before) else { break }
        place -= 1
      }
      order.insert(i, at: place)
    }
    return order
  }
}
