import Kiln
import KilnEngine
import Synchronization

/// A device that hands everything on to another one and counts what is asked of it. Being a device of its own, it has
/// programs of its own, so that tests that run beside it do not disturb the counts.
final class CountingDriver: DeviceDriver {
  private let base: any DeviceDriver
  let compilations = Atomic<Int>(0)
  let allocations = Atomic<Int>(0)
  let launches = Atomic<Int>(0)
  /// The programs in the order of their compilation.
  let programs = Mutex<[Program]>([])

  init(_ device: Device) { base = device.driver }

  var name: String { base.name + " (counted)" }
  var summary: String { base.summary }
  var fusesAttention: Bool { base.fusesAttention }
  func supports(_ dtype: DType) -> Bool { base.supports(dtype) }
  func allocate(byteCount: Int) throws -> Buffer {
    allocations.add(1, ordering: .relaxed)
    return try base.allocate(byteCount: byteCount)
  }
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    try base.write(source, to: buffer, byteOffset: byteOffset)
  }
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    try base.read(buffer, byteOffset: byteOffset, into: destination)
  }
  func compile(_ program: Program) throws -> any CompiledProgram {
    compilations.add(1, ordering: .relaxed)
    programs.withLock { $0.append(program) }
    return Counted(base: try base.compile(program), counter: self)
  }
  func synchronize() throws { try base.synchronize() }
  func memoryUse() -> MemoryUse { base.memoryUse() }

  private final class Counted: CompiledProgram {
    let base: any CompiledProgram
    let counter: CountingDriver
    init(base: any CompiledProgram, counter: CountingDriver) { (self.base, self.counter) = (base, counter) }
    var program: Program { base.program }
    var launches: Int { base.launches }
    func run(_ bindings: Bindings) throws {
      counter.launches.add(base.launches, ordering: .relaxed)
      try base.run(bindings)
    }
  }
}
