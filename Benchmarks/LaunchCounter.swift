import Kiln
import Synchronization

/// A device that hands everything on to another one and counts the launches of the programs that run.
final class LaunchCounter: DeviceDriver {
  private let base: any DeviceDriver
  let launches = Atomic<Int>(0)

  init(_ device: Device) { base = device.driver }

  var name: String { base.name + " (counted)" }
  var summary: String { base.summary }
  var fusesAttention: Bool { base.fusesAttention }
  func supports(_ dtype: DType) -> Bool { base.supports(dtype) }
  func allocate(byteCount: Int) throws -> Buffer { try base.allocate(byteCount: byteCount) }
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    try base.write(source, to: buffer, byteOffset: byteOffset)
  }
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    try base.read(buffer, byteOffset: byteOffset, into: destination)
  }
  func compile(_ program: Program) throws -> any CompiledProgram {
    Counted(base: try base.compile(program), counter: self)
  }
  func synchronize() throws { try base.synchronize() }
  func memoryUse() -> MemoryUse { base.memoryUse() }

  private final class Counted: CompiledProgram {
    let base: any CompiledProgram
    let counter: LaunchCounter
    init(base: any CompiledProgram, counter: LaunchCounter) { (self.base, self.counter) = (base, counter) }
    var program: Program { base.program }
    var launches: Int { base.launches }
    func run(_ bindings: Bindings) throws {
      counter.launches.add(base.launches, ordering: .relaxed)
      try base.run(bindings)
    }
  }
}
