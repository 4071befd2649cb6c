extension Tensor {
  /// exp(x) / sum(exp(x)) along an axis, shifted by the maximum, so that it never overflows.
  ///
  /// Keeps shape and dtype (float32 or float64). A row of -inf alone gives NaN, as in PyTorch.
  /// Errors: integers, an axis out of range.
  public func softmax(axis: Int = -1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    alongLast("softmax", .softmax, axis, file, line)
  }

  /// log(softmax(x)) = x - logSumExp(x) along an axis, exact where softmax underflows. Otherwise as `softmax`.
  public func logSoftmax(axis: Int = -1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    alongLast("logSoftmax", .logSoftmax, axis, file, line)
  }

  private func alongLast(
    _ name: String, _ kind: Rowwise, _ axis: Int, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    if let bad = axisFailure(name, [axis], file: file, line: line) { return bad }
    if let bad = floatFailure(name, file: file, line: line) { return bad }
    let rows = transposed(axis, -1)
    return Tensor.make(.rowwise(kind), [rows], shape: rows.shape, dtype: dtype, file: file, line: line)
      .transposed(axis, -1)
  }

  /// An error tensor unless this is the vector of `columns` elements that `x` needs.
  fileprivate func vectorFailure(
    _ name: String, _ label: String, for x: Tensor, file: StaticString, line: UInt
  ) -> Tensor? {
    let columns = x.shape[x.rank - 1]
    guard shape != [columns] else { return nil }
    return .failure(
      name, rule: "\(label) must have shape [\(columns)], the size of x's last axis, got \(shape)",
      operands: [("x", x), (label, self)], fix: "normalise over the last axis only, or reshape x", shape: x.shape,
      dtype: x.dtype, file: file, line: line)
  }
}

/// Each row made mean 0 and variance 1, then scaled and shifted:
/// (x - mean) / sqrt(variance + epsilon) * scale + shift, with the biased variance of the last axis.
///
/// x [..., columns], scale and shift [columns] (`nil`: 1 and 0) -> [..., columns], of one dtype, float32 or float64.
/// Errors: integers, a scalar, other shapes, dtypes that differ.
public func layerNorm(
  _ x: Tensor, scale: Tensor? = nil, shift: Tensor? = nil, epsilon: Double = 1e-5, file: StaticString = #fileID,
  line: UInt = #line
) -> Tensor {
  if let bad = x.axisFailure("layerNorm", [-1], file: file, line: line) { return bad }
  if let bad = x.floatFailure("layerNorm", file: file, line: line) { return bad }
  let columns: Shape = [x.shape[x.rank - 1]]
  let scale = scale ?? .constant(Scalar(1.0, x.dtype), shape: columns, device: x.device)
  let shift = shift ?? .constant(Scalar(0.0, x.dtype), shape: columns, device: x.device)
  if let bad = scale.vectorFailure("layerNorm", "scale", for: x, file: file, line: line) { return bad }
  if let bad = shift.vectorFailure("layerNorm", "shift", for: x, file: file, line: line) { return bad }
  let operands = [("x", x), ("scale", scale), ("shift", shift)]
  if let bad = Tensor.dtypeFailure("layerNorm", operands, shape: x.shape, file: file, line: line) { return bad }
  return .make(
    .rowwise(.layerNorm(epsilon: epsilon)), [x, scale, shift], shape: x.shape, dtype: x.dtype, file: file, line: line)
}

/// Each row divided by its root mean square, then scaled: x / sqrt(mean(x^2) + epsilon) * scale.
///
/// x [..., columns], scale [columns] (`nil`: 1) -> [..., columns]. Dtypes and errors as `layerNorm`.
public func rmsNorm(
  _ x: Tensor, scale: Tensor? = nil, epsilon: Double = 1e-6, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = x.axisFailure("rmsNorm", [-1], file: file, line: line) { return bad }
  if let bad = x.floatFailure("rmsNorm", file: file, line: line) { return bad }
  let scale = scale ?? .constant(Scalar(1.0, x.dtype), shape: [x.shape[x.rank - 1]], device: x.device)
  if let bad = scale.vectorFailure("rmsNorm", "scale", for: x, file: file, line: line) { return bad }
  let operands = [("x", x), ("scale", scale)]
  if let bad = Tensor.dtypeFailure("rmsNorm", operands, shape: x.shape, file: file, line: line) { return bad }
  return .make(
    .rowwise(.rmsNorm(epsilon: epsilon)), [x, scale], shape: x.shape, dtype: x.dtype, file: file, line: line)
}

