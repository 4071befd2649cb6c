@testable import KilnEngine

/// A device that only keeps bytes: for tests that build graphs, read errors, or interpret nodes themselves.
final class HostDriver: DeviceDriver {
  struct CannotRun: Error {}
  let name: String
  let lacks: Set<DType>
  init(_ name: String = "host", lacks: Set<DType> = []) { (self.name, self.lacks) = (name, lacks) }
  var summary: String { "memory without a processor" }
  func supports(_ dtype: DType) -> Bool { !lacks.contains(dtype) }
  func allocate(byteCount: Int) throws -> Buffer { HostBuffer(byteCount) }
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    guard let buffer = buffer as? HostBuffer else { throw CannotRun() }
    UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[byteOffset...]).copyMemory(from: source)
  }
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    guard let buffer = buffer as? HostBuffer else { throw CannotRun() }
    let end = byteOffset + destination.count
    destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer.bytes[byteOffset..<end]))
  }
  func compile(_ program: Program) throws -> any CompiledProgram { throw CannotRun() }
  func synchronize() throws {}
  func memoryUse() -> MemoryUse { MemoryUse(live: 0, peak: 0, cached: 0) }

  static let device = Device(HostDriver())
}

private final class HostBuffer: Buffer, @unchecked Sendable {  // written only while a test sets up its leaves
  let bytes: UnsafeMutableRawBufferPointer
  init(_ byteCount: Int) {
    bytes = .allocate(byteCount: byteCount, alignment: 64)
    super.init(byteCount: byteCount)
  }
  deinit { bytes.deallocate() }
}
