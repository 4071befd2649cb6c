import Testing

@testable import KilnEngine

@Suite("Shapes and dtypes of results")
struct ShapeInferenceTests {
  static let device = HostDriver.device
  func zeros(_ shape: Shape, _ dtype: DType = .float32) -> Tensor { .zeros(shape, dtype: dtype, on: Self.device) }

  func expect(
    _ tensor: Tensor, _ shape: Shape, _ dtype: DType = .float32, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(tensor.error == nil, sourceLocation: sourceLocation)
    #expect(tensor.shape == shape, sourceLocation: sourceLocation)
    #expect(tensor.dtype == dtype, sourceLocation: sourceLocation)
  }

  func values(_ tensor: Tensor) throws -> [Double] { try NodeInterpreter.doubles(tensor) }

  @Test("views, with Python's rules for slices")
  func views() throws {
    let x = zeros([2, 3, 4])
    expect(x.reshaped(to: [4, -1]), [4, 6])
    expect(x.permuted([-1, 0, 1]), [4, 2, 3])
    expect(x.transposed(), [2, 4, 3])
    expect(x.transposed(0, 2), [4, 3, 2])
    expect(x.expanded(axis: -1), [2, 3, 4, 1])
    expect(x.expanded(axis: 0).squeezed(), [2, 3, 4])
    expect(x.flattened(from: 1), [2, 12])
    expect(x.flattened(), [24])
    expect(zeros([]).flattened(), [1])
    expect(x.tiled([2]), [2, 3, 8])
    expect(x.tiled([0, 1, 1]), [0, 3, 4])
    expect(x[1], [3, 4])
    expect(x[0..<0], [0, 3, 4])
    expect(x[1...], [1, 3, 4])
    expect(x[...1].sliced(axis: 2, from: -100, to: 100), [2, 3, 4])
    let row = Tensor((0..<10).map(Double.init), on: Self.device)
    for from in [nil, -20, -10, -3, 0, 2, 9, 10, 20, Int.min, Int.max] as [Int?] {
      for to in [nil, -20, -10, -3, 0, 2, 9, 10, 20, Int.min, Int.max] as [Int?] {
        for step in [-20, -3, -1, 1, 2, 20, Int.min, Int.max] {
          let slice = row.sliced(axis: 0, from: from, to: to, step: step)
          #expect(try values(slice) == pythonSlice(10, from, to, step).map(Double.init))
        }
      }
    }
  }

  /// Python's definition, step by step: indices i = start + n * step while they are before the stop.
  private func pythonSlice(_ length: Int, _ from: Int?, _ to: Int?, _ step: Int) -> [Int] {
    func clip(_ given: Int?, _ low: Int, _ high: Int, _ otherwise: Int) -> Int {
      guard var i = given else { return otherwise }
      if i < 0 { i += length }
      return i < low ? low : i > high ? high : i
    }
    let start = step > 0 ? clip(from, 0, length, 0) : clip(from, -1, length - 1, length - 1)
    let stop = step > 0 ? clip(to, 0, length, length) : clip(to, -1, length - 1, -1)
    var result: [Int] = []
    var i = start
    while step > 0 ? i < stop : i > stop {
      result.append(i)
      let (next, overflow) = i.addingReportingOverflow(step)
      if overflow { break }
      i = next
    }
    return result
  }

  @Test("a view that changes nothing is the tensor itself")
  func noNodeForNothing() {
    let x = zeros([2, 3])
    for same in [
      x.reshaped(to: [2, -1]), x.permuted([0, 1]), x.broadcast(to: [2, 3]), x.sliced(axis: 1, from: 0),
      x.flipped(axes: []), x.squeezed(), x.padded(low: [0, 0], high: [0, 0]), x.sum(axes: []), x.tiled([1]),
      concatenate([x]),
    ] {
      #expect(same.node === x.node)
    }
  }

