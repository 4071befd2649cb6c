import Foundation
import KilnEngine
import KilnProtobuf

/// An ONNX graph under construction: nodes in order, each different one once, and constants by content.
struct GraphBuilder {
  private(set) var nodes: [ONNXNodeProto] = []
  private(set) var initializers: [ONNXTensorProto] = []
  /// Before the names of nodes: the layer that they are part of.
  var scope = ""
  /// The input whose first size is the batch, and one with the length of the sequence and its axis.
  private let batchSource: String
  private let timeSource: (input: String, axis: Int)

  private var made: [String: String] = [:]
  private var taken: Set<String>
  private struct Content: Hashable {
    var dtype: DType
    var dimensions: [Int]
    var bytes: [UInt8]
  }
  private var constants: [Content: String] = [:]

  init(inputs: [ONNXInput]) {
    batchSource = inputs.first?.name ?? ""
    let source = inputs.first { $0.timeAxis != nil }
    timeSource = (source?.name ?? "", source?.timeAxis ?? 0)
    taken = Set(inputs.map(\.name))
  }

  /// A node, or the equal one that there is; the name of its output `result` of `results`.
  mutating func add(
    _ type: String, _ inputs: [String], _ attributes: [ONNXAttributeProto] = [], results: Int = 1, result: Int = 0
  ) -> String {
    let words = attributes.map {
      "\($0.name)=\($0.f),\($0.i),\($0.ints),\(Array($0.s)),\($0.strings.map { Array($0) })"
    }.joined(separator: ";")
    let call = "\(type)(\(inputs.joined(separator: ",")))\(words)"
    if let name = made[call + "#\(result)"] { return name }
    let name = unused(scope.isEmpty ? type : "\(scope)/\(type)")
    var node = ONNXNodeProto()
    (node.name, node.opType, node.input, node.attribute) = (name, type, inputs, attributes)
    node.output = results == 1 ? [name] : (0..<results).map { "\(name).\($0)" }
    nodes.append(node)
    for (number, output) in node.output.enumerated() { made[call + "#\(number)"] = output }
    return node.output[result]
  }

  /// A tensor under a name of its own: a parameter.
  mutating func parameter(_ name: String, _ tensor: Tensor) throws -> String {
    let name = unused(name)
    initializers.append(try proto(name, tensor.dtype, tensor.shape.dimensions, tensor.hostBytes()))
    return name
  }

  mutating func constant(_ tensor: Tensor) throws -> String {
    constant(tensor.dtype, tensor.shape.dimensions, try tensor.hostBytes())
  }

  /// int64 numbers.
  mutating func constant(_ numbers: [Int]) -> String {
    constant(.int64, [numbers.count], numbers.map { Int64($0) }.withUnsafeBytes { Array($0) })
  }

  /// A number `count` times, in `dimensions`.
  mutating func constant(_ scalar: Scalar, _ dimensions: [Int] = []) -> String {
    let one: [UInt8] =
      switch scalar.dtype {
      case .float32: withUnsafeBytes(of: Float(scalar.double)) { Array($0) }
      case .float64: withUnsafeBytes(of: scalar.double) { Array($0) }
      case .int32: withUnsafeBytes(of: Int32(truncatingIfNeeded: scalar.int)) { Array($0) }
      case .int64: withUnsafeBytes(of: Int64(scalar.int)) { Array($0) }
      case .uint8: [UInt8(truncatingIfNeeded: scalar.int)]
      case .bool: [scalar.int == 0 ? 0 : 1]
      }
    return constant(scalar.dtype, dimensions, Array(repeatElement(one, count: dimensions.reduce(1, *)).joined()))
  }

  private mutating func constant(_ dtype: DType, _ dimensions: [Int], _ bytes: [UInt8]) -> String {
    let content = Content(dtype: dtype, dimensions: dimensions, bytes: bytes)
    if let name = constants[content] { return name }
    let name = unused("constant")
    initializers.append(proto(name, dtype, dimensions, bytes))
    constants[content] = name
    return name
  }

  private func proto(_ name: String, _ dtype: DType, _ dimensions: [Int], _ bytes: [UInt8]) -> ONNXTensorProto {
    var tensor = ONNXTensorProto()
    (tensor.name, tensor.dataType, tensor.dims) = (name, dtype.onnx, dimensions.map { Int64($0) })
    tensor.rawData = Data(bytes)
    return tensor
  }

  /// `wish`, or with a number behind it if that is taken.
  private mutating func unused(_ wish: String) -> String {
    var name = wish
    var number = 1
    while !taken.insert(name).inserted {
      number += 1
      name = "\(wish)_\(number)"
    }
    return name
  }

  // MARK: - Sizes

