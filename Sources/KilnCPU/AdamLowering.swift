import CVector
import KilnEngine

/// Adam's update as one loop. The evaluator's way, a loop for each operation over blocks in the first-level cache, is bound
/// by loads and stores; here roots and quotients are what is left.
///
/// It is found by its form, so that it stands wherever the same is computed; results are the same to the bit.
final class AdamRun: CPUStep {
  private var step: kv_adam
  let scratchBytes = 0

  /// `nil` for any other expression, and for operands that are no dense float32 arrays of one length.
  init?(_ elementwise: ElementwiseStep, _ slots: SlotTable) {
    guard let form = AdamForm(elementwise.expression) else { return nil }
    let dense = Layout.contiguousStrides(Shape(elementwise.dims))
    let (operands, outputs) = (elementwise.operands, elementwise.outputs)
    guard (operands + outputs).allSatisfy({ $0.dtype == .float32 && $0.strides == dense && $0.slot != nil }) else {
      return nil
    }
    // What is written may be read at the same element only: all that is read of one comes first.
    for output in outputs {
      for operand in operands {
        guard let target = output.slot, let source = operand.slot, slots.mayAlias(target, source) else { continue }
        guard operand.offset == output.offset else { return nil }
      }
    }
    func place(_ operand: Operand) -> kv_adam_operand {
      let (slot, offset) = slots.elements(operand)
      return kv_adam_operand(slot: slot, offset: offset)
    }
    step = kv_adam(
      count: Int64(elementwise.dims.reduce(1, *)), w: place(operands[form.weight]), m: place(operands[form.first]),
      v: place(operands[form.second]), g: place(operands[form.gradient]), new_w: place(outputs[form.newWeight]),
      new_m: place(outputs[form.newFirst]), new_v: place(outputs[form.newSecond]),
      gain: Int32(form.gain), decay: Int32(form.decay), square_gain: Int32(form.squareGain), root: Int32(form.root),
      epsilon: Int32(form.epsilon), rate: Int32(form.rate), shrink: Int32(form.shrink ?? -1))
  }

  func run(_ binding: UnsafePointer<kv_binding>) throws { kv_run_adam(&step, binding) }
}

/// Which operands, outputs and scalars of an expression are those of
///
///     m' = m + (g - m) * gain
///     v' = v * decay + g * g * squareGain
///     w' = w (* shrink) - m' / (sqrt(v') / root + epsilon) * rate
///
/// The letters in the order of `Adam` and `AdamW`; anything beside it makes another expression.
struct AdamForm {
  let weight, first, second, gradient: Int
  let newWeight, newFirst, newSecond: Int
  let gain, decay, squareGain, root, epsilon, rate: Int
  let shrink: Int?

  init?(_ expression: Expression) {
    guard expression.outputs.count == 3, expression.dtypes.allSatisfy({ $0 == .float32 }) else { return nil }
    func binary(_ op: BinaryOp, _ register: Int) -> (Int, Int)? {
      if case .binary(op, let a, let b) = expression.instructions[register] { (a, b) } else { nil }
    }
    func load(_ register: Int) -> Int? {
      if case .load(let operand) = expression.instructions[register] { operand } else { nil }
    }
    func scaled(_ register: Int, _ op: BinaryOp = .multiply) -> (Int, scalar: Int)? {
      guard let (x, y) = binary(op, register), case .scalar(let slot) = expression.instructions[y] else { return nil }
      return (x, slot)
    }
    let outputs = expression.outputs
    guard let newWeight = outputs.firstIndex(where: { binary(.subtract, $0) != nil }),
      let (old, whole) = binary(.subtract, outputs[newWeight]), let (move, rate) = scaled(whole),
      let (m, bottom) = binary(.divide, move), let (fraction, epsilon) = scaled(bottom, .add),
      let (rooted, root) = scaled(fraction, .divide), case .unary(.sqrt, let v) = expression.instructions[rooted],
      let newFirst = outputs.firstIndex(of: m), let newSecond = outputs.firstIndex(of: v),
      let (oldFirst, step) = binary(.add, m), let (difference, gain) = scaled(step),
      let (gradient, subtracted) = binary(.subtract, difference), subtracted == oldFirst,
      let (kept, squares) = binary(.add, v), let (oldSecond, decay) = scaled(kept),
      let (square, squareGain) = scaled(squares), let (left, right) = binary(.multiply, square),
      left == gradient, right == gradient
    else { return nil }
    let decayed = scaled(old)
    guard let weight = load(decayed?.0 ?? old), let first = load(oldFirst), let second = load(oldSecond),
      let gradient = load(gradient), Set([weight, first, second, gradient]).count == 4
    else { return nil }
    (self.weight, self.first, self.second, self.gradient) = (weight, first, second, gradient)
    (self.newWeight, self.newFirst, self.newSecond) = (newWeight, newFirst, newSecond)
    (self.gain, self.decay, self.squareGain) = (gain, decay, squareGain)
    (self.root, self.epsilon, self.rate, shrink) = (root, epsilon, rate, decayed?.scalar)
  }
}
