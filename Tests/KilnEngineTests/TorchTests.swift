import Testing

@testable import KilnEngine

/// Results and gradients of whole families against PyTorch's, in float64 on interpreted nodes.
@Suite("The same numbers as PyTorch")
struct TorchTests {
  static func data(_ shape: Shape, _ seed: Int) -> [Double] {
    (0..<shape.count).map { Double(($0 * 7919 + seed * 104729) % 1000) / 500 - 1 }
  }

  func leaf(_ values: [Double], _ shape: Shape) -> Tensor { Tensor(values, shape: shape, on: HostDriver.device) }

  func check(
    _ name: String, _ shapes: [Shape], values: [Double]? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ function: ([Tensor]) -> Tensor
  ) throws {
    let xs = shapes.enumerated().map { i, shape in leaf(values ?? TorchTests.data(shape, i + 1), shape) }
    let y = function(xs)
    let gradients = try gradient(of: (y * leaf(TorchTests.data(y.shape, 77), y.shape)).sum(), withRespectTo: xs)
    for (key, tensor) in [(name, y)] + gradients.enumerated().map({ ("\(name), gradient \($0)", $1) }) {
      let wanted = try #require(torchValues[key], sourceLocation: sourceLocation)
      let got = try NodeInterpreter.doubles(tensor)
      #expect(got.count == wanted.count, "\(key)", sourceLocation: sourceLocation)
      for (i, (a, b)) in zip(got, wanted).enumerated() {
        let agree = a == b || (a.isNaN && b.isNaN) || abs(a - b) <= 1e-12 * max(abs(b), 1)
        #expect(agree, "\(key): element \(i) is \(a), PyTorch has \(b)", sourceLocation: sourceLocation)
      }
    }
  }

  @Test func kinksAndZeros() throws {
    try check("max of ties", [[2, 4]], values: [1, 3, 3, 2, 5, 5, 5, 5]) { $0[0].max(axes: [1]) }
    try check("min of ties", [[2, 4]], values: [1, 3, 1, 2, 5, 5, 1, 5]) { $0[0].min() }
    try check("product with zeros", [[3, 3]], values: [0, 2, 3, 0, 0, 4, 1, 2, 3]) { $0[0].product(axes: [1]) }
    try check("cumulative product with zeros", [[2, 5]], values: [2, 0, 3, 0, 4, 1, 2, 3, 4, 0]) {
      $0[0].cumulativeProduct(axis: 1)
    }
    try check("norm of zeros", [[2, 2]], values: [0, 0, 3, 4]) { $0[0].norm(axes: [1]) }
    try check("norm 1 of zeros", [[2, 2]], values: [0, 0, 3, -4]) { $0[0].norm(order: 1, axes: [1]) }
    try check("norm 3 of zeros", [[2, 2]], values: [0, 0, 3, -4]) { $0[0].norm(order: 3, axes: [1]) }
    try check("norm infinity", [[2, 2]], values: [1, -7, 3, -4]) { $0[0].norm(order: .infinity, axes: [1]) }
    try check("deviation of equals", [[2, 3]], values: [2, 2, 2, 1, 2, 4]) { $0[0].standardDeviation(axes: [1]) }
    try check("variance, unbiased", [[2, 3, 4]]) { $0[0].variance(axes: [0, 2], unbiased: true) }
    try check("logSumExp", [[3, 2]], values: [1000, 1001, -.infinity, 2, -1000, -1000.5]) { $0[0].logSumExp(axes: [1]) }
    try check("softmax with infinities", [[2, 3]], values: [0, -.infinity, 1, 1000, 0, -1000]) { $0[0].softmax() }
    try check("logSoftmax of large", [[2, 2]], values: [1000, -3, 0, 5]) { $0[0].logSoftmax(axis: 0) }
    try check("sorted with ties", [[2, 4]], values: [3, 1, 3, 2, 0, 0, -1, 5]) { $0[0].sorted() }
  }

