/// Turns kernels into steps, in order. Slots are value numbers here; `planMemory` gives them places.
///
/// Value numbers are those of the canonical graph, followed by temporaries for copies that a layout forces.
struct Schedule {
  /// A step whose operands' slots are `.arena(value number)`; see `planMemory`.
  var steps: [Step] = []
  /// Shape and dtype of every value number, including temporaries.
  var types: [Program.ValueType] = []
  /// Program input of a value that is a leaf.
  var leafIndex: [Int: Int] = [:]
  /// The values of the program's outputs.
  var outputs: [Int] = []
}

struct Scheduler {
  let graph: CanonicalGraph
  let fusion: Fusion
  var schedule = Schedule()
  /// Strides of leaves that are not dense.
  private var leafLayouts: [Int: Layout] = [:]
  /// The first of the pieces that the kernel under construction stores; -1 outside assemblies.
  private var piece = -1
  /// Dense copies already made, so that two readers share one.
  private var copies: [Reference: Int] = [:]
  /// Values that are made where they belong in a concatenation.
  private let pieces: PiecePlacement

  static func schedule(_ graph: CanonicalGraph, _ fusion: Fusion) -> Schedule {
    var scheduler = Scheduler(graph, fusion)
    for v in graph.values.indices { scheduler.emit(v) }
    for reference in graph.outputs { scheduler.schedule.outputs.append(scheduler.result(reference)) }
    let pieces = scheduler.pieces
    if !pieces.isEmpty {
      scheduler.schedule.steps = scheduler.schedule.steps.map { $0.mapSlots { pieces.memory(of: $0) } }
    }
    return scheduler.schedule
  }

  private init(_ graph: CanonicalGraph, _ fusion: Fusion) {
    self.graph = graph
    self.fusion = fusion
    pieces = PiecePlacement(graph, fusion)
    for (v, value) in graph.values.enumerated() {
      schedule.types.append(Program.ValueType(dtype: value.dtype, shape: value.shape))
      if case .leaf(let index, let strides) = value.kind {
        schedule.leafIndex[v] = index
        leafLayouts[v] = Layout(shape: value.shape, strides: strides)
      }
    }
  }

  // MARK: Values in memory

  /// The layout of a stored value in its memory.
  func layout(_ v: Int) -> Layout {
    leafLayouts[v] ?? pieces.layout(v) ?? Layout(contiguous: schedule.types[v].shape)
  }

  mutating func temporary(_ dtype: DType, _ shape: Shape) -> Int {
    schedule.types.append(Program.ValueType(dtype: dtype, shape: shape))
    return schedule.types.count - 1
  }

  /// A stored value and layout for a stored reference, with copies where strides cannot express its views.
  mutating func resolve(_ reference: Reference) -> (value: Int, layout: Layout) {
    var value = reference.value
    var current = layout(value)
    for (i, view) in reference.views.enumerated() {
      if let next = current.applying(view) {
        current = next
        continue
      }
      // Copy what the views so far show into dense memory, and go on from there.
      let prefix = Reference(value: reference.value, views: Array(reference.views[..<i]))
      value = copy(prefix, from: value, current)
      current = Layout(contiguous: current.shape).applying(view)!
    }
    return (value, current)
  }

  private mutating func copy(_ key: Reference, from value: Int, _ source: Layout) -> Int {
    if let known = copies[key] { return known }
    let dtype = schedule.types[value].dtype
    let target = temporary(dtype, source.shape)
    var builder = KernelBuilder(shape: source.shape)
    let register = builder.load(value, dtype, source)
    builder.expression.outputs = [register]
    emitElementwise(builder, outputs: [(target, dtype, Layout(contiguous: source.shape))])
    copies[key] = target
    return target
  }

  /// The value number of dense memory that holds `reference`, copying where needed. Its offset is 0.
  mutating func dense(_ reference: Reference) -> Int {
    let (value, layout) = resolve(reference)
    if layout.isContiguous, layout.offset == 0, layout.shape.count == schedule.types[value].shape.count,
      leafLayouts[value]?.isContiguous ?? true
    {
      return value
    }
    return copy(reference, from: value, layout)
  }

  /// Like `dense`, but neither an input of the program nor another result: each owns its memory.
  private mutating func result(_ reference: Reference) -> Int {
    let value = dense(reference)
    if schedule.leafIndex[value] == nil, !schedule.outputs.contains(value) { return value }
    let unique = reference.applying([.reshape(schedule.types[value].shape), .reshape([schedule.outputs.count])])
    return copy(unique, from: value, layout(value))
  }

