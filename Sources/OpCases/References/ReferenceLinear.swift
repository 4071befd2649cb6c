/// References of what multiplies and adds: matrix products, einsum and convolutions, as the loops of their formulas.
extension Reference {
  /// numpy's matmul: vectors are promoted, batches broadcast.
  public static func matmul(_ a: NDArray, _ b: NDArray) -> NDArray {
    let left = a.shape.count == 1 ? NDArray([1] + a.shape, a.values) : a
    let right = b.shape.count == 1 ? NDArray(b.shape + [1], b.values) : b
    let m = left.shape[left.shape.count - 2]
    let k = left.shape[left.shape.count - 1]
    let n = right.shape[right.shape.count - 1]
    let leftBatch = Array(left.shape.dropLast(2))
    let rightBatch = Array(right.shape.dropLast(2))
    let batch = NDArray.commonShape(leftBatch, rightBatch)
    var result = NDArray(batch + [m, n], [Double]())
    NDArray.forEachIndex(batch) { at in
      // Which matrix of each side this batch index reads.
      let l = Int(NDArray(leftBatch, (0..<NDArray.count(leftBatch)).map(Double.init)).broadcastValue(at: at))
      let r = Int(NDArray(rightBatch, (0..<NDArray.count(rightBatch)).map(Double.init)).broadcastValue(at: at))
      for i in 0..<m {
        for j in 0..<n {
          var total = 0.0
          var magnitude = 0.0
          for p in 0..<k {
            let product = left.values[(l * m + i) * k + p] * right.values[(r * k + p) * n + j]
            total += product
            magnitude += abs(product)
          }
          result.values.append(total)
          result.slack.append(magnitude * NDArray.sumUnits(k))
        }
      }
    }
    var shape = batch
    if a.shape.count > 1 { shape.append(m) }
    if b.shape.count > 1 { shape.append(n) }
    result.shape = shape
    return result
  }

  /// Sum over every index of all letters that the result lacks. Letters only; no ellipsis.
  public static func einsum(_ equation: String, _ operands: [NDArray]) -> NDArray {
    let sides = equation.split(separator: ">", omittingEmptySubsequences: false)
    let inputs = sides[0].dropLast().split(separator: ",", omittingEmptySubsequences: false).map { Array($0) }
    let output = Array(sides[1])
    var size: [Character: Int] = [:]
    for (letters, operand) in zip(inputs, operands) {
      for (letter, d) in zip(letters, operand.shape) { size[letter] = d }
    }
    let summed = size.keys.filter { !output.contains($0) }.sorted()
    let inner = summed.map { size[$0] ?? 0 }
    var result = NDArray(output.map { size[$0] ?? 0 }, [Double]())
    NDArray.forEachIndex(result.shape) { at in
      var terms: [Double] = []
      NDArray.forEachIndex(inner) { inside in
        var value: [Character: Int] = [:]
        for (letter, i) in zip(output, at) { value[letter] = i }
        for (letter, i) in zip(summed, inside) { value[letter] = i }
        var product = 1.0
        for (letters, operand) in zip(inputs, operands) { product *= operand[letters.map { value[$0] ?? 0 }] }
        terms.append(product)
      }
      let sum = NDArray.sum(terms)
      result.values.append(sum.value)
      result.slack.append(sum.slack * 2)
    }
    return result
  }

  /// What a 2-D convolution is given besides its operands.
  public struct Window: Sendable {
    public var stride = (1, 1)
    public var top = 0, bottom = 0, left = 0, right = 0
    public var dilation = (1, 1)
    public var groups = 1
    public init() {}
    public init(stride: (Int, Int) = (1, 1), pad: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1) {
      self.stride = stride
      (top, bottom, left, right) = (pad.0, pad.0, pad.1, pad.1)
      self.dilation = dilation
      self.groups = groups
    }

    /// Padding so that the output has ceil(input / stride) rows and columns; an odd row goes to the end.
    public func same(_ height: Int, _ width: Int, _ kernel: (Int, Int)) -> Window {
      func total(_ n: Int, _ k: Int, _ s: Int, _ d: Int) -> Int {
        Swift.max(0, ((n + s - 1) / s - 1) * s + d * (k - 1) + 1 - n)
      }
      var result = self
      let y = total(height, kernel.0, stride.0, dilation.0)
      let x = total(width, kernel.1, stride.1, dilation.1)
      (result.top, result.bottom, result.left, result.right) = (y / 2, y - y / 2, x / 2, x - x / 2)
      return result
    }

    public func outSize(_ height: Int, _ width: Int, _ kernel: (Int, Int)) -> (Int, Int) {
      (
        (height + top + bottom - dilation.0 * (kernel.0 - 1) - 1) / stride.0 + 1,
        (width + left + right - dilation.1 * (kernel.1 - 1) - 1) / stride.1 + 1
      )
    }
  }

