import CVector
import KilnEngine

/// Sums that are read without the evaluator: of x, x * y, (x - m) * y and (x - m) * (y - n) over contiguous lines, where m
/// and n do not change along what is reduced. Batch and layer normalization consist of them.
struct DotLowering {
  private let reduce: ReduceStep
  private let slots: SlotTable
  /// Outer points lie along at most one dim; inner ones along lines, and at most one dim of these.
  private let line: Int
  private(set) var dot = kv_dot()

  /// Nil for any other reduction, and where lines are so short that the evaluator's blocks of many are better.
  init?(_ reduce: ReduceStep, _ slots: SlotTable) {
    guard reduce.kind == .sum, reduce.dtype == .float32, reduce.outer.count <= 1, (1...2).contains(reduce.inner.count),
      let line = reduce.inner.last, line >= 32, let value = reduce.prologue.outputs.first
    else { return nil }
    (self.reduce, self.slots, self.line) = (reduce, slots, line)
    let none = kv_lines(slot: -1, offset: 0, outer_stride: 0, lead_stride: 0)
    (dot.is_set, dot.line) = (true, Int64(line))
    (dot.a, dot.b, dot.a_shift, dot.b_shift) = (none, none, none, none)
    if case .binary(.multiply, let left, let right) = reduce.prologue.instructions[value] {
      guard let a = term(left), let b = term(right) else { return nil }
      (dot.a, dot.a_shift, dot.b, dot.b_shift) = (a.lines, a.shift ?? none, b.lines, b.shift ?? none)
    } else if case .unary(.square, let x) = reduce.prologue.instructions[value] {
      guard let a = term(x) else { return nil }
      (dot.a, dot.a_shift, dot.b, dot.b_shift) = (a.lines, a.shift ?? none, a.lines, a.shift ?? none)
    } else {
      guard let a = term(value) else { return nil }
      (dot.a, dot.a_shift) = (a.lines, a.shift ?? none)
    }
  }

  /// x, or x - m.
  private func term(_ register: Int) -> (lines: kv_lines, shift: kv_lines?)? {
    switch reduce.prologue.instructions[register] {
    case .load(let i): lines(i).map { ($0, nil) }
    case .binary(.subtract, let x, let m):
      switch (reduce.prologue.instructions[x], reduce.prologue.instructions[m]) {
      case (.load(let i), .load(let j)):
        if let x = lines(i), let shift = shift(j) { (x, shift) } else { nil }
      default: nil
      }
    default: nil
    }
  }

  private func lines(_ i: Int) -> kv_lines? {
    let operand = reduce.operands[i]
    guard operand.dtype == .float32, operand.strides.last == 1 else { return nil }
    return place(operand)
  }
  private func shift(_ i: Int) -> kv_lines? {
    let operand = reduce.operands[i]
    guard operand.dtype == .float32, operand.strides.suffix(reduce.inner.count).allSatisfy({ $0 == 0 }) else {
      return nil
    }
    return place(operand)
  }
  private func place(_ operand: Operand) -> kv_lines {
    let (slot, offset) = slots.elements(operand)
    return kv_lines(
      slot: slot, offset: offset, outer_stride: reduce.outer.isEmpty ? 0 : Int64(operand.strides[0]),
      lead_stride: reduce.inner.count == 2 ? Int64(operand.strides[reduce.outer.count]) : 0)
  }
}
