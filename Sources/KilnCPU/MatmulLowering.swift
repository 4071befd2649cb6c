import CVector
import KilnEngine

/// What a matmul or convolution hands to its epilogue, and where.
struct Finish {
  let slot: Int32
  let offset: Int64
  let hasEpilogue: Bool
  let expression: kv_expression

  /// The family's result goes straight to the first output if that can hold it, else to memory the step owns.
  init(
    _ epilogue: Expression, dims: [Int], rowDims: Int, dtype: DType, operands: [Operand], outputs: [Operand],
    slots: SlotTable, memory: CMemory
  ) throws {
    var space = ExpressionLowering.Space(
      dims: dims, rowDims: rowDims, operands: operands, outputs: outputs, resultDType: dtype)
    let first = outputs[0]
    let isDense = Layout(shape: Shape(dims), strides: first.strides).isContiguous
    let isShared = operands.contains { operand in
      guard let target = first.slot, let slot = operand.slot else { return false }
      return slots.mayAlias(target, slot)
    }
    if first.dtype == dtype && isDense && !isShared {
      (slot, offset) = slots.elements(first)
      space.resultSlot = first.slot
    } else {
      slot = try slots.own(byteCount: dims.reduce(1, *) * dtype.size)
      offset = 0
    }
    hasEpilogue = !(epilogue.isIdentityEpilogue && space.resultSlot != nil && outputs.count == 1)
    expression = ExpressionLowering.lower(epilogue, over: space, slots: slots, memory: memory).0
  }
}

final class MatmulRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_matmul
  /// Copies of operands that BLAS cannot read as they lie.
  private var copies: [ElementwiseRun] = []
  private(set) var scratchBytes: Int

  init(_ matmul: MatmulStep, _ slots: SlotTable) throws {
    let (m, n, k) = (matmul.m, matmul.n, matmul.k)
    var (lhs, rhs) = (matmul.lhs, matmul.rhs)
    // Over nothing the operands are not read at all.
    if k > 0 && !MatmulRun.isReadable(lhs, m, k) {
      lhs = try MatmulRun.copy(lhs, matmul.batch + [m, k], slots, &copies)
    }
    if k > 0 && !MatmulRun.isReadable(rhs, k, n) {
      rhs = try MatmulRun.copy(rhs, matmul.batch + [k, n], slots, &copies)
    }

    let batchCount = matmul.batch.reduce(1, *)
    // Tiles cover whole rows where rows are short, so that the epilogue runs over several at once.
    let (tileRows, tileColumns) = MatmulRun.tile(m: m, n: n, k: k, batch: batchCount)
    let finish = try Finish(
      matmul.epilogue, dims: matmul.batch + [m, n], rowDims: n >= 512 || tileColumns < n ? 1 : matmul.batch.count + 2,
      dtype: matmul.dtype, operands: matmul.operands, outputs: matmul.outputs, slots: slots, memory: memory)

    step = kv_matmul()
    step.dtype = matmul.dtype.kv
    if matmul.dtype.isFloat && k > 0 { step.blas = try OpenBLAS.functions() }
    step.batch_rank = Int32(matmul.batch.count)
    step.batch = memory.integers(matmul.batch)
    step.batch_count = Int64(batchCount)
    (step.m, step.n, step.k) = (Int64(m), Int64(n), Int64(k))
    step.lhs = MatmulRun.matrix(lhs, slots, memory)
    step.rhs = MatmulRun.matrix(rhs, slots, memory)
    (step.result_slot, step.result_offset) = (finish.slot, finish.offset)
    step.has_epilogue = finish.hasEpilogue
    step.epilogue = finish.expression
    (step.tile_rows, step.tile_columns) = (Int64(tileRows), Int64(tileColumns))
    scratchBytes = copies.map(\.scratchBytes).max() ?? 0
    scratchBytes = max(scratchBytes, Int(kv_matmul_scratch(&step)))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    for copy in copies { try copy.run(binding) }
    kv_run_matmul(&step, binding)
  }

  /// Sizes of the tiles that threads share out; from the shape alone, so that bits do not depend on the threads.
  private static func tile(m: Int, n: Int, k: Int, batch: Int) -> (rows: Int, columns: Int) {
    let flops = 2 * m * n * max(k, 1)
    // A tile pays for packing its operands, so large products get few and large ones.
    let wanted = flops < 1_000_000 ? 1 : flops < 1 << 28 ? 2 : flops < 1 << 32 ? 4 : 16
    if wanted <= 1 || batch >= 8 { return (max(m, 1), max(n, 1)) }
    var (rows, columns) = (m, n)
    var tiles = 1
    while tiles < wanted {
      // Halve the longer side, to a multiple of what the kernels work on at once.
      if columns >= rows && columns >= 64 {
        columns = ((columns + 1) / 2 + 31) / 32 * 32
      } else if rows >= 32 {
        rows = ((rows + 1) / 2 + 15) / 16 * 16
      } else {
        break
      }
      tiles *= 2
    }
    return (rows, columns)
  }

  /// Whether one axis steps by one and the other by at least its length, as BLAS asks.
  private static func isReadable(_ operand: Operand, _ rows: Int, _ columns: Int) -> Bool {
    let (row, column) = (operand.strides[operand.strides.count - 2], operand.strides[operand.strides.count - 1])
    if (columns == 1 || column == 1) && (rows == 1 || row >= max(columns, 1)) { return true }
    return (rows == 1 || row == 1) && (columns == 1 || column >= max(rows, 1))
  }

  private static func copy(
    _ operand: Operand, _ dims: [Int], _ slots: SlotTable, _ copies: inout [ElementwiseRun]
  ) throws -> Operand {
    let slot = try slots.own(byteCount: dims.reduce(1, *) * operand.dtype.size)
    var target = operand
    (target.offset, target.strides) = (0, Layout.contiguousStrides(Shape(dims)))
    // Owned slots have numbers only; inputs are numbered from 0, so this reaches them too.
    target.slot = .input(Int(slot))
    var expression = Expression()
    expression.outputs = [expression.append(.load(0), operand.dtype)]
    copies.append(
      ElementwiseRun(
        ElementwiseStep(dims: dims, operands: [operand], expression: expression, outputs: [target]), slots))
    return target
  }

  private static func matrix(_ operand: Operand, _ slots: SlotTable, _ memory: CMemory) -> kv_matrix {
    let (slot, offset) = slots.elements(operand)
    let strides = operand.strides
    return kv_matrix(
      slot: slot, offset: offset, row: Int64(strides[strides.count - 2]), column: Int64(strides[strides.count - 1]),
      batch: memory.integers(Array(strides.dropLast(2))))
  }
}

