import Foundation

/// Lines over logarithmic axes, as SVG.
struct LogPlot {
  let title: String
  let x: String
  let y: String
  let lines: [(name: String, points: [(x: Double, y: Double)])]

  private static let size = (width: 640.0, height: 400.0)
  private static let margin = (left: 70.0, right: 20.0, top: 40.0, bottom: 50.0)
  /// Told apart without color vision too; each line's name stands at its end.
  private static let colors = ["#0b6fb8", "#c2570c", "#2a7d4f", "#7a4fa3"]

  var svg: String {
    let points = lines.flatMap(\.points)
    guard !points.isEmpty else { return "" }
    let xs = Self.range(points.map(\.x), base: 2)
    let ys = Self.range(points.map(\.y), base: 10)
    func across(_ value: Double) -> Double {
      Self.margin.left + (log2(value) - xs.lowerBound) / (xs.upperBound - xs.lowerBound)
        * (Self.size.width - Self.margin.left - Self.margin.right)
    }
    func down(_ value: Double) -> Double {
      Self.size.height - Self.margin.bottom - (log10(value) - ys.lowerBound) / (ys.upperBound - ys.lowerBound)
        * (Self.size.height - Self.margin.top - Self.margin.bottom)
    }
    let (right, bottom) = (Self.size.width - Self.margin.right, Self.size.height - Self.margin.bottom)
    var body = text(title, Self.size.width / 2, 22, size: 15)
    for power in Int(xs.lowerBound)...Int(xs.upperBound) {
      let place = across(exp2(Double(power)))
      body += line(place, Self.margin.top, place, bottom, "#dddddd") + text("\(1 << power)", place, bottom + 18)
    }
    for power in Int(ys.lowerBound)...Int(ys.upperBound) {
      let value = Foundation.pow(10, Double(power))
      body += line(Self.margin.left, down(value), right, down(value), "#dddddd")
      body += text(power < 0 ? "\(value)" : "\(Int(value))", Self.margin.left - 8, down(value) + 4, anchor: "end")
    }
    body += text(x, (Self.margin.left + right) / 2, Self.size.height - 10)
    body += "<g transform=\"rotate(-90 16 \(Self.size.height / 2))\">\(text(y, 16, Self.size.height / 2))</g>\n"
    for (i, one) in lines.enumerated() {
      let color = Self.colors[i % Self.colors.count]
      let path = one.points.map { "\(rounded(across($0.x))),\(rounded(down($0.y)))" }.joined(separator: " ")
      body += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"2\"/>\n"
      for point in one.points {
        body +=
          "<circle cx=\"\(rounded(across(point.x)))\" cy=\"\(rounded(down(point.y)))\" r=\"3\" fill=\"\(color)\"/>\n"
      }
      if let last = one.points.last {
        body += text(one.name, across(last.x) - 6, down(last.y) - 10, anchor: "end", color: color)
      }
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" \
      font-family="sans-serif">
      <rect width="100%" height="100%" fill="white"/>
      \(body)</svg>

      """
  }

  /// Whole powers around the values, at least one apart.
  private static func range(_ values: [Double], base: Double) -> ClosedRange<Double> {
    let powers = values.map { Foundation.log($0) / Foundation.log(base) }
    let (low, high) = ((powers.min()! + 1e-9).rounded(.down), (powers.max()! - 1e-9).rounded(.up))
    return low...max(high, low + 1)
  }

  private func rounded(_ value: Double) -> String { String(format: "%.1f", value) }

  private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String) -> String {
    "<line x1=\"\(rounded(x1))\" y1=\"\(rounded(y1))\" x2=\"\(rounded(x2))\" y2=\"\(rounded(y2))\" stroke=\"\(color)\"/>\n"
  }

  private func text(
    _ words: String, _ x: Double, _ y: Double, size: Int = 12, anchor: String = "middle", color: String = "#333333"
  ) -> String {
    "<text x=\"\(rounded(x))\" y=\"\(rounded(y))\" font-size=\"\(size)\" text-anchor=\"\(anchor)\" fill=\"\(color)\">"
      + "\(words)</text>\n"
  }
}
