import Foundation
import Kiln
import KilnProtobuf
import Testing

@testable import KilnONNX

/// Reads files back as what ONNX's own messages make of them. That onnx.checker and onnxruntime agree is for
/// `make test-onnx`, which runs the last test with a folder to keep.
@Suite("ONNX files")
struct ONNXFileTests {
  private static func read(_ path: String) throws -> ONNXModelProto {
    try ONNXModelProto(serializedBytes: [UInt8](Data(contentsOf: URL(filePath: path))))
  }

  @Test("a perceptron's file says what the model is: names, shapes, operators")
  func perceptron() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/mlp.onnx"
    let model = digitsMLP(generator: RandomGenerator(seed: 1), on: .cpu)
    let summary = try model.writeONNX(to: path, inputShape: [1, 8, 8], metadata: ["recipe": "digits"])
    let file = try Self.read(path)
    #expect(file.irVersion == 8)
    #expect(file.opsetImport.map(\.version) == [17])
    #expect(file.opsetImport.map(\.domain) == [""])
    #expect(file.producerName == "Kiln")
    #expect(file.metadataProps.map(\.key) == ["recipe"])
    let graph = file.graph
    #expect(
      graph.node.map(\.opType) == ["Transpose", "Reshape", "MatMul", "Add", "Relu", "Transpose", "MatMul", "Add"])
    #expect(graph.node.map(\.name).contains("1/MatMul"))
    #expect(graph.input.map(\.name) == ["input"])
    #expect(graph.output.map(\.name) == ["output"])
    #expect(graph.input[0].type.tensorType.shape.dim.map(\.dimParam) == ["batch", "", ""])
    #expect(graph.input[0].type.tensorType.shape.dim.dropFirst().map(\.dimValue) == [8, 8])
    #expect(graph.output[0].type.tensorType.shape.dim.map(\.dimParam) == ["batch", ""])
    #expect(graph.output[0].type.tensorType.elemType == 1)
    for (name, tensor) in model.stateDict {
      let stored = try #require(graph.initializer.first { $0.name == name }, "\(name)")
      #expect(stored.dims.map(Int.init) == tensor.shape.dimensions)
      #expect(try [UInt8](stored.rawData) == tensor.hostBytes())
    }
    #expect(summary.inputs == ["input": ["batch", "8", "8"]])
    #expect(summary.operators["MatMul"] == 2)
    #expect(try summary.byteCount == Data(contentsOf: URL(filePath: path)).count)
  }

  @Test("a fixed batch is in the file")
  func fixedBatch() throws {
    let model = digitsMLP(generator: RandomGenerator(seed: 1), on: .cpu)
    let folder = try TemporaryFolder()
    try model.writeONNX(to: folder.path + "/a.onnx", inputShape: [3, 8, 8], freeBatch: false)
    let graph = try Self.read(folder.path + "/a.onnx").graph
    #expect(graph.input[0].type.tensorType.shape.dim.map(\.dimValue) == [3, 8, 8])
    #expect(graph.output[0].type.tensorType.shape.dim.map(\.dimValue) == [3, 10])
  }

  @Test("a tied weight is in the file once")
  func tied() throws {
    let model = GPT2(
      GPT2.Configuration(words: 30, positions: 16, features: 24, layers: 1, heads: 3),
      generator: RandomGenerator(seed: 1), on: .cpu)
    let file = try model.onnxModel(
      inputs: [ONNXInput(shape: [1, 5], dtype: .int64)], outputs: ["output"], freeBatch: true, metadata: [:]
    ) { [model($0[0])] }
    #expect(file.graph.initializer.count { $0.dims == [30, 24] } == 1)
    #expect(file.graph.initializer.contains { $0.name == "transformer.wte.weight" })
  }

  @Test("a size follows from the batch and the length, or it is none")
  func extents() {
    let batches = [2, 3, 5].map { Probe(batch: $0, time: 1) }
    #expect(Extent([7, 7, 7], probes: batches) == Extent(7))
    #expect(Extent([9, 13, 21], probes: batches) == Extent(batch: 4, offset: 1))
    #expect(Extent([4, 9, 25], probes: batches) == nil)
    #expect(Extent([1, 2, 3], probes: [2, 4, 6].map { Probe(batch: $0, time: 1) }) == nil)
    let pairs = [(2, 7), (3, 7), (2, 11), (3, 11), (5, 13)].map { Probe(batch: $0.0, time: $0.1) }
    for wanted in [
      Extent(3), Extent(batch: 1), Extent(time: 1), Extent(both: 4), Extent(batch: 2, time: -3, both: 5, offset: 6),
    ] { #expect(Extent(pairs.map { wanted.value($0) }, probes: pairs) == wanted) }
    #expect(Extent(pairs.map { $0.time * $0.time }, probes: pairs) == nil)
    #expect(Extent(pairs.map { $0.time * $0.batch * $0.batch }, probes: pairs) == nil)
    #expect("\(Extent(batch: 4, offset: -1))" == "4*batch-1")
    #expect("\(Extent(time: 1, both: 1))" == "batch*time+time")
    #expect(Extent.product(Extent(batch: 2, offset: 1), Extent(time: 3)) == Extent(time: 3, both: 6))
    #expect(Extent.product(Extent(batch: 1), Extent(batch: 1)) == nil)
    let sizes: Extents = [Extent(batch: 1), Extent(1), Extent(3)]
    #expect(Extents.broadcast(sizes, [Extent(5), Extent(1)]) == [sizes[0], Extent(5), Extent(3)])
    #expect(Extents.broadcast(sizes, [Extent(2), Extent(1), Extent(1)]) == nil)
    #expect(sizes.product == Extent(batch: 3))
  }

  @Test("a recurrent layer is one node, whose length may be free")
  func recurrent() throws {
    let model = LSTMTagger(
      words: 20, features: 6, hidden: 5, layers: 2, classes: 4, generator: RandomGenerator(seed: 1), on: .cpu)
    let folder = try TemporaryFolder()
    let summary = try model.writeONNX(
      to: folder.path + "/a.onnx", inputShape: [1, 7], dtype: .int64, timeAxis: 1)
    #expect(summary.operators["LSTM"] == 2)
    #expect(summary.inputs == ["input": ["batch", "time"]])
    #expect(summary.outputs == ["output": ["batch", "time", "4"]])
    let graph = try Self.read(folder.path + "/a.onnx").graph
    for (name, tensor) in model.stateDict {
      #expect(graph.initializer.contains { $0.name == name && $0.dims.map(Int.init) == tensor.shape.dimensions })
    }
  }

  @Test(
    "every case is a graph whose nodes follow what they read; its file is kept if KILN_ONNX_FOLDER names a folder",
    arguments: ONNXCase.all)
  func cases(one: ONNXCase) throws {
    let temporary = try TemporaryFolder()
    let folder = ProcessInfo.processInfo.environment["KILN_ONNX_FOLDER"] ?? temporary.path
    let path = "\(folder)/\(one.name).onnx"
    let summary = try one.write(to: path)
    let graph = try Self.read(path).graph
    // "" is an input that is left out.
    var known = Set([""] + graph.input.map(\.name) + graph.initializer.map(\.name))
    #expect(known.count == 1 + graph.input.count + graph.initializer.count)
    for node in graph.node {
      #expect(node.input.allSatisfy(known.contains), "\(node.name) reads \(node.input)")
      #expect(known.isDisjoint(with: node.output), "\(node.name)")
      known.formUnion(node.output)
    }
    #expect(graph.output.allSatisfy { known.contains($0.name) })
    #expect(Set(graph.node.map(\.name)).count == graph.node.count)
    for (batch, longer) in [(2, 0), (5, 3)] {
      let samples = try one.samples(batch: batch, longer: longer)
      let output = try one.output(samples)
      let described = try #require(summary.outputs["output"])
      let length = one.inputs.compactMap { input in input.timeAxis.map { input.shape[$0] + longer } }.first
      let free = ["batch": batch, "time": length ?? -1]
      #expect(described.map { free[$0] ?? Int($0) ?? -1 } == output.shape.dimensions)
      var arrays = ["output": output]
      for (input, sample) in zip(one.inputs, samples) { arrays[input.name] = sample }
      try writeNPZ(arrays, to: "\(folder)/\(one.name).\(batch).npz")
    }
  }
}

