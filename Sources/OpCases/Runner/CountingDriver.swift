import KilnEngine
import Synchronization

/// A device that hands everything on to another one and counts what is asked of it. Being a device of its own, it has
/// programs of its own, so that work beside it does not disturb the counts.
package final class CountingDriver: ForwardingDriver {
  package let base: any DeviceDriver
  package let compilations = Atomic<Int>(0)
  package let allocations = Atomic<Int>(0)
  package let launches = Atomic<Int>(0)
  /// The programs in the order of their compilation.
  package let programs = Mutex<[Program]>([])

  package init(_ device: Device) { base = device.driver }

  package var name: String { base.name + " (counted)" }
  package func allocate(byteCount: Int) throws -> Buffer {
    allocations.add(1, ordering: .relaxed)
    return try base.allocate(byteCount: byteCount)
  }
  package func compile(_ program: Program) throws -> any CompiledProgram {
    compilations.add(1, ordering: .relaxed)
    programs.withLock { $0.append(program) }
    return Counted(base: try base.compile(program), counter: self)
  }

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