  /// x [batch, channels, height, width], w [filters, channels / groups, kernelHeight, kernelWidth].
  public static func convolution(_ x: NDArray, _ w: NDArray, _ window: Window) -> NDArray {
    let (height, width) = (x.shape[2], x.shape[3])
    let (filters, depth, kernelHeight, kernelWidth) = (w.shape[0], w.shape[1], w.shape[2], w.shape[3])
    let (outHeight, outWidth) = window.outSize(height, width, (kernelHeight, kernelWidth))
    var result = NDArray([x.shape[0], filters, outHeight, outWidth], [Double]())
    NDArray.forEachIndex(result.shape) { at in
      let group = at[1] / (filters / window.groups)
      var total = 0.0
      var magnitude = 0.0
      for c in 0..<depth {
        for ky in 0..<kernelHeight {
          for kx in 0..<kernelWidth {
            let row = at[2] * window.stride.0 + ky * window.dilation.0 - window.top
            let column = at[3] * window.stride.1 + kx * window.dilation.1 - window.left
            if row < 0 || row >= height || column < 0 || column >= width { continue }
            let product = x[[at[0], group * depth + c, row, column]] * w[[at[1], c, ky, kx]]
            total += product
            magnitude += abs(product)
          }
        }
      }
      result.values.append(total)
      result.slack.append(magnitude * NDArray.sumUnits(depth * kernelHeight * kernelWidth))
    }
    return result
  }

  /// Transposed convolution as PyTorch: x [batch, in, h, w], w [in, out / groups, kh, kw]. Every input element adds
  /// its multiple of the filter to the output.
  public static func transposedConvolution(
    _ x: NDArray, _ w: NDArray, _ window: Window, outputPadding: (Int, Int)
  ) -> NDArray {
    let (channels, depth, kernelHeight, kernelWidth) = (w.shape[0], w.shape[1], w.shape[2], w.shape[3])
    let outHeight =
      (x.shape[2] - 1) * window.stride.0 - 2 * window.top + window.dilation.0 * (kernelHeight - 1) + outputPadding.0 + 1
    let outWidth =
      (x.shape[3] - 1) * window.stride.1 - 2 * window.left + window.dilation.1 * (kernelWidth - 1) + outputPadding.1 + 1
    let shape = [x.shape[0], depth * window.groups, outHeight, outWidth]
    var result = NDArray(shape, [Double](repeating: 0, count: NDArray.count(shape)))
    result.slack = result.values
    let units = NDArray.sumUnits(channels / window.groups * kernelHeight * kernelWidth)
    NDArray.forEachIndex(x.shape) { at in
      let group = at[1] / (channels / window.groups)
      for c in 0..<depth {
        for ky in 0..<kernelHeight {
          for kx in 0..<kernelWidth {
            let row = at[2] * window.stride.0 + ky * window.dilation.0 - window.top
            let column = at[3] * window.stride.1 + kx * window.dilation.1 - window.left
            if row < 0 || row >= outHeight || column < 0 || column >= outWidth { continue }
            let product = x[at] * w[[at[1], c, ky, kx]]
            let place = result.position([at[0], group * depth + c, row, column])
            result.values[place] += product
            result.slack[place] += abs(product) * units
          }
        }
      }
    }
    return result
  }

  public enum Pooling: Sendable {
    case max
    case average(countPadding: Bool)
  }

  /// x [batch, channels, height, width]. Taps outside x are skipped.
  public static func pool(_ x: NDArray, _ kind: Pooling, size: (Int, Int), _ window: Window) -> NDArray {
    let (height, width) = (x.shape[2], x.shape[3])
    let (outHeight, outWidth) = window.outSize(height, width, size)
    var result = NDArray([x.shape[0], x.shape[1], outHeight, outWidth], [Double]())
    NDArray.forEachIndex(result.shape) { at in
      var taps: [Double] = []
      for ky in 0..<size.0 {
        for kx in 0..<size.1 {
          let row = at[2] * window.stride.0 + ky * window.dilation.0 - window.top
          let column = at[3] * window.stride.1 + kx * window.dilation.1 - window.left
          if row < 0 || row >= height || column < 0 || column >= width { continue }
          taps.append(x[[at[0], at[1], row, column]])
        }
      }
      switch kind {
      case .max:
        result.values.append(taps.isEmpty ? -.infinity : max(taps))
        result.slack.append(0)
      case .average(let countPadding):
        let divisor = Double(countPadding ? size.0 * size.1 : taps.count)
        let sum = NDArray.sum(taps)
        result.values.append(sum.value / divisor)
        result.slack.append((sum.slack + abs(sum.value)) / divisor)
      }
    }
    return result
  }

  /// Output cell i covers rows floor(i * n / out) ..< ceil((i + 1) * n / out), as PyTorch.
  public static func adaptivePool(_ x: NDArray, _ kind: Pooling, outputSize: (Int, Int)) -> NDArray {
    var result = NDArray([x.shape[0], x.shape[1], outputSize.0, outputSize.1], [Double]())
    func range(_ i: Int, _ n: Int, _ out: Int) -> Range<Int> { (i * n / out)..<(((i + 1) * n + out - 1) / out) }
    NDArray.forEachIndex(result.shape) { at in
      var taps: [Double] = []
      for row in range(at[2], x.shape[2], outputSize.0) {
        for column in range(at[3], x.shape[3], outputSize.1) { taps.append(x[[at[0], at[1], row, column]]) }
      }
      switch kind {
      case .max:
        result.values.append(max(taps))
        result.slack.append(0)
      case .average:
        let average = mean(taps)
        result.values.append(average.value)
        result.slack.append(average.slack)
      }
    }
    return result
  }
}