@Suite("What cannot be written as ONNX is refused")
struct ONNXRefusalTests {
  private static func refusal(_ layer: any Layer, _ shape: Shape = [1, 4], to path: String = "/tmp/never.onnx")
    -> String
  {
    do {
      try layer.writeONNX(to: path, inputShape: shape)
      return "was written"
    } catch { return "\(error)" }
  }

  @Test("an operation that ONNX has not is named, with its layer")
  func operation() {
    let model = Sequential {
      Dense(4, 4, generator: RandomGenerator(seed: 1), on: .cpu)
      Lambda { $0.cumulativeProduct(axis: 1) }
    }
    let words = Self.refusal(model)
    #expect(words.contains("cumulativeProduct"))
    #expect(words.contains("docs/export.md"))
  }

  @Test("random numbers in evaluation mode")
  func random() {
    #expect(Self.refusal(Lambda { $0 + Tensor.randomNormal([4], on: .cpu) }).contains("random number"))
  }

  @Test("a random generator is left as it was")
  func generatorKept() throws {
    setSeed(5)
    let before = RandomGenerator.default.state
    _ = Self.refusal(Lambda { $0 + Tensor.randomNormal([4], on: .cpu) })
    #expect(RandomGenerator.default.state == before)
  }

  @Test("a model that reads a value while it runs")
  func reading() {
    let layer = Lambda { x in
      let value = (try? x.sum().item()) ?? .nan
      return value.isNaN ? Tensor.layerRefusal : x * value
    }
    #expect(Self.refusal(layer) != "was written")
  }