  /// A dense operand of a family step; a leaf's slice of whole rows is used where it lies.
  mutating func denseOperand(_ reference: Reference) -> Operand {
    var (value, layout) = resolve(reference)
    if !layout.isContiguous {
      value = copy(reference, from: value, layout)
      layout = Layout(contiguous: layout.shape)
    }
    return Operand(
      slot: .arena(value), dtype: schedule.types[value].dtype, offset: layout.offset,
      strides: Layout.contiguousStrides(layout.shape))
  }

  func target(_ v: Int) -> Operand {
    let layout = layout(v)
    return Operand(slot: .arena(v), dtype: schedule.types[v].dtype, offset: layout.offset, strides: layout.strides)
  }

  // MARK: Kernels

  private mutating func emit(_ v: Int) {
    guard fusion.isStored[v] else { return }
    let value = graph.values[v]
    if value.isElementwise {
      if case .leaf = value.kind { return }
      guard isPrimaryRoot(v) else { return }  // stored by another kernel
      if let producer = fusion.producer[v] {
        emitProducer(producer, finishing: v)
      } else {
        emitElementwise(root: v)
      }
      return
    }
    guard fusion.epilogueRoot[v] == nil else { return }  // emitted with the kernel that finishes it
    switch value.kind {
    case .leaf: return
    case .op(.assemble(let assembly)): emitAssembly(v, assembly)
    case .op(.reduce), .op(.matmul), .op(.convolution), .op(.rowwise): emitProducer(v, finishing: nil)
    case .op(let op): emitFamily(v, op)
    case .constant, .random: return
    }
  }

  private func isPrimaryRoot(_ v: Int) -> Bool { !fusion.isExtraOutput[v] }

  private mutating func emitElementwise(root v: Int) {
    let value = graph.values[v]
    guard value.shape.count > 0 else { return }
    var builder = KernelBuilder(shape: value.shape)
    let outputs = [v] + (fusion.extraOutputs[Fusion.Kernel(root: v)] ?? [])
    for output in outputs {
      let register = build(Reference(value: output), root: v, producer: nil, in: &builder)
      builder.expression.outputs.append(register)
    }
    emitElementwise(
      builder, outputs: outputs.map { ($0, graph.values[$0].dtype, layout($0)) })
  }

  mutating func emitElementwise(_ builder: KernelBuilder, outputs: [(Int, DType, Layout)]) {
    guard builder.shape.count > 0 else { return }
    let layouts = builder.operands.map(\.layout) + outputs.map(\.2)
    let (dims, strides) = collapse(builder.shape.dimensions, layouts.map(\.strides))
    var operands: [Operand] = []
    for (i, operand) in builder.operands.enumerated() { operands.append(operand.operand(strides: strides[i])) }
    let count = operands.count
    let targets = outputs.enumerated().map { i, output in
      Operand(slot: .arena(output.0), dtype: output.1, offset: output.2.offset, strides: strides[count + i])
    }
    schedule.steps.append(
      .elementwise(
        ElementwiseStep(dims: dims, operands: operands, expression: builder.expression, outputs: targets)))
  }

  /// The register that holds `reference` in the kernel ending at `root`; `producer` is the value that the kernel's
  /// own family computes, if it finishes one.
  mutating func build(_ reference: Reference, root: Int, producer: Int?, in builder: inout KernelBuilder) -> Int {
    if let known = builder.registers[reference] { return known }
    let v = reference.value
    let register: Int
    if v == producer {
      register = builder.expression.append(.result, graph.values[v].dtype)
    } else if isComputed(v, in: root) {
      register = compute(reference, root: root, producer: producer, in: &builder)
    } else {
      let (value, layout) = resolve(reference)
      register = builder.load(value, schedule.types[value].dtype, layout)
    }
    builder.registers[reference] = register
    return register
  }

  private func isComputed(_ v: Int, in root: Int) -> Bool {
    let value = graph.values[v]
    guard value.isElementwise else { return false }
    if !fusion.isStored[v] || v == root || value.isFree { return true }
    return fusion.extraOutputs[Fusion.Kernel(root: root, piece: piece)]?.contains(v) == true
  }

