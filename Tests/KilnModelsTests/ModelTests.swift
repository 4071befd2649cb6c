import Foundation
import Kiln
import Testing

/// A model that PyTorch or transformers made with random weights, and how Kiln computes with it.
struct GoldenModel: Sendable, CustomTestStringConvertible {
  var name: String
  var mapping = StateDictMapping.identity
  /// The step size of the 20 AdamW steps.
  var learningRate: Double
  var make: @Sendable (Device) -> any Module
  /// The model, the inputs by name, to logits.
  var logits: @Sendable (any Module, [String: Tensor]) -> Tensor
  var loss: @Sendable (_ logits: Tensor, _ labels: Tensor) -> Tensor
  var testDescription: String { name }

  /// Over all but the last axis.
  static func crossEntropy(_ logits: Tensor, _ labels: Tensor) -> Tensor {
    softmaxCrossEntropy(logits: logits, labels: labels)
  }

  static let all = [
    GoldenModel(
      name: "resnet", learningRate: 1e-3, make: { resNet20(classes: 5, width: 4, on: $0) },
      logits: { model, inputs in (model as? Sequential).map { $0(inputs["x"]!) } ?? inputs["x"]! },
      loss: crossEntropy),
    GoldenModel(
      name: "tagger", learningRate: 1e-2,
      make: { LSTMTagger(words: 19, features: 6, hidden: 7, classes: 4, on: $0) },
      logits: { model, inputs in (model as? LSTMTagger).map { $0(inputs["tokens"]!) } ?? inputs["tokens"]! },
      loss: crossEntropy),
    GoldenModel(
      name: "gpt2", mapping: GPT2.huggingFace, learningRate: 3e-3,
      make: {
        GPT2(.init(words: 23, positions: 16, features: 12, layers: 2, heads: 3, dropout: 0), on: $0)
      },
      logits: { model, inputs in (model as? GPT2).map { $0(inputs["tokens"]!) } ?? inputs["tokens"]! },
      loss: { crossEntropy($0.sliced(axis: 1, to: -1), $1.sliced(axis: 1, from: 1)) }),
    GoldenModel(
      name: "bert", learningRate: 3e-3,
      make: {
        BERT(
          .init(
            words: 21, positions: 14, features: 12, layers: 2, heads: 2, feedForward: 20, classes: 3, dropout: 0),
          on: $0)
      },
      logits: { model, inputs in
        (model as? BERT).map {
          $0(inputs["tokens"]!, keyMask: inputs["mask"]! .!= 0, tokenTypes: inputs["types"]!)
        } ?? inputs["tokens"]!
      }, loss: crossEntropy),
  ]

  func load(on device: Device) throws -> (model: any Module, golden: Golden, inputs: [String: Tensor]) {
    let golden = try Golden("\(name).npz")
    let model = make(device)
    let report = try model.loadPyTorchStateDict(from: Golden.path("\(name).safetensors"), mapping: mapping)
    #expect(report.loaded.count == model.stateEntries.count)
    var inputs: [String: Tensor] = [:]
    for key in golden.arrays.keys where key.hasPrefix("in.") {
      inputs[String(key.dropFirst(3))] = try golden.tensor(key, on: device)
    }
    return (model, golden, inputs)
  }
}

@Suite("Whole models equal PyTorch's and transformers'")
struct ModelGoldenTests {
  @Test("logits, loss and all gradients", arguments: GoldenModel.all)
  func gradients(_ golden: GoldenModel) throws {
    for device in TestDevices.all {
      let (model, values, inputs) = try golden.load(on: device)
      let evaluated = try model.evaluating { () throws -> Tensor in
        let logits = golden.logits(model, inputs)
        try evaluate(logits)
        return logits
      }
      let logits = golden.logits(model, inputs)
      let loss = golden.loss(logits, try values.tensor("labels", on: device))
      let gradients = try gradient(of: loss, withRespectTo: model.parameters.map(\.value))
      try evaluate([logits, loss] + gradients)
      var wanted = [("evaluated", evaluated), ("logits", logits), ("loss", loss)]
      wanted += zip(model.namedParameters.map { "grad.\($0.name)" }, gradients)
      for (name, tensor) in wanted {
        let expected = try #require(values.arrays[name], "\(golden.name) has no \(name)")
        if name.hasSuffix("attention.self.key.bias") {
          // A bias of the keys adds the same to a query's every score: its gradient is 0, and both have rounding errors.
          #expect(try tensor.doubles().allSatisfy { abs($0) < 1e-7 }, "\(golden.name) \(name)")
          continue
        }
        let layout = golden.mapping.layout(String(name.dropFirst(5)), Tensor(expected, on: .cpu))
        try Golden.expectEqual(
          tensor, try HostArray(name.hasPrefix("grad.") ? layout : Tensor(expected, on: .cpu)),
          "\(golden.name) \(name) on \(device)", bound: 1e-4)
      }
    }
  }