final class ConvolutionRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_convolution
  let scratchBytes: Int

  init(_ convolution: ConvolutionStep, _ slots: SlotTable) throws {
    let c = convolution.convolution
    step = kv_convolution()
    let result: Shape
    switch c.kind {
    case .forward: (step.kind, result) = (KV_CONVOLUTION, c.outputShape)
    case .inputGradient: (step.kind, result) = (KV_INPUT_GRADIENT, c.inputShape)
    case .filterGradient: (step.kind, result) = (KV_FILTER_GRADIENT, c.filterShape)
    }
    step.dtype = convolution.dtype.kv
    step.blas = try OpenBLAS.functions()
    (step.batch, step.channels, step.height, step.width) =
      (Int64(c.batch), Int64(c.channels), Int64(c.height), Int64(c.width))
    (step.filters, step.kernel_height, step.kernel_width) =
      (Int64(c.filters), Int64(c.kernelHeight), Int64(c.kernelWidth))
    (step.out_height, step.out_width) = (Int64(c.outHeight), Int64(c.outWidth))
    (step.stride_y, step.stride_x) = (Int64(c.strideY), Int64(c.strideX))
    (step.dilation_y, step.dilation_x) = (Int64(c.dilationY), Int64(c.dilationX))
    (step.pad_top, step.pad_left, step.groups) = (Int64(c.padTop), Int64(c.padLeft), Int64(c.groups))
    // A row is one plane, along which a bias per filter is uniform.
    let finish = try Finish(
      convolution.epilogue, dims: result.dimensions, rowDims: result[2] * result[3] >= 256 ? 2 : 4,
      dtype: convolution.dtype, operands: convolution.operands, outputs: convolution.outputs, slots: slots,
      memory: memory)
    (step.a_slot, step.a_offset) = slots.elements(convolution.inputs[0])
    (step.b_slot, step.b_offset) = slots.elements(convolution.inputs[1])
    (step.result_slot, step.result_offset) = (finish.slot, finish.offset)
    step.has_epilogue = finish.hasEpilogue
    step.epilogue = finish.expression
    step.batch_chunks = kv_convolution_batch_chunks(&step)
    if step.batch_chunks > 1 {
      step.partial_slot = try slots.own(
        byteCount: Int(step.batch_chunks) * c.filterShape.count * convolution.dtype.size)
    }
    scratchBytes = Int(kv_convolution_scratch(&step))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws { kv_run_convolution(&step, binding) }
}
