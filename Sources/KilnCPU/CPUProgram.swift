import CVector
import KilnEngine

/// A step ready to run: C structures that only need base addresses.
protocol CPUStep: AnyObject {
  /// Bytes of each thread's scratch memory.
  var scratchBytes: Int { get }
  func run(_ binding: UnsafePointer<kv_binding>) throws
}

/// Where values live: the run's inputs, outputs and arena, then memory that steps own.
final class SlotTable {
  private let program: Program
  private let driver: CPUDriver
  private(set) var owned: [Buffer] = []
  init(_ program: Program, driver: CPUDriver) {
    self.program = program
    self.driver = driver
  }

  /// inputs, arena, outputs, owned: in that order.
  var ownedStart: Int { program.inputs.count + 1 + program.outputs.count }

  /// The slot's number, and the bytes to add to its base.
  func place(_ slot: Program.Slot) -> (slot: Int32, bytes: Int) {
    switch slot {
    case .input(let i): (Int32(i), 0)
    case .arena(let bytes): (Int32(program.inputs.count), bytes)
    case .output(let i): (Int32(program.inputs.count + 1 + i), 0)
    }
  }

  /// Element offset of an operand from its slot's base.
  func elements(_ operand: Operand) -> (slot: Int32, offset: Int64) {
    guard let slot = operand.slot else { return (-1, Int64(operand.offset)) }
    let (number, bytes) = place(slot)
    return (number, Int64(bytes / operand.dtype.size + operand.offset))
  }

  func own(byteCount: Int) throws -> Int32 {
    owned.append(try driver.allocate(byteCount: byteCount))
    return Int32(ownedStart + owned.count - 1)
  }

  /// Whether writing `output` may change what `operand` reads.
  func mayAlias(_ output: Program.Slot, _ operand: Program.Slot) -> Bool {
    if output == operand { return true }
    if case .output(let i) = output, case .input(let j) = operand { return program.donations[i] == j }
    return false
  }
}

/// A program whose every step has been lowered to C structures. A run binds addresses and walks the steps; it
/// allocates nothing.
/// `@unchecked`: C structures, written once; runs hold the driver's lock.
final class CPUProgram: CompiledProgram, @unchecked Sendable {
  let program: Program
  let scratchBytes: Int
  var launches: Int { steps.count }
  private let driver: CPUDriver
  private let steps: [any CPUStep]
  private let slots: SlotTable
  private let bases: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>
  private let scalars: UnsafeMutableBufferPointer<UInt64>

  init(_ program: Program, driver: CPUDriver) throws {
    self.program = program
    self.driver = driver
    let slots = SlotTable(program, driver: driver)
    let lowering = Lowering(slots: slots)
    steps = try program.steps.map { try lowering.lower($0) }
    self.slots = slots
    scratchBytes = steps.map(\.scratchBytes).max() ?? 0
    bases = .allocate(capacity: slots.ownedStart + slots.owned.count)
    bases.initialize(repeating: nil)
    scalars = .allocate(capacity: max(1, program.scalars.count))
    scalars.initialize(repeating: 0)
    for (i, buffer) in slots.owned.enumerated() {
      bases[slots.ownedStart + i] = try driver.pointer(buffer).assumingMemoryBound(to: CChar.self)
    }
  }

  deinit {
    bases.deallocate()
    scalars.deallocate()
  }

  func run(_ bindings: Bindings) throws {
    try driver.withPool {
      let inputCount = program.inputs.count
      for i in 0..<inputCount {
        let input = bindings.inputs[i]
        let offset = input.offset * program.inputs[i].dtype.size
        bases[i] = try driver.pointer(input.buffer).advanced(by: offset).assumingMemoryBound(to: CChar.self)
      }
      bases[inputCount] = try bindings.arena.map { try driver.pointer($0).assumingMemoryBound(to: CChar.self) }
      for i in 0..<program.outputs.count {
        bases[inputCount + 1 + i] = try driver.pointer(bindings.outputs[i]).assumingMemoryBound(to: CChar.self)
      }
      for i in 0..<program.scalars.count { scalars[i] = bindings.scalars[i].bits }
      var binding = kv_binding(
        bases: UnsafePointer(bases.baseAddress), scalars: UnsafePointer(scalars.baseAddress))
      for step in steps { try step.run(&binding) }
    }
  }
}
