import CVector
import KilnEngine

/// Turns the engine's steps into ones that run: one method per family, an exhaustive switch over them.
struct Lowering {
  let slots: SlotTable

  func lower(_ step: Step) throws -> any CPUStep {
    switch step {
    case .elementwise(let step): elementwise(step)
    case .reduce(let step): try ReduceRun(step, slots)
    case .scan(let step): ScanRun(step, slots)
    case .argsort(let step): ArgsortRun(step, slots)
    case .rowwise(let step): RowwiseRun(step, slots)
    case .attention(let step): AttentionRun(step, slots)
    case .matmul(let step): try MatmulRun(step, slots)
    case .convolution(let step): try ConvolutionRun(step, slots)
    case .pool(let step): PoolRun(step, slots)
    case .gather(let step): GatherRun(step, slots)
    }
  }

  private func elementwise(_ step: ElementwiseStep) -> any CPUStep {
    if let update = AdamRun(step, slots) { return update }
    return ElementwiseRun(step, slots)
  }
}

/// A contiguous operand: where it begins.
struct Place {
  let slot: Int
  let bytes: Int
  init(_ operand: Operand, _ slots: SlotTable) {
    let (slot, offset) = slots.elements(operand)
    self.slot = Int(slot)
    bytes = Int(offset) * operand.dtype.size
  }
  func pointer(_ binding: UnsafePointer<kv_binding>) -> UnsafeMutableRawPointer? {
    binding.pointee.bases[slot].map { UnsafeMutableRawPointer($0) + bytes }
  }
}

extension kv_fault {
  /// Throws if an index was out of range.
  func check(_ operation: String) throws {
    guard position >= 0 else { return }
    throw DeviceError.indexOutOfRange(
      device: "cpu", operation: operation, position: Int(position), index: Int(index), length: Int(length))
  }
}

final class ElementwiseRun: CPUStep {
  private let memory = CMemory()
  private var step: kv_elementwise
  let scratchBytes: Int

  init(_ step: ElementwiseStep, _ slots: SlotTable) {
    let space = ExpressionLowering.Space(dims: step.dims, operands: step.operands, outputs: step.outputs)
    let (expression, _) = ExpressionLowering.lower(step.expression, over: space, slots: slots, memory: memory)
    let stores = step.outputs.map { 0.05 * Double($0.dtype.size) }.reduce(0, +)
    self.step = kv_elementwise(e: expression, weight: ExpressionLowering.weight(step.expression) + stores)
    scratchBytes = Int(kv_frame_bytes(&self.step.e))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws { kv_run_elementwise(&step, binding) }
}
