import COpenCL
import Foundation
import KilnEngine

/// One OpenCL device, with one in-order queue. Calls from any thread are serialised.
public final class OpenCLDriver: DeviceDriver, @unchecked Sendable {  // handles; mutable state is guarded by `lock`
  public let name: String
  public let summary: String
  public let style: KernelStyle
  let hardware: OpenCLHardware
  let pool: MemoryPool
  let tiling: Tiling
  private let lock = NSRecursiveLock()
  private let context: kcl_context
  private let queue: kcl_queue
  private let library: KernelLibrary
  private var status: MemoryBlock?
  private var scratchBlock: MemoryBlock?
  private var mayHaveFaulted = false

  /// All OpenCL devices, in the order of the platforms; asked once.
  public static var all: [OpenCLDriver] { OpenCLDevices.found.drivers }
  /// Why there is no device, or why some were left out.
  public static var problems: [String] { OpenCLDevices.found.problems }

  /// A second driver of the same device with another style, for tests and tuning.
  /// `memoryLimit`, in bytes, is less than what the device has.
  public convenience init(_ other: OpenCLDriver, style: KernelStyle, memoryLimit: Int? = nil) throws {
    try self.init(
      hardware: other.hardware, name: "\(other.name)-\(style.rawValue)", style: style, memoryLimit: memoryLimit)
  }

  init(hardware: OpenCLHardware, name: String, style: KernelStyle?, memoryLimit: Int? = nil) throws {
    self.name = name
    self.hardware = hardware
    let wished = ProcessInfo.processInfo.environment["KILN_OPENCL_STYLE"]
    let forced = wished.flatMap { KernelStyle(rawValue: $0) }
    if let wished, forced == nil {
      throw DeviceError.unavailable(
        device: name, reason: "KILN_OPENCL_STYLE is '\(wished)'", fix: "set it to gpu or cpu, or unset it")
    }
    let style = style ?? forced ?? (hardware.isCPU ? .cpu : .gpu)
    self.style = style
    if style == .gpu && hardware.maxGroupSize < 256 {
      throw DeviceError.unavailable(
        device: name, reason: "its work-groups hold only \(hardware.maxGroupSize) work-items, 256 are needed",
        fix: "set KILN_OPENCL_STYLE=cpu")
    }
    tiling = Tiling(hardware, style: style)
    summary = "\(hardware.summary), \(tiling.summary)"
    var code: Int32 = 0
    guard let context = kcl_create_context(hardware.platform, hardware.device, &code) else {
      throw DeviceError.driverCall(device: name, call: "clCreateContext", code: Int(code), name: OpenCLCode.name(code))
    }
    guard let queue = kcl_create_queue(context, hardware.device, &code) else {
      _ = kcl_release_context(context)
      throw DeviceError.driverCall(
        device: name, call: "clCreateCommandQueue", code: Int(code), name: OpenCLCode.name(code))
    }
    self.context = context
    self.queue = queue
    let limit = ProcessInfo.processInfo.environment["KILN_OPENCL_MEMORY_LIMIT"].flatMap { Int($0) }
    pool = MemoryPool(device: name, context: context, hardware: hardware, limit: memoryLimit ?? limit)
    library = KernelLibrary(device: name, context: context, hardware: hardware, style: style)
  }

  deinit {
    _ = kcl_finish(queue)
    _ = kcl_release_queue(queue)
    _ = kcl_release_context(context)
  }

  public var fusesAttention: Bool { true }

  public func supports(_ dtype: DType) -> Bool { dtype != .float64 || hardware.hasDouble }

  public func allocate(byteCount: Int) throws -> Buffer { try pool.allocate(byteCount) }

  public func memoryUse() -> MemoryUse { pool.use() }

