extension Scheduler {
  /// Emits a reduction, matmul, convolution or row operation, finished by the elementwise kernel ending at `root` if there is one.
  mutating func emitProducer(_ v: Int, finishing root: Int?) {
    let value = graph.values[v]
    guard case .op(let op) = value.kind, value.shape.count > 0 else { return }
    var epilogue = KernelBuilder(shape: root.map { graph.values[$0].shape } ?? value.shape)
    var outputs = root.map { [$0] + (fusion.extraOutputs[Fusion.Kernel(root: $0)] ?? []) } ?? [v]
    // First, so that a device may leave its result there and finish from it.
    if root != nil, fusion.isKeptProducer.contains(v) { outputs.insert(v, at: 0) }
    for output in outputs {
      epilogue.expression.outputs.append(
        build(Reference(value: output), root: root ?? v, producer: v, in: &epilogue))
    }
    switch op {
    case .reduce(let kind, let axes): emitReduce(v, kind, axes, epilogue, outputs)
    case .matmul: emitMatmul(v, epilogue, outputs)
    case .convolution(let convolution): emitConvolution(v, convolution, epilogue, outputs)
    case .rowwise(let kind): emitRowwise(v, kind, epilogue, outputs)
    default: break
    }
  }

  /// The epilogue's operands and outputs over the producer's own axes. Their shapes are the same but for size-1 axes.
  private func align(_ epilogue: KernelBuilder, _ outputs: [Int], to shape: Shape)
    -> (operands: [[Int]], outputs: [[Int]])
  {
    let from = epilogue.shape
    func move(_ strides: [Int], _ from: Shape) -> [Int] {
      if from == shape { return strides }
      var real = zip(from.dimensions, strides).filter { $0.0 != 1 }.map(\.1)[...]
      return shape.dimensions.map { $0 == 1 ? 0 : (real.popFirst() ?? 0) }
    }
    return (
      epilogue.operands.map { move($0.layout.strides, from) },
      outputs.map { move(layout($0).strides, layout($0).shape) }
    )
  }

  private func targets(_ outputs: [Int], strides: [[Int]]) -> [Operand] {
    zip(outputs, strides).map { v, strides in
      Operand(slot: .arena(v), dtype: schedule.types[v].dtype, offset: layout(v).offset, strides: strides)
    }
  }

  private mutating func emitRowwise(_ v: Int, _ kind: Rowwise, _ epilogue: KernelBuilder, _ outputs: [Int]) {
    let value = graph.values[v]
    let first = value.inputs[0]
    let shape = first.views.reduce(graph.values[first.value].shape) { $1.resultShape($0) }
    var prologue = KernelBuilder(shape: shape)
    for input in value.inputs.prefix(kind.rowInputCount) {
      prologue.expression.outputs.append(build(input, root: v, producer: nil, in: &prologue))
    }
    let vectors = value.inputs.dropFirst(kind.rowInputCount).enumerated().map { i, input in
      (i == kind.uniformVector ? uniformOperand(input) : nil) ?? denseOperand(input)
    }
    let (extra, targetStrides) = align(epilogue, outputs, to: value.shape)
    let leading = shape.rank - 1
    let all = prologue.operands.map(\.layout.strides) + extra + targetStrides
    let (outer, outerStrides) = collapse(
      Array(shape.dimensions[..<leading]), all.map { Array($0[..<leading]) })
    let whole = zip(outerStrides, all).map { $0 + [$1.count > leading ? $1[leading] : 0] }
    let prologueCount = prologue.operands.count
    let operands = (prologue.operands + epilogue.operands).enumerated().map { $1.operand(strides: whole[$0]) }
    schedule.steps.append(
      .rowwise(
        RowwiseStep(
          kind: kind, outer: outer, columns: shape[leading], operands: operands, prologue: prologue.expression,
          vectors: vectors, epilogue: epilogue.expression.shiftingOperands(by: prologueCount),
          outputs: targets(outputs, strides: Array(whole[operands.count...])))))
  }

  /// The vector as an operand of stride 0 if it is one element seen many times.
  private mutating func uniformOperand(_ reference: Reference) -> Operand? {
    let (value, layout) = resolve(reference)
    guard layout.shape.count > 1, layout.strides.allSatisfy({ $0 == 0 }) else { return nil }
    return Operand(
      slot: .arena(value), dtype: schedule.types[value].dtype, offset: layout.offset, strides: layout.strides)
  }