  /// int64 [count]: sizes of which some may be free.
  mutating func vector(_ extents: Extents) -> String {
    if let known = extents.constants { return constant(known) }
    let outer = scope
    defer { scope = outer }
    scope = "sizes"
    var parts: [String] = []
    var known: [Int] = []
    for extent in extents {
      if let size = extent.constant {
        known.append(size)
        continue
      }
      if !known.isEmpty { parts.append(constant(known)) }
      known = []
      parts.append(size(extent))
    }
    if !known.isEmpty { parts.append(constant(known)) }
    return parts.count == 1 ? parts[0] : add("Concat", parts, [.int("axis", 0)])
  }

  /// int64 [1]: a size that depends on the batch or the length.
  private mutating func size(_ extent: Extent) -> String {
    func read(_ input: String, _ axis: Int) -> String {
      add("Shape", [input], [.int("start", axis), .int("end", axis + 1)])
    }
    func scaled(_ factor: Int, _ name: () -> String) -> String? {
      if factor == 0 { return nil }
      let name = name()
      return factor == 1 ? name : add("Mul", [name, constant([factor])])
    }
    let terms = [
      scaled(extent.both) { add("Mul", [read(batchSource, 0), read(timeSource.input, timeSource.axis)]) },
      scaled(extent.batch) { read(batchSource, 0) },
      scaled(extent.time) { read(timeSource.input, timeSource.axis) },
      extent.offset == 0 ? nil : constant([extent.offset]),
    ].compactMap(\.self)
    return terms.dropFirst().reduce(terms[0]) { add("Add", [$0, $1]) }
  }

  mutating func reshape(_ name: String, to extents: Extents) -> String {
    // One unknown size is what the others leave, which is quicker read and run than a computed one.
    let sizes = extents.map { $0.constant ?? -1 }
    let isPlain = sizes.count(where: { $0 == -1 }) <= 1 && !sizes.contains(0)
    return add(
      "Reshape", [name, isPlain ? constant(sizes) : vector(extents)], sizes.contains(0) ? [.int("allowzero", 1)] : [])
  }

  mutating func expand(_ name: String, from source: Extents, to target: Extents) -> String {
    // An axis that has its size needs none here: Expand broadcasts both ways.
    let lead = target.count - source.count
    let needed = target.indices.map { axis in
      axis >= lead && source[axis - lead] == target[axis] ? Extent(1) : target[axis]
    }
    return add("Expand", [name, vector(needed)])
  }

  // MARK: - The end

  /// The graph whose outputs are the values `results`, under the names `outputs`; what they do not need is left out.
  mutating func finish(results: [String], outputs: [String]) -> (
    nodes: [ONNXNodeProto], initializers: [ONNXTensorProto]
  ) {
    scope = ""
    var renamed: [String: String] = [:]
    let produced = Set(nodes.flatMap(\.output))
    for (result, output) in zip(results, outputs) {
      if produced.contains(result), renamed[result] == nil {
        renamed[result] = output
      } else {
        // An input, a constant, or a value that is an output already.
        var node = ONNXNodeProto()
        (node.name, node.opType, node.input, node.output) = ("Identity/\(output)", "Identity", [result], [output])
        nodes.append(node)
      }
    }
    var needed = Set(outputs)
    var kept: [ONNXNodeProto] = []
    for var node in nodes.reversed() {
      node.input = node.input.map { renamed[$0] ?? $0 }
      node.output = node.output.map { renamed[$0] ?? $0 }
      guard node.output.contains(where: needed.contains) else { continue }
      needed.formUnion(node.input)
      kept.append(node)
    }
    return (kept.reversed(), initializers.filter { needed.contains($0.name) })
  }
}

extension DType {
  /// ONNX's number for it.
  var onnx: Int32 {
    let type: ONNXTensorProto.DataType =
      switch self {
      case .float32: .float
      case .float64: .double
      case .int32: .int32
      case .int64: .int64
      case .uint8: .uint8
      case .bool: .bool
      }
    return Int32(type.rawValue)
  }
}

extension ONNXAttributeProto {
  static func int(_ name: String, _ value: Int) -> ONNXAttributeProto {
    var attribute = ONNXAttributeProto()
    (attribute.name, attribute.type, attribute.i) = (name, .int, Int64(value))
    return attribute
  }

  static func ints(_ name: String, _ values: [Int]) -> ONNXAttributeProto {
    var attribute = ONNXAttributeProto()
    (attribute.name, attribute.type, attribute.ints) = (name, .ints, values.map { Int64($0) })
    return attribute
  }

  static func string(_ name: String, _ value: String) -> ONNXAttributeProto {
    var attribute = ONNXAttributeProto()
    (attribute.name, attribute.type, attribute.s) = (name, .string, Data(value.utf8))
    return attribute
  }

  static func strings(_ name: String, _ values: [String]) -> ONNXAttributeProto {
    var attribute = ONNXAttributeProto()
    (attribute.name, attribute.type, attribute.strings) = (name, .strings, values.map { Data($0.utf8) })
    return attribute
  }

  static func float(_ name: String, _ value: Double) -> ONNXAttributeProto {
    var attribute = ONNXAttributeProto()
    (attribute.name, attribute.type, attribute.f) = (name, .float, Float(value))
    return attribute
  }
}