  @Test("20 steps of AdamW follow PyTorch's losses", arguments: GoldenModel.all)
  func training(_ golden: GoldenModel) throws {
    for device in TestDevices.all {
      let (model, values, inputs) = try golden.load(on: device)
      let labels = try values.tensor("labels", on: device)
      let optimizer = Optimizer(AdamW(learningRate: golden.learningRate, weightDecay: 0.01), for: model)
      var losses: [Double] = []
      for _ in 0..<20 {
        let loss = golden.loss(golden.logits(model, inputs), labels)
        let gradients = try gradient(of: loss, withRespectTo: optimizer.values)
        let value = loss.stopGradient()
        try optimizer.step(gradients: gradients, evaluating: [value])
        losses.append(try value.item())
      }
      let expected = try values.tensor("losses", on: .cpu).doubles()
      let worst = zip(losses, expected).map { abs($0 - $1) / $1 }.max() ?? .infinity
      #expect(losses.count == expected.count && worst <= 1e-3, "\(golden.name) on \(device): \(worst)")
      #expect(expected[19] < expected[0] * 0.9, "the recorded model learns")
    }
  }
}

@Suite("Models")
struct ModelTests {
  @Test("sizes are the published ones")
  func sizes() {
    #expect(resNet20(on: .cpu).parameterCount == 272_474)
    #expect(LSTMTagger(words: 10, features: 4, hidden: 3, classes: 2, on: .cpu).parameterCount == 10 * 4 + 480 + 14)
  }

  @Test("GPT-2 decodes with caches what it computes at once")
  func decoding() throws {
    let model = GPT2(
      .init(words: 11, positions: 8, features: 8, layers: 2, heads: 2), generator: RandomGenerator(seed: 1), on: .cpu)
    model.eval()
    let tokens = Tensor.randomIntegers([2, 6], high: 11, generator: RandomGenerator(seed: 2), on: .cpu)
    let whole = try model(tokens).doubles()
    var caches = model.makeCaches(batch: 2, capacity: 8)
    var parts = [model(tokens.sliced(axis: 1, to: 3), caches: &caches)]
    for t in 3..<6 {
      parts.append(model(tokens.sliced(axis: 1, from: t, to: t + 1), caches: &caches))
      try evaluate(parts + caches.flatMap(\.tensors))
    }
    #expect(Golden.relativeError(try concatenate(parts, axis: 1).doubles(), whole) < 1e-5)
    var none: [KeyValueCache] = []
    #expect(model(tokens, caches: &none).error != nil)
  }

  @Test("files of the bare transformer and of other ages load by their mappings")
  func mappings() throws {
    let model = GPT2(.init(words: 5, positions: 4, features: 4, layers: 1, heads: 2), on: .cpu)
    var file: [String: Tensor] = [:]
    for (name, value) in model.stateDict {
      file[String(name.dropFirst("transformer.".count))] = GPT2.huggingFace.layout(name, value)
    }
    file["h.0.attn.bias"] = .ones([1, 1, 4, 4], on: .cpu)
    #expect(try model.loadStateDict(file, mapping: GPT2.huggingFace).leftOut == ["h.0.attn.bias"])
    let bert = BERT(
      .init(words: 5, positions: 4, features: 4, layers: 1, heads: 2, feedForward: 6), on: .cpu)
    var old: [String: Tensor] = [:]
    for (name, value) in bert.stateDict {
      let old1 = name.hasSuffix("LayerNorm.weight") ? name.dropLast(6) + "gamma" : name
      old[old1.hasSuffix("LayerNorm.bias") ? old1.dropLast(4) + "beta" : old1] = value
    }
    old["bert.embeddings.position_ids"] = .zeros([1, 4], dtype: .int64, on: .cpu)
    old["cls.predictions.bias"] = .zeros([5], on: .cpu)
    #expect(old.keys.contains("bert.embeddings.LayerNorm.gamma"))
    #expect(try bert.loadStateDict(old, mapping: BERT.huggingFace).leftOut.count == 2)
  }

  @Test("mistakes are refused, and layers are summed up")
  func mistakes() throws {
    let model = GPT2(.init(words: 5, positions: 4, features: 4, layers: 1, heads: 2), on: .cpu)
    #expect(model(Tensor.zeros([1, 5], dtype: .int64, on: .cpu)).error != nil)
    #expect(throws: DeviceError.self) { try model(Tensor([[9]].flatMap { $0 }, shape: [1, 1], on: .cpu)).doubles() }
    #expect(
      BERT(.init(words: 5, features: 6, layers: 1, heads: 4), on: .cpu)(
        Tensor([[1]].flatMap { $0 }, shape: [1, 1], on: .cpu)
      ).error != nil)
    #expect("\(LSTM(4, 8, layers: 2, bidirectional: true, on: .cpu))" == "LSTM(4, 8, layers: 2, bidirectional)")
  }
}
