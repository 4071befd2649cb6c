import CVector
import KilnEngine

/// Turns an `Expression` over an iteration space into the calls of block loops that CVector's evaluator makes.
///
/// Values have levels: scalars are computed once per run, what is uniform along a row once per row, the rest per block.
/// Block values get scratch registers by lifetime; contiguous loads and stores are pointers into memory instead.
struct ExpressionLowering {
  /// What the expression works on.
  struct Space {
    var dims: [Int]
    /// Trailing dims that make one row; `nil`: as many as give rows of at least 512 elements.
    var rowDims: Int?
    var operands: [Operand]
    /// Empty for a reduction's prologue, whose value is read from the frame.
    var outputs: [Operand] = []
    /// Size and slot of what `.result` reads, dense over `dims`.
    var resultSlot: Program.Slot?
    var resultDType: DType?
  }

  private enum Level: Int, Comparable {
    case once, row, block
    static func < (lhs: Level, rhs: Level) -> Bool { lhs.rawValue < rhs.rawValue }
  }
  private struct Value {
    var dtype: DType
    var level: Level
    /// A pointer into memory instead of a register.
    var isPointer = false
  }

  private let slots: SlotTable
  private let memory: CMemory
  private let space: Space
  private let expression: Expression
  private let rowDims: Int
  private var values: [Value] = []
  /// The value of each instruction.
  private var registers: [Int] = []
  private var loads: [kv_load] = []
  private var scalars: [kv_scalar] = []
  private var once: [kv_op] = []
  private var rowOps: [kv_op] = []
  private var ops: [kv_op] = []
  private var operands: [kv_operand] = []
  /// Slot of each load, for the question whether a store may come before it is read.
  private var loadSlots: [Int: Program.Slot] = [:]
  private var resultValue = -1

  /// The C expression, and the value of its first output.
  static func lower(_ expression: Expression, over space: Space, slots: SlotTable, memory: CMemory)
    -> (kv_expression, output: Int32)
  {
    let (lowered, outputs) = lowerAll(expression, over: space, slots: slots, memory: memory)
    return (lowered, outputs.first ?? 0)
  }

  /// The C expression, and the values of its outputs.
  static func lowerAll(_ expression: Expression, over space: Space, slots: SlotTable, memory: CMemory)
    -> (kv_expression, outputs: [Int32])
  {
    var lowering = ExpressionLowering(expression, space, slots, memory)
    return lowering.lower()
  }

  private init(_ expression: Expression, _ space: Space, _ slots: SlotTable, _ memory: CMemory) {
    (self.expression, self.space, self.slots, self.memory) = (expression, space, slots, memory)
    var rowDims = space.rowDims ?? 0
    if space.rowDims == nil {
      var count = 1
      while rowDims < space.dims.count && count < 512 {
        rowDims += 1
        count *= space.dims[space.dims.count - rowDims]
      }
    }
    self.rowDims = rowDims
  }

  private mutating func lower() -> (kv_expression, outputs: [Int32]) {
    for (i, instruction) in expression.instructions.enumerated() {
      registers.append(lower(instruction, expression.dtypes[i]))
    }
    let outputValues = expression.outputs.map { value -> Int in
      let register = registers[value]
      return values[register].level == .block ? register : materialise(register)
    }
    let stores = storeOutputs(outputValues)
    return (assemble(outputValues, stores), outputValues.map(Int32.init))
  }

  // MARK: Instructions

  private mutating func add(_ value: Value) -> Int {
    values.append(value)
    return values.count - 1
  }

