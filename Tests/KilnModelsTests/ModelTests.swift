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
