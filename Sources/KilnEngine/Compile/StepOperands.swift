extension Step {
  /// Every operand the step reads from memory.
  public var reads: [Operand] {
    let all: [Operand] =
      switch self {
      case .elementwise(let step): step.operands
      case .reduce(let step): step.operands
      case .scan(let step): [step.input]
      case .argsort(let step): [step.input]
      case .rowwise(let step): step.operands + step.vectors
      case .attention(let step): step.inputs
      case .matmul(let step): [step.lhs, step.rhs] + step.operands
      case .convolution(let step): step.inputs + step.operands
      case .pool(let step): step.inputs
      case .gather(let step): step.inputs
      }
    return all.filter { $0.slot != nil }
  }

  /// Every operand the step writes.
  public var writes: [Operand] {
    switch self {
    case .elementwise(let step): step.outputs
    case .reduce(let step): step.outputs
    case .scan(let step): [step.output]
    case .argsort(let step): [step.output]
    case .rowwise(let step): step.outputs
    case .attention(let step): step.outputs
    case .matmul(let step): step.outputs
    case .convolution(let step): step.outputs
    case .pool(let step): [step.output]
    case .gather(let step): [step.output]
    }
  }

  /// Value numbers, while slots are still `.arena(value number)`.
  var values: [Int] { (reads + writes).compactMap(Step.value) }
  var writtenValues: [Int] { writes.compactMap(Step.value) }
  private static func value(_ operand: Operand) -> Int? {
    if case .arena(let v)? = operand.slot { v } else { nil }
  }

  /// An operand whose memory the output `v` may take over: an elementwise step reads it only at the points where it
  /// writes `v`, with elements of the same size, and it fills its memory.
  func inPlaceDonor(
    for v: Int, types: [Program.ValueType], where isEligible: (Int) -> Bool = { _ in true }
  ) -> Int? {
    guard case .elementwise(let step) = self,
      let output = step.outputs.first(where: { Step.value($0) == v }), output.offset == 0
    else { return nil }
    let written = step.outputs.compactMap(Step.value)
    for operand in step.operands {
      guard let candidate = Step.value(operand), candidate != v, !written.contains(candidate),
        operand.offset == 0, operand.strides == output.strides, operand.dtype.size == output.dtype.size,
        types[candidate].byteCount == types[v].byteCount,
        step.operands.filter({ Step.value($0) == candidate }).count == 1, isEligible(candidate)
      else { continue }
      return candidate
    }
    return nil
  }

  /// The step with every slot `.arena(v)` replaced by `place(v)`.
  func mapSlots(_ place: (Int) -> Program.Slot) -> Step {
    func map(_ operand: Operand) -> Operand {
      var result = operand
      if case .arena(let v)? = operand.slot { result.slot = place(v) }
      return result
    }
    switch self {
    case .elementwise(var step):
      step.operands = step.operands.map(map)
      step.outputs = step.outputs.map(map)
      return .elementwise(step)
    case .reduce(var step):
      step.operands = step.operands.map(map)
      step.outputs = step.outputs.map(map)
      return .reduce(step)
    case .scan(var step):
      (step.input, step.output) = (map(step.input), map(step.output))
      return .scan(step)
    case .argsort(var step):
      (step.input, step.output) = (map(step.input), map(step.output))
      return .argsort(step)
    case .rowwise(var step):
      step.operands = step.operands.map(map)
      step.vectors = step.vectors.map(map)
      step.outputs = step.outputs.map(map)
      return .rowwise(step)
    case .attention(var step):
      step.inputs = step.inputs.map(map)
      step.outputs = step.outputs.map(map)
      return .attention(step)
    case .matmul(var step):
      (step.lhs, step.rhs) = (map(step.lhs), map(step.rhs))
      step.operands = step.operands.map(map)
      step.outputs = step.outputs.map(map)
      return .matmul(step)
    case .convolution(var step):
      step.inputs = step.inputs.map(map)
      step.operands = step.operands.map(map)
      step.outputs = step.outputs.map(map)
      return .convolution(step)
    case .pool(var step):
      step.inputs = step.inputs.map(map)
      step.output = map(step.output)
      return .pool(step)
    case .gather(var step):
      step.inputs = step.inputs.map(map)
      step.output = map(step.output)
      return .gather(step)
    }
  }
}
