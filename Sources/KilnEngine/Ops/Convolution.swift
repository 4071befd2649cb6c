/// What surrounds an image in a convolution or a pooling.
public enum ConvolutionPadding: Hashable, Sendable, ExpressibleByIntegerLiteral {
  /// Nothing: only windows that lie inside.
  case valid
  /// As much as makes the result ceil(size / stride), the odd row or column at the end, as in Keras and TensorFlow.
  case same
  /// So many rows and columns. 1-D calls use `left` and `right`.
  case explicit(top: Int, bottom: Int, left: Int, right: Int)

  /// The same on opposite sides.
  public static func symmetric(_ y: Int, _ x: Int) -> ConvolutionPadding {
    .explicit(top: y, bottom: y, left: x, right: x)
  }

  /// The same on all sides: `padding: 1`.
  public init(integerLiteral count: Int) { self = .symmetric(count, count) }

  /// The same on all sides.
  public static func all(_ count: Int) -> ConvolutionPadding { .symmetric(count, count) }

  /// For 1-D calls.
  public static func explicit(left: Int, right: Int) -> ConvolutionPadding {
    .explicit(top: 0, bottom: 0, left: left, right: right)
  }
}

/// How windows lie along one axis.
struct WindowAxis {
  var size, kernel, stride, dilation, padLow, padHigh: Int
  var out = 0

  /// The places that a window spans: (kernel - 1) * dilation + 1.
  var span: Int { (kernel - 1) * dilation + 1 }

  /// `nil` pads mean "same". Returns what is wrong as (rule, fix).
  init(_ name: String, size: Int, kernel: Int, stride: Int, dilation: Int, pads: (Int, Int)?) throws(WindowMistake) {
    (self.size, self.kernel, self.stride, self.dilation) = (size, kernel, stride, dilation)
    (padLow, padHigh) = pads ?? (0, 0)
    let limit = 1 << 30  // far above any real size, and products of two stay representable
    guard kernel > 0, kernel < limit else {
      throw WindowMistake("the window's \(name) must be positive, got \(kernel)", "use 1 or more")
    }
    guard stride > 0, stride < limit else {
      throw WindowMistake("the stride along \(name) must be positive, got \(stride)", "use 1 or more")
    }
    guard dilation > 0, dilation < limit else {
      throw WindowMistake("the dilation along \(name) must be positive, got \(dilation)", "use 1 or more")
    }
    guard padLow >= 0, padHigh >= 0, padLow < limit, padHigh < limit else {
      throw WindowMistake(
        "padding along \(name) must not be negative, got \(padLow) and \(padHigh)", "slice the input to cut it")
    }
    if pads == nil {
      out = (size + stride - 1) / stride
      let missing = Swift.max((out - 1) * stride + span - size, 0)
      (padLow, padHigh) = (missing / 2, missing - missing / 2)
    }
    let padded = size + padLow + padHigh
    guard size > 0, span <= padded else {
      throw WindowMistake(
        "the window spans \(span) along \(name), the padded input only \(size > 0 ? padded : 0)",
        "use a smaller window or dilation, a larger input, or more padding")
    }
    out = (padded - span) / stride + 1
  }
}

/// What is wrong with a window.
struct WindowMistake: Error {
  var rule: String
  var fix: String
  init(_ rule: String, _ fix: String) { (self.rule, self.fix) = (rule, fix) }
}

extension ConvolutionPadding {
  /// For 1-D calls: nothing above and below.
  var flat: ConvolutionPadding {
    guard case .explicit(_, _, let left, let right) = self else { return self }
    return .explicit(left: left, right: right)
  }

  var rows: (Int, Int)? {
    switch self {
    case .valid: (0, 0)
    case .same: nil
    case .explicit(let top, let bottom, _, _): (top, bottom)
    }
  }
  var columns: (Int, Int)? {
    switch self {
    case .valid: (0, 0)
    case .same: nil
    case .explicit(_, _, let left, let right): (left, right)
    }
  }
}

/// 2-D convolution (cross-correlation, as in all frameworks):
/// y[b, f, i, j] = sum over c, p, q of x[b, c, i * stride + p * dilation - top, j * ... - left] * filter[f, c, p, q].
///
/// x [batch, channels, height, width], filter [filters, channels / groups, kernelHeight, kernelWidth]
/// -> [batch, filters, outHeight, outWidth] with out = floor((size + padding - (kernel - 1) * dilation - 1) / stride) + 1.
/// Both float32 or both float64. Elements outside x count as 0. Pairs are (vertical, horizontal).
/// Errors: ranks, channels that do not fit the groups, dtypes, a window larger than the padded input.
public func convolution2D(
  _ x: Tensor, filter: Tensor, stride: (Int, Int) = (1, 1), padding: ConvolutionPadding = .valid,
  dilation: (Int, Int) = (1, 1), groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  convolution("convolution2D", x, filter, stride, padding, dilation, groups, file, line)
}