/// The cross-entropy of each row of logits with its label: logSumExp(row) - row[label].
///
/// logits [..., classes] (float32 or float64), labels [...] (integers in 0..<classes) -> [...], one loss for each row;
/// take `.mean()` for a batch. A label equal to `ignoreIndex` gives 0 and no gradient.
/// Errors: float labels, shapes that do not fit. A label outside its range is an error of the run.
public func crossEntropy(
  logits: Tensor, labels: Tensor, ignoreIndex: Int = -100, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = logits.axisFailure("crossEntropy", [-1], label: "logits", file: file, line: line) { return bad }
  if let bad = logits.floatFailure("crossEntropy", label: "logits", shape: labels.shape, file: file, line: line) {
    return bad
  }
  let classes = logits.shape[logits.rank - 1]
  let rows = Shape(logits.shape.dimensions.dropLast())
  if let bad = labels.indexFailure(
    "crossEntropy", label: "labels", shape: rows, dtype: logits.dtype, file: file, line: line)
  {
    return bad
  }
  guard labels.shape == rows else {
    return .failure(
      "crossEntropy", rule: "labels must have shape \(rows), one for each row of logits, got \(labels.shape)",
      operands: [("logits", logits), ("labels", labels)],
      fix: labels.shape == logits.shape
        ? "for one-hot labels use `.argmax(axis: -1)`" : "put the classes on the last axis of logits", shape: rows,
      dtype: logits.dtype, file: file, line: line)
  }
  guard classes > 0 || rows.count == 0 else {
    return .failure(
      "crossEntropy", rule: "there are no classes", operands: [("logits", logits), ("labels", labels)],
      fix: "give logits a last axis of at least 1", shape: rows, dtype: logits.dtype, file: file, line: line)
  }
  return Tensor.make(
    .rowwise(.crossEntropy(ignoreIndex: ignoreIndex)),
    [logits.viewed(.reshape([rows.count, classes])), labels.asIndices.viewed(.reshape([rows.count]))],
    shape: [rows.count], dtype: logits.dtype, file: file, line: line
  ).viewed(.reshape(rows))
}

/// The plain compositions of the fused row operations, along the last axis: what they must agree with.
public enum RowwisePlain {
  /// exp(x - max) / sum(exp(x - max)).
  public static func softmax(_ x: Tensor) -> Tensor {
    let e = exp(x - x.stopGradient().max(axes: [-1], keepDims: true))
    return e / e.sum(axes: [-1], keepDims: true)
  }

  /// x - max - log(sum(exp(x - max))).
  public static func logSoftmax(_ x: Tensor) -> Tensor {
    let shifted = x - x.stopGradient().max(axes: [-1], keepDims: true)
    return shifted - log(exp(shifted).sum(axes: [-1], keepDims: true))
  }

  /// (x - mean) / sqrt(variance + epsilon) * scale + shift.
  public static func layerNorm(_ x: Tensor, scale: Tensor, shift: Tensor, epsilon: Double = 1e-5) -> Tensor {
    let centred = x - x.mean(axes: [-1], keepDims: true)
    let variance = square(centred).mean(axes: [-1], keepDims: true)
    return centred * rsqrt(variance + epsilon) * scale + shift
  }

  /// x / sqrt(mean(x^2) + epsilon) * scale.
  public static func rmsNorm(_ x: Tensor, scale: Tensor, epsilon: Double = 1e-6) -> Tensor {
    x * rsqrt(square(x).mean(axes: [-1], keepDims: true) + epsilon) * scale
  }

  /// The gradient of `layerNorm` by x; see `Rowwise.layerNormGradient`.
  static func layerNormGradient(_ x: Tensor, g: Tensor, scale: Tensor, _ epsilon: Double) -> Tensor {
    func rowMean(_ t: Tensor) -> Tensor { t.mean(axes: [-1], keepDims: true) }
    let centred = x - rowMean(x)
    let inverse = rsqrt(rowMean(square(centred)) + epsilon)
    let normal = centred * inverse
    let h = g * scale
    return inverse * (h - rowMean(h) - normal * rowMean(h * normal))
  }

  /// The gradient of `rmsNorm` by x; see `Rowwise.rmsNormGradient`.
  static func rmsNormGradient(_ x: Tensor, g: Tensor, scale: Tensor, _ epsilon: Double) -> Tensor {
    func rowMean(_ t: Tensor) -> Tensor { t.mean(axes: [-1], keepDims: true) }
    let inverse = rsqrt(rowMean(square(x)) + epsilon)
    let normal = x * inverse
    let h = g * scale
    return inverse * (h - normal * rowMean(h * normal))
  }