  private mutating func emitReduce(
    _ v: Int, _ kind: Reduction, _ axes: [Int], _ epilogue: KernelBuilder, _ outputs: [Int]
  ) {
    let input = graph.values[v].inputs[0]
    let inputShape = input.views.reduce(graph.values[input.value].shape) { $1.resultShape($0) }
    var prologue = KernelBuilder(shape: inputShape)
    let register = build(input, root: v, producer: nil, in: &prologue)
    prologue.expression.outputs = [register]

    let outerAxes = (0..<inputShape.rank).filter { !axes.contains($0) }
    let (epilogueStrides, outputStrides) = align(epilogue, outputs, to: graph.values[v].shape)
    let pick = { (strides: [Int], axes: [Int]) in axes.map { strides[$0] } }
    let prologueCount = prologue.operands.count

    let (outer, outerStrides) = collapse(
      pick(inputShape.dimensions, outerAxes),
      prologue.operands.map { pick($0.layout.strides, outerAxes) } + epilogueStrides.map { pick($0, outerAxes) }
        + outputStrides.map { pick($0, outerAxes) })
    let (inner, innerStrides) = collapse(
      pick(inputShape.dimensions, axes), prologue.operands.map { pick($0.layout.strides, axes) })

    var operands: [Operand] = []
    for (i, source) in prologue.operands.enumerated() {
      operands.append(source.operand(strides: outerStrides[i] + innerStrides[i]))
    }
    for (i, source) in epilogue.operands.enumerated() {
      let strides = outerStrides[prologueCount + i] + inner.map { _ in 0 }
      operands.append(source.operand(strides: strides))
    }
    schedule.steps.append(
      .reduce(
        ReduceStep(
          kind: kind, dtype: prologue.expression.dtypes[register], outer: outer, inner: inner, operands: operands,
          prologue: prologue.expression, epilogue: epilogue.expression.shiftingOperands(by: prologueCount),
          outputs: targets(outputs, strides: Array(outerStrides[(prologueCount + epilogue.operands.count)...])))))
  }

  private mutating func emitMatmul(_ v: Int, _ epilogue: KernelBuilder, _ outputs: [Int]) {
    let value = graph.values[v]
    var (a, aLayout) = resolve(value.inputs[0])
    var (b, bLayout) = resolve(value.inputs[1])
    if !Self.hasUnitStride(aLayout) { (a, aLayout) = dense(value.inputs[0], a, aLayout) }
    if !Self.hasUnitStride(bLayout) { (b, bLayout) = dense(value.inputs[1], b, bLayout) }
    let rank = value.shape.rank
    var m = value.shape[rank - 2]
    let n = value.shape[rank - 1]
    let k = aLayout.shape[rank - 1]
    var (extra, targetStrides) = align(epilogue, outputs, to: value.shape)

    var dims = Array(value.shape.dimensions[..<(rank - 2)])
    var lhs = aLayout.strides
    var rhs = bLayout.strides
    // One large product instead of many small ones, when rhs is the same for the whole batch and rows follow on.
    let rowsAreDense = k == 1 || lhs[rank - 1] == 1
    while let last = dims.indices.last, dims[last] == 1 || (rhs[last] == 0 && rowsAreDense) {
      let length = dims[last]
      // With a single row the batch's stride becomes the rows'; else the batch must step by whole matrices.
      let usesBatchStride = m == 1 && length != 1
      let follows = ([lhs] + extra + targetStrides).allSatisfy {
        length == 1 || usesBatchStride || $0[last] == $0[last + 1] * m
      }
      guard follows, !usesBatchStride || lhs[last] >= max(k, 1) else { break }
      let dropped = usesBatchStride ? last + 1 : last
      lhs.remove(at: dropped)
      rhs.remove(at: last)
      for i in extra.indices { extra[i].remove(at: dropped) }
      for i in targetStrides.indices { targetStrides[i].remove(at: dropped) }
      m *= length
      dims.removeLast()
    }
    let count = dims.count
    let heads = ([lhs, rhs] + extra + targetStrides).map { Array($0[..<count]) }
    let (batch, batchStrides) = collapse(dims, heads)
    func whole(_ i: Int, _ strides: [Int]) -> [Int] { batchStrides[i] + strides[count...] }

    schedule.steps.append(
      .matmul(
        MatmulStep(
          batch: batch, m: m, n: n, k: k, dtype: value.dtype,
          lhs: Operand(slot: .arena(a), dtype: value.dtype, offset: aLayout.offset, strides: whole(0, lhs)),
          rhs: Operand(slot: .arena(b), dtype: value.dtype, offset: bLayout.offset, strides: whole(1, rhs)),
          operands: epilogue.operands.enumerated().map { i, source in
            source.operand(strides: whole(2 + i, extra[i]))
          },
          epilogue: epilogue.expression,
          outputs: targets(
            outputs, strides: targetStrides.enumerated().map { whole(2 + extra.count + $0, $1) }))))
  }

  private mutating func dense(_ reference: Reference, _ value: Int, _ layout: Layout) -> (Int, Layout) {
    let operand = denseOperand(reference)
    guard case .arena(let v)? = operand.slot else { return (value, layout) }
    return (v, Layout(contiguous: layout.shape, offset: operand.offset))
  }

