import KilnEngine

/// Connectionist temporal classification (Graves et al., 2006): -log of the probability of a label sequence, over all ways
/// of laying it along the steps with blanks and repetitions.
///
/// logProbabilities [time, batch, classes] (of a `logSoftmax`), labels [batch, greatest length] (what lies beyond a
/// sample's length is not looked at), inputLengths and labelLengths [batch]. The result is [batch], or reduced: the mean is
/// that of each loss divided by its number of labels (at least 1), as PyTorch's.
///
/// The forward recursion runs in logarithms, as a graph of `time` steps; the gradient is that of the graph. Labels that
/// cannot be laid within their steps have the loss +infinity, or 0 with `zeroesInfinite`, and in either case no gradient
/// (PyTorch: NaN without zero_infinity). A label outside 0..<classes is an error of the run.
/// PyTorch's CTCLoss (whose gradient by the log-probabilities has a term that `logSoftmax` takes away again), Keras' CTC.
public func ctcLoss(
  logProbabilities: Tensor, labels: Tensor, inputLengths: Tensor, labelLengths: Tensor, blank: Int = 0,
  zeroesInfinite: Bool = false, reduction: LossReduction = .mean
) -> Tensor {
  if let bad = ctcFailure(logProbabilities, labels, inputLengths, labelLengths, blank) { return bad }
  let (time, batch) = (logProbabilities.shape[0], logProbabilities.shape[1])
  let (dtype, device) = (logProbabilities.dtype, logProbabilities.device)
  let longest = labels.shape[1]
  // -infinity would make NaN of its own difference; no sum of logarithms comes near this.
  let never = -1e30
  /// The greatest of the last axis, as a constant; 0 where nothing is possible.
  func level(_ x: Tensor) -> Tensor {
    let greatest = x.stopGradient().max(axes: [-1], keepDims: true)
    return select(greatest .< never / 2, 0, greatest)
  }
  func index(_ x: Tensor) -> Tensor { x.cast(to: .int64) }
  let lengths = index(labelLengths).expanded(axis: 1)

  // blank, label, blank, label, ..., blank: [batch, states].
  let states = 2 * longest + 1
  let places = Tensor.arange(to: Double(longest), dtype: .int64, on: device).expanded(axis: 0)
  let blanks = Tensor.full([batch, longest], Double(blank), dtype: .int64, on: device)
  let kept = select(places .< lengths, index(labels), blanks)
  let pairs = stack([blanks, kept], axis: 2).reshaped(to: [batch, 2 * longest])
  let path = concatenate([pairs, .full([batch, 1], Double(blank), dtype: .int64, on: device)], axis: 1)
  let onPath = maximum(
    logProbabilities.takenAlong(path.expanded(axis: 0).broadcast(to: [time, batch, states]), axis: 2), never)
  // Each step's greatest is 0, and what was taken from it is added at the end: sums of thousands would drown the
  // differences between states. So are the forward variables below.
  let peaks = level(onPath)
  let emitted = onPath - peaks

  // A state may be reached from two before it if that is another label, so that only a blank is skipped.
  let two = path.padded(low: [0, 2], high: [0, 0], mode: .constant(Double(blank))).sliced(axis: 1, from: 0, to: states)
  let mayJump = (path .!= Double(blank)) .&& (path .!= two)
  func shifted(_ alpha: Tensor, _ count: Int) -> Tensor {
    alpha.padded(low: [0, count], high: [0, 0], mode: .constant(never)).sliced(axis: 1, from: 0, to: states)
  }

  let columns = Tensor.arange(to: Double(states), dtype: .int64, on: device).expanded(axis: 0)
  var alpha = select(columns .< 2, emitted[0], never)
  var taken = peaks[0]
  func normalize() {
    let greatest = level(alpha)
    alpha = alpha - greatest
    taken = taken + greatest
  }
  normalize()
  for step in 1..<max(time, 1) {
    let (one, other) = (shifted(alpha, 1), select(mayJump, shifted(alpha, 2), never))
    let next = sumOfLogarithms([alpha, one, other]) + emitted[step]
    let isRunning = index(inputLengths).expanded(axis: 1) .> Double(step)
    alpha = select(isRunning, next, alpha)
    taken = taken + select(isRunning, peaks[step], 0)
    normalize()
  }
  // Through the last label or the blank after it.
  func ending(_ state: Tensor) -> Tensor {
    alpha.takenAlong(maximum(state, 0), axis: 1).squeezed(axes: [1])
  }
  let last = ending(lengths * 2 - 1)
  let isEmpty = index(labelLengths) .== 0
  let total = sumOfLogarithms([ending(lengths * 2), select(isEmpty, never, last, dtype: dtype)])
  let isImpossible = total .< never / 2
  let losses = select(
    isImpossible, Tensor.full([], zeroesInfinite ? 0 : .infinity, dtype: dtype, on: device),
    0 - (total + taken.squeezed(axes: [1])))
  guard reduction == .mean else { return reduction(losses) }
  return (losses / maximum(labelLengths.cast(to: dtype), 1)).mean()
}

/// log(sum of exp), element by element, of finite numbers.
private func sumOfLogarithms(_ terms: [Tensor]) -> Tensor {
  let greatest = terms.dropFirst().reduce(terms[0].stopGradient()) { maximum($0, $1.stopGradient()) }
  let shares = terms.map { exp($0 - greatest) }
  return greatest + log(shares.dropFirst().reduce(shares[0], +))
}

private func ctcFailure(
  _ logs: Tensor, _ labels: Tensor, _ inputLengths: Tensor, _ labelLengths: Tensor, _ blank: Int
) -> Tensor? {
  let operands = [("logProbabilities", logs), ("labels", labels)]
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .layerFailure("ctcLoss", rule: rule, operands: operands, fix: fix, dtype: logs.dtype)
  }
  if let error = [logs, labels, inputLengths, labelLengths].first(where: { $0.error != nil }) { return error }
  guard logs.rank == 3, logs.shape[0] > 0, logs.dtype.isFloat else {
    return refuse(
      "logProbabilities must be [time, batch, classes] of floats, with at least one step, got \(logs.shape) \(logs.dtype)",
      "transpose [batch, time, classes] with `.transposed(0, 1)`")
  }
  let batch = logs.shape[1]
  guard labels.rank == 2, labels.shape[0] == batch, inputLengths.shape == [batch], labelLengths.shape == [batch] else {
    return refuse(
      "labels must be [\(batch), length] and both lengths [\(batch)], got \(labels.shape), \(inputLengths.shape) and "
        + "\(labelLengths.shape)", "pad the labels of all samples to one length")
  }
  guard ![labels, inputLengths, labelLengths].contains(where: { $0.dtype.isFloat }) else {
    return refuse("labels and lengths must be integers", "use `.cast(to: .int64)`")
  }
  guard blank >= 0, blank < logs.shape[2] else {
    return refuse("blank must be a class, 0..<\(logs.shape[2]), got \(blank)", "0 is usual")
  }
  return nil
}