/// 1-D convolution; see `convolution2D`.
///
/// x [batch, channels, width], filter [filters, channels / groups, kernelWidth] -> [batch, filters, outWidth].
public func convolution1D(
  _ x: Tensor, filter: Tensor, stride: Int = 1, padding: ConvolutionPadding = .valid, dilation: Int = 1,
  groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = flatImageFailure("convolution1D", x, filter, file, line) { return bad }
  return convolution(
    "convolution1D", x.expanded(axis: 2), filter.expanded(axis: 2), (1, stride), padding.flat, (1, dilation), groups,
    file, line
  ).squeezedHeight
}

private func convolution(
  _ name: String, _ x: Tensor, _ filter: Tensor, _ stride: (Int, Int), _ padding: ConvolutionPadding,
  _ dilation: (Int, Int), _ groups: Int, _ file: StaticString, _ line: UInt
) -> Tensor {
  let operands = [("x", x), ("filter", filter)]
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .failure(name, rule: rule, operands: operands, fix: fix, dtype: x.dtype, file: file, line: line)
  }
  if let bad = imageFailure(name, x, filter, file, line) { return bad }
  let (channels, filters) = (x.shape[1], filter.shape[0])
  guard groups > 0, channels % groups == 0, filters % groups == 0 else {
    return refuse(
      "\(channels) channels and \(filters) filters cannot be divided into \(groups) groups",
      "use a positive number of groups that divides both")
  }
  guard filter.shape[1] == channels / groups else {
    return refuse(
      "the filter reads \(filter.shape[1]) channels, x has \(channels)" + (groups == 1 ? "" : " in \(groups) groups"),
      "the filter must be [filters, \(channels / groups), kernelHeight, kernelWidth]"
        + (filter.shape[2] == channels && filter.shape[0] == filter.shape[1] ? "; is it in TensorFlow's order?" : ""))
  }
  do {
    let down = try WindowAxis(
      "height", size: x.shape[2], kernel: filter.shape[2], stride: stride.0, dilation: dilation.0, pads: padding.rows)
    let across = try WindowAxis(
      "width", size: x.shape[3], kernel: filter.shape[3], stride: stride.1, dilation: dilation.1,
      pads: padding.columns)
    let geometry = Convolution(
      kind: .forward, batch: x.shape[0], channels: channels, height: down.size, width: across.size, filters: filters,
      kernelHeight: down.kernel, kernelWidth: across.kernel, outHeight: down.out, outWidth: across.out,
      strideY: down.stride,
      strideX: across.stride, dilationY: down.dilation, dilationX: across.dilation, padTop: down.padLow,
      padLeft: across.padLow,
      groups: groups)
    return geometry.node(.forward, x, filter, file: file, line: line)
  } catch {
    return refuse(error.rule, error.fix)
  }
}

/// Transposed 2-D convolution: the gradient of `convolution2D` with respect to its input, as a layer that enlarges.
///
/// x [batch, in, height, width], filter [in, out / groups, kernelHeight, kernelWidth], as in PyTorch
/// -> [batch, out, outHeight, outWidth] with
/// out = (size - 1) * stride - 2 * padding + (kernel - 1) * dilation + outputPadding + 1. Dtypes as `convolution2D`.
/// Errors: as `convolution2D`; also outputPadding that is not below the stride or the dilation, an empty result.
public func transposedConvolution2D(
  _ x: Tensor, filter: Tensor, stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
  outputPadding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1, file: StaticString = #fileID,
  line: UInt = #line
) -> Tensor {
  transposedConvolution(
    "transposedConvolution2D", x, filter, stride, padding, outputPadding, dilation, groups, file, line)
}

/// Transposed 1-D convolution; see `transposedConvolution2D`.
///
/// x [batch, in, width], filter [in, out / groups, kernelWidth] -> [batch, out, outWidth].
public func transposedConvolution1D(
  _ x: Tensor, filter: Tensor, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0, dilation: Int = 1,
  groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = flatImageFailure("transposedConvolution1D", x, filter, file, line) { return bad }
  return transposedConvolution(
    "transposedConvolution1D", x.expanded(axis: 2), filter.expanded(axis: 2), (1, stride), (0, padding),
    (0, outputPadding), (1, dilation), groups, file, line
  ).squeezedHeight
}