  private mutating func lower(_ instruction: Expression.Instruction, _ dtype: DType) -> Int {
    switch instruction {
    case .load(let i): return load(space.operands[i])
    case .address(let i):
      var position = space.operands[i]
      (position.slot, position.dtype) = (nil, .int64)
      return load(position)
    case .scalar(let slot): return scalar(slot, dtype)
    case .result:
      if resultValue < 0 { resultValue = add(Value(dtype: dtype, level: .block, isPointer: true)) }
      return resultValue
    case .unary(let op, let x):
      let source = registers[x]
      let type = values[source].dtype
      if let loop = kv_find_loop(op.rawValue, type.kv, KV_VV) { return emit(loop, nil, [source], dtype) }
      return emit(UnaryFallback.loop(type), memory.context(UnaryFallback(op)), [source], dtype)
    case .binary(let op, let a, let b): return binary(op, registers[a], registers[b], dtype)
    case .select(let condition, let then, let otherwise):
      return select(registers[condition], registers[then], registers[otherwise], dtype)
    case .cast(let x):
      let source = registers[x]
      let type = values[source].dtype
      guard type != dtype, let loop = kv_find_loop("cast_" + dtype.loopSuffix, type.kv, KV_VV) else { return source }
      return emit(loop, nil, [source], dtype)
    case .random(let distribution, let key, let counter, let position):
      let name =
        switch distribution {
        case .uniform: "uniform"
        case .normal: "normal"
        case .bits: "bits"
        }
      let operands = [registers[position], scalar(key, .int64), scalar(counter, .int64)]
      guard let loop = kv_find_loop(name, dtype.kv, KV_VV) else { return operands[0] }
      return emit(loop, nil, operands, dtype)
    }
  }

  private mutating func load(_ operand: Operand) -> Int {
    let (slot, offset) = slots.elements(operand)
    let access = access(operand.strides)
    let isAddress = operand.slot == nil
    operands.append(
      kv_operand(
        slot: slot, size: Int32(operand.dtype.size), offset: offset, strides: memory.integers(operand.strides)))
    let value = add(
      Value(
        dtype: operand.dtype, level: access == KV_UNIFORM ? .row : .block,
        isPointer: !isAddress && access != KV_STRIDED))
    loads.append(
      kv_load(value: Int32(value), operand: Int32(operands.count - 1), access: access, is_address: isAddress))
    loadSlots[value] = operand.slot
    return value
  }

  private mutating func scalar(_ slot: Int, _ dtype: DType) -> Int {
    let value = add(Value(dtype: dtype, level: .once))
    scalars.append(kv_scalar(value: Int32(value), scalar: Int32(slot), dtype: dtype.kv))
    return value
  }

  private func access(_ strides: [Int]) -> kv_access {
    var next = 1
    var isDense = true
    var isUniform = true
    let lead = space.dims.count - rowDims
    for axis in stride(from: space.dims.count - 1, through: lead, by: -1) where space.dims[axis] != 1 {
      if strides[axis] != next { isDense = false }
      if strides[axis] != 0 { isUniform = false }
      next *= space.dims[axis]
    }
    return isUniform ? KV_UNIFORM : isDense ? KV_DIRECT : KV_STRIDED
  }

  private mutating func emit(_ loop: kv_loop, _ context: UnsafeRawPointer?, _ sources: [Int], _ dtype: DType) -> Int {
    let level = sources.map { values[$0].level }.max() ?? .once
    let value = add(Value(dtype: dtype, level: level))
    func operand(_ i: Int) -> Int32 { i < sources.count ? Int32(sources[i]) : -1 }
    let op = kv_op(
      loop: loop, context: context, dst: Int32(value), a: operand(0), b: operand(1), c: operand(2))
    switch level {
    case .once: once.append(op)
    case .row: rowOps.append(op)
    case .block: ops.append(op)
    }
    return value
  }

  /// A block full of a single value.
  private mutating func materialise(_ source: Int) -> Int {
    guard values[source].level != .block, let loop = kv_find_loop("fill", values[source].dtype.kv, KV_VV) else {
      return source
    }
    let value = add(Value(dtype: values[source].dtype, level: .block))
    ops.append(kv_op(loop: loop, context: nil, dst: Int32(value), a: Int32(source), b: -1, c: -1))
    return value
  }

