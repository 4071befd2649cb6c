import Kiln
import Testing

private struct Block: Layer {
  let first = Conv2D(4, 4, kernel: 3, padding: 1)
  let activation = ReLU()
  let second = Conv2D(4, 4, kernel: 3, padding: 1)
  let scale = 0.5
  func callAsFunction(_ x: Tensor) -> Tensor { activation(x + second(activation(first(x)) * scale)) }
}

private struct Classifier: Layer {
  let stem = Sequential {
    Conv2D(3, 4, kernel: 3, stride: 2, padding: 1, bias: false)
    BatchNorm2D(4)
  }
  let blocks = [Block(), Block()]
  let pool = MaxPool2D(4)
  let head = Dense(4, 10)
  func callAsFunction(_ x: Tensor) -> Tensor {
    var y = stem(x)
    for block in blocks { y = block(y) }
    return head(pool(y).flattened(from: 1))
  }
}

private struct Inner: Layer {
  let head = Dense(4, 2)
  func callAsFunction(_ x: Tensor) -> Tensor { head(x) }
}

private struct Watched: Layer {
  let inner = Inner()
  func callAsFunction(_ x: Tensor) -> Tensor { observed(x) { inner(x) } }
}

private struct Outer: Layer {
  let scale = Parameter(Tensor.ones([9]))
  let parts = Sequential {
    ReLU()
    MaxPool2D(2)
    Lambda { $0 + Tensor.zeros([5]) }
  }
  func callAsFunction(_ x: Tensor) -> Tensor { parts(x) }
}

