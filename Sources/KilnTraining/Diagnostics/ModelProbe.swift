import Foundation
import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

/// One look at a model's gradients and activations on a few samples, in evaluation mode, so that the training goes on
/// as if nobody had looked.
struct ModelProbe {
  var gradients: GradientReport
  /// The shapes of the gradients' parameters.
  var shapes: [Shape]
  /// Of layers with ReLU: units that give 0 for every sample.
  var units: [(layer: String, dead: Int, of: Int)]
  var sampleCount: Int

  init(_ trainer: Trainer, _ sample: ArrayDataset) throws {
    let parameters = trainer.optimizer.parameters
    (gradients, units) = try trainer.model.evaluating {
      let (predictions, trace) = trainer.model.traced(sample.features)
      let loss = trainer.loss(predictions, sample.labels)
      let gradients = try gradient(of: loss, withRespectTo: parameters.map(\.parameter.value))
      return (try GradientReport(gradients, of: parameters), try Self.deadUnits(trace))
    }
    shapes = parameters.map(\.parameter.shape)
    sampleCount = sample.count
  }

  private static func deadUnits(_ trace: LayerTrace) throws -> [(layer: String, dead: Int, of: Int)] {
    var greatest: [(layer: String, alternatives: [Tensor])] = []
    for call in trace.calls {
      guard let activation = call.module.appliedActivation, activation == .relu || activation == .relu6,
        call.output.rank >= 2, call.output.count > 0
      else { continue }
      // A unit is a channel of an image, else a feature on the last axis. Three axes may be either.
      let rank = call.output.rank
      let axes = rank == 2 ? [1] : rank == 3 ? [1, 2] : [1]
      let maxima = axes.map { axis in call.output.max(axes: (0..<rank).filter { $0 != axis }).stopGradient() }
      greatest.append((call.name, maxima))
    }
    try evaluate(greatest.flatMap(\.alternatives))
    return try greatest.compactMap { layer, alternatives in
      let counts = try alternatives.map { tensor -> (dead: Int, of: Int) in
        let values = try tensor.doubles()
        return (values.count { $0 <= 0 }, values.count)
      }
      return counts.min { $0.dead * $1.of < $1.dead * $0.of }.map { (layer, $0.dead, $0.of) }
    }
  }

  func deadUnits(epoch: Int, step: Int) -> Diagnosis? {
    let worst = units.max { $0.dead * $1.of < $1.dead * $0.of }
    guard let worst, 2 * worst.dead >= worst.of, worst.dead > 0 else { return nil }
    return Diagnosis(
      .deadUnits, epoch: epoch, step: step,
      finding:
        "\(worst.dead) of \(worst.of) units of layer \(worst.layer) give 0 for each of \(sampleCount) samples, and "
        + "so learn nothing",
      advice: "use leaky ReLU, a smaller learning rate, and He initialization with biases of 0")
  }

  /// The root mean square of each weight's gradient; biases and scales say little.
  private var weights: [(line: GradientReport.Line, size: Double)] {
    zip(gradients.lines, shapes).filter { $0.1.rank >= 2 && $0.1.count > 0 }
      .map { ($0.0, $0.0.norm / Double($0.1.count).squareRoot()) }
  }

  /// A weight's gradient is 100,000 times smaller than that of one behind it.
  func vanishing(epoch: Int, step: Int) -> Diagnosis? {
    guard let strongest = weights.indices.max(by: { weights[$0].size < weights[$1].size }),
      let weakest = weights[...strongest].min(by: { $0.size < $1.size }), weights[strongest].size.isFinite,
      weakest.size < 1e-5 * weights[strongest].size
    else { return nil }
    return Diagnosis(
      .vanishingGradients, epoch: epoch, step: step,
      finding: "the gradient of \(weakest.line.name) is \(words(weakest.size)) where that of "
        + "\(weights[strongest].line.name) is \(words(weights[strongest].size)) (root mean squares)",
      advice: "use ReLU with He initialization, batch or layer normalization, residual connections, or fewer layers")
  }

  /// A weight's gradient is a hundred times as long as the weight, or 10,000 times larger than that of one behind it.
  func exploding(epoch: Int, step: Int) -> Diagnosis? {
    let long = weights.filter { $0.line.relative.isFinite && $0.line.relative > 100 }.max { $0.size < $1.size }
    var finding: String?
    if let long {
      finding = "the gradient of \(long.line.name) is \(words(long.line.relative)) times as long as the weight itself"
    } else if let first = weights.first, let last = weights.last, last.size > 0, first.size > 1e4 * last.size {
      finding =
        "the gradient of \(first.line.name) is \(words(first.size)) where that of \(last.line.name) is "
        + "\(words(last.size)) (root mean squares)"
    }
    return finding.map {
      Diagnosis(
        .explodingGradients, epoch: epoch, step: step, finding: $0,
        advice: "clip gradients by their norm, use a smaller learning rate or smaller first weights, or normalize")
    }
  }
}

extension Trainer {
  /// The loss over some samples of always giving one answer, the best for them: the classes' shares, or the targets' mean.
  /// `nil` where the labels or the loss are of another kind.
  func constantLoss(_ sample: ArrayDataset) throws -> Double? {
    let labels = sample.labels
    guard sample.count > 0 else { return nil }
    let output = model.evaluating { model(sample.features[..<1]) }
    guard output.error == nil, output.rank >= 1 else { return nil }
    var answer: Tensor?
    let isLogits = loss.predictions == .logits
    if labels.rank == 1, labels.dtype.isInteger, output.rank == 2, isLogits || loss.predictions == .probabilities {
      var counts = [Double](repeating: 0, count: output.shape[1])
      for label in try labels.doubles() where counts.indices.contains(Int(label)) { counts[Int(label)] += 1 }
      let shares = counts.map { max($0, 1e-3) / Double(sample.count) }
      answer = Tensor(isLogits ? shares.map { Foundation.log($0) } : shares, on: sample.device).cast(to: output.dtype)
        .broadcast(to: [sample.count, shares.count])
    } else if labels.dtype.isFloat, ![.logits, .probabilities, .binaryLogits].contains(loss.predictions),
      Shape([sample.count] + output.shape.dimensions.dropFirst()) == labels.shape
    {
      answer = labels.mean(axes: [0], keepDims: true).broadcast(to: labels.shape)
    }
    guard let answer, answer.error == nil else { return nil }
    let value = loss(answer, labels)
    guard value.error == nil, let number = try? value.item(), number.isFinite else { return nil }
    return number
  }
}