  public func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    guard let base = source.baseAddress, source.count > 0 else { return }
    try lock.withLock {
      let code = kcl_write_buffer(queue, try block(of: buffer).handle, byteOffset, source.count, base)
      try check(code, "clEnqueueWriteBuffer", device: name)
    }
  }

  public func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    try lock.withLock {
      if let base = destination.baseAddress, destination.count > 0 {
        let code = kcl_read_buffer(queue, try block(of: buffer).handle, byteOffset, destination.count, base)
        try check(code, "clEnqueueReadBuffer", device: name)
      }
      try checkFaults()
    }
  }

  public func synchronize() throws {
    try lock.withLock {
      try check(kcl_finish(queue), "clFinish", device: name)
      try checkFaults()
    }
  }

  public func compile(_ program: Program) throws -> any CompiledProgram { try compile(program, tiling: tiling) }

  func compile(_ program: Program, tiling: Tiling) throws -> any CompiledProgram {
    for type in program.inputs + program.outputs where !supports(type.dtype) {
      throw DeviceError.unsupportedDType(device: name, dtype: type.dtype, reason: "the device has no cl_khr_fp64")
    }
    var planner = Planner(
      style: style, computeUnits: hardware.computeUnits, maxGroupSize: hardware.maxGroupSize,
      scalarTypes: program.scalars, tiling: tiling)
    for step in program.steps { planner.plan(step) }
    planner.chain()
    return try lock.withLock {
      try OpenCLProgram(driver: self, program: program, plan: planner, library: library)
    }
  }

  /// Programs built from source so far: for tests of the caches.
  public var buildCount: Int { lock.withLock { library.builds } }

  // The following are for OpenCLProgram, within `locked`.

  func locked<T>(_ body: () throws -> T) rethrows -> T { try lock.withLock(body) }

  func block(of buffer: Buffer) throws -> MemoryBlock {
    guard let buffer = buffer as? OpenCLBuffer else {
      throw DeviceError.unavailable(
        device: name, reason: "a buffer of another device was passed", fix: "copy the tensor with to(device)")
    }
    return buffer.block
  }

  /// Scratch memory of at least the size. Steps run one after the other, so one block serves all of them.
  func scratch(_ byteCount: Int) throws -> MemoryBlock {
    if let block = scratchBlock, block.byteCount >= byteCount { return block }
    if let old = scratchBlock {
      pool.drop(old)
      scratchBlock = nil
    }
    // Generous from the start, so that it seldom grows; exact where memory is short.
    let roomy = max(byteCount, 1 << 18)
    let block = try (try? pool.block(roomy, counted: false)) ?? pool.block(byteCount, counted: false)
    scratchBlock = block
    return block
  }

  /// The buffer that kernels report bad indices in: see gather.cl.
  func statusBlock() throws -> MemoryBlock {
    if let status { return status }
    let block = try pool.block(256, counted: false)
    status = block
    try resetStatus(block)
    return block
  }

  func markFaulting() { mayHaveFaulted = true }

  func upload(_ numbers: [Int64]) throws -> OpenCLBuffer {
    let buffer = try pool.allocate(max(numbers.count, 1) * 8)
    if !numbers.isEmpty {
      let code = numbers.withUnsafeBytes { bytes in
        bytes.baseAddress.map { kcl_write_buffer(queue, buffer.block.handle, 0, bytes.count, $0) } ?? 0
      }
      try check(code, "clEnqueueWriteBuffer", device: name)
    }
    return buffer
  }

  func enqueue(_ kernel: kcl_kernel, global: [Int], local: [Int]?) throws {
    let code = global.withUnsafeBufferPointer { global in
      if let local {
        return local.withUnsafeBufferPointer {
          kcl_enqueue_kernel(queue, kernel, UInt32(global.count), global.baseAddress, $0.baseAddress)
        }
      }
      return kcl_enqueue_kernel(queue, kernel, UInt32(global.count), global.baseAddress, nil)
    }
    if code == Int32(KCL_MEM_OBJECT_ALLOCATION_FAILURE) {
      let use = pool.use()
      throw DeviceError.outOfMemory(device: name, requested: 0, live: use.live, capacity: pool.capacity)
    }
    try check(code, "clEnqueueNDRangeKernel", device: name)
  }

  func finish() throws { try check(kcl_finish(queue), "clFinish", device: name) }

  func flush() throws { try check(kcl_flush(queue), "clFlush", device: name) }

  private func resetStatus(_ block: MemoryBlock) throws {
    let clean: [Int32] = [Int32.max, 0, 0, 0, 0, 0, 0, 0]
    let code = clean.withUnsafeBytes { kcl_write_buffer(queue, block.handle, 0, $0.count, $0.baseAddress) }
    try check(code, "clEnqueueWriteBuffer", device: name)
  }

  /// Throws the first bad index that work before now has met.
  private func checkFaults() throws {
    guard mayHaveFaulted, let status else { return }
    var words = [Int32](repeating: 0, count: 8)
    let code = words.withUnsafeMutableBytes { kcl_read_buffer(queue, status.handle, 0, $0.count, $0.baseAddress) }
    try check(code, "clEnqueueReadBuffer", device: name)
    mayHaveFaulted = false
    guard words[1] != 0 else { return }
    try resetStatus(status)
    func long(_ at: Int) -> Int { Int(words[at + 1]) << 32 | Int(UInt32(bitPattern: words[at])) }
    throw DeviceError.indexOutOfRange(
      device: name, operation: FaultingOperation(rawValue: Int(words[2]))?.name ?? "gathered",
      position: Int(words[3]), index: long(4), length: long(6))
  }
}
