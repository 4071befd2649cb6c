import Foundation
import Kiln
import Testing

/// A model to be written, and what to feed it: the same cases are checked without Python here, and with onnx.checker and
/// onnxruntime by Tests/Scripts/onnx-check.sh.
struct ONNXCase: Sendable, CustomStringConvertible {
  var name: String
  var module: any Module
  var inputs: [ONNXInput]
  /// Integer inputs are below it.
  var words = 1
  var body: @Sendable ([Tensor]) -> [Tensor]

  var description: String { name }

  init(
    _ name: String, _ module: any Module, inputs: [ONNXInput], words: Int = 1,
    _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) {
    (self.name, self.module, self.inputs, self.words, self.body) = (name, module, inputs, words, body)
  }

  /// A layer with one input, whose batch is 1 in `shape`.
  init(
    _ name: String, _ layer: any Layer, _ shape: Shape, dtype: DType = .float32, words: Int = 1, timeAxis: Int? = nil
  ) {
    self.init(
      name, layer, inputs: [ONNXInput(shape: shape, dtype: dtype, timeAxis: timeAxis)], words: words
    ) { [layer($0[0])] }
  }

  func write(to path: String) throws -> ONNXSummary {
    try module.writeONNX(to: path, inputs: inputs, outputs: ["output"], metadata: ["case": name], body)
  }

  /// Random inputs of a batch; where the length is free, of sequences that are so much longer than the case's.
  func samples(batch: Int, longer: Int) throws -> [Tensor] {
    let generator = RandomGenerator(seed: UInt64(batch))
    let tensors = inputs.map { input -> Tensor in
      var shape = input.shape
      shape[0] = batch
      if let axis = input.timeAxis { shape[axis] += longer }
      switch input.dtype {
      case .float32, .float64: return .randomNormal(shape, dtype: input.dtype, generator: generator, on: .cpu)
      case .bool:
        // The first of every row is true: a query without a key is a case of its own.
        let isFirst = Tensor.arange(to: Double(shape[shape.rank - 1]), dtype: .int64, on: .cpu) .== 0
        return (Tensor.randomUniform(shape, generator: generator, on: .cpu) .> 0.4) .|| isFirst
      default:
        return floor(Tensor.randomUniform(shape, generator: generator, on: .cpu) * Double(words)).cast(to: input.dtype)
      }
    }
    try evaluate(tensors)
    return tensors
  }

  /// The model's own result, in evaluation mode.
  func output(_ samples: [Tensor]) throws -> Tensor { try module.evaluating { try #require(body(samples).first) } }
}
