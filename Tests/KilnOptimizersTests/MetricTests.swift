import KilnDevices
import KilnEngine
import KilnLayers
import Testing

@Suite("Metrics equal scikit-learn's")
struct MetricTests {
  /// One metric over the 90 samples in three parts, merged; by the golden names of its figures.
  private func figures<M: Metric>(
    _ empty: M, _ inputs: (String, String), _ update: (inout M, Tensor, Tensor) throws -> Void
  ) throws -> (merged: M, running: M) {
    let (a, b) = (try Golden.metrics(inputs.0), try Golden.metrics(inputs.1))
    var running = empty
    var parts: [M] = []
    for range in [0..<7, 7..<50, 50..<50, 50..<90] {
      try update(&running, a[range], b[range])
      var part = empty
      try update(&part, a[range], b[range])
      parts.append(part)
    }
    var merged = empty
    for part in parts.reversed() { try merged.merge(part) }
    return (merged, running)
  }

  private func check<M: Metric>(
    _ golden: String, _ empty: M, _ inputs: (String, String), _ update: (inout M, Tensor, Tensor) throws -> Void
  ) throws where M.Value == Double {
    let (merged, running) = try figures(empty, inputs, update)
    let wanted = try Golden.metrics(golden).doubles()
    expectClose([merged.value], wanted, "\(golden), merged", bound: 1e-11)
    expectClose([running.value], wanted, "\(golden), running", bound: 1e-11)
  }

  @Test("counts of classes")
  func classes() throws {
    let inputs = ("scores", "labels")
    try check("Accuracy", Accuracy(), inputs) { try $0.update($1, labels: $2) }
    for k in 1...3 { try check("TopKAccuracy.\(k)", TopKAccuracy(k: k), inputs) { try $0.update($1, labels: $2) } }
    let matrix = try figures(ConfusionMatrix(classes: 4), inputs) { try $0.update($1, labels: $2) }
    #expect(
      try matrix.merged.value.flatMap { $0.map(Double.init) } == Golden.metrics("ConfusionMatrix").doubles())
    #expect(matrix.merged.value == matrix.running.value)
  }

  @Test("figures of classes, averaged each way")
  func averages() throws {
    let averages: [(String, ClassAverage)] = [("macro", .macro), ("micro", .micro), ("weighted", .weighted)]
    for (word, average) in averages {
      try figure("Precision", word, Precision(classes: 4, average: average))
      try figure("Recall", word, Recall(classes: 4, average: average))
      try figure("F1Score", word, F1Score(classes: 4, average: average))
      try figure("IoU", word, IoU(classes: 4, average: average))
    }
  }

  private func figure<F: ClassFigure>(_ name: String, _ average: String, _ empty: F) throws {
    try check("\(name).\(average)", empty, ("scores", "labels")) { try $0.update($1, labels: $2) }
    let (merged, _) = try figures(empty, ("scores", "labels")) { try $0.update($1, labels: $2) }
    expectClose(merged.perClass, try Golden.metrics("\(name).perClass").doubles(), name, bound: 1e-12)
  }

  @Test("areas under curves, with ties")
  func areas() throws {
    try check("AUROC", AUROC(), ("ranks", "positive")) { try $0.update($1, labels: $2) }
    try check("AUPRC", AUPRC(), ("ranks", "positive")) { try $0.update($1, labels: $2) }
    #expect(AUROC().value.isNaN && AUPRC().value.isNaN)
    var bad = AUROC()
    #expect(throws: TensorError.self) {
      try bad.update(Tensor([Double.nan], on: .cpu), labels: Tensor([1], on: .cpu))
    }
  }

  @Test("errors of regressions, and perplexity")
  func regressions() throws {
    let inputs = ("predictions", "targets")
    try check("MAE", MAE(), inputs) { try $0.update($1, targets: $2) }
    try check("RMSE", RMSE(), inputs) { try $0.update($1, targets: $2) }
    try check("R2Score", R2Score(), inputs) { try $0.update($1, targets: $2) }
    try check("PSNR", PSNR(range: 255), inputs) { try $0.update($1, targets: $2) }
    try check("Perplexity", Perplexity(), ("scores", "labels")) { try $0.update($1, labels: $2) }
  }

  @Test("labels that are ignored, out of range, or of another shape")
  func refused() throws {
    let predictions = Tensor([0, 1, 1], on: .cpu)
    var accuracy = Accuracy(ignoreIndex: -1)
    try accuracy.update(predictions, labels: Tensor([0, -1, 0], on: .cpu))
    #expect(accuracy.value == 0.5 && accuracy.count == 2)
    #expect(throws: TensorError.self) { try accuracy.update(predictions, labels: Tensor([0, 1], on: .cpu)) }
    var matrix = ConfusionMatrix(classes: 2)
    let error = #expect(throws: TensorError.self) {
      try matrix.update(predictions, labels: Tensor([0, 1, 2], on: .cpu))
    }
    #expect(error?.rule.contains("sample 2") == true)
    #expect(matrix.value == [[0, 0], [0, 0]])
    #expect(throws: TensorError.self) { try matrix.merge(ConfusionMatrix(classes: 3)) }
  }

  @Test("every metric has a golden case")
  func complete() throws {
    let kinds = Sources.types(conformingTo: "Metric", under: "KilnLayers/Metrics")
      .union(Sources.types(conformingTo: "ClassFigure", under: "KilnLayers/Metrics"))
    let golden = Set(try Golden.metrics.names().map { String($0.prefix { $0 != "." }) })
    #expect(kinds.isSubset(of: golden), "\(kinds.subtracting(golden))")
    #expect(kinds.count == 14)
  }
}
