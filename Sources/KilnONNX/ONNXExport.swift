import Foundation
import KilnData
import KilnEngine
import KilnLayers
import KilnProtobuf

/// One input of a model in an ONNX file.
public struct ONNXInput: Sendable, Hashable {
  public var name: String
  /// The first size is the batch.
  public var shape: Shape
  public var dtype: DType
  /// The axis whose size is the length of a sequence, to leave that open too; inputs that have one share it.
  public var timeAxis: Int?

  public init(_ name: String = "input", shape: Shape, dtype: DType = .float32, timeAxis: Int? = nil) {
    (self.name, self.shape, self.dtype, self.timeAxis) = (name, shape, dtype, timeAxis)
  }
}

/// What is in an ONNX file that was written.
public struct ONNXSummary: Sendable, Hashable {
  /// Names with sizes; "batch" and "time" are any.
  public var inputs, outputs: [String: [String]]
  /// How many nodes of each operator.
  public var operators: [String: Int]
  public var parameters: Int
  public var byteCount: Int
}

extension Layer {
  /// Writes the model's forward pass in evaluation mode as an ONNX file (operator set 17), with one input "input" and one
  /// output "output".
  ///
  ///     try model.writeONNX(to: "model.onnx", inputShape: [1, 3, 32, 32])
  ///
  /// - Parameters:
  ///   - inputShape: with the batch as its first size. The other sizes are fixed in the file.
  ///   - freeBatch: the file takes any batch; else the one of the shape.
  ///   - timeAxis: an axis whose size is left open too: the length of a sequence, up to that of the model's tables.
  /// - Throws: a `TensorError` where the shape does not fit the model, where the graph is another for another batch, or
  ///   for an operation that ONNX has not; `DataError` for the file.
  @discardableResult
  public func writeONNX(
    to path: String, inputShape: Shape, dtype: DType = .float32, freeBatch: Bool = true, timeAxis: Int? = nil,
    metadata: [String: String] = [:]
  ) throws -> ONNXSummary {
    try writeONNX(
      to: path, inputs: [ONNXInput(shape: inputShape, dtype: dtype, timeAxis: timeAxis)], outputs: ["output"],
      freeBatch: freeBatch, metadata: metadata
    ) { [self($0[0])] }
  }
}

extension Module {
  /// `writeONNX` of a module with several inputs or outputs: `body` calls it on tensors of these shapes, which are never
  /// computed, and gives a tensor for each of `outputs`.
  @discardableResult
  public func writeONNX(
    to path: String, inputs: [ONNXInput], outputs: [String], freeBatch: Bool = true, metadata: [String: String] = [:],
    _ body: ([Tensor]) throws -> [Tensor]
  ) throws -> ONNXSummary {
    let model = try onnxModel(
      inputs: inputs, outputs: outputs, freeBatch: freeBatch, metadata: metadata, body)
    // Protocol buffers end at 2 GiB; half a megabyte is for what is not weights.
    let weights = model.graph.initializer.reduce(0) { $0 + $1.rawData.count }
    guard weights < Int(Int32.max) - (1 << 19) else {
      throw TensorError(
        operation: "writeONNX", rule: "an ONNX file holds at most 2 GiB, the weights take \(weights) bytes",
        fix: "write the parts of the model as files of their own")
    }
    let bytes: [UInt8] = try model.serializedBytes()
    try BinaryFile.write(bytes, to: path)
    func sizes(_ values: [ONNXValueInfoProto]) -> [String: [String]] {
      let pairs = values.map { value in
        (value.name, value.type.tensorType.shape.dim.map { $0.dimParam.isEmpty ? "\($0.dimValue)" : $0.dimParam })
      }
      return Dictionary(pairs) { first, _ in first }
    }
    return ONNXSummary(
      inputs: sizes(model.graph.input), outputs: sizes(model.graph.output),
      operators: model.graph.node.reduce(into: [:]) { $0[$1.opType, default: 0] += 1 },
      parameters: model.graph.initializer.count, byteCount: bytes.count)
  }

  func onnxModel(
    inputs: [ONNXInput], outputs: [String], freeBatch: Bool, metadata: [String: String],
    _ body: ([Tensor]) throws -> [Tensor]
  ) throws -> ONNXModelProto {
    let names = inputs.map(\.name) + outputs
    guard !inputs.isEmpty, !outputs.isEmpty, Set(names).count == names.count, !names.contains("") else {
      throw TensorError(
        operation: "writeONNX", rule: "inputs and outputs need a name each of their own, got \(names)",
        fix: "name at least one input and one output")
    }
    if freeBatch, let input = inputs.first(where: { $0.shape.rank == 0 }) {
      throw TensorError(
        operation: "writeONNX", rule: "the first size of '\(input.name)' is the batch, and it has no size",
        fix: "give a shape with a batch, or `freeBatch: false`")
    }
    for input in inputs {
      guard let axis = input.timeAxis else { continue }
      guard freeBatch, axis > 0, axis < input.shape.rank else {
        throw TensorError(
          operation: "writeONNX",
          rule: "timeAxis must be an axis of '\(input.name)' behind the batch, which is free too, got \(axis) for "
            + "\(input.shape)", fix: "use 1 for [batch, time, ...]")
      }
    }
    // What waits to be drawn or updated is computed now: a trace ends at values in memory.
    let held = parameters.map(\.value) + namedBuffers.map(\.buffer.value)
    for tensor in held { if let error = tensor.error { throw error } }
    try evaluate(held)

    let trace = try Trace.make(
      self, inputs: inputs, freeBatch: freeBatch, device: held.first?.device ?? .default, body: body)
    guard trace.outputs.count == outputs.count else {
      throw TensorError(
        operation: "writeONNX", rule: "the model gave \(trace.outputs.count) tensors for the outputs \(outputs)",
        fix: "name each output once")
    }
    var writer = GraphWriter(trace, inputs: inputs)
    let results = try writer.write()
    var graph = ONNXGraphProto()
    graph.name = "\(type(of: self))"
    (graph.node, graph.initializer) = writer.builder.finish(results: results, outputs: outputs)
    graph.input = inputs.map { input in
      var extents = Extents(input.shape)
      if freeBatch { extents[0] = Extent(batch: 1) }
      if let axis = input.timeAxis { extents[axis] = Extent(time: 1) }
      return valueInfo(input.name, input.dtype, extents)
    }
    graph.output = zip(outputs, trace.outputs).map { name, index in
      valueInfo(name, trace.vertices[index].dtype, trace.vertices[index].extents)
    }

    var model = ONNXModelProto()
    // Operator set 17 came with version 8 of the format: onnxruntime 1.12 and later read both.
    model.irVersion = 8
    var operators = ONNXOperatorSetIdProto()
    (operators.domain, operators.version) = ("", 17)
    model.opsetImport = [operators]
    model.producerName = "Kiln"
    model.graph = graph
    model.metadataProps = metadata.sorted { $0.key < $1.key }.map { key, value in
      var entry = ONNXStringStringEntryProto()
      (entry.key, entry.value) = (key, value)
      return entry
    }
    return model
  }

  private func valueInfo(_ name: String, _ dtype: DType, _ extents: Extents) -> ONNXValueInfoProto {
    var info = ONNXValueInfoProto()
    info.name = name
    info.type.tensorType.elemType = dtype.onnx
    info.type.tensorType.shape.dim = extents.map { extent in
      var dimension = ONNXTensorShapeProto.Dimension()
      if let size = extent.constant {
        dimension.dimValue = Int64(size)
      } else {
        dimension.dimParam = "\(extent)"
      }
      return dimension
    }
    return info
  }
}
