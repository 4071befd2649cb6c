import CVector
import KilnEngine

/// Attention and its gradient, whose products of queries and keys stay in scratch memory.
final class AttentionRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_attention
  let scratchBytes: Int

  init(_ attention: AttentionStep, _ slots: SlotTable) {
    let memory = memory
    func rows(_ operand: Operand) -> kv_rows {
      let (slot, offset) = slots.elements(operand)
      return kv_rows(
        slot: slot, offset: offset, row: Int64(operand.strides.last ?? 0),
        batch: memory.integers(Array(operand.strides.dropLast())))
    }
    let (inputs, outputs) = (attention.inputs, attention.outputs)
    step = kv_attention()
    step.dtype = attention.dtype.kv
    (step.causal, step.is_gradient) = (attention.attention.isCausal, attention.attention.isGradient)
    step.scale = attention.attention.scale
    step.batch_rank = Int32(attention.batch.count)
    step.batch = memory.integers(attention.batch)
    step.batch_count = Int64(attention.batch.reduce(1, *))
    (step.queries, step.keys) = (Int64(attention.queries), Int64(attention.keys))
    (step.features, step.value_features) = (Int64(attention.features), Int64(attention.valueFeatures))
    (step.q, step.k, step.v) = (rows(inputs[0]), rows(inputs[1]), rows(inputs[2]))
    if attention.attention.isGradient {
      step.g = rows(inputs[3])
      (step.dq, step.dk, step.dv) = (rows(outputs[0]), rows(outputs[1]), rows(outputs[2]))
    } else {
      step.o = rows(outputs[0])
    }
    scratchBytes = Int(kv_attention_scratch(&step))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws { kv_run_attention(&step, binding) }
}
