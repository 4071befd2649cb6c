import KilnEngine
import KilnProtobuf

/// Turns a trace into ONNX nodes.
///
/// The engine's graph is full of views: a dense layer flattens the leading axes and puts them back, a bias is broadcast
/// before it is added. ONNX's operators mostly do without. So a vertex is held as an ONNX value that is not yet, but can
/// be made, what the vertex is: one reshape or one broadcast away; who can use it as it is does so.
struct GraphWriter {
  /// An ONNX value, and its sizes there.
  struct Operand {
    var name: String
    var extents: Extents
  }
  /// How the operand becomes the vertex's value.
  enum Form { case exact, reshaped, broadcast }

  let trace: Trace
  var builder: GraphBuilder
  private let inputs: [ONNXInput]
  private var values: [(operand: Operand, form: Form)?]
  private var exactValues: [Int: String] = [:]

  init(_ trace: Trace, inputs: [ONNXInput]) {
    (self.trace, self.inputs) = (trace, inputs)
    builder = GraphBuilder(inputs: inputs)
    values = Array(repeating: nil, count: trace.vertices.count)
  }

  /// Writes every vertex; the names of the outputs' values.
  mutating func write() throws -> [String] {
    for index in trace.vertices.indices {
      guard case .random = trace.vertices[index].op, trace.vertices[index].role == .computed else { continue }
      builder.scope = trace.scope(index)
      throw unsupported("a random number, and the model draws one in evaluation mode")
    }
    try evaluateConstants()
    for index in trace.vertices.indices where values[index] == nil {
      builder.scope = trace.scope(index)
      values[index] = try written(index)
    }
    builder.scope = ""
    return try trace.outputs.map { try exact($0) }
  }

  /// Values that no input has a say in are computed now, all at once, where others than such use them.
  private func evaluateConstants() throws {
    var wanted: Set<Int> = Set(trace.outputs)
    for vertex in trace.vertices where !isFolded(vertex) { wanted.formUnion(vertex.inputs) }
    try evaluate(wanted.sorted().map { trace.vertices[$0] }.filter(isFolded).map(\.tensor))
  }

  /// Whether a vertex is a number to be computed now. Views of parameters stay operators, so that a parameter keeps its
  /// name and shape in the file.
  private func isFolded(_ vertex: Trace.Vertex) -> Bool {
    guard vertex.isConstant, vertex.role == .computed else { return false }
    switch vertex.op {
    case .view, .identity, .transfer, .constant: return false
    default: return true
    }
  }

  private mutating func written(_ index: Int) throws -> (Operand, Form) {
    let vertex = trace.vertices[index]
    switch vertex.role {
    case .input(let number): return (Operand(name: inputs[number].name, extents: vertex.extents), .exact)
    case .named(let name):
      return (Operand(name: try builder.parameter(name, vertex.tensor), extents: vertex.extents), .exact)
    case .literal: return (Operand(name: try builder.constant(vertex.tensor), extents: vertex.extents), .exact)
    case .recurrent(let number): return try recurrent(trace.recurrences[number], index)
    case .computed: break
    }
    if isFolded(vertex) {
      // Those that only other constants use were not evaluated, and are not needed.
      guard vertex.tensor.isEvaluated else { return (Operand(name: "", extents: vertex.extents), .exact) }
      return (Operand(name: try builder.constant(vertex.tensor), extents: vertex.extents), .exact)
    }
    switch vertex.op {
    case .leaf: throw unsupported("a value without data")
    case .constant(let scalar): return form(builder.constant(scalar), [], of: index)
    case .position:
      guard let count = vertex.extents.product else { throw unsupported("positions over two sizes of the batch") }
      let end = builder.add("Squeeze", [builder.vector([count])])
      let (zero, one) = (builder.constant(Scalar(0, .int64)), builder.constant(Scalar(1, .int64)))
      let range = Operand(name: builder.add("Range", [zero, end, one]), extents: [count])
      return (range, vertex.extents == [count] ? .exact : .reshaped)
    case .random: throw unsupported("a random number")
    case .unary(let op): return try unary(op, index)
    case .binary(let op): return try binary(op, index)
    case .select: return try elementwise("Where", index)
    case .cast:
      let x = values[vertex.inputs[0]]!
      let cast = builder.add("Cast", [x.operand.name], [.int("to", Int(vertex.dtype.onnx))])
      return (Operand(name: cast, extents: x.operand.extents), x.form)
    case .view(let view): return try viewed(view, index)
    case .assemble(let assembly): return try assembled(assembly, index)
    case .reduce(let reduction, let axes): return try reduced(reduction, axes, index)
    case .scan(let scan, let axis): return try scanned(scan, axis, index)
    case .argsort(let descending): return try sorted(descending, index)
    case .rowwise(let kind): return try rowwise(kind, index)
    case .attention: throw unsupported("fused attention")  // a trace has its composition
    case .matmul: return try matmul(index)
    case .convolution(let convolution): return try convolved(convolution, index)
    case .pool(let pool): return try pooled(pool, index)
    case .gather(let gather): return try gathered(gather, index)
    case .transfer, .identity: return values[vertex.inputs[0]]!
    }
  }

