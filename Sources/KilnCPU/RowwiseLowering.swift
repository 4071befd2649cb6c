import CVector
import KilnEngine

/// Row operations: groups of rows are computed by the prologue into the thread's scratch memory, worked on there, and
/// finished from there; what needs neither is read and written where it lies.
final class RowwiseRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_rowwise
  private let rows: [Place?]
  private let vectors: [Place]
  private let output: Place?
  let scratchBytes: Int

  init(_ rowwise: RowwiseStep, _ slots: SlotTable) {
    step = kv_rowwise()
    (step.rows, step.columns) = (Int64(rowwise.rows), Int64(rowwise.columns))
    let dtype = rowwise.prologue.dtypes[rowwise.prologue.outputs[0]]
    step.dtype = dtype.kv
    switch rowwise.kind {
    case .softmax: step.kind = KV_SOFTMAX
    case .logSoftmax: step.kind = KV_LOG_SOFTMAX
    case .layerNorm(let epsilon): (step.kind, step.epsilon) = (KV_LAYER_NORM, epsilon)
    case .rmsNorm(let epsilon): (step.kind, step.epsilon) = (KV_RMS_NORM, epsilon)
    case .crossEntropy(let ignored): (step.kind, step.ignore_index) = (KV_CROSS_ENTROPY, Int64(ignored))
    case .crossEntropyGradient(let ignored):
      (step.kind, step.ignore_index) = (KV_CROSS_ENTROPY_GRADIENT, Int64(ignored))
      step.scale_step = rowwise.hasOneScale ? 0 : 1
    case .softmaxGradient: step.kind = KV_SOFTMAX_GRADIENT
    case .logSoftmaxGradient: step.kind = KV_LOG_SOFTMAX_GRADIENT
    case .layerNormGradient(let epsilon): (step.kind, step.epsilon) = (KV_LAYER_NORM_GRADIENT, epsilon)
    case .rmsNormGradient(let epsilon): (step.kind, step.epsilon) = (KV_RMS_NORM_GRADIENT, epsilon)
    }
    rows = (0..<rowwise.kind.rowInputCount).map { i in rowwise.plainInput(i).map { Place($0, slots) } }
    vectors = rowwise.vectors.map { Place($0, slots) }
    output = rowwise.plainOutput.map { Place($0, slots) }

    // Rows that together fill a good part of the first-level cache.
    step.group = Int64(min(max(1, 2048 / max(rowwise.columns, 1)), max(rowwise.rows, 1)))
    step.staged = (-1, -1)
    step.has_prologue = rows.contains { $0 == nil }
    step.has_epilogue = output == nil
    var space = ExpressionLowering.Space(
      dims: rowwise.outer + [rowwise.columns], rowDims: rowwise.columns >= 512 ? 1 : nil, operands: rowwise.operands)
    if step.has_prologue {
      let (expression, values) = ExpressionLowering.lowerAll(
        rowwise.prologue, over: space, slots: slots, memory: memory)
      step.prologue = expression
      if rows[0] == nil { step.staged.0 = values[0] }
      if rows.count > 1, rows[1] == nil { step.staged.1 = values[1] }
    }
    if step.has_epilogue {
      space.outputs = rowwise.outputs
      space.resultDType = dtype
      step.epilogue = ExpressionLowering.lower(rowwise.epilogue, over: space, slots: slots, memory: memory).0
    }
    scratchBytes = Int(kv_rowwise_scratch(&step))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws {
    func row(_ i: Int) -> UnsafeRawPointer? {
      i < rows.count ? rows[i].flatMap { UnsafeRawPointer($0.pointer(binding)) } : nil
    }
    func vector(_ i: Int) -> UnsafeRawPointer? {
      i < vectors.count ? UnsafeRawPointer(vectors[i].pointer(binding)) : nil
    }
    var operands = kv_row_operands(a: (row(0), row(1)), b: vector(0), c: vector(1), y: output?.pointer(binding))
    try kv_run_rowwise(&step, binding, &operands).check("crossEntropy")
  }
}
