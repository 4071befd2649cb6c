/// The way back from one value to the leaves that are asked for: what to visit, in which order.
struct Tape {
  /// Nodes that depend on a target, inputs before users.
  private var order: [Node] = []
  private let output: Node
  private let targets: [Node]
  private var dependent: Set<ObjectIdentifier> = []
  private var cotangents: [ObjectIdentifier: Tensor] = [:]

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
    cotangents[ObjectIdentifier(last)] = seed
    let wanted = Set(targets.map { ObjectIdentifier($0) })
    for node in order.reversed() {
      let identity = ObjectIdentifier(node)
      guard let g = wanted.contains(identity) ? cotangents[identity] : cotangents.removeValue(forKey: identity)
      else { continue }
      try propagate(g, through: node)
    }
    return zip(targets, zeros()).map { cotangents[ObjectIdentifier($0)] ?? $1 }
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
        let identity = ObjectIdentifier(input.node)
        cotangents[identity] = cotangents[identity].map { Self.sum($0, cotangent) } ?? cotangent
      }
    }
  }

  /// Cotangents of several slices of one value are pieces with zeros around them: one assembly holds them all, where
  /// n of them would be written and added in n times the memory.
  private static func sum(_ lhs: Tensor, _ rhs: Tensor) -> Tensor {
    guard case .assemble(let a) = lhs.node.op, case .assemble(let b) = rhs.node.op, !lhs.isEvaluated, !rhs.isEvaluated,
      a.fill.double == 0, b.fill.double == 0
    else { return lhs + rhs }
    let (pieces, others) = (lhs.node.inputs, rhs.node.inputs)
    guard pieces.count == a.starts.count, others.count == b.starts.count else { return lhs + rhs }
    for (j, other) in others.enumerated() {
      for (i, piece) in pieces.enumerated() {
        let isApart = a.shape.dimensions.indices.contains { axis in
          let (first, second) = (a.starts[i][axis], b.starts[j][axis])
          return first + (piece.shape[axis] - 1) * a.steps[i][axis] < second
            || second + (other.shape[axis] - 1) * b.steps[j][axis] < first
        }
        guard isApart else { return lhs + rhs }
      }
    }
    let together = Assembly(shape: a.shape, starts: a.starts + b.starts, steps: a.steps + b.steps, fill: a.fill)
    return .make(.assemble(together), (pieces + others).map { Tensor($0) }, shape: lhs.shape, dtype: lhs.dtype)
  }

  private func needs(_ input: Tensor) -> Bool {
    input.dtype.isFloat && dependent.contains(ObjectIdentifier(input.node))
  }
}