  private mutating func binary(_ op: BinaryOp, _ a: Int, _ b: Int, _ dtype: DType) -> Int {
    let type = values[a].dtype.kv
    let (levelA, levelB) = (values[a].level, values[b].level)
    // Both uniform: one element, in the plain form.
    let form = max(levelA, levelB) < .block || levelA == levelB ? KV_VV : levelA == .block ? KV_VS : KV_SV
    if let loop = kv_find_loop(op.rawValue, type, form) { return emit(loop, nil, [a, b], dtype) }
    let sources = form == KV_VV ? [a, b] : [materialise(a), materialise(b)]
    if let loop = kv_find_loop(op.rawValue, type, KV_VV) { return emit(loop, nil, sources, dtype) }
    let loop = BinaryFallback.loop(values[a].dtype)
    return emit(loop, memory.context(BinaryFallback(op)), sources, dtype)
  }

  private mutating func select(_ condition: Int, _ then: Int, _ otherwise: Int, _ dtype: DType) -> Int {
    var sources = [condition, then, otherwise]
    let levels = sources.map { values[$0].level }
    var form = KV_VV
    if levels.max() == .block {
      if levels[0] != .block { sources[0] = materialise(condition) }
      if levels[1] != .block && levels[2] != .block { sources[1] = materialise(then) }
      form =
        values[sources[1]].level != .block ? KV_SV : values[sources[2]].level != .block ? KV_VS : KV_VV
    }
    guard let loop = kv_find_loop("select", dtype.kv, form) else { return then }
    return emit(loop, nil, sources, dtype)
  }

  // MARK: Stores and registers

  private mutating func storeOutputs(_ outputValues: [Int]) -> [kv_output] {
    var result: [kv_output] = []
    var taken: Set<Int> = []
    for (output, value) in zip(space.outputs, outputValues) {
      let (slot, offset) = slots.elements(output)
      operands.append(
        kv_operand(slot: slot, size: Int32(output.dtype.size), offset: offset, strides: memory.integers(output.strides))
      )
      // A row of one element is stored as a dense one.
      let access = access(output.strides) == KV_STRIDED ? KV_STRIDED : KV_DIRECT
      let isMade = !values[value].isPointer && ops.contains { $0.dst == Int32(value) }
      let inPlace = access == KV_DIRECT && isMade && !taken.contains(value) && mayWriteEarly(output, value)
      if inPlace { taken.insert(value) }
      result.append(
        kv_output(
          value: Int32(value), operand: Int32(operands.count - 1), access: access, size: Int32(output.dtype.size),
          in_place: inPlace))
    }
    for value in taken { values[value].isPointer = true }
    return result
  }

  /// Whether nothing that the output's memory may hold is read after the value is made.
  private func mayWriteEarly(_ output: Operand, _ value: Int) -> Bool {
    guard let target = output.slot, let made = ops.lastIndex(where: { $0.dst == Int32(value) }) else { return false }
    var sources = loadSlots
    if resultValue >= 0, let slot = space.resultSlot { sources[resultValue] = slot }
    for (load, slot) in sources where values[load].isPointer && slots.mayAlias(target, slot) {
      let isReadLater = ops[(made + 1)...].contains { [$0.a, $0.b, $0.c].contains(Int32(load)) }
      if isReadLater || expression.outputs.contains(where: { registers[$0] == load }) { return false }
    }
    return true
  }

