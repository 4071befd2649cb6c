import Foundation
import Kiln
import Testing

/// Every layer against torch's values in Golden/layers.npz.
///
/// A tensor agrees when its largest difference is within the tolerance times its largest magnitude: 1e-5 in float32 and
/// 1e-10 in float64. The values are torch's float64 ones; make_layers.py makes sure that torch's own float32 ones lie
/// within 1e-5 of them.
@Suite("Layers against torch")
struct LayerGoldenTests {
  struct Recorded {
    var shape: Shape
    var dtype: DType
    var values: [Double]
  }
  static let arrays: [String: Recorded] = {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/layers.npz")
    let tensors = (try? readNPZ(path.path(percentEncoded: false), on: .cpu)) ?? [:]
    return tensors.compactMapValues { tensor in
      (try? tensor.doubles()).map { Recorded(shape: tensor.shape, dtype: tensor.dtype, values: $0) }
    }
  }()

  struct Setting: Sendable, CustomStringConvertible {
    var device: String
    var dtype: DType
    var description: String { "\(device) \(dtype)" }
  }
  static let settings = [
    Setting(device: "cpu", dtype: .float32), Setting(device: "cpu", dtype: .float64),
    Setting(device: "opencl:0", dtype: .float32), Setting(device: "opencl:0", dtype: .float64),
  ]

