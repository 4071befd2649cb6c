import Foundation
import Kiln
import Testing

private struct Net: Layer {
  let body: Sequential
  let head: Dense
  let tied: Dense?

  init(classes: Int = 3, isTied: Bool = false, on device: Device = .cpu) {
    body = Sequential {
      Dense(4, 5, generator: RandomGenerator(seed: 1), on: device)
      BatchNorm1D(5, on: device)
    }
    head = Dense(5, classes, on: device)
    tied = isTied ? head : nil
  }
  func callAsFunction(_ x: Tensor) -> Tensor { head(body(x)) }
}

@Suite("Weights in and out")
struct StateDictTests {
  private func with<R>(_ suffix: String, _ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "kiln-\(UUID().uuidString)\(suffix)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  /// The message of the `LoadError`.
  private func refusal(_ body: () throws -> Void) -> String {
    do { try body() } catch let error as LoadError { return error.description } catch { return "other: \(error)" }
    return ""
  }

  @Test("parameters and persistent buffers by PyTorch's names")
  func names() {
    #expect(
      Net().stateDict.keys.sorted() == [
        "body.0.bias", "body.0.weight", "body.1.bias", "body.1.num_batches_tracked", "body.1.running_mean",
        "body.1.running_var", "body.1.weight", "head.bias", "head.weight",
      ])
    #expect(Net(isTied: true).tiedNames == ["tied.weight": "head.weight", "tied.bias": "head.bias"])
  }

  @Test("saved and loaded, bit for bit", arguments: [".safetensors", ".npz"])
  func roundTrip(_ suffix: String) throws {
    try with(suffix) { path in
      let (first, second) = (Net(), Net())
      _ = try first(Tensor.randomNormal([8, 4], on: .cpu)).doubles()
      try evaluate(first.stateEntries.values.map(\.value))
      try first.save(to: path)
      let report = try second.load(from: path)
      #expect(report.loaded.count == 9 && report.missing.isEmpty && report.unexpected.isEmpty)
      for (name, value) in first.stateDict {
        #expect(try value.hostBytes() == second.stateDict[name]?.hostBytes(), "\(name)")
      }
    }
  }

  @Test("all that is wrong is said at once, and nothing is changed")
  func mismatches() throws {
    try with(".safetensors") { path in
      let model = Net()
      let before = try model.stateDict.mapValues { try $0.hostBytes() }
      try writeSafetensors(
        [
          "body.0.weight": .zeros([5, 4], on: .cpu), "body.0.bias": .zeros([6], on: .cpu),
          "surplus": Tensor(1, on: .cpu),
          "head.weight": .zeros([3, 5], dtype: .int32, on: .cpu),
        ], to: path)
      let message = refusal { try model.load(from: path) }
      for words in [
        "missing in the file (6)", "body.1.running_mean", "head.bias", "unexpected in the file (1): surplus",
        "body.0.bias: the model has [5] float32, the file [6] float32",
        "head.weight: the model has [3, 5] float32, the file",
      ] { #expect(message.contains(words), "\(message)") }
      #expect(refusal { try model.load(from: path, strict: false) }.contains("of another shape (2)"))
      #expect(try model.stateDict.mapValues { try $0.hostBytes() } == before)
    }
  }

  @Test("a body is transferred to a model with another head, by prefix")
  func transfer() throws {
    try with(".safetensors") { path in
      let source = Net(classes: 10)
      try source.save(to: path)
      let target = Net(classes: 2)
      let head = try target.head.weight.value.hostBytes()
      let report = try target.loadPyTorchStateDict(
        from: path, mapping: .identity.leavingOut(prefix: "head."), strict: false)
      #expect(report.missing == ["head.bias", "head.weight"] && report.leftOut == ["head.bias", "head.weight"])
      #expect(try target.head.weight.value.hostBytes() == head)
      #expect(try target.body.parameters[0].value.hostBytes() == source.body.parameters[0].value.hostBytes())
      // The body alone is a model too.
      let body = Net().body
      try body.loadPyTorchStateDict(from: path, mapping: .identity.removing(prefix: "body."))
      #expect(try body.parameters[0].value.hostBytes() == source.body.parameters[0].value.hostBytes())
      // And loads into the whole.
      try with(".npz") { part in
        try body.save(to: part)
        let report = try Net().loadPyTorchStateDict(
          from: part, mapping: .identity.adding(prefix: "body."), strict: false)
        #expect(report.loaded.count == 7 && report.missing.count == 2)
      }
    }
  }

  @Test("tied weights load under either name; layouts and float dtypes are converted")
  func conversions() throws {
    let model = Net(isTied: true)
    var tensors = model.stateDict.mapValues { $0.dtype.isFloat ? $0.cast(to: .float64) : $0 }
    tensors["tied.weight"] = tensors.removeValue(forKey: "head.weight").map { ($0 * 2).transposed() }
    let expected = try (model.head.weight.value * 2).doubles()
    try model.loadStateDict(tensors, mapping: .identity.transposing { $0 == "head.weight" })
    #expect(try model.head.weight.value.doubles() == expected)
    #expect(model.head.weight.dtype == .float32)
  }

  @Test("loaded weights train in place and apart from the file's tensors")
  func training() throws {
    let model = Net()
    try model.loadStateDict(model.stateDict.mapValues { $0.dtype.isFloat ? $0 + 1 : $0 })
    let loss = square(model(Tensor.ones([3, 4], on: .cpu))).sum()
    #expect(try gradient(of: loss, withRespectTo: model.parameters.map(\.value)).count == 6)
    let kept = try model.head.bias.map { try $0.value.doubles() }
    let optimizer = Optimizer(SGD(learningRate: 0.1), for: model)
    try optimizer.step(gradients: gradient(of: loss, withRespectTo: optimizer.values))
    #expect(try model.head.bias.map { try $0.value.doubles() } != kept)
  }

  @Test("only files of known kinds, and errors of tensors, are passed on")
  func kinds() throws {
    #expect(throws: DataError.self) { try Net().save(to: "/tmp/kiln.pt") }
    #expect(throws: DataError.self) { try Net().load(from: "/nowhere/model.safetensors") }
    #expect(throws: TensorError.self) {
      try Net().loadStateDict(["head.bias": Tensor.zeros([2], on: .cpu) + Tensor.zeros([3], on: .cpu)])
    }
  }
}
