import KilnDevices
import KilnEngine
import Testing

@testable import KilnEngine

enum Way: CaseIterable {
  case interpreted, onCPU
  var device: Device { self == .interpreted ? HostDriver.device : .cpu }
  func doubles(_ tensor: Tensor) throws -> [Double] {
    self == .interpreted ? try NodeInterpreter.doubles(tensor) : try tensor.doubles()
  }
}

/// Results and gradients of whole families against PyTorch's, in float64: on interpreted nodes, which tests what the
/// functions mean, and compiled for the CPU, which tests the way there.
@Suite("The same numbers as PyTorch")
struct TorchTests {
  static func data(_ shape: Shape, _ seed: Int) -> [Double] {
    (0..<shape.count).map { Double(($0 * 7919 + seed * 104729) % 1000) / 500 - 1 }
  }

  func check(
    _ way: Way, _ name: String, _ shapes: [Shape], values: [Double]? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ function: ([Tensor]) -> Tensor
  ) throws {
    func leaf(_ values: [Double], _ shape: Shape) -> Tensor { Tensor(values, shape: shape, on: way.device) }
    let xs = shapes.enumerated().map { i, shape in leaf(values ?? TorchTests.data(shape, i + 1), shape) }
    let y = function(xs)
    let gradients = try gradient(of: (y * leaf(TorchTests.data(y.shape, 77), y.shape)).sum(), withRespectTo: xs)
    for (key, tensor) in [(name, y)] + gradients.enumerated().map({ ("\(name), gradient \($0)", $1) }) {
      let wanted = try #require(torchValues[key], sourceLocation: sourceLocation)
      let got = try way.doubles(tensor)
      #expect(got.count == wanted.count, "\(key)", sourceLocation: sourceLocation)
      for (i, (a, b)) in zip(got, wanted).enumerated() {
        let agree = a == b || (a.isNaN && b.isNaN) || abs(a - b) <= 1e-12 * max(abs(b), 1)
        #expect(agree, "\(key): element \(i) is \(a), PyTorch has \(b)", sourceLocation: sourceLocation)
      }
    }
  }

  @Test(arguments: Way.allCases) func kinksAndZeros(_ way: Way) throws {
    try check(way, "max of ties", [[2, 4]], values: [1, 3, 3, 2, 5, 5, 5, 5]) { $0[0].max(axes: [1]) }
    try check(way, "min of ties", [[2, 4]], values: [1, 3, 1, 2, 5, 5, 1, 5]) { $0[0].min() }
    try check(way, "product with zeros", [[3, 3]], values: [0, 2, 3, 0, 0, 4, 1, 2, 3]) { $0[0].product(axes: [1]) }
    try check(way, "cumulative product with zeros", [[2, 5]], values: [2, 0, 3, 0, 4, 1, 2, 3, 4, 0]) {
      $0[0].cumulativeProduct(axis: 1)
    }
    try check(way, "norm of zeros", [[2, 2]], values: [0, 0, 3, 4]) { $0[0].norm(axes: [1]) }
    try check(way, "norm 1 of zeros", [[2, 2]], values: [0, 0, 3, -4]) { $0[0].norm(order: 1, axes: [1]) }
    try check(way, "norm 3 of zeros", [[2, 2]], values: [0, 0, 3, -4]) { $0[0].norm(order: 3, axes: [1]) }
    try check(way, "norm infinity", [[2, 2]], values: [1, -7, 3, -4]) { $0[0].norm(order: .infinity, axes: [1]) }
    try check(way, "deviation of equals", [[2, 3]], values: [2, 2, 2, 1, 2, 4]) { $0[0].standardDeviation(axes: [1]) }
    try check(way, "variance, unbiased", [[2, 3, 4]]) { $0[0].variance(axes: [0, 2], unbiased: true) }
    try check(way, "logSumExp", [[3, 2]], values: [1000, 1001, -.infinity, 2, -1000, -1000.5]) {
      $0[0].logSumExp(axes: [1])
    }
    try check(way, "softmax with infinities", [[2, 3]], values: [0, -.infinity, 1, 1000, 0, -1000]) { $0[0].softmax() }
    try check(way, "logSoftmax of large", [[2, 2]], values: [1000, -3, 0, 5]) { $0[0].logSoftmax(axis: 0) }
    try check(way, "sorted with ties", [[2, 4]], values: [3, 1, 3, 2, 0, 0, -1, 5]) { $0[0].sorted() }
  }