  @Test func windows() throws {
    try check("convolution2D", [[2, 4, 6, 7], [6, 2, 3, 2]]) {
      convolution2D($0[0], filter: $0[1], stride: (2, 1), padding: .symmetric(1, 2), dilation: (1, 2), groups: 2)
    }
    try check("convolution2D, same", [[1, 2, 5, 6], [3, 2, 3, 3]]) {
      convolution2D($0[0], filter: $0[1], stride: (2, 2), padding: .same)
    }
    try check("convolution1D", [[2, 3, 9], [4, 3, 3]]) {
      convolution1D($0[0], filter: $0[1], stride: 2, padding: .explicit(left: 1, right: 1), dilation: 2)
    }
    try check("transposedConvolution2D", [[2, 4, 3, 4], [4, 3, 3, 2]]) {
      transposedConvolution2D(
        $0[0], filter: $0[1], stride: (2, 3), padding: (1, 0), outputPadding: (1, 2), dilation: (2, 1), groups: 2)
    }
    try check("transposedConvolution1D", [[1, 2, 5], [2, 3, 4]]) {
      transposedConvolution1D($0[0], filter: $0[1], stride: 2, padding: 1, outputPadding: 1)
    }
    try check("maxPool2D", [[2, 2, 6, 7]]) {
      maxPool2D($0[0], size: (3, 2), stride: (2, 1), padding: .symmetric(1, 1), dilation: (1, 2))
    }
    try check("maxPool2D of ties", [[1, 1, 3, 3]], values: [1, 1, 1, 1, 1, 2, 2, 1, 1]) {
      maxPool2D($0[0], size: (2, 2), stride: (1, 1))
    }
    try check("averagePool2D", [[1, 2, 5, 6]]) {
      averagePool2D($0[0], size: (3, 3), stride: (2, 2), padding: .symmetric(1, 1))
    }
    try check("averagePool2D, inside", [[1, 2, 5, 6]]) {
      averagePool2D($0[0], size: (3, 3), stride: (2, 2), padding: .symmetric(1, 1), countPadding: false)
    }
    try check("adaptiveAveragePool2D", [[1, 2, 7, 9]]) { adaptiveAveragePool2D($0[0], outputSize: (3, 4)) }
    try check("adaptiveMaxPool2D", [[1, 2, 7, 5]]) { adaptiveMaxPool2D($0[0], outputSize: (3, 2)) }
  }

  @Test func shapes() throws {
    try check("reflect", [[1, 2, 3, 4]]) { $0[0].padded(low: [0, 0, 1, 2], high: [0, 0, 2, 1], mode: .reflect) }
    try check("edge", [[1, 2, 3, 4]]) { $0[0].padded(low: [0, 0, 0, 2], high: [0, 0, 2, 1], mode: .edge) }
    try check("tiled", [[2, 2]]) { $0[0].tiled([2, 1, 3]) }
    try check("einsum diagonal", [[2, 3, 3]]) { einsum("bii->ib", $0) }
    try check("einsum chain", [[2, 3, 4], [4, 5], [2, 5, 2]]) { einsum("bij,jk,bkl->bil", $0) }
    try check("einsum dots", [[2, 1, 3, 4], [5, 2, 4]]) { einsum("...ij,...kj->...ik", $0) }
    try check("einsum implicit", [[3, 2], [4, 3]]) { einsum("ki,jk", $0) }
    try check("einsum outer", [[3], [4]]) { einsum("i,j->ji", $0) }
    try check("einsum sums", [[2, 3, 4], [5, 3]]) { einsum("ijk,lj->l", $0) }
  }

  @Test func rowsAndIndices() throws {
    try check("layerNorm", [[3, 5], [5], [5]]) { layerNorm($0[0], scale: $0[1], shift: $0[2]) }
    try check("rmsNorm", [[3, 5], [5]]) { rmsNorm($0[0], scale: $0[1]) }
    let labels = Tensor([0, -100, 4, 2] as [Int], on: HostDriver.device)
    try check("crossEntropy", [[4, 5]]) { crossEntropy(logits: $0[0], labels: labels) }
    let index = Tensor([2, 0, 2, 1, 1, 2] as [Int], shape: [3, 2], on: HostDriver.device)
    try check("takenAlong", [[3, 4]]) { $0[0].takenAlong(index, axis: 1) }
    try check("scatterAddAlong", [[3, 2]]) { scatterAddAlong($0[0], index, axis: 0, count: 4) }
    // The plain compositions are the fused operations' oracles.
    try check("layerNorm", [[3, 5], [5], [5]]) { RowwisePlain.layerNorm($0[0], scale: $0[1], shift: $0[2]) }
    try check("rmsNorm", [[3, 5], [5]]) { RowwisePlain.rmsNorm($0[0], scale: $0[1]) }
    try check("crossEntropy", [[4, 5]]) { RowwisePlain.crossEntropy(logits: $0[0], labels: labels) }
    try check("softmax with infinities", [[2, 3]], values: [0, -.infinity, 1, 1000, 0, -1000]) {
      RowwisePlain.softmax($0[0])
    }
    try check("logSoftmax of large", [[2, 2]], values: [1000, -3, 0, 5]) {
      RowwisePlain.logSoftmax($0[0].transposed()).transposed()
    }
  }
}