  func unsupported(_ what: String) -> TensorError {
    TensorError(
      operation: "writeONNX",
      rule: "ONNX has no operator for \(what)" + (builder.scope.isEmpty ? "" : " in \(builder.scope)"),
      fix: "leave it out of the model that is written; docs/export.md lists what can be")
  }

  // MARK: - Values in the forms that operators need

  /// What `operand` is to the vertex: its value, or a reshape or a broadcast away from it.
  func form(_ name: String, _ extents: Extents, of index: Int) -> (Operand, Form) {
    let target = trace.vertices[index].extents
    if extents == target { return (Operand(name: name, extents: extents), .exact) }
    let isBroadcast = Extents.broadcast(extents, target) == target
    return (Operand(name: name, extents: extents), isBroadcast ? .broadcast : .reshaped)
  }

  func extents(_ index: Int) -> Extents { trace.vertices[index].extents }

  /// The value itself, in its own shape.
  mutating func exact(_ index: Int) throws -> String {
    let (operand, form) = values[index]!
    if form == .exact { return operand.name }
    if let name = exactValues[index] { return name }
    let target = extents(index)
    let name: String
    switch form {
    case .exact: name = operand.name
    case .reshaped: name = builder.reshape(operand.name, to: target)
    case .broadcast:
      if case .constant(let scalar) = trace.vertices[index].op, let sizes = target.constants,
        sizes.reduce(1, *) <= 1 << 16
      {
        name = builder.constant(scalar, sizes)
      } else {
        name = builder.expand(operand.name, from: operand.extents, to: target)
      }
    }
    exactValues[index] = name
    return name
  }

  /// The same elements in the same order, in any shape.
  mutating func flat(_ index: Int) throws -> Operand {
    let (operand, form) = values[index]!
    return form == .broadcast ? Operand(name: try exact(index), extents: extents(index)) : operand
  }

  /// What numpy's rule makes the value of, beside others of its shape.
  mutating func broadcastable(_ index: Int) throws -> Operand {
    let (operand, form) = values[index]!
    return form == .reshaped ? Operand(name: try exact(index), extents: extents(index)) : operand
  }

  /// The value with leading axes in any shape, and its last axis as it is.
  mutating func rows(_ index: Int) throws -> Operand {
    let operand = try flat(index)
    if let last = extents(index).last, operand.extents.last == last { return operand }
    return Operand(name: try exact(index), extents: extents(index))
  }

  /// An elementwise operator of all the vertex's inputs.
  mutating func elementwise(_ type: String, _ index: Int) throws -> (Operand, Form) {
    let (operands, extents, isReshaped) = try aligned(index)
    let name = builder.add(type, operands)
    return isReshaped ? (Operand(name: name, extents: extents), .reshaped) : form(name, extents, of: index)
  }

  /// The inputs of an elementwise operation in shapes that broadcast, and the shape that comes of them: the vertex's, one
  /// that broadcasts to it, or one that reshapes to it.
  mutating func aligned(_ index: Int) throws -> (names: [String], extents: Extents, isReshaped: Bool) {
    let inputs = trace.vertices[index].inputs
    if let common = commonShape(inputs, last: extents(index).last) {
      return (inputs.map { values[$0]!.operand.name }, common, true)
    }
    let operands = try inputs.map { try broadcastable($0) }
    var extents: Extents = []
    for operand in operands {
      guard let sum = Extents.broadcast(extents, operand.extents) else {
        throw unsupported("shapes that do not broadcast")
      }
      extents = sum
    }
    return (operands.map(\.name), extents, false)
  }

  /// The shape of operands that all are the same reshape away from their values, or vectors along the last axis, which
  /// the reshape left alone: then the operation can come before the reshape.
  private func commonShape(_ inputs: [Int], last: Extent?) -> Extents? {
    var common: Extents?
    for input in inputs {
      let (operand, form) = values[input]!
      guard form == .reshaped else { continue }
      guard operand.extents.last == last, common == nil || common == operand.extents else { return nil }
      common = operand.extents
    }
    guard let common else { return nil }
    for input in inputs {
      let (operand, form) = values[input]!
      if form == .reshaped { continue }
      let isVector = operand.extents.dropLast().allSatisfy { $0 == Extent(1) } && operand.extents.count <= common.count
      guard isVector, form == .broadcast || operand.extents.isEmpty else { return nil }
      guard let size = operand.extents.last else { continue }
      guard size == Extent(1) || size == last else { return nil }
    }
    return common
  }
}