  @Test(arguments: Way.allCases) func windows(_ way: Way) throws {
    try check(way, "convolution2D", [[2, 4, 6, 7], [6, 2, 3, 2]]) {
      convolution2D($0[0], filter: $0[1], stride: (2, 1), padding: .symmetric(1, 2), dilation: (1, 2), groups: 2)
    }
    try check(way, "convolution2D, same", [[1, 2, 5, 6], [3, 2, 3, 3]]) {
      convolution2D($0[0], filter: $0[1], stride: (2, 2), padding: .same)
    }
    try check(way, "convolution1D", [[2, 3, 9], [4, 3, 3]]) {
      convolution1D($0[0], filter: $0[1], stride: 2, padding: .explicit(left: 1, right: 1), dilation: 2)
    }
    try check(way, "transposedConvolution2D", [[2, 4, 3, 4], [4, 3, 3, 2]]) {
      transposedConvolution2D(
        $0[0], filter: $0[1], stride: (2, 3), padding: (1, 0), outputPadding: (1, 2), dilation: (2, 1), groups: 2)
    }
    try check(way, "transposedConvolution1D", [[1, 2, 5], [2, 3, 4]]) {
      transposedConvolution1D($0[0], filter: $0[1], stride: 2, padding: 1, outputPadding: 1)
    }
    try check(way, "maxPool2D", [[2, 2, 6, 7]]) {
      maxPool2D($0[0], size: (3, 2), stride: (2, 1), padding: .symmetric(1, 1), dilation: (1, 2))
    }
    try check(way, "maxPool2D of ties", [[1, 1, 3, 3]], values: [1, 1, 1, 1, 1, 2, 2, 1, 1]) {
      maxPool2D($0[0], size: (2, 2), stride: (1, 1))
    }
    try check(way, "averagePool2D", [[1, 2, 5, 6]]) {
      averagePool2D($0[0], size: (3, 3), stride: (2, 2), padding: .symmetric(1, 1))
    }
    try check(way, "averagePool2D, inside", [[1, 2, 5, 6]]) {
      averagePool2D($0[0], size: (3, 3), stride: (2, 2), padding: .symmetric(1, 1), countPadding: false)
    }
    try check(way, "adaptiveAveragePool2D", [[1, 2, 7, 9]]) { adaptiveAveragePool2D($0[0], outputSize: (3, 4)) }
    try check(way, "adaptiveMaxPool2D", [[1, 2, 7, 5]]) { adaptiveMaxPool2D($0[0], outputSize: (3, 2)) }
  }

  @Test(arguments: Way.allCases) func shapes(_ way: Way) throws {
    try check(way, "reflect", [[1, 2, 3, 4]]) { $0[0].padded(low: [0, 0, 1, 2], high: [0, 0, 2, 1], mode: .reflect) }
    try check(way, "edge", [[1, 2, 3, 4]]) { $0[0].padded(low: [0, 0, 0, 2], high: [0, 0, 2, 1], mode: .edge) }
    try check(way, "tiled", [[2, 2]]) { $0[0].tiled([2, 1, 3]) }
    try check(way, "einsum diagonal", [[2, 3, 3]]) { einsum("bii->ib", $0) }
    try check(way, "einsum chain", [[2, 3, 4], [4, 5], [2, 5, 2]]) { einsum("bij,jk,bkl->bil", $0) }
    try check(way, "einsum dots", [[2, 1, 3, 4], [5, 2, 4]]) { einsum("...ij,...kj->...ik", $0) }
    try check(way, "einsum implicit", [[3, 2], [4, 3]]) { einsum("ki,jk", $0) }
    try check(way, "einsum outer", [[3], [4]]) { einsum("i,j->ji", $0) }
    try check(way, "einsum sums", [[2, 3, 4], [5, 3]]) { einsum("ijk,lj->l", $0) }
  }

  @Test(arguments: Way.allCases) func rowsAndIndices(_ way: Way) throws {
    try check(way, "layerNorm", [[3, 5], [5], [5]]) { layerNorm($0[0], scale: $0[1], shift: $0[2]) }
    try check(way, "rmsNorm", [[3, 5], [5]]) { rmsNorm($0[0], scale: $0[1]) }
    let labels = Tensor([0, -100, 4, 2] as [Int], on: way.device)
    try check(way, "crossEntropy", [[4, 5]]) { crossEntropy(logits: $0[0], labels: labels) }
    let index = Tensor([2, 0, 2, 1, 1, 2] as [Int], shape: [3, 2], on: way.device)
    try check(way, "takenAlong", [[3, 4]]) { $0[0].takenAlong(index, axis: 1) }
    try check(way, "scatterAddAlong", [[3, 2]]) { scatterAddAlong($0[0], index, axis: 0, count: 4) }
    // The plain compositions are the fused operations' oracles.
    try check(way, "layerNorm", [[3, 5], [5], [5]]) { RowwisePlain.layerNorm($0[0], scale: $0[1], shift: $0[2]) }
    try check(way, "rmsNorm", [[3, 5], [5]]) { RowwisePlain.rmsNorm($0[0], scale: $0[1]) }
    try check(way, "crossEntropy", [[4, 5]]) { RowwisePlain.crossEntropy(logits: $0[0], labels: labels) }
    try check(way, "softmax with infinities", [[2, 3]], values: [0, -.infinity, 1, 1000, 0, -1000]) {
      RowwisePlain.softmax($0[0])
    }
    try check(way, "logSoftmax of large", [[2, 2]], values: [1000, -3, 0, 5]) {
      RowwisePlain.logSoftmax($0[0].transposed()).transposed()
    }
  }
}
