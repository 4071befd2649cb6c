/// The way back from one value to the leaves that are asked for: what to visit, in which order.
struct Tape {
  /// Nodes that depend on a target, inputs before users.
  private var order: [Node] = []
  private let output: Node
  private let targets: [Node]
  private var dependent: Set<ObjectIdentifier> = []
  /// Contributions to each node's cotangent, to be added up.
  private var cotangents: [ObjectIdentifier: [Tensor]] = [:]

  init(from y: Node, to targets: [Node]) throws {
    output = y
    self.targets = targets
    let wanted = Set(targets.map { ObjectIdentifier($0) })
    // Inputs are older than their users, so nothing older than the oldest target can depend on one.
    let oldest = targets.map(\.id).min() ?? UInt64.max
    let oldestUnwatched = targets.filter { !$0.isWatched }.map(\.id).min() ?? UInt64.max

    struct Frame {
      let node: Node
      let inputs: [Node]
      var next = 0
    }
    var seen: Set<ObjectIdentifier> = []
    var stack: [Frame] = []
    func visit(_ node: Node) throws {
      guard node.id >= oldest, seen.insert(ObjectIdentifier(node)).inserted else { return }
      if node.isReleased, !wanted.contains(ObjectIdentifier(node)), node.id > oldestUnwatched {
        throw TensorError(
          operation: "gradient", rule: "a value between x and y was evaluated before, and its history was let go",
          operands: "the value \(node.shape) \(node.dtype)",
          fix: "use `x.watched()` in place of x before computing with it, or take the gradient before reading values")
      }
      var inputs = node.inputs
      switch node.op {
      case .identity(.stopGradient): inputs = []
      // A custom rule replaces the way through its forward computation.
      case .identity(.custom): inputs = Array(inputs.dropFirst())
      default: break
      }
      stack.append(Frame(node: node, inputs: inputs))
    }
    try visit(y)
    while !stack.isEmpty {
      let top = stack.count - 1
      if stack[top].next < stack[top].inputs.count {
        let input = stack[top].inputs[stack[top].next]
        stack[top].next += 1
        try visit(input)
      } else {
        let frame = stack.removeLast()
        let identity = ObjectIdentifier(frame.node)
        let depends = frame.inputs.contains { dependent.contains(ObjectIdentifier($0)) && $0.dtype.isFloat }
        if depends || wanted.contains(identity) {
          dependent.insert(identity)
          order.append(frame.node)
        }
      }
    }
  }

  /// Runs the rules from `seed` back and returns the targets' gradients.
  mutating func pullBack(_ seed: Tensor) throws -> [Tensor] {
    // Without a way from y to a target there is nothing to do: every gradient is zero.
    guard let last = order.last, last === output else { order = []; return zeros() }
    cotangents[ObjectIdentifier(last)] = [seed]
    let wanted = Set(targets.map { ObjectIdentifier($0) })
    for node in order.reversed() {
      let identity = ObjectIdentifier(node)
      guard let parts = cotangents.removeValue(forKey: identity), let g = Self.sum(parts) else { continue }
      if wanted.contains(identity) { cotangents[identity] = [g] }
      try propagate(g, through: node)
    }
    return zip(targets, zeros()).map { cotangents[ObjectIdentifier($0)]?.first ?? $1 }
  }

  private func zeros() -> [Tensor] {
    targets.map { .constant(Scalar(0, $0.dtype), shape: $0.shape, device: $0.device) }
  }

