/// A value reached through a chain of views, applied first to last.
struct Reference: Hashable {
  var value: Int
  var views: [View] = []

  func applying(_ more: [View]) -> Reference { Reference(value: value, views: views + more) }
}

/// The graph with views and identities folded into references and equal subexpressions merged.
struct CanonicalGraph {
  struct Value: Hashable {
    var kind: Graph.Kind
    var inputs: [Reference]
    var shape: Shape
    var dtype: DType

    var isElementwise: Bool {
      switch kind {
      case .leaf: false
      case .constant, .random: true
      case .op(let op):
        switch op {
        case .position, .unary, .binary, .select, .cast: true
        default: false
        }
      }
    }

    /// A constant or a position: computed wherever it is used, never read from memory.
    var isFree: Bool {
      switch kind {
      case .constant, .op(.position): true
      default: false
      }
    }

    /// Roughly the additions of one element; only meaningful for elementwise values.
    var cost: Int {
      switch kind {
      case .leaf, .constant: 0
      case .random(let distribution, _, _): distribution == .normal ? 120 : 40
      case .op(let op):
        switch op {
        case .unary(let unary): unary.row.cost
        case .binary(let binary): binary.row.cost
        default: 1
        }
      }
    }
  }

  /// Inputs before users.
  var values: [Value] = []
  /// What each of the graph's outputs refers to.
  var outputs: [Reference] = []

  init(_ graph: Graph) {
    var resolved: [Reference] = []
    resolved.reserveCapacity(graph.vertices.count)
    var known: [Value: Int] = [:]
    var uses = Array(repeating: 0, count: graph.vertices.count)
    for vertex in graph.vertices { for input in vertex.inputs { uses[input] += 1 } }
    for output in graph.outputs { uses[output] += 1 }

    func intern(_ value: Value) -> Reference {
      if let same = known[value] { return Reference(value: same) }
      values.append(value)
      known[value] = values.count - 1
      return Reference(value: values.count - 1)
    }

    for vertex in graph.vertices {
      let inputs = vertex.inputs.map { resolved[$0] }
      switch vertex.kind {
      case .op(.view(let view)):
        if uses[vertex.inputs[0]] == 1, let product = Self.transposedProduct(view, of: inputs[0], in: values) {
          resolved.append(intern(product))
          continue
        }
        if uses[vertex.inputs[0]] == 1, let whole = Self.permutedAssembly(view, of: inputs[0], in: values),
          let source = Self.disassembled(whole, in: values)
        {
          resolved.append(source)
          continue
        }
        resolved.append(Self.simplified(inputs[0].applying([view]), to: vertex.shape, in: values))
        continue
      case .op(.identity):
        resolved.append(inputs[0])
        continue
      case .op(.cast) where values[inputs[0].value].dtype == vertex.dtype:
        resolved.append(inputs[0])
        continue
      default: break
      }
      let value = Value(kind: vertex.kind, inputs: inputs, shape: vertex.shape, dtype: vertex.dtype)
      resolved.append(Self.disassembled(value, in: values) ?? intern(value))
    }
    outputs = graph.outputs.map { resolved[$0] }
    removeDead()
  }

  /// What a reference shows.
  func shape(_ reference: Reference) -> Shape {
    reference.views.reduce(values[reference.value].shape) { $1.resultShape($0) }
  }

  /// (a b)^T as b^T a^T, so that the gradient of a transposed weight comes out in the weight's own layout.
  private static func transposedProduct(_ view: View, of input: Reference, in values: [Value]) -> Value? {
    let product = values[input.value]
    guard case .permute(let axes) = view, case .op(.matmul) = product.kind, input.views.isEmpty else { return nil }
    let rank = axes.count
    guard axes == Array(0..<(rank - 2)) + [rank - 1, rank - 2] else { return nil }
    return Value(
      kind: product.kind, inputs: product.inputs.reversed().map { $0.applying([view]) },
      shape: view.resultShape(product.shape), dtype: product.dtype)
  }

  /// A permuted assembly as the assembly of the permuted pieces.
  private static func permutedAssembly(_ view: View, of input: Reference, in values: [Value]) -> Value? {
    let whole = values[input.value]
    guard case .permute(let axes) = view, case .op(.assemble(var assembly)) = whole.kind, input.views.isEmpty else {
      return nil
    }
    assembly.shape = view.resultShape(assembly.shape)
    assembly.starts = assembly.starts.map { starts in axes.map { starts[$0] } }
    assembly.steps = assembly.steps.map { steps in axes.map { steps[$0] } }
    return Value(
      kind: .op(.assemble(assembly)),
      inputs: whole.inputs.prefix(1) + whole.inputs.dropFirst().map { $0.applying([view]) }, shape: assembly.shape,
      dtype: whole.dtype)
  }

  /// The value that an assembly only puts together again: every piece lies in it where it belongs in the whole. Such
  /// are the gradients of query, key and value where one kernel makes the three side by side.
  private static func disassembled(_ value: Value, in values: [Value]) -> Reference? {
    guard case .op(.assemble(let assembly)) = value.kind, value.inputs.count > 1 else { return nil }
    let source = value.inputs[1].value
    let (from, whole) = (Layout(contiguous: values[source].shape), Layout(contiguous: assembly.shape))
    guard from.shape.count == whole.shape.count else { return nil }
    var covered = 0
    for (i, piece) in value.inputs.dropFirst().enumerated() {
      guard piece.value == source, let layout = from.applying(piece.views) else { return nil }
      let place = assembly.place(of: i, layout.shape, in: whole)
      let agrees = (0..<layout.shape.rank).allSatisfy {
        layout.shape[$0] == 1 || layout.strides[$0] == place.strides[$0]
      }
      guard layout.offset == place.offset, agrees else { return nil }
      covered += layout.shape.count
    }
    guard covered == whole.shape.count, values[source].dtype == value.dtype else { return nil }
    return simplified(Reference(value: source, views: [.reshape(assembly.shape)]), to: assembly.shape, in: values)
  }

  /// Drops values that no output needs.
  private mutating func removeDead() {
    var isLive = Array(repeating: false, count: values.count)
    for output in outputs { isLive[output.value] = true }
    for v in values.indices.reversed() where isLive[v] {
      for input in values[v].inputs { isLive[input.value] = true }
    }
    guard isLive.contains(false) else { return }
    var renumbered = Array(repeating: 0, count: values.count)
    var kept: [Value] = []
    for v in values.indices where isLive[v] {
      renumbered[v] = kept.count
      var value = values[v]
      for i in value.inputs.indices { value.inputs[i].value = renumbered[value.inputs[i].value] }
      kept.append(value)
    }
    values = kept
    for i in outputs.indices { outputs[i].value = renumbered[outputs[i].value] }
  }

  /// Two reshapes in a row are one, and none at all when the shape comes back to where it was.
  private static func simplified(_ reference: Reference, to shape: Shape, in values: [Value]) -> Reference {
    var views = reference.views
    while views.count >= 2, case .reshape = views[views.count - 1], case .reshape = views[views.count - 2] {
      views.remove(at: views.count - 2)
    }
    if case .reshape? = views.last {
      let before = views.dropLast().reduce(values[reference.value].shape) { $1.resultShape($0) }
      if before == shape { views.removeLast() }
    }
    return Reference(value: reference.value, views: views)
  }
}
