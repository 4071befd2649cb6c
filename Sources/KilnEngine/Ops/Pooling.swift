/// The greatest element of each window of an image, channel by channel.
///
/// x [batch, channels, height, width] -> [batch, channels, outHeight, outWidth], sizes as `convolution2D`; `stride` is the
/// window's size unless given. float32 or float64, kept. Padding never wins; the first of equals wins, and gets the whole
/// gradient; NaN wins over all. Errors: the rank, integers, a window larger than the padded input or all in the padding.
public func maxPool2D(
  _ x: Tensor, size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid,
  dilation: (Int, Int) = (1, 1), file: StaticString = #fileID, line: UInt = #line
) -> Tensor { pool("maxPool2D", .max, x, size, stride, padding, dilation, file, line) }

/// The mean of each window of an image, channel by channel. Shapes, dtypes and errors as `maxPool2D`.
///
/// With `countPadding` a window is divided by its size, as if the padding were zeros; without, by its elements inside x.
public func averagePool2D(
  _ x: Tensor, size: (Int, Int), stride: (Int, Int)? = nil, padding: ConvolutionPadding = .valid,
  countPadding: Bool = true, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  pool("averagePool2D", .average(countPadding: countPadding), x, size, stride, padding, (1, 1), file, line)
}

/// `maxPool2D` for sequences: x [batch, channels, width] -> [batch, channels, outWidth].
public func maxPool1D(
  _ x: Tensor, size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, dilation: Int = 1,
  file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = rankFailure("maxPool1D", x, 3, file, line) { return bad }
  return pool(
    "maxPool1D", .max, x.expanded(axis: 2), (1, size), stride.map { (1, $0) }, padding.flat, (1, dilation), file, line
  ).squeezedHeight
}

/// `averagePool2D` for sequences: x [batch, channels, width] -> [batch, channels, outWidth].
public func averagePool1D(
  _ x: Tensor, size: Int, stride: Int? = nil, padding: ConvolutionPadding = .valid, countPadding: Bool = true,
  file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = rankFailure("averagePool1D", x, 3, file, line) { return bad }
  return pool(
    "averagePool1D", .average(countPadding: countPadding), x.expanded(axis: 2), (1, size), stride.map { (1, $0) },
    padding.flat, (1, 1), file, line
  ).squeezedHeight
}

/// The mean of each channel's image: x [batch, channels, height, width] -> [batch, channels], with `keepDims`
/// [batch, channels, 1, 1]. Errors: the rank, integers.
public func globalAveragePool2D(
  _ x: Tensor, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = rankFailure("globalAveragePool2D", x, 4, file, line) { return bad }
  if let bad = x.floatFailure("globalAveragePool2D", shape: [], file: file, line: line) { return bad }
  return x.mean(axes: [2, 3], keepDims: keepDims, file: file, line: line)
}

/// The greatest element of each channel's image; shapes as `globalAveragePool2D`. Equal ones share the gradient evenly.
public func globalMaxPool2D(
  _ x: Tensor, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
) -> Tensor {
  if let bad = rankFailure("globalMaxPool2D", x, 4, file, line) { return bad }
  if let bad = x.floatFailure("globalMaxPool2D", shape: [], file: file, line: line) { return bad }
  return x.max(axes: [2, 3], keepDims: keepDims, file: file, line: line)
}

/// Averages over windows that divide an image into `outputSize` rows and columns, as in PyTorch: window i of n covers
/// floor(i * size / n) ..< ceil((i + 1) * size / n).
///
/// x [batch, channels, height, width] -> [batch, channels, outputSize.0, outputSize.1]. Errors: as `averagePool2D`, and
/// sizes that are not positive.
public func adaptiveAveragePool2D(
  _ x: Tensor, outputSize: (Int, Int), file: StaticString = #fileID, line: UInt = #line
) -> Tensor { adaptivePool("adaptiveAveragePool2D", .average(countPadding: true), x, outputSize, file, line) }

/// The greatest elements over the windows of `adaptiveAveragePool2D`; the first of equals gets the gradient.
public func adaptiveMaxPool2D(
  _ x: Tensor, outputSize: (Int, Int), file: StaticString = #fileID, line: UInt = #line
) -> Tensor { adaptivePool("adaptiveMaxPool2D", .max, x, outputSize, file, line) }

private func rankFailure(
  _ name: String, _ x: Tensor, _ rank: Int, _ file: StaticString, _ line: UInt
) -> Tensor? {
  if x.rank == rank { return nil }
  return .failure(
    name, rule: "x must have \(rank) axes, got \(x.rank)", operands: [("x", x)],
    fix: rank == 4
      ? "x is [batch, channels, height, width]; for a single image use `.expanded(axis: 0)`"
      : "x is [batch, channels, width]; for a single sequence use `.expanded(axis: 0)`", dtype: x.dtype, file: file,
    line: line)
}

