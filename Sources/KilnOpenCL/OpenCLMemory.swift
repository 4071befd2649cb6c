import COpenCL
import Foundation
import KilnEngine

/// Device memory with a serial number that no other piece ever has, so that a kernel's arguments can be compared.
final class MemoryBlock: @unchecked Sendable {  // a driver handle; commands on it are ordered by the driver's queue
  let handle: kcl_buffer
  let byteCount: Int
  let serial: UInt64
  init(handle: kcl_buffer, byteCount: Int, serial: UInt64) {
    (self.handle, self.byteCount, self.serial) = (handle, byteCount, serial)
  }
  // The driver keeps the memory until the commands that use it have ended.
  deinit { _ = kcl_release_buffer(handle) }
}

/// A buffer of the engine; its block goes back to the pool. The queue is in order, so that later commands may use it.
final class OpenCLBuffer: Buffer, @unchecked Sendable {
  let block: MemoryBlock
  private let pool: MemoryPool
  init(byteCount: Int, block: MemoryBlock, pool: MemoryPool) {
    self.block = block
    self.pool = pool
    super.init(byteCount: byteCount)
  }
  deinit { pool.recycle(block) }
}

/// Allocates in size classes and keeps what is freed.
final class MemoryPool: @unchecked Sendable {  // all mutable state is guarded by `lock`
  let device: String
  let capacity: Int
  private let maxAllocation: Int
  private let reusesFreed: Bool
  private let context: kcl_context
  private let lock = NSLock()
  private var free: [Int: [MemoryBlock]] = [:]
  private var live = 0
  private var peak = 0
  private var cached = 0
  private var serial: UInt64 = 0

  init(device: String, context: kcl_context, hardware: OpenCLHardware, limit: Int?) {
    self.device = device
    self.context = context
    capacity = min(hardware.globalMemory, limit ?? Int.max)
    maxAllocation = min(hardware.maxAllocation, capacity)
    reusesFreed = !hardware.isSimulator
  }

  /// Sizes from 256 bytes in steps of a quarter of a power of two (an eighth from 1 MB).
  static func sizeClass(_ byteCount: Int) -> Int {
    if byteCount <= 256 { return 256 }
    let power = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount)
    let step = max(256, power / (byteCount > 1 << 20 ? 8 : 4))
    return (byteCount + step - 1) / step * step
  }

  func allocate(_ byteCount: Int) throws -> OpenCLBuffer {
    OpenCLBuffer(byteCount: byteCount, block: try block(byteCount, counted: true), pool: self)
  }

  /// A block of at least the size. One that is not `counted` is the driver's own and is reported as cached.
  func block(_ byteCount: Int, counted: Bool) throws -> MemoryBlock {
    try lock.withLock {
      func failure() -> DeviceError {
        .outOfMemory(device: device, requested: byteCount, live: live, capacity: capacity)
      }
      guard byteCount >= 0, byteCount <= maxAllocation else { throw failure() }
      let wished = reusesFreed ? MemoryPool.sizeClass(byteCount) : max(byteCount, 16)
      let size = min(wished, max(maxAllocation, 256))
      if reusesFreed, let block = free[size]?.popLast() {
        if counted {
          cached -= block.byteCount
          live += block.byteCount
          peak = max(peak, live)
        }
        return block
      }
      guard live + size <= capacity else { throw failure() }
      if live + cached + size > capacity { releaseCache() }
      var code: Int32 = 0
      var handle = kcl_create_buffer(context, size, &code)
      if handle == nil || code != Int32(KCL_SUCCESS) {
        releaseCache()
        handle = kcl_create_buffer(context, size, &code)
      }
      guard let handle, code == Int32(KCL_SUCCESS) else {
        if [
          Int32(KCL_MEM_OBJECT_ALLOCATION_FAILURE), Int32(KCL_OUT_OF_RESOURCES), Int32(KCL_OUT_OF_HOST_MEMORY),
          Int32(KCL_INVALID_BUFFER_SIZE),
        ].contains(code) {
          throw failure()
        }
        throw DeviceError.driverCall(
          device: device, call: "clCreateBuffer", code: Int(code), name: OpenCLCode.name(code))
      }
      serial += 1
      if counted {
        live += size
        peak = max(peak, live)
      } else {
        cached += size
      }
      return MemoryBlock(handle: handle, byteCount: size, serial: serial)
    }
  }

  func recycle(_ block: MemoryBlock) {
    lock.withLock {
      live -= block.byteCount
      cached += block.byteCount
      free[block.byteCount, default: []].append(block)
    }
  }

  /// Gives an own (uncounted) block up.
  func drop(_ block: MemoryBlock) { lock.withLock { cached -= block.byteCount } }

  private func releaseCache() {
    for blocks in free.values { for block in blocks { cached -= block.byteCount } }
    free = [:]
  }

  func use() -> MemoryUse { lock.withLock { MemoryUse(live: live, peak: peak, cached: cached) } }
}