  /// Gives registers to block values by lifetime, sizes the blocks, and fills in the C structure.
  private func assemble(_ outputValues: [Int], _ stores: [kv_output]) -> kv_expression {
    var lastUse = [Int](repeating: -1, count: values.count)
    for (i, op) in ops.enumerated() {
      for source in [op.a, op.b, op.c] where source >= 0 { lastUse[Int(source)] = i }
    }
    for value in outputValues { lastUse[value] = ops.count }

    // Registers: (size of an element, index among those of its size).
    var register = [Int](repeating: -1, count: values.count)
    var sizes: [Int] = []
    var free: [Int: [Int]] = [:]
    func needsRegister(_ value: Int) -> Bool { values[value].level == .block && !values[value].isPointer }
    func take(_ value: Int) {
      let size = values[value].dtype.size
      if let reused = free[size]?.popLast() {
        register[value] = reused
      } else {
        sizes.append(size)
        register[value] = sizes.count - 1
      }
    }
    for load in loads where needsRegister(Int(load.value)) { take(Int(load.value)) }
    for (i, op) in ops.enumerated() {
      for source in Set([op.a, op.b, op.c].filter { $0 >= 0 }.map(Int.init)).sorted()
      where lastUse[source] == i && register[source] >= 0 {
        // The loops work element by element, so the result may take an operand's place.
        free[values[source].dtype.size, default: []].append(register[source])
      }
      if needsRegister(Int(op.dst)) { take(Int(op.dst)) }
      if lastUse[Int(op.dst)] < 0, register[Int(op.dst)] >= 0 {
        free[values[Int(op.dst)].dtype.size, default: []].append(register[Int(op.dst)])
      }
    }

    // Registers and the memory streamed past them share three quarters of a 32 KB cache.
    let streamed =
      loads.filter { $0.access == KV_DIRECT }.map { values[Int($0.value)].dtype.size }.reduce(0, +)
      + stores.map { Int($0.size) }.reduce(0, +)
    let perElement = max(1, sizes.reduce(0, +) + streamed)
    let block = min(4096, max(256, 24576 / perElement / 64 * 64))

    var offsets = [Int](repeating: -1, count: values.count)
    var next = 0
    for (i, value) in values.enumerated() where value.level != .block && !value.isPointer {
      offsets[i] = next
      next += 64
    }
    var starts: [Int] = []
    for size in sizes {
      starts.append(next)
      next += (size * block + 63) / 64 * 64
    }
    for i in values.indices where register[i] >= 0 { offsets[i] = starts[register[i]] }

    let rowCount = space.dims.suffix(rowDims).reduce(1, *)
    return kv_expression(
      dim_count: Int32(space.dims.count), row_dims: Int32(rowDims), dims: memory.integers(space.dims),
      rows: Int64(space.dims.dropLast(rowDims).reduce(1, *)), row_count: Int64(rowCount), block: Int64(block),
      operand_count: Int32(operands.count), value_count: Int32(values.count), load_count: Int32(loads.count),
      scalar_count: Int32(scalars.count), once_count: Int32(once.count), row_op_count: Int32(rowOps.count),
      op_count: Int32(ops.count), output_count: Int32(stores.count), operands: memory.array(operands),
      offsets: memory.integers(offsets), loads: memory.array(loads), scalars: memory.array(scalars),
      once: memory.array(once), row_ops: memory.array(rowOps), ops: memory.array(ops), outputs: memory.array(stores),
      result_value: Int32(resultValue), result_size: Int32(space.resultDType?.size ?? 0), scratch_bytes: Int64(next))
  }

  /// Nanoseconds for one element, roughly: what decides how many threads a step is worth.
  static func weight(_ expression: Expression) -> Double {
    var total = 0.1
    for (i, instruction) in expression.instructions.enumerated() {
      let wide = expression.dtypes[i] == .float64 ? 4.0 : 1.0
      switch instruction {
      case .load: total += 0.05 * Double(expression.dtypes[i].size)
      case .address, .scalar, .result: total += 0.02
      case .unary(let op, _): total += 0.05 * wide * Double(op.row.cost)
      case .binary(let op, _, _): total += 0.05 * wide * Double(op.row.cost)
      case .select, .cast: total += 0.1
      case .random: total += 3
      }
    }
    return total
  }
}
