import Foundation

@testable import KilnEngine

extension NodeInterpreter {
  func rowwise(_ kind: Rowwise, _ inputs: [Value], _ result: inout Value) {
    let x = inputs[0]
    let columns = x.shape[x.shape.rank - 1]
    for row in 0..<(columns == 0 ? 0 : x.count / columns) {
      let values = Array(x.floats[(row * columns)..<((row + 1) * columns)])
      let greatest = values.max() ?? 0
      let total = values.reduce(0) { $0 + Foundation.exp($1 - greatest) }
      let mean = values.reduce(0, +) / Double(columns)
      let label = inputs.count > 1 && inputs[1].dtype == .int64 ? inputs[1].ints[row] : 0
      switch kind {
      case .softmax: result.floats += values.map { Foundation.exp($0 - greatest) / total }
      case .logSoftmax: result.floats += values.map { $0 - greatest - Foundation.log(total) }
      case .layerNorm(let epsilon):
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
        result.floats += values.indices.map {
          (values[$0] - mean) / (variance + epsilon).squareRoot() * inputs[1].floats[$0] + inputs[2].floats[$0]
        }
      case .rmsNorm(let epsilon):
        let square = values.reduce(0) { $0 + $1 * $1 } / Double(columns)
        result.floats += values.indices.map {
          values[$0] / (square + epsilon).squareRoot() * inputs[1].floats[$0]
        }
      case .softmaxGradient:
        let g = Array(inputs[1].floats[(row * columns)..<((row + 1) * columns)])
        let dot = zip(values, g).reduce(0) { $0 + $1.0 * $1.1 }
        result.floats += zip(values, g).map { $0 * ($1 - dot) }
      case .logSoftmaxGradient:
        let g = Array(inputs[1].floats[(row * columns)..<((row + 1) * columns)])
        let sum = g.reduce(0, +)
        result.floats += zip(values, g).map { $1 - Foundation.exp($0) * sum }
      case .layerNormGradient(let epsilon), .rmsNormGradient(let epsilon):
        var centre = 0.0
        if case .layerNormGradient = kind { centre = mean }
        let square = values.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(columns)
        let inverse = 1 / (square + epsilon).squareRoot()
        let normal = values.map { ($0 - centre) * inverse }
        let h = values.indices.map { inputs[1].floats[row * columns + $0] * inputs[2].floats[$0] }
        var shift = h.reduce(0, +) / Double(columns)
        if case .rmsNormGradient = kind { shift = 0 }
        let slope = zip(h, normal).reduce(0) { $0 + $1.0 * $1.1 } / Double(columns)
        result.floats += zip(h, normal).map { inverse * ($0 - shift - $1 * slope) }
      case .crossEntropy(let ignored):
        result.floats.append(
          label == Int64(ignored) ? 0 : greatest + Foundation.log(total) - values[Int(label)])
      case .crossEntropyGradient(let ignored):
        result.floats += values.indices.map {
          label == Int64(ignored)
            ? 0 : (Foundation.exp(values[$0] - greatest) / total - (Int64($0) == label ? 1 : 0)) * inputs[2].floats[row]
        }
      }
    }
  }

  func matmul(_ a: Value, _ b: Value, _ result: inout Value) {
    let (m, n) = (result.shape[result.shape.rank - 2], result.shape[result.shape.rank - 1])
    let k = a.shape[a.shape.rank - 1]
    for index in NodeInterpreter.indices(result.shape) {
      let position = NodeInterpreter.offset(index, result.shape)
      let (batch, i, j) = (m * n == 0 ? 0 : position / (m * n), index[index.count - 2], index[index.count - 1])
      if a.dtype.isFloat {
        result.floats.append(
          (0..<k).reduce(0) { $0 + a.floats[(batch * m + i) * k + $1] * b.floats[(batch * k + $1) * n + j] })
      } else {
        result.ints.append(
          (0..<k).reduce(0) { $0 &+ a.ints[(batch * m + i) * k + $1] &* b.ints[(batch * k + $1) * n + j] })
      }
    }
  }

