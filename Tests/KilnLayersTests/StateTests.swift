import Kiln
import Testing

@Suite("What layers remember")
struct StateTests {
  @Test("running statistics without a step do not build a graph without end")
  func boundedUpdates() throws {
    let model = Sequential([Dense(3, 3), BatchNorm1D(3), Dense(3, 3), BatchNorm1D(3)])
    var reference: [Double] = []
    for round in 0..<40 {
      let x = Tensor.randomNormal([8, 3], mean: 2, generator: RandomGenerator(seed: UInt64(round)))
      try evaluate(model(x))
      if round == 39 { reference = try model.namedBuffers.flatMap { try $0.buffer.value.doubles() } }
    }
    #expect(reference.allSatisfy { $0.isFinite })
    #expect(
      model.namedBuffers.filter { $0.name.hasSuffix("num_batches_tracked") }.allSatisfy {
        (try? $0.buffer.value.item()) == 40
      })
    // Evaluated after each batch, it is the same.
    let again = Sequential([model[0], BatchNorm1D(3), model[2], BatchNorm1D(3)])
    for round in 0..<40 {
      let x = Tensor.randomNormal([8, 3], mean: 2, generator: RandomGenerator(seed: UInt64(round)))
      try evaluate([again(x)] + again.namedBuffers.map(\.buffer.value))
    }
    let other = try again.namedBuffers.flatMap { try $0.buffer.value.doubles() }
    #expect(zip(reference, other).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
  }

  @Test("a buffer that waits is evaluated at last, with what else waits")
  func waiting() throws {
    let buffers = [LayerBuffer(.zeros([2])), LayerBuffer(.zeros([2]))]
    for _ in 0..<3 { for buffer in buffers { buffer.update { $0 + 1 } } }
    #expect(!buffers[0].value.isEvaluated)
    for _ in 0..<3 { for buffer in buffers { buffer.update { $0 + 1 } } }
    for buffer in buffers { #expect(try buffer.value.doubles() == [6, 6]) }
  }

  @Test("one value per channel is refused in training")
  func single() {
    #expect(BatchNorm1D(3)(Tensor.zeros([1, 3])).error is TensorError)
    #expect(BatchNorm2D(3)(Tensor.zeros([1, 3, 1, 1])).error is TensorError)
    #expect(InstanceNorm1D(3)(Tensor.zeros([4, 3, 1])).error is TensorError)
    #expect(BatchNorm2D(3)(Tensor.zeros([2, 4, 2, 2])).error is TensorError)
    #expect(BatchNorm2D(3)(Tensor.zeros([2, 3])).error is TensorError)
    #expect(LayerNorm(3)(Tensor.zeros([2, 4])).error is TensorError)
    #expect(GroupNorm(2, 3)(Tensor.zeros([2, 3, 4])).error is TensorError)
    let layer = BatchNorm1D(3)
    layer.eval()
    #expect(layer(Tensor.zeros([1, 3])).error == nil)
  }

  @Test("a weight of weight norm is set through its parts, and spectral norm bounds the weight")
  func wrappers() throws {
    let dense = Dense(4, 3, generator: RandomGenerator(seed: 1))
    let before = try dense.weight.value.doubles()
    let normed = try WeightNorm(dense)
    #expect(
      normed.namedParameters.map(\.name) == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
      ])
    #expect(zip(try dense.weight.value.doubles(), before).allSatisfy { abs($0 - $1) < 1e-6 })
    let new = Tensor.randomNormal([3, 4], generator: RandomGenerator(seed: 2))
    dense.weight.value = new
    #expect(zip(try dense.weight.value.doubles(), try new.doubles()).allSatisfy { abs($0 - $1) < 1e-6 })
    try normed.freeze("bias")
    #expect(dense.weight.isTrainable)
    dense.weight.isTrainable = false
    #expect(normed.trainableParameters.isEmpty)
    #expect(throws: TensorError.self) { try WeightNorm(Dense(4, 3), parameter: "wait") }
    #expect(throws: TensorError.self) { try SpectralNorm(Dense(4, 3), parameter: "bias") }

    let layer = try SpectralNorm(Dense(6, 6, bias: false, initializer: .normal(), generator: RandomGenerator(seed: 3)))
    for _ in 0..<100 { try evaluate(layer(Tensor.ones([1, 6]))) }
    layer.eval()
    // |W x| <= |x| for a weight whose greatest singular value is 1, and equal in the worst direction.
    let x = Tensor.randomNormal([1000, 6], generator: RandomGenerator(seed: 4))
    let stretch = layer(x).norm(axes: [1]) / x.norm(axes: [1])
    #expect(try stretch.max().item() <= 1.001)
    #expect(try stretch.max().item() > 0.7)
  }

  @Test("training through weight norm changes direction and length")
  func weightNormTrains() throws {
    let layer = try WeightNorm(Dense(4, 1, generator: RandomGenerator(seed: 1)))
    let x = Tensor.randomNormal([64, 4], generator: RandomGenerator(seed: 2))
    let y = matmul(x, Tensor([1, -2, 3, 0.5] as [Float], shape: [4, 1])) + 0.25
    try evaluate(x, y)
    let optimizer = Optimizer(Adam(learningRate: 0.05), for: layer)
    #expect(optimizer.parameters.count == 3)
    for _ in 0..<400 {
      let loss = square(layer(x) - y).mean()
      try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
    }
    #expect(try square(layer(x) - y).mean().item() < 1e-3)
  }
}
