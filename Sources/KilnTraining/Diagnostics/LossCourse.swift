/// What the losses of a run say by themselves.
struct LossCourse {
  var epochs: [EpochReport]
  var stepLosses: [Double]
  var step: Int
  /// The loss of always giving the same, best answer, where it is known.
  var constantLoss: Double?

  private var epoch: Int { epochs.last.map { $0.epoch + 1 } ?? 1 }

  /// The validation loss has been above its best for three epochs and by more than 5 %, while the training loss fell.
  var overfitting: Diagnosis? {
    let pairs = epochs.compactMap { report in report.validation.map { (report.epoch + 1, report.loss, $0.loss) } }
    guard let last = pairs.last, let best = pairs.min(by: { $0.2 < $1.2 }), last.0 >= best.0 + 3,
      pairs.suffix(3).allSatisfy({ $0.2 > best.2 }), last.2 > best.2 + 0.05 * abs(best.2), last.1 < best.1
    else { return nil }
    return Diagnosis(
      .overfitting, epoch: epoch, step: step,
      finding:
        "the validation loss was best in epoch \(best.0) with \(words(best.2)) and is \(words(last.2)) now, while "
        + "the training loss fell from \(words(best.1)) to \(words(last.1))",
      advice: "stop early, add dropout, weight decay or augmentation, or use more data or a smaller model")
  }

  /// After five epochs the training loss is that of a constant answer, or has stopped falling in its neighbourhood.
  var underfitting: Diagnosis? {
    guard epochs.count >= 5, let last = epochs.last?.loss, let constantLoss, constantLoss > 0 else { return nil }
    let before = epochs[epochs.count - 5].loss
    let advice = "use a larger model or learning rate, train longer, scale the inputs, and check the labels"
    if last > 0.95 * constantLoss {
      return Diagnosis(
        .underfitting, epoch: epoch, step: step,
        finding: "after \(epoch) epochs the training loss is \(words(last)), hardly better than the "
          + "\(words(constantLoss)) of always giving the same answer", advice: advice)
    }
    guard last > 0.5 * constantLoss, last > 0.99 * before else { return nil }
    return Diagnosis(
      .underfitting, epoch: epoch, step: step,
      finding: "the training loss no longer falls: \(words(before)) four epochs ago, \(words(last)) now, where always "
        + "giving the same answer has \(words(constantLoss))", advice: advice)
  }

  /// The latest steps' mean loss is three times the mean of the best steps', and above that of the first ones; the steps
  /// are looked at in windows of at least ten.
  var divergence: Diagnosis? {
    let width = max(10, min(50, stepLosses.count / 8))
    guard stepLosses.count >= 3 * width else { return nil }
    var means: [Double] = []
    for start in stride(from: stepLosses.count % width, through: stepLosses.count - width, by: width) {
      means.append(stepLosses[start..<start + width].reduce(0, +) / Double(width))
    }
    guard let last = means.last, let least = means.min(), let first = means.first, least.isFinite else { return nil }
    // The loss may be negative, so that a multiple of it says nothing.
    guard last > first, last - least > 2 * abs(least), last - least > 0.05 * abs(first) else { return nil }
    return Diagnosis(
      .divergingLoss, epoch: epoch, step: step,
      finding:
        "the loss grows: the mean of \(width) steps began at \(words(first)), was \(words(least)) at best, and is "
        + "\(words(last)) now", advice: "use a smaller learning rate, warm it up, or clip gradients")
  }
}