  /// Whether one of the last two axes steps by one and the other by at least its length, as BLAS asks.
  private static func hasUnitStride(_ layout: Layout) -> Bool {
    let rank = layout.shape.rank
    let (rows, columns) = (layout.shape[rank - 2], layout.shape[rank - 1])
    let (rowStride, columnStride) = (layout.strides[rank - 2], layout.strides[rank - 1])
    if (columns == 1 || columnStride == 1) && (rows == 1 || rowStride >= max(columns, 1)) { return true }
    return (rows == 1 || rowStride == 1) && (columns == 1 || columnStride >= max(rows, 1))
  }

  private mutating func emitConvolution(
    _ v: Int, _ convolution: Convolution, _ epilogue: KernelBuilder, _ outputs: [Int]
  ) {
    let value = graph.values[v]
    let inputs = value.inputs.map { denseOperand($0) }
    let (extra, targetStrides) = align(epilogue, outputs, to: value.shape)
    schedule.steps.append(
      .convolution(
        ConvolutionStep(
          convolution: convolution, dtype: value.dtype, inputs: inputs,
          operands: epilogue.operands.enumerated().map { $1.operand(strides: extra[$0]) },
          epilogue: epilogue.expression, outputs: targets(outputs, strides: targetStrides))))
  }

  private mutating func emitAttention(_ v: Int, _ attention: Attention) {
    let value = graph.values[v]
    let shapes = value.inputs.map { graph.shape($0) }
    let (q, k, rank) = (shapes[0], shapes[1], shapes[0].rank)
    let dtype = value.dtype
    /// Heads before rows again where they come behind them.
    func headsFirst(_ layout: Layout) -> Layout {
      layout.applying(.permute(Array(0..<(rank - 3)) + [rank - 2, rank - 3, rank - 1]))!
    }
    func operand(_ slot: Int, _ layout: Layout) -> Operand {
      Operand(slot: .arena(slot), dtype: dtype, offset: layout.offset, strides: Array(layout.strides.dropLast()))
    }
    let inputs = value.inputs.enumerated().map { i, input in
      var (slot, layout) = resolve(input)
      if layout.strides[rank - 1] != 1, layout.shape[rank - 1] != 1 {
        slot = dense(input)
        layout = Layout(contiguous: layout.shape)
      }
      return operand(slot, i == 3 ? headsFirst(layout) : layout)
    }
    let whole = layout(v)
    let results =
      attention.isGradient
      ? Attention.gradientLayouts(q, k, shapes[2]).map { layout in
        Layout(shape: layout.shape, strides: layout.strides, offset: whole.offset + layout.offset)
      } : [headsFirst(whole)]
    schedule.steps.append(
      .attention(
        AttentionStep(
          attention: attention, dtype: dtype, batch: Array(q.dimensions.dropLast(2)), queries: q[rank - 2],
          keys: k[rank - 2], features: q[rank - 1], valueFeatures: shapes[2][rank - 1], inputs: inputs,
          outputs: results.map { operand(v, $0) })))
  }

  /// The families that read dense memory and write dense memory, and attention, which needs dense rows only.
  mutating func emitFamily(_ v: Int, _ op: Op) {
    let value = graph.values[v]
    guard value.shape.count > 0 else { return }
    if case .attention(let attention) = op { return emitAttention(v, attention) }
    let inputs = value.inputs.map { denseOperand($0) }
    let output = target(v)
    switch op {
    case .scan(let kind, let axis):
      let dims = value.shape.dimensions
      schedule.steps.append(
        .scan(
          ScanStep(
            kind: kind, outer: dims[..<axis].reduce(1, *), length: dims[axis],
            inner: dims[(axis + 1)...].reduce(1, *), input: inputs[0], output: output)))
    case .argsort(let descending):
      let columns = value.shape.dimensions.last ?? 1
      schedule.steps.append(
        .argsort(
          ArgsortStep(
            descending: descending, rows: value.shape.count / max(columns, 1), columns: columns, input: inputs[0],
            output: output)))
    case .pool(let pool):
      schedule.steps.append(.pool(PoolStep(pool: pool, dtype: value.dtype, inputs: inputs, output: output)))
    case .gather(let gather):
      schedule.steps.append(.gather(GatherStep(gather: gather, dtype: value.dtype, inputs: inputs, output: output)))
    case .leaf, .constant, .position, .random, .unary, .binary, .select, .cast, .view, .assemble, .reduce, .matmul,
      .rowwise, .convolution, .attention, .transfer, .identity:
      break  // emitted elsewhere, or never reaching a schedule
    }
  }
}

extension Expression {
  /// The same expression with operand numbers raised by `count`.
  func shiftingOperands(by count: Int) -> Expression {
    var result = self
    result.instructions = instructions.map { instruction in
      switch instruction {
      case .load(let i): .load(i + count)
      case .address(let i): .address(i + count)
      default: instruction
      }
    }
    return result
  }
}
