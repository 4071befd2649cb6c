import KilnDevices
import KilnEngine
import KilnLayers
import Testing

/// A loss with its golden case; it is given the case's tensors, on the device and in the dtype of the test.
struct LossCase: Sendable {
  /// The public function that it calls.
  var function: String
  var name: String
  var compute:
    @Sendable (_ x: [Tensor], _ reduction: LossReduction, _ other: (String) throws -> Tensor) throws -> Tensor

  static let all: [LossCase] = [
    LossCase(function: "meanSquaredError", name: "mse") { x, r, _ in meanSquaredError(x[0], x[1], reduction: r) },
    LossCase(function: "meanSquaredError", name: "weighted") { x, r, other in
      meanSquaredError(x[0], x[1], weights: try other("sample.weights"), reduction: r)
    },
    LossCase(function: "meanAbsoluteError", name: "mae") { x, r, _ in meanAbsoluteError(x[0], x[1], reduction: r) },
    LossCase(function: "huberLoss", name: "huber") { x, r, _ in huberLoss(x[0], x[1], delta: 0.7, reduction: r) },
    LossCase(function: "smoothL1Loss", name: "smooth") { x, r, _ in smoothL1Loss(x[0], x[1], beta: 0.7, reduction: r) },
    LossCase(function: "binaryCrossEntropy", name: "bce") { x, r, _ in
      binaryCrossEntropy(probabilities: x[0], targets: x[1], reduction: r)
    },
    LossCase(function: "binaryCrossEntropy", name: "bce-inner") { x, r, _ in
      binaryCrossEntropy(probabilities: x[0], targets: x[1], reduction: r)
    },
    LossCase(function: "binaryCrossEntropy", name: "logits") { x, r, _ in
      binaryCrossEntropy(logits: x[0], targets: x[1], reduction: r)
    },
    LossCase(function: "binaryCrossEntropy", name: "positive") { x, r, other in
      binaryCrossEntropy(logits: x[0], targets: x[1], positiveWeight: try other("positive.weight"), reduction: r)
    },
    LossCase(function: "focalLoss", name: "focal") { x, r, _ in focalLoss(logits: x[0], targets: x[1], reduction: r) },
    LossCase(function: "softmaxCrossEntropy", name: "sparse") { x, r, _ in
      softmaxCrossEntropy(logits: x[0], labels: x[1], reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "ignored") { x, r, _ in
      softmaxCrossEntropy(logits: x[0], labels: x[1], ignoreIndex: -1, reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "all-ignored") { x, r, _ in
      softmaxCrossEntropy(logits: x[0], labels: x[1], ignoreIndex: -1, reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "smoothed") { x, r, _ in
      softmaxCrossEntropy(logits: x[0], labels: x[1], ignoreIndex: -1, labelSmoothing: 0.2, reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "classes") { x, r, other in
      softmaxCrossEntropy(
        logits: x[0], labels: x[1], classWeights: try other("class.weights"), ignoreIndex: -1, reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "everything") { x, r, other in
      softmaxCrossEntropy(
        logits: x[0], labels: x[1], classWeights: try other("class.weights"), ignoreIndex: -1, labelSmoothing: 0.2,
        reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "soft") { x, r, _ in
      softmaxCrossEntropy(logits: x[0], probabilities: x[1], reduction: r)
    },
    LossCase(function: "softmaxCrossEntropy", name: "soft-all") { x, r, other in
      softmaxCrossEntropy(
        logits: x[0], probabilities: x[1], classWeights: try other("class.weights"), labelSmoothing: 0.1, reduction: r)
    },
    LossCase(function: "klDivergence", name: "kl") { x, r, _ in
      klDivergence(logProbabilities: x[0], targets: x[1], reduction: r)
    },
    LossCase(function: "klDivergence", name: "kl-log") { x, r, _ in
      klDivergence(logProbabilities: x[0], targets: x[1], isLogTarget: true, reduction: r)
    },
    LossCase(function: "hingeLoss", name: "hinge") { x, r, _ in hingeLoss(x[0], x[1], reduction: r) },
    LossCase(function: "hingeLoss", name: "hinge-squared") { x, r, _ in
      hingeLoss(x[0], x[1], isSquared: true, reduction: r)
    },
    LossCase(function: "categoricalHinge", name: "hinge-categorical") { x, r, _ in
      categoricalHinge(x[0], x[1], reduction: r)
    },
    LossCase(function: "marginRankingLoss", name: "ranking") { x, r, _ in
      marginRankingLoss(x[0], x[1], targets: x[2], margin: 0.5, reduction: r)
    },
    LossCase(function: "tripletMarginLoss", name: "triplet") { x, r, _ in
      tripletMarginLoss(anchors: x[0], positives: x[1], negatives: x[2], reduction: r)
    },
    LossCase(function: "tripletMarginLoss", name: "triplet-swap") { x, r, _ in
      tripletMarginLoss(
        anchors: x[0], positives: x[1], negatives: x[2], margin: 0.5, order: 1, swaps: true, reduction: r)
    },
    LossCase(function: "contrastiveLoss", name: "contrastive") { x, r, _ in
      contrastiveLoss(x[0], x[1], targets: x[2], margin: 2, reduction: r)
    },
    LossCase(function: "cosineEmbeddingLoss", name: "cosine") { x, r, _ in
      cosineEmbeddingLoss(x[0], x[1], targets: x[2], margin: 0.2, reduction: r)
    },
    LossCase(function: "cosineSimilarity", name: "similarity") { x, _, _ in cosineSimilarity(x[0], x[1]) },
    LossCase(function: "pairwiseDistance", name: "distance") { x, _, _ in pairwiseDistance(x[0], x[1], order: 3) },
    LossCase(function: "gaussianNLL", name: "gaussian") { x, r, _ in
      gaussianNLL(means: x[0], targets: x[1], variances: x[2], full: true, epsilon: 1e-3, reduction: r)
    },
    LossCase(function: "ctcLoss", name: "ctc") { x, r, _ in ctc(x, r) },
    LossCase(function: "ctcLoss", name: "ctc-blank") { x, r, _ in ctc(x, r, blank: 4) },
    LossCase(function: "ctcLoss", name: "ctc-infinite") { x, r, _ in ctc(x, r, zeroes: true) },
  ]

  private static func ctc(_ x: [Tensor], _ r: LossReduction, blank: Int = 0, zeroes: Bool = false) -> Tensor {
    ctcLoss(
      logProbabilities: x[0].logSoftmax(), labels: x[1], inputLengths: x[2], labelLengths: x[3], blank: blank,
      zeroesInfinite: zeroes, reduction: r)
  }
}

@Suite("Losses equal PyTorch's", .serialized)
struct LossTests {
  static let reductions: [(String, LossReduction)] = [
    ("none", .none), ("mean", .mean), ("sum", .sum), ("batchmean", .batchMean),
  ]

  /// The value and the gradients of every reduction that the golden file has for the case.
  private func check(_ test: LossCase, dtype: DType, on device: Device, bound: Double) throws {
    let golden = Golden.losses
    let names = Set(try golden.names())
    func load(_ name: String) throws -> Tensor {
      let tensor = try golden(name, on: device)
      return tensor.dtype.isFloat ? tensor.cast(to: dtype) : tensor
    }
    var seen = 0
    for (word, reduction) in Self.reductions {
      let key = "\(test.name)/\(word)"
      guard names.contains(key) else { continue }
      seen += 1
      let inputs = try (0..<4).filter { names.contains("\(key).x\($0)") }.map { try load("\(key).x\($0)") }
      let leaves = inputs.map { $0.dtype.isFloat ? $0.watched() : $0 }
      let loss = try test.compute(leaves, reduction, load)
      let expected = try golden(key)
      #expect(loss.shape == expected.shape && loss.dtype == dtype, "\(key)")
      expectClose(try loss.doubles(), try expected.doubles(), key, bound: bound)
      let wanted = inputs.indices.filter { names.contains("\(key).g\($0)") }
      let weights = Tensor.arange(from: 1, to: Double(loss.count + 1), dtype: dtype, on: device)
      let gradients = try gradient(
        of: (loss * weights.reshaped(to: loss.shape)).sum(), withRespectTo: wanted.map { leaves[$0] })
      for (index, g) in zip(wanted, gradients) {
        expectClose(
          try g.doubles(), try golden("\(key).g\(index)").doubles(), "\(key), gradient \(index)", bound: bound)
      }
    }
    #expect(seen > 0, "no golden case '\(test.name)'")
  }

  @Test("values and gradients in float64", arguments: LossCase.all.indices)
  func double(_ index: Int) throws {
    try check(LossCase.all[index], dtype: .float64, on: .cpu, bound: 1e-10)
  }

  @Test("values and gradients in float32", arguments: LossCase.all.indices)
  func single(_ index: Int) throws { try check(LossCase.all[index], dtype: .float32, on: .cpu, bound: 1e-5) }

  @Test("values and gradients on OpenCL", arguments: LossCase.all.indices)
  func openCL(_ index: Int) throws {
    try check(LossCase.all[index], dtype: .float32, on: try Place.openCL.device(), bound: 1e-5)
  }

  @Test("all labels ignored: the mean is NaN; a label out of range names its sample")
  func labels() throws {
    let logits = Tensor.zeros([3, 4], on: .cpu)
    let none = softmaxCrossEntropy(logits: logits, labels: Tensor([-1, -1, -1], on: .cpu), ignoreIndex: -1)
    #expect(try none.item().isNaN)
    for weights in [nil, Tensor.ones([4], on: .cpu)] {
      let loss = softmaxCrossEntropy(logits: logits, labels: Tensor([0, 4, 1], on: .cpu), classWeights: weights)
      let error = #expect(throws: (any Error).self) { try loss.item() }
      #expect(error.map { "\($0)" }?.contains("1") == true && error.map { "\($0)" }?.contains("4") == true)
    }
    let empty = softmaxCrossEntropy(logits: .zeros([2, 0], on: .cpu), labels: Tensor([0, 0], on: .cpu))
    #expect(throws: TensorError.self) { try empty.item() }
  }

  @Test("labels without a place have an infinite loss and no gradient")
  func impossible() throws {
    let x = Tensor.zeros([2, 1, 3], dtype: .float64, on: .cpu).watched()
    let loss = ctcLoss(
      logProbabilities: x.logSoftmax(), labels: Tensor([1, 1], shape: [1, 2], on: .cpu),
      inputLengths: Tensor([2], on: .cpu), labelLengths: Tensor([2], on: .cpu))
    #expect(try loss.item() == .infinity)
    #expect(try gradient(of: loss, withRespectTo: x).doubles().allSatisfy { $0 == 0 })
  }

  @Test("shapes that do not fit are refused")
  func shapes() {
    let (a, b) = (Tensor.zeros([3, 2], on: .cpu), Tensor.zeros([3], on: .cpu))
    let refused = [
      meanSquaredError(a, b), meanSquaredError(a, a, weights: .zeros([2], on: .cpu)), huberLoss(a, a, delta: 0),
      binaryCrossEntropy(logits: a, targets: b), hingeLoss(a, b), klDivergence(logProbabilities: a, targets: b),
      softmaxCrossEntropy(logits: a, probabilities: b), cosineEmbeddingLoss(a, a, targets: a),
      gaussianNLL(means: a, targets: a, variances: .zeros([2, 2], on: .cpu)),
      softmaxCrossEntropy(logits: a, labels: Tensor([0, 1, 1], on: .cpu), classWeights: b),
      softmaxCrossEntropy(logits: a, labels: Tensor([0, 1, 1], on: .cpu), labelSmoothing: 2),
      ctcLoss(logProbabilities: a, labels: a, inputLengths: b, labelLengths: b),
    ]
    for (index, tensor) in refused.enumerated() { #expect(tensor.error is TensorError, "\(index)") }
  }

  @Test("every loss has a golden case, and every golden case a loss")
  func complete() throws {
    #expect(Set(LossCase.all.map(\.function)) == Sources.functions(under: "KilnLayers/Losses"))
    let golden = Set(try Golden.losses.names().filter { $0.contains("/") }.map { String($0.prefix { $0 != "/" }) })
    #expect(golden == Set(LossCase.all.map(\.name)))
  }
}
