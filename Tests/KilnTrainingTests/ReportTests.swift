import Foundation
import Kiln
import Testing

@testable import KilnTraining

@Suite("A run's report")
struct ReportTests {
  private func history() -> TrainingHistory {
    var history = TrainingHistory()
    for epoch in 0..<4 {
      var report = EpochReport(epoch: epoch, epochs: 4, loss: 1 / Double(epoch + 1), seconds: 2)
      report.validation = Evaluation(loss: 0.9, metrics: ["accuracy": 0.5])
      history.epochs.append(report)
    }
    history.stepLosses = (0..<4000).map { 1 / Double($0 + 1) }
    history.seconds = 3725
    return history
  }

  @Test("text is shown as it is, and cannot leave its place")
  func escaping() {
    let evil = "<script>alert(1)</script>\" onload='x' & \u{1}"
    var report = RunReport(title: evil, history: history())
    report.diagnoses = [Diagnosis(.deadUnits, epoch: 1, step: 2, finding: evil, advice: evil)]
    report.facts = [(evil, evil)]
    report.predictions = nil
    let html = report.html
    #expect(!html.contains("<script") && !html.contains("onload='") && !html.contains("\u{1}"))
    #expect(
      html.components(separatedBy: "&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp;").count == 7)
  }

  @Test("it needs nothing from elsewhere")
  func selfContained() {
    let html = RunReport(title: "run", history: history()).html
    for word in ["http:", "https:", "<script", "<link", "@import", "url("] { #expect(!html.contains(word), "\(word)") }
    #expect(html.contains("1 h 2 min") && html.contains("validation loss") && html.contains("Nothing was found wrong"))
    #expect(html.contains("prefers-color-scheme: dark"))
    // So many updates are drawn as 400 points.
    let points = html.components(separatedBy: "<polyline").dropFirst().first?.components(separatedBy: ",").count ?? 0
    #expect((380...420).contains(points))
  }

  @Test("a run without epochs, and one without finite losses, still have a page")
  func empty() {
    #expect(RunReport(title: "", history: TrainingHistory()).html.hasSuffix("</html>\n"))
    var broken = history()
    broken.stepLosses = [.nan, .infinity]
    broken.epochs = [EpochReport(epoch: 0, epochs: 1, loss: .nan, seconds: 0)]
    let html = RunReport(title: "x", history: broken).html
    #expect(!html.contains("<svg") && html.hasSuffix("</html>\n"))
  }

  @Test("ticks are round, few and around the values")
  func ticks() {
    #expect(LineChart.ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1])
    for (low, high) in [(0.013, 0.87), (-3.0, 2e6), (5, 5.0000001), (1e-12, 3e-12)] {
      let ticks = LineChart.ticks(low, high, 5)
      #expect(ticks.count <= 12 && ticks[0] <= low + 1e-9 * abs(low) && ticks[ticks.count - 1] >= high * 0.999999)
    }
    #expect(LineChart.ticks(1, 1, 5) == [1] && LineChart.ticks(0, .infinity, 5).count == 1)
  }

  @Test("a picture is a PNG that the reader reads back")
  func png() throws {
    let folder = try TemporaryFolder()
    for channels in [1, 3, 4] {
      let pixels = (0..<40 * 30 * channels).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      let file = "\(folder.path)/\(channels).png"
      try Data(PNG.encode(pixels, height: 30, width: 40, channels: channels)).write(to: URL(filePath: file))
      let picture = try Picture(contentsOf: file)
      #expect(picture.width == 40 && picture.height == 30 && picture.channels == channels)
      #expect(picture.pixels == pixels)
    }
  }

  @Test("predictions: the confusion matrix counts every sample, wrong ones are shown first")
  func predictions() throws {
    let images = Tensor.randomUniform([50, 1, 8, 8], generator: RandomGenerator(seed: 1), on: .cpu)
    let labels = Tensor((0..<50).map { $0 % 3 }, on: .cpu)
    let test = try ArrayDataset(features: images, labels: labels)
    let model = Sequential {
      Flatten()
      Dense(64, 3, generator: RandomGenerator(seed: 2), on: .cpu)
    }
    let trainer = Trainer(model, optimizer: SGD(learningRate: 0.1))
    let found = try SamplePredictions(trainer, test, count: 10)
    let matrix = try #require(found.confusion)
    #expect(matrix.map { $0.reduce(0, +) } == [17, 17, 16])
    let right = (0..<3).map { matrix[$0][$0] }.reduce(0, +)
    #expect(Double(right) / 50 == (try trainer.evaluate(test)).accuracy)
    #expect(found.samples.count == 10 && found.samples.prefix(5).allSatisfy { $0.isRight == false })
    #expect(
      found.samples.allSatisfy {
        $0.image?.starts(with: [0x89, 0x50]) == true && $0.probability.map { $0 > 0.33 } == true
      })
    let html = RunReport(title: "x", history: TrainingHistory(), predictions: found).html
    #expect(html.components(separatedBy: "data:image/png;base64,").count == 11)
    // Values instead of classes.
    let numbers = try ArrayDataset(features: images.reshaped(to: [50, 64]), labels: labels.cast(to: .float32))
    let values = try SamplePredictions(
      Trainer(model, optimizer: SGD(learningRate: 0.1)) { meanSquaredError($0, $1) }, numbers, count: 4)
    #expect(values.confusion == nil && values.samples.count == 4 && values.samples[0].text.hasSuffix("..."))
    #expect(values.samples[0].isRight == nil)
  }
}
