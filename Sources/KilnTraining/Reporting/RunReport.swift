import Foundation

/// A finished run as one page for people: curves, confusion matrix, predictions, device, configuration, time, and what
/// went wrong. The page needs nothing beside itself, no network and no scripts.
public struct RunReport: Sendable {
  public var title: String
  public var history: TrainingHistory
  public var diagnoses: [Diagnosis]
  /// Over the test set.
  public var test: Evaluation?
  public var predictions: SamplePredictions?
  /// Device, configuration and the like, in the order in which they are shown.
  public var facts: [(name: String, value: String)]

  public init(
    title: String, history: TrainingHistory, diagnoses: [Diagnosis] = [], test: Evaluation? = nil,
    predictions: SamplePredictions? = nil, facts: [(name: String, value: String)] = []
  ) {
    (self.title, self.history, self.diagnoses, self.test) = (title, history, diagnoses, test)
    (self.predictions, self.facts) = (predictions, facts)
  }

  /// The page: HTML with everything in it.
  public var html: String {
    let sections = [charts, findings, confusion, samples, details].filter { !$0.isEmpty }.joined(separator: "\n")
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(HTML.escaped(title))</title><style>\(HTML.style)</style></head>
      <body><h1>\(HTML.escaped(title))</h1>
      <div class="tiles">\(tiles)</div>
      \(sections)
      </body></html>

      """
  }

  // MARK: - Sections

  private var tiles: String {
    var rows: [(String, String)] = []
    if let test {
      for (name, value) in test.metrics.sorted(by: { $0.key < $1.key }) {
        rows.append((name == "accuracy" ? String(format: "%.2f %%", 100 * value) : words(value), "test \(name)"))
      }
      rows.append((words(test.loss), "test loss"))
    }
    if let last = history.epochs.last { rows.append((words(last.loss), "training loss")) }
    rows.append(("\(history.epochs.count)", "epochs"))
    rows.append(("\(history.stepLosses.count)", "updates"))
    rows.append((Self.time(history.seconds), "training time"))
    return rows.map { "<div class=\"card tile\"><b>\(HTML.escaped($0.0))</b><span>\(HTML.escaped($0.1))</span></div>" }
      .joined()
  }

  private var charts: String {
    let epochs = history.epochs
    let perEpoch = Double(max(history.stepLosses.count, 1)) / Double(max(epochs.count, 1))
    // So many points are enough for the width of a screen.
    let width = max(1, history.stepLosses.count / 400)
    let steps = stride(from: 0, to: history.stepLosses.count, by: width).map { start -> (x: Double, y: Double) in
      let part = history.stepLosses[start..<min(start + width, history.stepLosses.count)]
      return (Double(start + part.count) / perEpoch, part.reduce(0, +) / Double(part.count))
    }
    func points(_ value: (EpochReport) -> Double?) -> [(x: Double, y: Double)] {
      epochs.compactMap { report in value(report).map { (Double(report.epoch + 1), $0) } }
    }
    let losses = LineChart(
      "loss by epoch",
      [
        .init(name: "each batch", color: 0, isFaint: true, points: steps),
        .init(name: "training loss", color: 0, points: points { $0.loss }),
        .init(name: "validation loss", color: 1, points: points { $0.validation?.loss }),
      ])
    let names = Set(epochs.flatMap { Array($0.metrics.keys) + Array(($0.validation?.metrics ?? [:]).keys) })
    let metrics = names.sorted().map { name in
      LineChart(
        "\(name) by epoch",
        [
          .init(name: "training \(name)", color: 0, points: points { $0.metrics[name] }),
          .init(name: "validation \(name)", color: 1, points: points { $0.validation?.metrics[name] }),
        ])
    }
    let charts = [losses] + metrics
    let cards = charts.map(\.svg).filter { !$0.isEmpty }.map { "<div class=\"card\">\($0)</div>" }.joined()
    return cards.isEmpty ? "" : "<h2>Curves</h2><div class=\"charts\">\(cards)</div>"
  }

  private var findings: String {
    let cards = diagnoses.map { one in
      "<div class=\"card finding\"><b>\(HTML.escaped(one.kind.rawValue))</b> "
        + "<span class=\"faint\">epoch \(one.epoch), update \(one.step)</span><p>\(HTML.escaped(one.finding))</p>"
        + "<p class=\"faint\">\(HTML.escaped(one.advice))</p></div>"
    }.joined()
    return "<h2>Diagnoses</h2>" + (cards.isEmpty ? "<p class=\"faint\">Nothing was found wrong.</p>" : cards)
  }

  private var confusion: String {
    guard let matrix = predictions?.confusion, !matrix.isEmpty else { return "" }
    guard matrix.count <= 100 else {
      return "<h2>Confusion matrix</h2><p class=\"faint\">\(matrix.count) classes are too many to show.</p>"
    }
    let head = matrix.indices.map { "<th>\($0)</th>" }.joined()
    let rows = matrix.enumerated().map { truth, row in
      let total = max(row.reduce(0, +), 1)
      let cells = row.enumerated().map { guess, count in
        let share = Double(count) / Double(total)
        // Right answers in blue, wrong ones stronger than their share, so that few are seen.
        let color =
          truth == guess
          ? "rgba(var(--blue), \(String(format: "%.2f", 0.5 * share)))"
          : "rgba(210, 60, 40, \(String(format: "%.2f", min(0.6, share.squareRoot()))))"
        return count == 0 ? "<td class=\"none\">0</td>" : "<td style=\"background: \(color)\">\(count)</td>"
      }.joined()
      return
        "<tr><th>\(truth)</th>\(cells)<td class=\"faint\">\(words(100 * Double(row[truth]) / Double(total))) %</td></tr>"
    }.joined()
    return "<h2>Confusion matrix</h2><p class=\"faint\">Rows are the true classes, columns the predicted ones.</p>"
      + "<div class=\"scroll\"><table class=\"matrix\"><tr><th></th>\(head)<th>recall</th></tr>\(rows)</table></div>"
  }

  private var samples: String {
    guard let samples = predictions?.samples, !samples.isEmpty else { return "" }
    let cards = samples.map { sample in
      let picture = sample.image.map { png in
        "<img alt=\"sample \(sample.index)\" src=\"data:image/png;base64,\(Data(png).base64EncodedString())\">"
      }
      let share = sample.probability.map { String(format: ", %.0f %%", 100 * $0) } ?? ""
      let kind = sample.isRight.map { $0 ? " right" : " wrong" } ?? ""
      return "<div class=\"card sample\(kind)\">\(picture ?? "<p>\(HTML.escaped(sample.text))</p>")"
        + "<p><b>\(HTML.escaped(sample.prediction))</b>\(share)<br><span>true \(HTML.escaped(sample.truth)), no. "
        + "\(sample.index)</span></p></div>"
    }.joined()
    return "<h2>Sample predictions</h2><div class=\"samples\">\(cards)</div>"
  }

  private var details: String {
    var rows = facts.map { ($0.name, $0.value) }
    rows.append(("training time", Self.time(history.seconds)))
    rows.append(("of which compiling the training step", String(format: "%.3f s", history.compileSeconds)))
    if !history.epochs.isEmpty {
      rows.append(("time per epoch", Self.time(history.seconds / Double(history.epochs.count))))
    }
    return "<h2>Run</h2><div class=\"card\">\(HTML.facts(rows))</div>"
  }

  /// 3725 as "1 h 2 min".
  private static func time(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 60 else { return String(format: "%.2f s", seconds) }
    let whole = Int(seconds.rounded())
    return whole >= 3600 ? "\(whole / 3600) h \(whole % 3600 / 60) min" : "\(whole / 60) min \(whole % 60) s"
  }
}