  @Test("reductions: axes, dtypes, and what they give of nothing")
  func reductions() throws {
    let x = zeros([2, 3, 4])
    expect(x.sum(), [])
    expect(x.sum(keepDims: true), [1, 1, 1])
    expect(x.mean(axes: [0, -1]), [3])
    expect(x.max(axes: [1], keepDims: true), [2, 1, 4])
    expect(x.argmax(), [], .int64)
    expect(x.argmin(axis: -1, keepDims: true), [2, 3, 1], .int64)
    expect(x.variance(axes: [2]), [2, 3])
    for dtype in [DType.bool, .uint8, .int32, .int64] {
      expect(zeros([3], dtype).sum(), [], .int64)
      expect(zeros([3], dtype).product(), [], .int64)
      expect(zeros([3], dtype).cumulativeSum(axis: 0), [3], .int64)
      expect(zeros([3], dtype).max(), [], dtype)
      expect(zeros([3], dtype).argmax(), [], .int64)
    }
    expect(x.any(axes: [1]), [2, 4], .bool)
    let none = zeros([0, 3])
    #expect(try values(none.sum()) == [0])
    #expect(try values(none.sum(axes: [0])) == [0, 0, 0])
    #expect(try values(none.sum(axes: [1])) == [])
    #expect(try values(none.product(axes: [0])) == [1, 1, 1])
    #expect(try values(none.mean())[0].isNaN)
    #expect(try values(none.max(axes: [1])) == [])
    #expect(try values(none.any()) == [0])
    #expect(try values(none.all(axes: [0])) == [1, 1, 1])
    #expect(try values(none.logSumExp(axes: [0])) == [-.infinity, -.infinity, -.infinity])
    let nan = Tensor([0, .nan, 2] as [Double], on: Self.device)
    #expect(try values(nan.any()) == [1])
    #expect(try values(nan.max())[0].isNaN)
    #expect(try values(nan.argmin()) == [1])
    #expect(try values(Tensor([-Double.infinity, -.infinity], on: Self.device).logSumExp()) == [-.infinity])
    #expect(try values(Tensor([Double.infinity, 1], on: Self.device).logSumExp()) == [.infinity])
    let low = Tensor([-Double.infinity, -.infinity], on: Self.device)
    #expect(try values(gradient(of: low.logSumExp(), withRespectTo: low)) == [0, 0])
  }

  @Test("a large mean does not cost the variance its digits")
  func variance() throws {
    let x = Tensor([1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4] as [Double], on: Self.device)
    #expect(try values(x.variance()) == [1.25])
    #expect(try values(x.variance(unbiased: true)) == [5.0 / 3])
    #expect(try values(x[0..<1].variance(unbiased: true))[0].isNaN)
  }

  @Test("sorting: stable, NaN greatest, topK in order")
  func sorting() throws {
    let x = Tensor([2, .nan, 1, 2, -1] as [Double], on: Self.device)
    #expect(try values(x.argsorted()) == [4, 2, 0, 3, 1])
    #expect(try values(x.argsorted(descending: true)) == [1, 0, 3, 2, 4])
    let top = Tensor([3, 1, 4, 1, 5, 9, 2, 6] as [Double], shape: [2, 4], on: Self.device).topK(2)
    #expect(try values(top.values) == [4, 3, 9, 6])
    #expect(try values(top.indices) == [2, 0, 1, 3])
    expect(zeros([5, 0]).sorted(), [5, 0])
    expect(zeros([5, 3]).topK(0).indices, [5, 0], .int64)
    expect(zeros([5, 3]).topK(2, axis: 0).values, [2, 3])
  }

  @Test("products of every rank, and of empty matrices")
  func products() throws {
    func product(_ a: Shape, _ b: Shape) -> Tensor { matmul(zeros(a), zeros(b)) }
    expect(product([3], [3]), [])
    expect(product([3], [3, 4]), [4])
    expect(product([2, 3], [3]), [2])
    expect(product([5, 2, 3], [3]), [5, 2])
    expect(product([3], [5, 3, 4]), [5, 4])
    expect(product([5, 1, 2, 3], [7, 3, 4]), [5, 7, 2, 4])
    expect(product([5, 2, 3], [1, 1, 3, 4]), [1, 5, 2, 4])
    expect(product([0, 2, 3], [3, 4]), [0, 2, 4])
    #expect(try values(product([2, 0], [0, 3])) == [0, 0, 0, 0, 0, 0])
    expect(einsum("ij,jk", zeros([2, 3]), zeros([3, 4])), [2, 4])
    expect(einsum("...i,i", zeros([2, 5, 3]), zeros([3])), [2, 5])
    expect(einsum("ij->", zeros([0, 3])), [])
    expect(einsum("ii", zeros([3, 3])), [])
    expect(einsum("ij,j->i", zeros([2, 1]), zeros([3])), [2])
    expect(einsum("i,i->i", zeros([3], .int32), zeros([3], .int32)), [3], .int32)
    expect(einsum("ij->j", zeros([3, 2], .int32)), [2], .int32)
  }

  @Test("convolutions and pools")
  func windows() throws {
    let x = zeros([8, 3, 32, 33])
    expect(convolution2D(x, filter: zeros([16, 3, 3, 5])), [8, 16, 30, 29])
    expect(convolution2D(x, filter: zeros([16, 3, 3, 5]), stride: (2, 3), padding: .same), [8, 16, 16, 11])
    expect(
      convolution2D(
        x, filter: zeros([6, 1, 3, 3]), stride: (2, 2), padding: .symmetric(1, 1), dilation: (2, 3), groups: 3),
      [8, 6, 15, 15])
    expect(convolution2D(zeros([0, 3, 8, 8]), filter: zeros([4, 3, 3, 3])), [0, 4, 6, 6])
    expect(convolution1D(zeros([2, 3, 10]), filter: zeros([5, 3, 4])), [2, 5, 7])
    expect(transposedConvolution2D(zeros([2, 4, 5, 6]), filter: zeros([4, 7, 3, 2]), stride: (2, 2)), [2, 7, 11, 12])
    expect(maxPool2D(x, size: (2, 2)), [8, 3, 16, 16])
    expect(averagePool2D(x, size: (3, 3), stride: (2, 2), padding: .same), [8, 3, 16, 17])
    expect(maxPool2D(zeros([0, 3, 8, 8]), size: (2, 2)), [0, 3, 4, 4])
    expect(globalAveragePool2D(x), [8, 3])
    expect(adaptiveAveragePool2D(x, outputSize: (5, 7)), [8, 3, 5, 7])
    expect(adaptiveMaxPool2D(x, outputSize: (40, 1)), [8, 3, 40, 1])
    expect(maxPool1D(zeros([2, 3, 10]), size: 3, stride: 2), [2, 3, 4])
    // The gradient of an empty batch with respect to the filter is zero, not nothing.
    let filter = zeros([4, 3, 3, 3])
    let y = convolution2D(zeros([0, 3, 8, 8]), filter: filter)
    expect(try gradient(of: y.sum(), withRespectTo: filter), [4, 3, 3, 3])
  }