  private mutating func compute(
    _ reference: Reference, root: Int, producer: Int?, in builder: inout KernelBuilder
  ) -> Int {
    let value = graph.values[reference.value]
    func address(_ builder: inout KernelBuilder) -> Int? {
      guard let layout = Layout(contiguous: value.shape).applying(reference.views) else { return nil }
      return builder.address(layout)
    }
    switch value.kind {
    case .constant(let slot): return builder.expression.append(.scalar(slot), value.dtype)
    case .random(let distribution, let key, let counter):
      if let position = address(&builder) {
        return builder.expression.append(
          .random(distribution, key: key, counter: counter, position: position), value.dtype)
      }
    case .op(.position):
      if let position = address(&builder) { return position }
    default:
      let inputs = value.inputs.map { input in
        build(input.applying(reference.views), root: root, producer: producer, in: &builder)
      }
      let instruction: Expression.Instruction
      switch value.kind {
      case .op(.unary(let op)): instruction = .unary(op, inputs[0])
      case .op(.binary(let op)): instruction = .binary(op, inputs[0], inputs[1])
      case .op(.select): instruction = .select(inputs[0], inputs[1], inputs[2])
      default: instruction = .cast(inputs[0])
      }
      return builder.expression.append(instruction, value.dtype)
    }
    // Positions seen through a reshape that strides cannot express: stored once, then read like any value.
    let stored = temporary(value.dtype, value.shape)
    var source = KernelBuilder(shape: value.shape)
    source.expression.outputs = [
      compute(Reference(value: reference.value), root: root, producer: nil, in: &source)
    ]
    emitElementwise(source, outputs: [(stored, value.dtype, Layout(contiguous: value.shape))])
    let (v, layout) = resolve(Reference(value: stored, views: reference.views))
    return builder.load(v, value.dtype, layout)
  }

  private mutating func emitAssembly(_ v: Int, _ assembly: Assembly) {
    let value = graph.values[v]
    // The first input is the constant that fills the gaps; `Snapshot` puts it there.
    if !graph.isCovered(value) {
      var fill = KernelBuilder(shape: value.shape)
      fill.expression.outputs = [build(value.inputs[0], root: v, producer: nil, in: &fill)]
      emitElementwise(fill, outputs: [(v, value.dtype, layout(v))])
    }
    for group in fusion.pieces(of: v) { emitPieces(group, of: v, assembly) }
  }

  /// One kernel for pieces of one shape, more if they read too much for one.
  private mutating func emitPieces(_ group: [Int], of v: Int, _ assembly: Assembly) {
    let value = graph.values[v]
    let shape = graph.shape(value.inputs[group[0]])
    piece = group[0]
    defer { piece = -1 }
    let extra = fusion.extraOutputs[Fusion.Kernel(root: v, piece: piece)] ?? []
    let whole = layout(v)
    var pending: [(reference: Reference, value: Int, place: Layout)] = []
    for input in group where !pieces.isPlaced(value.inputs[input].value, in: v, piece: input - 1) {
      pending.append((value.inputs[input], v, assembly.place(of: input - 1, shape, in: whole)))
    }
    pending += extra.map { (Reference(value: $0), $0, layout($0)) }
    while !pending.isEmpty {
      var builder = KernelBuilder(shape: shape)
      var outputs: [(Int, DType, Layout)] = []
      while let next = pending.first {
        var longer = builder
        longer.expression.outputs.append(build(next.reference, root: v, producer: nil, in: &longer))
        if !outputs.isEmpty, longer.operands.count > Fusion.maximumOperands { break }
        builder = longer
        outputs.append((next.value, graph.values[next.value].dtype, next.place))
        pending.removeFirst()
      }
      emitElementwise(builder, outputs: outputs)
    }
  }
}

/// An expression under construction over one iteration space.
struct KernelBuilder {
  struct Source: Hashable {
    /// `nil`: only its address is used.
    var value: Int?
    var dtype: DType
    var layout: Layout

    func operand(strides: [Int]) -> Operand {
      Operand(slot: value.map { .arena($0) }, dtype: dtype, offset: layout.offset, strides: strides)
    }
  }
  var shape: Shape
  var expression = Expression()
  var operands: [Source] = []
  var registers: [Reference: Int] = [:]

  init(shape: Shape) { self.shape = shape }

  private mutating func operand(_ source: Source) -> Int {
    if let known = operands.firstIndex(of: source) { return known }
    operands.append(source)
    return operands.count - 1
  }
  mutating func load(_ value: Int, _ dtype: DType, _ layout: Layout) -> Int {
    let index = operand(Source(value: value, dtype: dtype, layout: layout))
    return expression.append(.load(index), dtype)
  }
  mutating func address(_ layout: Layout) -> Int {
    let index = operand(Source(value: nil, dtype: .int64, layout: layout))
    return expression.append(.address(index), .int64)
  }
}

/// Drops axes of size 1 and merges neighbours wherever every operand steps through both as one.
func collapse(_ dims: [Int], _ strides: [[Int]]) -> (dims: [Int], strides: [[Int]]) {
  var resultDims: [Int] = []
  var result = strides.map { _ in [Int]() }
  for axis in dims.indices where dims[axis] != 1 {
    let merges =
      !resultDims.isEmpty
      && strides.indices.allSatisfy { result[$0].last! == strides[$0][axis] * dims[axis] }
    if merges {
      resultDims[resultDims.count - 1] *= dims[axis]
      for i in strides.indices { result[i][result[i].count - 1] = strides[i][axis] }
    } else {
      resultDims.append(dims[axis])
      for i in strides.indices { result[i].append(strides[i][axis]) }
    }
  }
  return (resultDims, result)
}
