import CVector
import KilnEngine

/// Reductions: by rows where memory runs along the reduced axes, by columns where it runs along the kept ones.
final class ReduceRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_reduce
  let scratchBytes: Int

  init(_ reduce: ReduceStep, _ slots: SlotTable) throws {
    let outer = reduce.outer.reduce(1, *)
    let inner = reduce.inner.reduce(1, *)
    let byColumns = ReduceRun.runsAlongKeptAxes(reduce) && inner > 1
    let columns = byColumns ? reduce.outer[reduce.outer.count - 1] : 1

    // The prologue's space, in the order in which it is walked.
    let (outerRank, rank) = (reduce.outer.count, reduce.outer.count + reduce.inner.count)
    var order = Array(0..<rank)
    if byColumns {
      order.remove(at: outerRank - 1)
      order.append(outerRank - 1)
    }
    let dims = reduce.outer + reduce.inner
    var space = ExpressionLowering.Space(
      dims: order.map { dims[$0] }, rowDims: nil,
      operands: reduce.operands.map { operand in
        var operand = operand
        operand.strides = order.map { operand.strides[$0] }
        return operand
      })
    if byColumns {
      space.rowDims = columns >= 512 ? 1 : rank
    } else {
      space.rowDims = inner >= 512 ? reduce.inner.count : rank
    }
    let (prologue, prologueValue) = ExpressionLowering.lower(
      reduce.prologue, over: space, slots: slots, memory: memory)

    let resultDType: DType =
      switch reduce.kind {
      case .argmax, .argmin: .int64
      case .sum, .product, .max, .min: reduce.dtype
      }
    let finish = ExpressionLowering.Space(
      dims: reduce.outer, rowDims: outerRank,
      operands: reduce.operands.map { operand in
        var operand = operand
        operand.strides = Array(operand.strides.prefix(outerRank))
        return operand
      },
      outputs: reduce.outputs, resultDType: resultDType)
    let (epilogue, _) = ExpressionLowering.lower(reduce.epilogue, over: finish, slots: slots, memory: memory)

    // Chunks of inner that can be worked on side by side, by the shape alone.
    var chunk = max(inner, 1)
    if byColumns {
      let groups = (outer / columns) * ((columns + 1023) / 1024)
      if groups < 16 { chunk = max(64, 32768 / columns) }
    } else if outer < 64 && inner >= 65536 {
      chunk = 32768
    }
    let dot = byColumns ? nil : DotLowering(reduce, slots)?.dot
    // Whole lines.
    if let dot, dot.line > 0 { chunk = min(max(chunk / Int(dot.line), 1) * Int(dot.line), max(inner, 1)) }
    let chunks = max(1, (inner + chunk - 1) / chunk)
    let isArg = resultDType == .int64 && (reduce.kind == .argmax || reduce.kind == .argmin)
    let fold = byColumns && !isArg && columns < 256 ? max(1, 512 / columns) : 1

    step = kv_reduce()
    step.kind = ReduceRun.kind(reduce.kind)
    step.dtype = reduce.dtype.kv
    step.prologue = prologue
    step.prologue_value = prologueValue
    step.epilogue = epilogue
    if let dot { step.dot = dot }
    (step.outer, step.inner, step.columns) = (Int64(outer), Int64(inner), Int64(columns))
    (step.chunk, step.chunks, step.fold) = (Int64(chunk), Int64(chunks), Int64(fold))
    step.by_columns = byColumns
    step.weight = ExpressionLowering.weight(reduce.prologue) + 0.05
    if byColumns {
      let name =
        switch reduce.kind {
        case .sum: "add"
        case .product: "multiply"
        case .max, .argmax: "maximum"
        case .min, .argmin: "minimum"
        }
      step.combine = kv_find_loop(name, reduce.dtype.kv, KV_VV)
    }
    if chunks > 1 {
      let size = byColumns && !isArg ? reduce.dtype.size : MemoryLayout<kv_partial>.stride
      step.partials = UnsafeMutableRawPointer.allocate(byteCount: outer * chunks * size, alignment: 64)
        .assumingMemoryBound(to: CChar.self)
    }
    scratchBytes = Int(kv_reduce_scratch(&step))
  }

  deinit { step.partials?.deallocate() }

  func run(_ binding: UnsafePointer<kv_binding>) throws { kv_run_reduce(&step, binding) }

  /// Whether more operands are contiguous along the last kept axis than along the last reduced one.
  private static func runsAlongKeptAxes(_ reduce: ReduceStep) -> Bool {
    guard let columns = reduce.outer.last, columns > 1, let length = reduce.inner.last, length > 0 else { return false }
    var kept = 0
    var reduced = 0
    for instruction in reduce.prologue.instructions {
      guard case .load(let i) = instruction else { continue }
      let strides = reduce.operands[i].strides
      let (outerStride, innerStride) = (abs(strides[reduce.outer.count - 1]), abs(strides[strides.count - 1]))
      if outerStride == innerStride { continue }
      if innerStride == 1 || (innerStride == 0 && outerStride != 1) {
        reduced += 1
      } else if outerStride == 1 || outerStride < innerStride {
        kept += 1
      } else {
        reduced += 1
      }
    }
    return kept > reduced
  }

  private static func kind(_ kind: Reduction) -> kv_reduction {
    switch kind {
    case .sum: KV_SUM
    case .product: KV_PRODUCT
    case .max: KV_MAX
    case .min: KV_MIN
    case .argmax: KV_ARGMAX
    case .argmin: KV_ARGMIN
    }
  }
}