  @Test("indexing")
  func indexing() throws {
    let x = zeros([2, 5, 3])
    let indices = zeros([4, 6], .int32)
    expect(x.gathered(indices), [4, 6, 5, 3])
    expect(x.gathered(indices, axis: 1), [2, 4, 6, 3])
    expect(x.gathered(zeros([], .uint8), axis: -1), [2, 5])
    expect(x.gathered(zeros([0], .int64), axis: 1), [2, 0, 3])
    expect(x.takenAlong(zeros([2, 7, 1], .int64), axis: 1), [2, 7, 3])
    expect(embedding(zeros([10, 8]), indices), [4, 6, 8])
    expect(scatterAdd(zeros([2, 4, 6, 3]), indices, axis: 1, count: 9), [2, 9, 3])
    expect(scatterAdd(zeros([4, 6]), indices, count: 9), [9])
    expect(scatterAddAlong(zeros([2, 7]), zeros([2, 7], .int64), axis: -1, count: 3), [2, 3])
    #expect(try values(scatterAdd(zeros([0, 2]), zeros([0], .int64), count: 3)) == [0, 0, 0, 0, 0, 0])
    expect(oneHot(indices, depth: 3, dtype: .uint8), [4, 6, 3], .uint8)
    expect(oneHot(indices, depth: 3, dtype: .bool), [4, 6, 3], .bool)
  }

  @Test("creation")
  func creation() throws {
    func on(_ make: (Device) -> Tensor) -> Tensor { make(Self.device) }
    #expect(try values(.arange(to: 5, dtype: .int32, on: Self.device)) == [0, 1, 2, 3, 4])
    #expect(try values(.arange(from: 1, to: 2, step: 0.25, on: Self.device)) == [1, 1.25, 1.5, 1.75])
    #expect(try values(.arange(from: 5, to: 0, step: -2, dtype: .int64, on: Self.device)) == [5, 3, 1])
    #expect(try values(.arange(from: 5, to: 0, on: Self.device)) == [])
    let line = try values(.linspace(from: 0.1, to: 0.7, count: 7, dtype: .float64, on: Self.device))
    #expect(line.first == 0.1 && line.last == 0.7 && line.count == 7)
    #expect(zip(line, line.dropFirst()).allSatisfy { abs($1 - $0 - 0.1) < 1e-15 })
    #expect(try values(.linspace(from: 3, to: 4, count: 1, on: Self.device)) == [3])
    #expect(try values(.eye(2, columns: 3, on: Self.device)) == [1, 0, 0, 0, 1, 0])
    expect(.eye(3, dtype: .bool, on: Self.device), [3, 3], .bool)
    #expect(try values(.full([2], -1.9, dtype: .int32, on: Self.device)) == [-1, -1])
  }

  @Test("draws: one counter each, reproducible, shapes and dtypes")
  func random() {
    let generator = RandomGenerator(seed: 5, stream: 2)
    expect(.randomUniform([2, 3], low: -1, high: 1, generator: generator, on: Self.device), [2, 3])
    expect(.randomNormal([2], dtype: .float64, generator: generator, on: Self.device), [2], .float64)
    #expect(generator.state.counter == 2)
    expect(.randomIntegers([4], high: 7, dtype: .uint8, generator: generator, on: Self.device), [4], .uint8)
    #expect(generator.state.counter == 4)
    expect(.randomTruncatedNormal([3], generator: generator, on: Self.device), [3])
    expect(.randomBernoulli([3], probability: 0.5, dtype: .bool, generator: generator, on: Self.device), [3], .bool)
    expect(.randomPermutation(6, generator: generator, on: Self.device), [6], .int64)
    #expect(RandomGenerator.State(seed: 9).key == 9)
    #expect(RandomGenerator.State(seed: 9, stream: 1).key != RandomGenerator.State(seed: 9, stream: 2).key)
    // A refused call draws nothing.
    let before = generator.state
    _ = Tensor.randomUniform([-1], generator: generator, on: Self.device)
    #expect(generator.state == before)
  }
}