@Suite("Summaries, descriptions, freezing and places of mistakes")
struct StructureTests {
  @Test("a summary lists every layer with path, output, parameters and FLOPs")
  func summary() throws {
    let model = Classifier()
    let summary = try model.summary(inputShape: [2, 3, 8, 8])
    let paths = summary.rows.map(\.path)
    #expect(
      paths == [
        "", "stem", "stem.0", "stem.1", "blocks.0", "blocks.0.first", "blocks.0.activation", "blocks.0.second",
        "blocks.0.activation", "blocks.1", "blocks.1.first", "blocks.1.activation", "blocks.1.second",
        "blocks.1.activation", "pool", "head",
      ])
    let rows = Dictionary(summary.rows.map { ($0.path ?? "?", $0) }) { first, _ in first }
    #expect(rows["stem.0"]?.outputShape == [2, 4, 4, 4])
    #expect(rows["stem.0"]?.parameters == 108)
    // 2 * 4 * 4 * 4 results of 27 products each, a multiplication and an addition.
    #expect(rows["stem.0"]?.operations == 2 * 128 * 27)
    #expect(rows["blocks.0.first"]?.operations == 2 * 128 * 36 + 128)
    #expect(rows["blocks.0.activation"]?.operations == 128)
    #expect(rows["blocks.0"]?.parameters == 2 * (4 * 4 * 9 + 4))
    #expect(rows["blocks.0"]?.outputShape == nil)
    #expect(rows["head"]?.operations == 2 * 2 * 10 * 4 + 20)
    #expect(rows["head"]?.outputShape == [2, 10])
    #expect(rows[""]?.outputShape == [2, 10])
    #expect(rows["pool"]?.outputShape == [2, 4, 1, 1])
    #expect(summary.rows.filter { $0.isRepeated }.map(\.path) == ["blocks.0.activation", "blocks.1.activation"])
    #expect(summary.trainableParameters == model.parameterCount)
    #expect(summary.bufferElements == 9)
    #expect(summary.operations == rows[""]?.operations)
    #expect(summary.operations > (rows["stem.0"]?.operations ?? 0) + 4 * (2 * 128 * 36))
    // It ran in evaluation mode, and nothing of it stays.
    #expect(model.namedBuffers.last.map { (try? $0.buffer.value.item()) == 0 } == true)
    #expect(LayerMode().isTraining)
    let mode = try #require(model.stem[1] as? BatchNorm2D).mode
    #expect(mode.isTraining)
  }

  @Test("a summary's table has a line for each row and the totals")
  func table() throws {
    let model = Sequential {
      Flatten()
      Dense(784, 128, activation: .relu)
      Dense(128, 10)
    }
    try model.freeze("1.*")
    let text = try model.summary(inputShape: [1, 28, 28]).description
    #expect(text.contains("parameters 101,770: 1,290 trainable, 100,480 frozen; 0 in buffers"))
    #expect(text.contains("input [1, 28, 28]"))
    let lines = text.split(separator: "\n")
    #expect(lines.count == 10)
    #expect(lines[3].hasPrefix("  Flatten (0)"))
    #expect(lines[4].contains("[1, 128]") && lines[4].contains("100,480") && lines[4].contains("200,960"))
    #expect(throws: TensorError.self) { try model.summary(inputShape: [1, 28, 27]) }
  }

  @Test("a wrapper and its layer are one row")
  func wrapper() throws {
    let model = Sequential([try WeightNorm(Dense(3, 2)), ReLU()])
    let summary = try model.summary(inputShape: [1, 3])
    #expect(summary.rows.map(\.path) == ["", "0", "1"])
    #expect(summary.rows[1].parameters == 2 + 2 + 6)
  }

  @Test("a description nests modules as PyTorch's does")
  func description() {
    let model = Sequential {
      Conv2D(3, 8, kernel: (3, 5), stride: (2, 2), padding: .same, bias: false)
      BatchNorm2D(8)
      Residual { Dense(4, 4, activation: .leakyReLU(slope: 0.2)) }
      Dropout(0.1)
      MaxPool2D(2)
      Flatten()
      Lambda("halve") { $0 / 2 }
    }
    #expect(
      model.description == """
        Sequential(
          (0): Conv2D(3, 8, kernel: (3, 5), stride: 2, padding: same, bias: false)
          (1): BatchNorm2D(channels: 8, momentum: 0.1, epsilon: 1e-05)
          (2): Residual(
            (body): Sequential(
              (0): Dense(4, 4, activation: leakyReLU(slope: 0.2))
            )
          )
          (3): Dropout(probability: 0.1)
          (4): MaxPool2D(2)
          (5): Flatten()
          (6): Lambda(halve)
        )
        """)
    #expect(
      "\(Block())".hasPrefix("Block(scale: 0.5\n  (first): Conv2D(4, 4, kernel: 3, padding: 1)\n  (activation): ReLU()")
    )
  }

  @Test("patterns name parameters by path")
  func patterns() {
    #expect(PathPattern("features.*").matches("features.0.weight"))
    #expect(PathPattern("features").matches("features.0.weight"))
    #expect(!PathPattern("feat").matches("features.0.weight"))
    #expect(!PathPattern("features").matches("head.features"))
    #expect(PathPattern("*.bias").matches("a.b.bias"))
    #expect(!PathPattern("*.bias").matches("a.bias2"))
    #expect(PathPattern("layers.?.w*t").matches("layers.3.weight"))
    #expect(!PathPattern("layers.?.weight").matches("layers.12.weight"))
    #expect(PathPattern("*").matches("") && PathPattern("a*b*c").matches("aXbYbZc"))
  }

  @Test("freezing by pattern, and a pattern without a match names the nearest")
  func freezing() throws {
    let model = Classifier()
    try model.freeze("blocks.*")
    #expect(Set(model.trainableParameters.map(\.count)) == [108, 4, 40, 10])
    #expect(Optimizer(SGD(learningRate: 1), for: model).parameters.allSatisfy { !$0.name.hasPrefix("blocks") })
    try model.unfreeze("blocks.1.second.bias")
    #expect(
      model.namedParameters.filter { $0.parameter.isTrainable && $0.name.hasPrefix("blocks") }.map(\.name) == [
        "blocks.1.second.bias"
      ])
    try model.freeze()
    #expect(model.trainableParameters.isEmpty)
    let error = #expect(throws: TensorError.self) { try model.freeze("block.*") }
    #expect(error?.rule.contains("'block.*'") == true)
    #expect(error?.fix.contains("blocks.0.first.weight") == true)
    #expect(model.trainableParameters.isEmpty)
    try model.unfreeze()
    #expect(model.trainableParameters.count == model.parameters.count)
  }

  @Test("a mistake names the path of its layer in containers and in models of one's own")
  func places() {
    func place(_ y: Tensor) -> String? { (y.error as? TensorError)?.layer }
    let x = Tensor.zeros([1, 3, 8, 8])
    // Alone, a layer can only say what it is.
    #expect(place(Dense(4, 2)(x)) == "Dense(4, 2)")
    #expect(place(Sequential([ReLU(), Sequential([Classifier()])])(Tensor.zeros([1, 3, 40, 40]))) == "1.0.head")
    #expect(place(Sequential([Block()])(x)) == "0.first")
    #expect(place(Sequential([Residual(Dense(8, 8), shortcut: MaxPool2D(9))])(x)) == "0.shortcut")
    #expect(place(Sequential([Lambda { $0 + Tensor.zeros([5]) }])(x)) == "0")
    #expect(place(Sequential([Concatenate([Conv2D(3, 1, kernel: 1), Conv2D(4, 1, kernel: 1)])])(x)) == "0.1")
  }

  @Test("a mistake in a model of one's own outside any container is named by its path")
  func ownModels() throws {
    func place(_ y: Tensor) -> String? { (y.error as? TensorError)?.layer }
    // Inside `observed` it is known at once.
    #expect(place(Watched()(Tensor.zeros([1, 7]))) == "inner.head")
    // Without it, as soon as an optimizer, or anything else, has looked through the model.
    let model = Classifier()
    let (tooLarge, wrongChannels) = (Tensor.zeros([1, 3, 40, 40]), Tensor.zeros([1, 5, 8, 8]))
    #expect(place(model(tooLarge)) == "Dense(4, 10)")
    let optimizer = Optimizer(SGD(learningRate: 1), for: model)
    #expect(place(model(tooLarge)) == "head")
    #expect(place(model(wrongChannels)) == "stem.0")
    #expect(place(model(Tensor.zeros([3, 8, 8]))) == "stem.0")
    // A look at a part forgets nothing, and a container around the whole knows better.
    #expect(model.blocks[0].parameterCount > 0 && optimizer.stepCount == 0)
    #expect(place(model.blocks[0](wrongChannels)) == "blocks.0.first")
    #expect(place(Sequential([model])(tooLarge)) == "0.head")
    // A layer without parameters, and a block's own operation.
    let pooled = Outer()
    #expect(pooled.parameterCount == 9)
    #expect(place(pooled(Tensor.zeros([2, 2]))) == "parts.1")
    #expect(place(pooled(Tensor.zeros([1, 3, 4, 4]))) == "parts.2")
  }

  @Test("sizes that cannot be are errors, not crashes")
  func impossibleSizes() {
    let layers: [any Layer] = [
      Dense(-1, 2), Conv2D(3, -4, kernel: 3), Conv2D(3, 4, kernel: 0), Conv2D(3, 4, kernel: 1 << 40),
      Conv1D(3, 4, kernel: -1),
      Conv2D(3, 4, kernel: 3, stride: 0, padding: .same, paddingMode: .reflect), Conv2D(3, 4, kernel: 3, groups: 0),
      Conv2D(3, 4, kernel: 3, stride: .max, padding: .same, paddingMode: .edge), ConvTranspose2D(3, -4, kernel: 3),
      ConvTranspose1D(3, 4, kernel: .max), MaxPool2D(0), AveragePool1D(-1), AdaptiveMaxPool2D(0), Embedding(-1, 3),
      Embedding(4, 3, paddingIndex: .min), BatchNorm2D(-1), LayerNorm([]), LayerNorm(-3), GroupNorm(0, 3),
      RMSNorm([.max, 4]),
      Upsample(scale: .nan), Upsample(scale: -1), Upsample(size: (.max, 2)), Reshape([.max, 4, -1]), Reshape([-1, -1]),
      Flatten(from: 9), Flatten(from: 2, to: 1), Concatenate([]), Dropout(.nan), PReLU(-1), Softmax(axis: 7),
      Dense(3, 4, initializer: .normal(standardDeviation: -1)), Dense(.max, 4, initializer: .orthogonal()),
    ]
    for layer in layers {
      for shape: Shape in [[2, 3, 5, 5], [2, 3, 5], [2, 3], [], [0, 3, 5, 5]] {
        let y = layer(layer is Embedding ? Tensor.zeros(shape, dtype: .int64) : Tensor.zeros(shape))
        if shape == [2, 3, 5, 5] { #expect(y.error != nil, "\(layer)") }
        _ = Sequential([layer])(y)
      }
      #expect(!"\(layer)".isEmpty)
    }
  }
}