  /// One walk over all (output, tap) pairs serves the three kinds.
  func convolution(_ c: Convolution, _ first: [Double], _ second: [Double], _ result: inout Value) {
    result.floats = Array(repeating: 0, count: result.count)
    let (inPer, outPer) = (c.channels / c.groups, c.filters / c.groups)
    for b in 0..<c.batch {
      for f in 0..<c.filters {
        for index in NodeInterpreter.indices([c.outHeight, c.outWidth, inPer, c.kernelHeight, c.kernelWidth]) {
          let (i, j, ch, p, q) = (index[0], index[1], index[2], index[3], index[4])
          let row = i * c.strideY + p * c.dilationY - c.padTop
          let column = j * c.strideX + q * c.dilationX - c.padLeft
          guard row >= 0, row < c.height, column >= 0, column < c.width else { continue }
          let x = NodeInterpreter.offset([b, f / outPer * inPer + ch, row, column], c.inputShape)
          let w = NodeInterpreter.offset([f, ch, p, q], c.filterShape)
          let y = NodeInterpreter.offset([b, f, i, j], c.outputShape)
          switch c.kind {
          case .forward: result.floats[y] += first[x] * second[w]
          case .inputGradient: result.floats[x] += first[y] * second[w]
          case .filterGradient: result.floats[w] += first[x] * second[y]
          }
        }
      }
    }
  }

  func pool(_ p: Pool, _ inputs: [[Double]], _ result: inout Value) {
    result.floats = Array(repeating: 0, count: result.count)
    for plane in 0..<p.planes {
      for index in NodeInterpreter.indices([p.outHeight, p.outWidth]) {
        let y = (plane * p.outHeight + index[0]) * p.outWidth + index[1]
        var taps: [Int] = []
        for tap in NodeInterpreter.indices([p.kernelHeight, p.kernelWidth]) {
          let row = index[0] * p.strideY + tap[0] * p.dilationY - p.padTop
          let column = index[1] * p.strideX + tap[1] * p.dilationX - p.padLeft
          guard row >= 0, row < p.height, column >= 0, column < p.width else { continue }
          taps.append((plane * p.height + row) * p.width + column)
        }
        let data = inputs[0]
        var best = taps.first ?? 0
        switch p.kind {
        case .max, .maxGradient, .maxGather:
          for tap in taps where !data[best].isNaN && (data[tap].isNaN || data[tap] > data[best]) { best = tap }
        default: break
        }
        switch p.kind {
        case .max: result.floats[y] = data[best]
        case .maxGradient: result.floats[best] += inputs[1][y]
        case .maxGather: result.floats[y] = inputs[1][best]
        case .average(let all):
          result.floats[y] =
            taps.reduce(0) { $0 + data[$1] } / Double(all ? p.kernelHeight * p.kernelWidth : taps.count)
        case .averageGradient(let all):
          for tap in taps {
            result.floats[tap] += data[y] / Double(all ? p.kernelHeight * p.kernelWidth : taps.count)
          }
        }
      }
    }
  }

  func gather(_ g: Gather, _ data: Value, _ indices: Value, _ result: inout Value) {
    let adds = g.kind == .scatterAddRows || g.kind == .scatterAddAlong
    let isFloat = data.dtype.isFloat
    result.floats = Array(repeating: 0, count: isFloat ? result.count : 0)
    result.ints = Array(repeating: 0, count: isFloat ? 0 : result.count)
    for index in NodeInterpreter.indices([g.outer, g.count, g.inner]) {
      let short = NodeInterpreter.offset(index, [g.outer, g.count, g.inner])
      let chosen =
        switch g.kind {
        case .rows, .scatterAddRows: indices.ints[index[1]]
        case .along, .scatterAddAlong: indices.ints[short]
        }
      let long = NodeInterpreter.offset([index[0], Int(chosen), index[2]], [g.outer, g.length, g.inner])
      switch (adds, isFloat) {
      case (true, true): result.floats[long] += data.floats[short]
      case (true, false): result.ints[long] &+= data.ints[short]
      case (false, true): result.floats[short] = data.floats[long]
      case (false, false): result.ints[short] = data.ints[long]
      }
    }
  }
}
