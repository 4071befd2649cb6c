import Synchronization

/// A place where tensors live and work is done: a value that names a driver. Two devices are equal when they are the
/// same driver object. The umbrella module `Kiln` adds `.cpu`, `.openCL(_:)`, `.named(_:)` and `.all`.
public struct Device: Hashable, Sendable, CustomStringConvertible {
  public let driver: any DeviceDriver
  public init(_ driver: any DeviceDriver) { self.driver = driver }

  /// "cpu", "opencl:0": what `Device.named` takes.
  public var name: String { driver.name }
  public var description: String { name }
  public static func == (lhs: Device, rhs: Device) -> Bool { lhs.driver === rhs.driver }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(driver)) }
  /// Waits until all submitted work is done; throws what went wrong in it.
  public func synchronize() throws { try driver.synchronize() }
}

/// What the engine asks of a device. It speaks in families of steps, never in single ops.
///
/// Calls may come from any thread; a driver serialises what it must. Work may be asynchronous but is in order:
/// `read` and `synchronize` wait for everything submitted before.
public protocol DeviceDriver: AnyObject, Sendable {
  /// "cpu", "opencl:0".
  var name: String { get }
  /// The hardware and driver in one line, for people.
  var summary: String { get }
  /// Whether tensors of this dtype can live and be computed here.
  func supports(_ dtype: DType) -> Bool
  /// Uninitialised memory, aligned to at least `Program.alignment`; throws `DeviceError.outOfMemory` with the sizes.
  /// `byteCount` may be 0. Freed (or kept for reuse) when the buffer is released and all work on it is done.
  func allocate(byteCount: Int) throws -> Buffer
  /// Copies host bytes in, starting at `byteOffset`. The source may be reused on return.
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws
  /// Copies out to the host, starting at `byteOffset`, after all earlier work on this device. Throws its failure.
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws
  /// Prepares every step (kernels are built here, and their failures thrown with the build log).
  func compile(_ program: Program) throws -> any CompiledProgram
  func synchronize() throws
  /// Whether attention has a step of its own here; else it is its plain composition.
  var fusesAttention: Bool { get }
  /// Memory figures since the process began or the last `resetPeak`.
  func memoryUse() -> MemoryUse
}

extension DeviceDriver {
  public var fusesAttention: Bool { false }
}

public struct MemoryUse: Sendable {
  /// Bytes held by live buffers, the most at any time, and bytes kept for reuse.
  public var live, peak, cached: Int
  public init(live: Int, peak: Int, cached: Int) { (self.live, self.peak, self.cached) = (live, peak, cached) }
}

/// A program ready to run on one device, any number of times.
public protocol CompiledProgram: AnyObject, Sendable {
  var program: Program { get }
  /// Kernel launches (or calls of block loops) in one run.
  var launches: Int { get }
  /// Submits one run. The engine has checked counts, sizes and dtypes; buffers stay referenced until work is done.
  /// A run-time fault that data causes (an index out of range) is thrown here, or by the next `read`/`synchronize`.
  func run(_ bindings: Bindings) throws
}

/// What one run works on.
public struct Bindings: Sendable {
  public var inputs: [(buffer: Buffer, offset: Int)]
  public var outputs: [Buffer]
  public var arena: Buffer?
  public var scalars: [Scalar]
  public init(inputs: [(buffer: Buffer, offset: Int)], outputs: [Buffer], arena: Buffer?, scalars: [Scalar]) {
    (self.inputs, self.outputs, self.arena, self.scalars) = (inputs, outputs, arena, scalars)
  }
}

/// Reference-counted device memory. Drivers subclass it and free (or recycle) in `deinit`.
open class Buffer: @unchecked Sendable {  // subclasses hold a driver handle whose contents the driver orders
  public let byteCount: Int
  /// How many nodes hold this buffer as their result: only one that is held once may be overwritten.
  let holders = Atomic<Int>(0)
  public init(byteCount: Int) { self.byteCount = byteCount }
}

/// What a device can fail with: the environment, not the program text.
public enum DeviceError: Error, Sendable, Equatable, CustomStringConvertible {
  case unavailable(device: String, reason: String, fix: String)
  case outOfMemory(device: String, requested: Int, live: Int, capacity: Int)
  case buildFailed(device: String, kernel: String, log: String)
  case driverCall(device: String, call: String, code: Int, name: String)
  /// An index or label that lies outside its range, found while running.
  case indexOutOfRange(device: String, operation: String, position: Int, index: Int, length: Int)
  case unsupportedDType(device: String, dtype: DType, reason: String)

  public var description: String {
    switch self {
    case .unavailable(let device, let reason, let fix): "device '\(device)' is not available: \(reason); \(fix)"
    case .outOfMemory(let device, let requested, let live, let capacity):
      "device '\(device)' is out of memory: \(requested) bytes requested, \(live) of \(capacity) in use; use a smaller batch or model, or release tensors"
    case .buildFailed(let device, let kernel, let log):
      "device '\(device)' could not build kernel '\(kernel)'; its log:\n\(log)"
    case .driverCall(let device, let call, let code, let name):
      "device '\(device)': \(call) failed with \(name) (\(code))"
    case .indexOutOfRange(let device, let operation, let position, let index, let length):
      "\(operation) on '\(device)': index \(index) at position \(position) is outside 0..<\(length); check the labels or indices of that sample"
    case .unsupportedDType(let device, let dtype, let reason): "device '\(device)' cannot hold \(dtype): \(reason)"
    }
  }
}
