import KilnEngine

/// What a model is made of and what it costs: `print(try model.summary(inputShape: [1, 3, 32, 32]))`.
public struct ModelSummary: Sendable, CustomStringConvertible {
  /// A call of a layer, or a module that only holds others.
  public struct Row: Sendable {
    /// The depth in the model; the model itself is 0.
    public var depth: Int
    /// "features.0"; empty for the model itself, nil for a layer that is stored nowhere.
    public var path: String?
    /// The layer's type.
    public var type: String
    /// nil for a module of one's own that nobody saw compute; see `Module.observed`.
    public var outputShape: Shape?
    /// Elements of the parameters of this module and what it holds. 0 where they were counted in an earlier row.
    public var parameters: Int
    /// Floating-point operations of this call, a multiplication with its addition being 2.
    public var operations: Int?
    /// Called before: its parameters are not counted again.
    public var isRepeated: Bool
  }
  /// In the order of the calls, a module before what it holds.
  public var rows: [Row]
  public var trainableParameters: Int
  public var frozenParameters: Int
  /// Elements of running statistics and other persistent buffers.
  public var bufferElements: Int
  /// Floating-point operations of the whole forward pass.
  public var operations: Int
  public var inputShapes: [Shape]

  /// The table and the totals.
  public var description: String {
    let table = rows.map { row -> [String] in
      let name = row.path.map { $0.isEmpty ? "" : " (\($0))" } ?? ""
      return [
        String(repeating: "  ", count: row.depth) + row.type + name, row.outputShape.map { "\($0)" } ?? "-",
        row.isRepeated ? "(shared)" : row.parameters == 0 ? "-" : grouped(row.parameters),
        row.operations.map { $0 == 0 ? "-" : grouped($0) } ?? "-",
      ]
    }
    let head = ["Layer", "Output", "Parameters", "FLOPs"]
    let widths = head.indices.map { column in ([head] + table).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { index, text -> String in
        let space = String(repeating: " ", count: widths[index] - text.count)
        return index < 2 ? text + space : space + text
      }
      return padded.joined(separator: "  ")
    }
    let rule = String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1))
    let totals = [
      "input \(inputShapes.map { "\($0)" }.joined(separator: ", "))",
      "parameters \(grouped(trainableParameters + frozenParameters)): \(grouped(trainableParameters)) trainable, "
        + "\(grouped(frozenParameters)) frozen; \(grouped(bufferElements)) in buffers",
      "FLOPs \(grouped(operations)) forward",
    ]
    return ([line(head), rule] + table.map(line) + [rule] + totals).joined(separator: "\n")
  }
}

extension Layer {
  /// Runs the model, in evaluation mode, on a tensor of this shape that is never computed, and notes what its layers give.
  ///
  /// The batch is part of the shape. Throws the model's error where the shape does not fit.
  public func summary(inputShape: Shape, dtype: DType = .float32) throws -> ModelSummary {
    try summary(inputs: [(inputShape, dtype)]) { self($0[0]) }
  }
}

extension Module {
  /// `summary(inputShape:)` of a module with several inputs: `body` calls it on tensors of these shapes.
  public func summary(
    inputs: [(shape: Shape, dtype: DType)], _ body: ([Tensor]) throws -> Tensor
  ) throws -> ModelSummary {
    let device = parameters.first?.value.device ?? .default
    let tensors = inputs.map { Tensor.zeros($0.shape, dtype: $0.dtype, on: device) }
    for tensor in tensors { if let error = tensor.error { throw error } }
    let recorder = LayerRecorder(root: self)
    let y = try evaluating {
      try LayerRecorder.$current.withValue(recorder) {
        try recorder.record(self, named: "") { try body(tensors) }
      }
    }
    if let error = y.error { throw error }
    let all = parameters
    return ModelSummary(
      rows: rows(of: recorder.calls), trainableParameters: all.filter(\.isTrainable).reduce(0) { $0 + $1.count },
      frozenParameters: all.filter { !$0.isTrainable }.reduce(0) { $0 + $1.count },
      bufferElements: namedBuffers.filter(\.buffer.isPersistent).reduce(0) { $0 + $1.buffer.shape.count },
      operations: recorder.calls.first?.operations ?? 0, inputShapes: inputs.map(\.shape))
  }

  /// The calls with the modules that hold them, each parameter counted in the first row that has it.
  private func rows(of calls: [LayerRecorder.Call]) -> [ModelSummary.Row] {
    let modules = Dictionary(namedModules.map { ($0.name, $0.module) }) { first, _ in first }
    var rows: [ModelSummary.Row] = []
    var shown: Set<String> = []
    var open: [String?] = []
    for call in calls {
      open = open.prefix(call.depth) + [call.path]
      // A wrapper and what it wraps have one place, and one row.
      if call.depth > 0, call.path != nil, call.path == open[call.depth - 1] { continue }
      var depth = call.depth
      if let path = call.path {
        // Modules on the way that nobody saw compute.
        let parts = path.split(separator: ".")
        depth = path.isEmpty ? 0 : 1
        for length in 0..<max(parts.count, 1) {
          let holder = parts.prefix(length).joined(separator: ".")
          guard length > 0, let module = modules[holder] else { continue }
          if shown.insert(holder).inserted {
            rows.append(row(depth, holder, module, nil, nil, isRepeated: false))
          }
          depth += 1
        }
      }
      let isRepeated = call.path.map { !shown.insert($0).inserted } ?? false
      rows.append(row(depth, call.path, call.module, call.outputShape, call.operations, isRepeated: isRepeated))
    }
    return rows
  }

  private func row(
    _ depth: Int, _ path: String?, _ module: any Module, _ shape: Shape?, _ operations: Int?, isRepeated: Bool
  ) -> ModelSummary.Row {
    ModelSummary.Row(
      depth: depth, path: path, type: module.typeName, outputShape: shape,
      parameters: isRepeated ? 0 : module.parameterCount, operations: operations, isRepeated: isRepeated)
  }
}

/// 101770 as "101,770".
private func grouped(_ number: Int) -> String {
  let digits = String(number)
  var result = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
    result.append(digit)
  }
  return result
}
