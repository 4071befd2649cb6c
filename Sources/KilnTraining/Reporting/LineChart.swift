import Foundation

/// Curves over epochs as an SVG picture.
struct LineChart {
  struct Series {
    var name: String
    /// Of the two colors.
    var color: Int
    /// In the background, without marks.
    var isFaint = false
    /// Points whose y is not finite are left out.
    var points: [(x: Double, y: Double)]
  }
  var title: String
  var series: [Series]
  private static let (width, height) = (560.0, 280.0)
  private static let (left, right, top, bottom) = (58.0, 14.0, 34.0, 34.0)

  init(_ title: String, _ series: [Series]) {
    self.title = title
    self.series = series.map { one in
      var kept = one
      kept.points = one.points.filter { $0.x.isFinite && $0.y.isFinite }
      return kept
    }.filter { !$0.points.isEmpty }
  }

  /// Empty where there is nothing to draw.
  var svg: String {
    let points = series.flatMap(\.points)
    guard let firstX = points.map(\.x).min(), let lastX = points.map(\.x).max() else { return "" }
    // What is drawn faintly may have a few high peaks: they are cut off.
    let main = series.filter { !$0.isFaint }.flatMap(\.points).map(\.y)
    let values = points.map(\.y).sorted()
    var (low, high) = (values[0], values[min(values.count - 1, values.count * 98 / 100)])
    high = max(high, main.max() ?? high)
    if high - low < 1e-9 * max(abs(high), 1e-9) { (low, high) = (low - 0.5, high + 0.5) }
    let ticks = Self.ticks(low, high, 5)
    (low, high) = (min(low, ticks.first ?? low), max(high, ticks.last ?? high))
    let (spanX, spanY) = (max(lastX - firstX, 1e-9), high - low)
    let (plotWidth, plotHeight) = (Self.width - Self.left - Self.right, Self.height - Self.top - Self.bottom)
    func x(_ value: Double) -> Double { Self.left + (lastX > firstX ? (value - firstX) / spanX : 0.5) * plotWidth }
    func y(_ value: Double) -> Double { Self.top + (1 - (min(max(value, low), high) - low) / spanY) * plotHeight }
    func n(_ value: Double) -> String { String(format: "%.1f", value) }

    var body = ""
    for tick in ticks {
      let at = n(y(tick))
      body +=
        "<line class=\"grid\" x1=\"\(n(Self.left))\" x2=\"\(n(Self.width - Self.right))\" y1=\"\(at)\" y2=\"\(at)\"/>"
      body += "<text x=\"\(n(Self.left - 8))\" y=\"\(at)\" dy=\"4\" text-anchor=\"end\">\(words(tick))</text>"
    }
    for tick in Self.ticks(firstX, lastX, 6) where tick == tick.rounded() && tick >= firstX && tick <= lastX {
      body += "<text x=\"\(n(x(tick)))\" y=\"\(n(Self.height - 17))\" text-anchor=\"middle\">\(words(tick))</text>"
    }
    let middle = n(Self.left + plotWidth / 2)
    body += "<text x=\"\(middle)\" y=\"\(n(Self.height - 1))\" text-anchor=\"middle\">epoch</text>"
    var legend = Self.left
    for one in series {
      let path = one.points.map { "\(n(x($0.x))),\(n(y($0.y)))" }.joined(separator: " ")
      body += "<polyline class=\"line s\(one.color)\(one.isFaint ? " thin" : "")\" points=\"\(path)\"/>"
      guard !one.isFaint else { continue }
      if one.points.count <= 40 {
        body += one.points.map { "<circle class=\"f\(one.color)\" cx=\"\(n(x($0.x)))\" cy=\"\(n(y($0.y)))\" r=\"3\"/>" }
          .joined()
      }
      body += "<circle class=\"f\(one.color)\" cx=\"\(n(legend + 4))\" cy=\"14\" r=\"4\"/>"
      body += "<text x=\"\(n(legend + 13))\" y=\"18\">\(HTML.escaped(one.name))</text>"
      legend += 34 + 7 * Double(one.name.count)
    }
    return
      "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" aria-label=\"\(HTML.escaped(title))\">"
      + body + "</svg>"
  }

  /// About `count` round numbers from `low` to `high` and up to one beyond each.
  static func ticks(_ low: Double, _ high: Double, _ count: Int) -> [Double] {
    guard high > low, (high - low).isFinite else { return [low] }
    let rough = (high - low) / Double(count)
    let unit = pow(10, floor(log10(rough)))
    let step = [1, 2, 5, 10].map { $0 * unit }.first { $0 >= rough } ?? rough
    let (first, last) = (floor(low / step), ceil(high / step))
    guard last - first < 100 else { return [low, high] }
    return stride(from: first, through: last, by: 1).map { $0 * step }
  }
}