  private mutating func propagate(_ g: Tensor, through node: Node) throws {
    let inputs = node.inputs.map { Tensor($0) }
    guard !inputs.isEmpty else { return }
    switch Rules.cotangents(of: node.op, inputs: inputs, output: Tensor(node), g: g, needs: needs) {
    case .zero: return
    case .undefined(let why):
      throw TensorError(
        operation: "gradient", rule: "\(node.op.publicName) has no gradient: \(why)",
        operands: "its result \(node.shape) \(node.dtype)", fix: "use `.stopGradient()` on its result")
    case .rule(let results):
      guard results.count == inputs.count else {
        throw TensorError(
          operation: "gradient",
          rule:
            "the rule of \(node.op.publicName) must give a cotangent for each of \(inputs.count) inputs, got \(results.count)",
          fix: "return one cotangent per argument")
      }
      for (input, cotangent) in zip(inputs, results) {
        guard let cotangent, needs(input) else { continue }
        if let error = cotangent.error { throw error }
        guard cotangent.shape == input.shape, cotangent.dtype == input.dtype else {
          throw TensorError(
            operation: "gradient",
            rule: "the rule of \(node.op.publicName) gave a cotangent of the wrong shape or dtype",
            operands: "input \(input.shape) \(input.dtype), cotangent \(cotangent.shape) \(cotangent.dtype)",
            fix: "return one cotangent in each argument's shape and dtype")
        }
        cotangents[ObjectIdentifier(input.node), default: []].append(cotangent)
      }
    }
  }

  /// The sum of contributions, in their order. Those of slices of one value, which are zero outside their slice, are
  /// put together where the slices do not overlap instead of added.
  private static func sum(_ parts: [Tensor]) -> Tensor? {
    var merged: [Tensor] = []
    var slices: SliceCotangents?
    for part in parts {
      if slices == nil {
        slices = SliceCotangents(part)
        if slices == nil { merged.append(part) }
      } else if slices?.take(part) != true {
        merged.append(part)
      }
    }
    if let slices { merged.append(slices.tensor) }
    guard var total = merged.first else { return nil }
    for part in merged.dropFirst() { total = total + part }
    return total
  }

  private func needs(_ input: Tensor) -> Bool {
    input.dtype.isFloat && dependent.contains(ObjectIdentifier(input.node))
  }
}

/// Cotangents of slices of one value that do not overlap, as one assembly.
private struct SliceCotangents {
  private var assembly: Assembly
  private var pieces: [Tensor]
  private let first: Tensor

  /// `nil` for what is not zero but for one slice.
  init?(_ part: Tensor) {
    guard let (assembly, pieces) = Self.parts(of: part) else { return nil }
    (self.assembly, self.pieces, first) = (assembly, pieces, part)
  }

  private static func parts(of part: Tensor) -> (Assembly, [Tensor])? {
    guard case .assemble(let assembly) = part.node.op, assembly.fill == Scalar(0, part.dtype), part.error == nil
    else { return nil }
    let pieces = part.node.inputs.map { Tensor($0) }
    // Its history is gone once it was evaluated.
    return pieces.count == assembly.starts.count ? (assembly, pieces) : nil
  }

  /// Whether the part was taken in.
  mutating func take(_ part: Tensor) -> Bool {
    guard let (other, others) = Self.parts(of: part), other.shape == assembly.shape else { return false }
    for i in others.indices {
      for j in pieces.indices
      where !Self.areApart(
        other.starts[i], other.steps[i], others[i].shape, assembly.starts[j], assembly.steps[j], pieces[j].shape)
      { return false }
    }
    assembly.starts += other.starts
    assembly.steps += other.steps
    pieces += others
    return true
  }

  /// Whether along some axis one ends before the other begins; interleaved slices count as overlapping.
  private static func areApart(
    _ starts: [Int], _ steps: [Int], _ shape: Shape, _ otherStarts: [Int], _ otherSteps: [Int], _ otherShape: Shape
  ) -> Bool {
    func range(_ start: Int, _ step: Int, _ count: Int) -> ClosedRange<Int> {
      let end = start + step * (count - 1)
      return min(start, end)...max(start, end)
    }
    return starts.indices.contains { axis in
      !range(starts[axis], steps[axis], shape[axis]).overlaps(
        range(otherStarts[axis], otherSteps[axis], otherShape[axis]))
    }
  }

  var tensor: Tensor {
    if pieces.count == first.node.inputs.count { return first }
    return Tensor.make(
      .assemble(assembly), pieces, shape: first.shape, dtype: first.dtype, device: first.device)
  }
}