  @Test("another graph for another batch")
  func structure() {
    #expect(Self.refusal(Lambda { x in x.shape[0] > 1010 ? x + 1 : x }).contains("freeBatch: false"))
    #expect(
      Self.refusal(Lambda { x in matmul(x.reshaped(to: [-1, 1]), x.reshaped(to: [1, -1])).reshaped(to: [-1]) })
        .contains("freeBatch: false"))
  }

  @Test("a shape that does not fit, names that are not each their own, a folder that is not there")
  func operands() throws {
    let model = digitsMLP(generator: RandomGenerator(seed: 1), on: .cpu)
    #expect(Self.refusal(model, [1, 9, 9]) != "was written")
    #expect(Self.refusal(model, []).contains("batch"))
    for axis in [0, 3, -1] {
      #expect(throws: TensorError.self) {
        try model.writeONNX(to: "/tmp/never.onnx", inputShape: [1, 8, 8], timeAxis: axis)
      }
    }
    // A mean over the length is a number that the file could not hold.
    #expect(throws: TensorError.self) {
      try GlobalAveragePool1D().writeONNX(to: "/tmp/never.onnx", inputShape: [1, 4, 8], timeAxis: 2)
    }
    #expect(Self.refusal(model, [1, 8, 8], to: "/nowhere/a.onnx").contains("/nowhere/a.onnx"))
    #expect(throws: TensorError.self) {
      try model.writeONNX(to: "/tmp/never.onnx", inputs: [ONNXInput("x", shape: [1, 8, 8])], outputs: ["x"]) {
        [model($0[0])]
      }
    }
    #expect(throws: TensorError.self) {
      try model.writeONNX(to: "/tmp/never.onnx", inputs: [ONNXInput("x", shape: [1, 8, 8])], outputs: ["y", "z"]) {
        [model($0[0])]
      }
    }
  }
}

extension Tensor {
  fileprivate static var layerRefusal: Tensor { Tensor([Float](), shape: [3], on: .cpu) }
}

/// A folder that is removed with this.
final class TemporaryFolder {
  let path = NSTemporaryDirectory() + "kiln-" + UUID().uuidString
  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}