private func pool(
  _ name: String, _ kind: Pool.Kind, _ x: Tensor, _ size: (Int, Int), _ stride: (Int, Int)?,
  _ padding: ConvolutionPadding, _ dilation: (Int, Int), _ file: StaticString, _ line: UInt
) -> Tensor {
  if let bad = rankFailure(name, x, 4, file, line) { return bad }
  if let bad = x.floatFailure(name, shape: [], file: file, line: line) { return bad }
  let step = stride ?? size
  do {
    let rows = try WindowAxis(
      "height", size: x.shape[2], kernel: size.0, stride: step.0, dilation: dilation.0, pads: padding.rows)
    let columns = try WindowAxis(
      "width", size: x.shape[3], kernel: size.1, stride: step.1, dilation: dilation.1, pads: padding.columns)
    try rows.checkThatEveryWindowMeetsTheInput("height")
    try columns.checkThatEveryWindowMeetsTheInput("width")
    let planes = x.shape[0] * x.shape[1]
    let geometry = Pool(
      kind: kind, planes: planes, height: rows.size, width: columns.size, outHeight: rows.out, outWidth: columns.out,
      kernelHeight: rows.kernel, kernelWidth: columns.kernel, strideY: rows.stride, strideX: columns.stride,
      dilationY: rows.dilation, dilationX: columns.dilation, padTop: rows.padLow, padLeft: columns.padLow)
    return geometry.node(kind, [x.viewed(.reshape(geometry.inputShape))], file: file, line: line)
      .viewed(.reshape([x.shape[0], x.shape[1], rows.out, columns.out]))
  } catch {
    return .failure(
      name, rule: error.rule, operands: [("x", x)], fix: error.fix, dtype: x.dtype, file: file, line: line)
  }
}

extension WindowAxis {
  /// A maximum or mean of padding alone would be of nothing.
  fileprivate func checkThatEveryWindowMeetsTheInput(_ name: String) throws(WindowMistake) {
    if padLow == 0 && padHigh == 0 { return }
    func meets(_ window: Int) -> Bool {
      let start = window * stride - padLow
      if start >= size { return false }
      // The first tap at or after 0.
      let skipped = start >= 0 ? 0 : (-start + dilation - 1) / dilation
      return skipped < kernel && start + skipped * dilation < size
    }
    // Windows that start inside x meet it; only the others need a look, and they are few.
    let firstInside = Swift.min((padLow + stride - 1) / stride, out)
    let firstBeyond = Swift.max(Swift.min((size + padLow + stride - 1) / stride, out), firstInside)
    guard (0..<firstInside).allSatisfy(meets), (firstBeyond..<out).allSatisfy(meets) else {
      throw WindowMistake(
        "a window along \(name) lies in the padding alone (window \(kernel), padding \(padLow) and \(padHigh))",
        "pad by at most half the window")
    }
  }
}

private func adaptivePool(
  _ name: String, _ kind: Pool.Kind, _ x: Tensor, _ out: (Int, Int), _ file: StaticString, _ line: UInt
) -> Tensor {
  if let bad = rankFailure(name, x, 4, file, line) { return bad }
  if let bad = x.floatFailure(name, shape: [], file: file, line: line) { return bad }
  let (height, width) = (x.shape[2], x.shape[3])
  guard out.0 > 0, out.1 > 0, height > 0, width > 0, out.0 < 1 << 20, out.1 < 1 << 20,
    height < 1 << 40, width < 1 << 40
  else {
    return .failure(
      name, rule: "outputSize must be positive and x not empty, got \(out.0) x \(out.1)", operands: [("x", x)],
      fix: "use 1 or more", dtype: x.dtype, file: file, line: line)
  }
  if height % out.0 == 0 && width % out.1 == 0 {
    return pool(name, kind, x, (height / out.0, width / out.1), nil, .valid, (1, 1), file, line)
  }
  // Uneven windows: columns first, then rows, so that the first of equals in row-major order wins.
  let columns = (0..<out.1).map { i in
    let window = adaptiveWindow(i, width, out.1)
    let part = x.sliced(axis: 3, start: window.lowerBound, count: window.count)
    return pool(name, kind, part, (1, window.count), nil, .valid, (1, 1), file, line)
  }
  let narrow = concatenate(columns, axis: 3, file: file, line: line)
  let rows = (0..<out.0).map { i in
    let window = adaptiveWindow(i, height, out.0)
    let part = narrow.sliced(axis: 2, start: window.lowerBound, count: window.count)
    return pool(name, kind, part, (window.count, 1), nil, .valid, (1, 1), file, line)
  }
  return concatenate(rows, axis: 2, file: file, line: line)
}

private func adaptiveWindow(_ i: Int, _ size: Int, _ out: Int) -> Range<Int> {
  (i * size / out)..<(((i + 1) * size + out - 1) / out)
}

extension Pool {
  /// A node of any kind over this geometry.
  func node(_ kind: Kind, _ inputs: [Tensor], file: StaticString? = nil, line: UInt = 0) -> Tensor {
    var pool = self
    pool.kind = kind
    let shape =
      switch kind {
      case .max, .maxGather, .average: outputShape
      case .maxGradient, .averageGradient: inputShape
      }
    return .make(.pool(pool), inputs, shape: shape, dtype: inputs[0].dtype, file: file, line: line)
  }

  /// Where the maximum lies does not change in the small, so the positions have no gradient.
  func cotangents(inputs: [Tensor], y: Tensor, g: Tensor) -> Cotangents {
    switch kind {
    case .max: .rule([node(.maxGradient, [inputs[0], g])])
    case .maxGradient: .rule([nil, node(.maxGather, [inputs[0], g])])
    case .maxGather: .rule([nil, node(.maxGradient, [inputs[0], g])])
    case .average(let count): .rule([node(.averageGradient(countPadding: count), [g])])
    case .averageGradient(let count): .rule([node(.average(countPadding: count), [g])])
    }
  }
}
