import CVector
import KilnEngine
import Synchronization

/// The CPU device: programs run at once, on the calling thread and a pool of threads (see CVector), with OpenBLAS for
/// matrix products. It needs no library to exist; a float matmul or convolution needs OpenBLAS and says so.
public final class CPUDriver: DeviceDriver {
  public static let shared = CPUDriver()

  public let name = "cpu"
  private let memory = CPUMemory()
  /// One run at a time: the pool and its scratch memory are shared.
  private let running = Mutex<Void>(())

  private init() {}

  public var summary: String {
    let isa = String(cString: kv_isa_name(kv_current_isa()))
    return "\(kv_threads()) threads, \(isa), \(OpenBLAS.summary)"
  }

  public func supports(_ dtype: DType) -> Bool { true }

  public func allocate(byteCount: Int) throws -> Buffer { try memory.allocate(byteCount) }

  public func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    guard let base = source.baseAddress, source.count > 0 else { return }
    try pointer(buffer).advanced(by: byteOffset).copyMemory(from: base, byteCount: source.count)
  }

  public func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    guard let base = destination.baseAddress, destination.count > 0 else { return }
    // A run that writes this buffer may be under way on another thread.
    let source = try pointer(buffer)
    running.withLock { _ in base.copyMemory(from: source.advanced(by: byteOffset), byteCount: destination.count) }
  }

  public func compile(_ program: Program) throws -> any CompiledProgram {
    let compiled = try CPUProgram(program, driver: self)
    let fits = running.withLock { _ in kv_reserve_scratch(compiled.scratchBytes) }
    if !fits {
      throw DeviceError.outOfMemory(
        device: name, requested: compiled.scratchBytes, live: memoryUse().live, capacity: memory.capacity)
    }
    return compiled
  }

  public var fusesAttention: Bool { true }
  /// Everything has been done by the time a call returns.
  public func synchronize() throws {}

  public func memoryUse() -> MemoryUse { memory.use }
  public func resetPeak() { memory.resetPeak() }

  func pointer(_ buffer: Buffer) throws -> UnsafeMutableRawPointer {
    guard let buffer = buffer as? CPUBuffer else {
      throw DeviceError.driverCall(device: name, call: "bind", code: -1, name: "a buffer of another device")
    }
    return buffer.pointer
  }

  func withPool<Result>(_ body: () throws -> Result) rethrows -> Result { try running.withLock { _ in try body() } }
}
