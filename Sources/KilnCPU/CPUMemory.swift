import Foundation
import KilnEngine
import Synchronization

/// Host memory that returns to its allocator when the last reference goes.
final class CPUBuffer: Buffer, @unchecked Sendable {  // a raw pointer whose contents the driver orders
  let pointer: UnsafeMutableRawPointer
  private let size: Int
  private let memory: CPUMemory

  init(byteCount: Int, size: Int, pointer: UnsafeMutableRawPointer, memory: CPUMemory) {
    self.pointer = pointer
    self.size = size
    self.memory = memory
    super.init(byteCount: byteCount)
  }

  deinit { memory.release(pointer, size) }
}

/// Aligned blocks by size class, kept for reuse when released.
final class CPUMemory: Sendable {
  /// The most bytes that live and kept blocks may take together: the machine's memory, or KILN_CPU_MEMORY_LIMIT.
  let capacity: Int
  private static let hugePage = 2 << 20

  private struct Block: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }  // a free block, owned by the pool
  private struct State {
    var live = 0
    var peak = 0
    var cached = 0
    var free: [Int: [Block]] = [:]
  }
  private let state = Mutex(State())

  init() {
    let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let limit = ProcessInfo.processInfo.environment["KILN_CPU_MEMORY_LIMIT"].flatMap { Int($0) }
    capacity = limit ?? physical
  }

  var use: MemoryUse { state.withLock { MemoryUse(live: $0.live, peak: $0.peak, cached: $0.cached) } }
  func resetPeak() { state.withLock { $0.peak = $0.live } }

  /// Sizes in eighths of a power of two, so that blocks fit later requests and at most an eighth is wasted.
  static func sizeClass(_ byteCount: Int) -> Int {
    let granule = Program.alignment
    if byteCount <= 8 * granule { return max(1, (byteCount + granule - 1) / granule) * granule }
    let unit = (1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount)) / 8
    return (byteCount + unit - 1) / unit * unit
  }

  func allocate(_ byteCount: Int) throws -> Buffer {
    // Beyond this no machine goes, and rounding could overflow.
    guard byteCount >= 0, byteCount <= capacity else { throw outOfMemory(byteCount) }
    let size = CPUMemory.sizeClass(byteCount)
    let found: Block? = try state.withLock { state in
      if let block = state.free[size]?.popLast() {
        state.cached -= size
        state.live += size
        state.peak = max(state.peak, state.live)
        return block
      }
      if state.live + state.cached + size > capacity { trim(&state) }
      // Refused up front: the system would overcommit and kill the process later.
      guard state.live + size <= capacity else { throw outOfMemory(byteCount, live: state.live) }
      state.live += size
      state.peak = max(state.peak, state.live)
      return nil
    }
    if let found { return CPUBuffer(byteCount: byteCount, size: size, pointer: found.pointer, memory: self) }

    var pointer: UnsafeMutableRawPointer?
    let isLarge = size >= CPUMemory.hugePage
    guard posix_memalign(&pointer, isLarge ? CPUMemory.hugePage : Program.alignment, size) == 0, let pointer else {
      let live = state.withLock { state in
        state.live -= size
        return state.live
      }
      throw outOfMemory(byteCount, live: live)
    }
    if isLarge { madvise(pointer, size, Int32(MADV_HUGEPAGE)) }
    return CPUBuffer(byteCount: byteCount, size: size, pointer: pointer, memory: self)
  }

  fileprivate func release(_ pointer: UnsafeMutableRawPointer, _ size: Int) {
    let kept = state.withLock { state in
      state.live -= size
      // What is kept stays within what is in use, or half a gigabyte.
      guard state.cached + size <= max(state.peak, 512 << 20) else { return false }
      state.cached += size
      state.free[size, default: []].append(Block(pointer: pointer))
      return true
    }
    if !kept { free(pointer) }
  }

  private func trim(_ state: inout State) {
    for blocks in state.free.values { for block in blocks { Foundation.free(block.pointer) } }
    state.free = [:]
    state.cached = 0
  }

  private func outOfMemory(_ requested: Int, live: Int? = nil) -> DeviceError {
    .outOfMemory(device: "cpu", requested: requested, live: live ?? use.live, capacity: capacity)
  }
}