  @Test("the cases are those that were recorded")
  func names() {
    #expect(
      Set(Self.arrays.keys.compactMap { $0.split(separator: "|").first.map(String.init) }) == Set(goldenCases.keys))
  }

  @Test("output, gradients and running statistics equal torch's", arguments: settings)
  func equalsTorch(_ setting: Setting) throws {
    for name in goldenCases.keys.sorted() {
      do { try check(name, setting) } catch { Issue.record("\(name) on \(setting): \(error)") }
    }
  }

  @Test("an empty batch gives an empty result and zero gradients, where torch gives one", arguments: settings.prefix(3))
  func emptyBatch(_ setting: Setting) throws {
    for (name, array) in Self.arrays.sorted(by: { $0.key < $1.key }) where name.hasSuffix("|empty") {
      let name = String(name.dropLast("|empty".count))
      do {
        let layer = try load(name, setting)
        let recorded = try input(name, "x", setting)
        let x = Tensor.zeros(
          Shape([0] + recorded.shape.dimensions.dropFirst()), dtype: recorded.dtype, on: recorded.device)
        let y = layer(x)
        #expect(y.shape.dimensions == array.values.map { Int($0) }, "\(name)")
        let parameters = layer.namedParameters
        let gradients = try gradient(of: y.sum(), withRespectTo: parameters.map(\.parameter.value))
        for (parameter, gradient) in zip(parameters, gradients) {
          #expect(gradient.shape == parameter.parameter.shape)
          #expect(try gradient.doubles().allSatisfy { $0 == 0 }, "\(name) \(parameter.name)")
        }
        for buffer in layer.namedBuffers {
          #expect(try buffer.buffer.value.doubles().allSatisfy(\.isFinite), "\(name) \(buffer.name)")
        }
      } catch { Issue.record("\(name) on \(setting): \(error)") }
    }
  }

  @Test("the comparison can fail")
  func comparison() throws {
    let reference = Recorded(shape: [2], dtype: .float64, values: [1, 100])
    #expect(try mismatch(Tensor([1.0, 100]), reference, .float64) == nil)
    #expect(try mismatch(Tensor([1.0, 100 + 2e-8]), reference, .float64) != nil)
    #expect(try mismatch(Tensor([1.0, .nan]), reference, .float64) != nil)
    #expect(try mismatch(Tensor([1.0, 100, 1]), reference, .float64) != nil)
    #expect(try mismatch(Tensor([Float(1.0009), 100]), reference, .float32) == nil)
    #expect(try mismatch(Tensor([Float(1.0011), 100]), reference, .float32) != nil)
  }

  private func check(_ name: String, _ setting: Setting) throws {
    var layer = try load(name, setting)
    let hasMode = Self.arrays.keys.contains { $0.hasPrefix("\(name)|evaluation|") }
    let g = try input(name, "g", setting)
    for mode in ["training", "evaluation"] where mode == "training" ? hasTraining(name) : hasMode {
      if mode == "evaluation" { layer = try load(name, setting) }
      if mode == "evaluation" { layer.eval() }
      let recorded = try input(name, "x", setting)
      let x = recorded.dtype.isFloat ? recorded.watched() : recorded
      let y = layer(x)
      let parameters = layer.namedParameters
      let wanted = (recorded.dtype.isFloat ? [x] : []) + parameters.map(\.parameter.value)
      let gradients = try gradient(of: y, withRespectTo: wanted, seed: g)
      var results: [String: Tensor] = ["y": y]
      if recorded.dtype.isFloat { results["dx"] = gradients[0] }
      for (parameter, gradient) in zip(parameters, gradients.suffix(parameters.count)) {
        results["d.\(parameter.name)"] = gradient
      }
      for buffer in layer.namedBuffers { results["a.\(buffer.name)"] = buffer.buffer.value }
      if Self.arrays["\(name)|\(mode)|ddx"] != nil {
        let v = try input(name, "v", setting)
        results["ddx"] = try gradient(of: (gradients[0] * v).sum(), withRespectTo: x)
      }
      let prefix = "\(name)|\(mode)|"
      let recordedKeys = Self.arrays.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
      #expect(Set(results.keys) == Set(recordedKeys), "\(name) \(mode)")
      try evaluate(Array(results.values))
      for (key, tensor) in results {
        guard let reference = Self.arrays[prefix + key] else { continue }
        let difference = try mismatch(tensor, reference, setting.dtype)
        #expect(difference == nil, "\(name) \(mode) \(key) on \(setting)")
      }
    }
  }

  private func hasTraining(_ name: String) -> Bool { Self.arrays["\(name)|training|y"] != nil }

  /// The case's layer with the recorded parameters and buffers.
  private func load(_ name: String, _ setting: Setting) throws -> any Layer {
    let place = Place(dtype: setting.dtype, device: try Device.named(setting.device))
    let make = try #require(goldenCases[name])
    let layer = try make(place)
    let parameters = layer.namedParameters
    let names = Self.arrays.keys.filter { $0.hasPrefix("\(name)|p.") }.map { String($0.dropFirst(name.count + 3)) }
    #expect(Set(parameters.map(\.name)) == Set(names), "parameters of \(name)")
    for parameter in parameters {
      let value = try input(name, "p.\(parameter.name)", setting)
      #expect(value.shape == parameter.parameter.shape, "\(name) \(parameter.name)")
      parameter.parameter.value = value
    }
    let buffers = layer.namedBuffers
    let bufferNames = Self.arrays.keys.filter { $0.hasPrefix("\(name)|b.") }.map {
      String($0.dropFirst(name.count + 3))
    }
    #expect(Set(buffers.map(\.name)) == Set(bufferNames), "buffers of \(name)")
    for buffer in buffers { buffer.buffer.value = try input(name, "b.\(buffer.name)", setting) }
    return layer
  }

  /// A recorded float array in the setting's dtype, an integer one as it is.
  private func input(_ name: String, _ key: String, _ setting: Setting) throws -> Tensor {
    let array = try #require(Self.arrays["\(name)|\(key)"], "\(name)|\(key)")
    let device = try Device.named(setting.device)
    return setting.dtype == .float32 && array.dtype == .float32
      ? Tensor(array.values.map { Float($0) }, shape: array.shape, on: device)
      : array.dtype == .float32
        ? Tensor(array.values, shape: array.shape, on: device)
        : Tensor(array.values.map { Int($0) }, shape: array.shape, on: device)
  }

  /// How far apart two tensors are, in words; nil where they agree.
  private func mismatch(_ tensor: Tensor, _ reference: Recorded, _ dtype: DType) throws -> String? {
    guard tensor.shape == reference.shape else { return "shape \(tensor.shape), not \(reference.shape)" }
    let expected = reference.values
    let scale = expected.map(abs).max() ?? 0
    let tolerance = dtype == .float32 ? 1e-5 : 1e-10
    for (index, (value, other)) in zip(try tensor.doubles(), expected).enumerated()
    where !(abs(value - other) <= tolerance * scale) {
      return "element \(index) is \(value), not \(other), of magnitudes up to \(scale)"
    }
    return nil
  }
}