private func transposedConvolution(
  _ name: String, _ x: Tensor, _ filter: Tensor, _ stride: (Int, Int), _ padding: (Int, Int),
  _ outputPadding: (Int, Int), _ dilation: (Int, Int), _ groups: Int, _ file: StaticString, _ line: UInt
) -> Tensor {
  func refuse(_ rule: String, _ fix: String) -> Tensor {
    .failure(
      name, rule: rule, operands: [("x", x), ("filter", filter)], fix: fix, dtype: x.dtype, file: file, line: line)
  }
  if let bad = imageFailure(name, x, filter, file, line) { return bad }
  let inputs = x.shape[1]
  guard groups > 0, inputs % groups == 0 else {
    return refuse(
      "\(inputs) channels cannot be divided into \(groups) groups", "use a number of groups that divides it")
  }
  guard filter.shape[0] == inputs else {
    return refuse(
      "the filter reads \(filter.shape[0]) channels, x has \(inputs)",
      "the filter must be [\(inputs), out / \(groups), kernelHeight, kernelWidth]")
  }
  var sizes: [Int] = []
  for (axis, s, p, o, d) in [
    (2, stride.0, padding.0, outputPadding.0, dilation.0), (3, stride.1, padding.1, outputPadding.1, dilation.1),
  ] {
    let limit = 1 << 28
    guard s > 0, d > 0, p >= 0, o >= 0, s < limit, d < limit, p < limit, o < limit, filter.shape[axis] < limit,
      x.shape[axis] < limit
    else {
      return refuse(
        "stride \(s) and dilation \(d) must be positive, padding \(p) and outputPadding \(o) not negative",
        "use the values of the convolution that this one reverses")
    }
    guard o < Swift.max(s, d) else {
      return refuse(
        "outputPadding \(o) must be below the stride \(s) or the dilation \(d)",
        "it only chooses among the sizes that a stride makes possible")
    }
    let out = (x.shape[axis] - 1) * s - 2 * p + (filter.shape[axis] - 1) * d + o + 1
    guard out > 0, x.shape[axis] > 0, filter.shape[axis] > 0 else {
      return refuse("the result would have \(out) rows or columns", "use less padding, or a larger input or filter")
    }
    sizes.append(out)
  }
  let geometry = Convolution(
    kind: .inputGradient, batch: x.shape[0], channels: filter.shape[1] * groups, height: sizes[0], width: sizes[1],
    filters: inputs, kernelHeight: filter.shape[2], kernelWidth: filter.shape[3], outHeight: x.shape[2],
    outWidth: x.shape[3], strideY: stride.0, strideX: stride.1, dilationY: dilation.0, dilationX: dilation.1,
    padTop: padding.0, padLeft: padding.1, groups: groups)
  return geometry.node(.inputGradient, x, filter, file: file, line: line)
}

/// What is wrong with the operands of any 2-D convolution.
private func imageFailure(
  _ name: String, _ x: Tensor, _ filter: Tensor, _ file: StaticString, _ line: UInt
) -> Tensor? {
  let operands = [("x", x), ("filter", filter)]
  guard x.rank == 4, filter.rank == 4 else {
    return .failure(
      name, rule: "x and filter must have 4 axes, got \(x.rank) and \(filter.rank)", operands: operands,
      fix: "x is [batch, channels, height, width]; for a single image use `.expanded(axis: 0)`", dtype: x.dtype,
      file: file, line: line)
  }
  if let bad = x.floatFailure(name, shape: [], file: file, line: line) { return bad }
  return Tensor.dtypeFailure(name, operands, shape: [], file: file, line: line)
}

private func flatImageFailure(
  _ name: String, _ x: Tensor, _ filter: Tensor, _ file: StaticString, _ line: UInt
) -> Tensor? {
  if x.rank == 3 && filter.rank == 3 { return nil }
  return .failure(
    name, rule: "x and filter must have 3 axes, got \(x.rank) and \(filter.rank)",
    operands: [("x", x), ("filter", filter)],
    fix: "x is [batch, channels, width]; for a single sequence use `.expanded(axis: 0)`", dtype: x.dtype, file: file,
    line: line)
}

extension Tensor {
  /// [batch, channels, 1, width] -> [batch, channels, width]; errors pass.
  var squeezedHeight: Tensor { rank == 4 && error == nil ? squeezed(axes: [2]) : self }
}

extension Convolution {
  /// A node of one of the three kinds over this geometry; zeros where there is nothing to sum.
  func node(
    _ kind: Kind, _ first: Tensor, _ second: Tensor, file: StaticString? = nil, line: UInt = 0
  ) -> Tensor {
    var convolution = self
    convolution.kind = kind
    let shape =
      switch kind {
      case .forward: outputShape
      case .inputGradient: inputShape
      case .filterGradient: filterShape
      }
    let result = Tensor.make(
      .convolution(convolution), [first, second], shape: shape, dtype: first.dtype, file: file, line: line)
    if result.error == nil && (first.count == 0 || second.count == 0) {
      return .constant(Scalar(0.0, first.dtype), shape: shape, device: first.device)
    }
    return result
  }

  /// The three kinds are the partial derivatives of one trilinear form, so each rule is made of the other two.
  func cotangents(inputs: [Tensor], y: Tensor, g: Tensor) -> Cotangents {
    let (a, b) = (inputs[0], inputs[1])
    switch kind {
    case .forward: return .rule([node(.inputGradient, g, b), node(.filterGradient, a, g)])
    case .inputGradient: return .rule([node(.forward, g, b), node(.filterGradient, g, a)])
    case .filterGradient: return .rule([node(.inputGradient, b, g), node(.forward, a, g)])
    }
  }
}