  /// logSumExp(row) - row[label], 0 for ignored labels. logits [..., classes], labels [...].
  public static func crossEntropy(logits: Tensor, labels: Tensor, ignoreIndex: Int = -100) -> Tensor {
    let labels = labels.asIndices
    let isIgnored = labels .== Tensor.constant(Scalar(ignoreIndex, .int64), shape: [], device: labels.device)
    let column = select(isIgnored, Tensor.constant(Scalar(0, .int64), shape: [], device: labels.device), labels)
    let picked = logits.takenAlong(column.expanded(axis: -1), axis: -1).squeezed(axes: [-1])
    return select(isIgnored, 0, logits.logSumExp(axes: [-1]) - picked)
  }
}

extension Rowwise {
  func cotangents(inputs: [Tensor], y: Tensor, g: Tensor) -> Cotangents {
    let x = inputs[0]
    func rowSum(_ t: Tensor) -> Tensor { t.sum(axes: [-1], keepDims: true) }
    /// A scale or shift that is the same for all.
    func columns(_ value: Double) -> Tensor {
      .constant(Scalar(value, x.dtype), shape: [x.shape[x.rank - 1]], device: x.device)
    }
    /// The sum over all rows: [..., columns] -> [columns].
    func columnSum(_ t: Tensor) -> Tensor { t.sum(axes: Array(0..<(t.rank - 1))) }
    func rows(_ kind: Rowwise, _ inputs: [Tensor]) -> Tensor {
      .make(.rowwise(kind), inputs, shape: inputs[0].shape, dtype: inputs[0].dtype)
    }
    switch self {
    case .softmax: return .rule([rows(.softmaxGradient, [y, g])])
    case .logSoftmax: return .rule([rows(.logSoftmaxGradient, [y, g])])
    case .softmaxGradient:
      // y = p * (h - sum(h * p)) of inputs p and h.
      let (p, h) = (inputs[0], inputs[1])
      return .rule([g * (h - rowSum(h * p)) - h * rowSum(g * p), rows(.softmaxGradient, [p, g])])
    case .logSoftmaxGradient:
      // y = h - exp(l) * sum(h) of inputs l and h.
      let (p, h) = (exp(inputs[0]), inputs[1])
      return .rule([-(g * p * rowSum(h)), g - rowSum(g * p)])
    case .layerNorm(let epsilon):
      let normal = rows(.layerNorm(epsilon: epsilon), [x, columns(1), columns(0)])
      return .rule([
        rows(.layerNormGradient(epsilon: epsilon), [x, g, inputs[1]]), columnSum(g * normal), columnSum(g),
      ])
    case .rmsNorm(let epsilon):
      let normal = rows(.rmsNorm(epsilon: epsilon), [x, columns(1)])
      return .rule([rows(.rmsNormGradient(epsilon: epsilon), [x, g, inputs[1]]), columnSum(g * normal)])
    case .layerNormGradient(let epsilon):
      return .ofPlain(inputs, g) { RowwisePlain.layerNormGradient($0[0], g: $0[1], scale: $0[2], epsilon) }
    case .rmsNormGradient(let epsilon):
      return .ofPlain(inputs, g) { RowwisePlain.rmsNormGradient($0[0], g: $0[1], scale: $0[2], epsilon) }
    case .crossEntropy(let ignoreIndex):
      let dx = Tensor.make(
        .rowwise(.crossEntropyGradient(ignoreIndex: ignoreIndex)), [x, inputs[1], g], shape: x.shape, dtype: x.dtype)
      return .rule([dx, nil])
    case .crossEntropyGradient(let ignoreIndex):
      // y = (softmax(x) - oneHot(labels)) * w for kept rows, w being the third input; g is y's cotangent.
      let labels = inputs[1]
      let w = inputs[2]
      let isIgnored = labels .== Tensor.constant(Scalar(ignoreIndex, .int64), shape: [], device: labels.device)
      let kept = select(isIgnored, 0, w).expanded(axis: -1)
      let p = x.softmax()
      let slope = Tensor.make(
        .rowwise(self), [x, labels, .constant(Scalar(1.0, w.dtype), shape: w.shape, device: w.device)],
        shape: x.shape, dtype: x.dtype)
      return .rule([kept * p * (g - rowSum(g * p)), nil, (g * slope).sum(axes: [-1])])
    }
  }
}
