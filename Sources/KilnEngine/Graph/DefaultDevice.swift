import Synchronization

/// Where devices announce themselves. The umbrella module registers the CPU as the default when the process starts.
public enum DeviceRegistry {
  private struct State {
    var provider: (@Sendable () -> Device)?
    var chosen: Device?
  }
  private static let state = Mutex(State())
  @TaskLocal static var scoped: Device?

  /// Says what `Device.default` is until a program chooses.
  public static func register(default provider: @escaping @Sendable () -> Device) {
    state.withLock { $0.provider = provider }
  }

  static var current: Device {
    if let scoped { return scoped }
    return state.withLock { state in
      if let chosen = state.chosen { return chosen }
      let device = state.provider?() ?? Device(MissingDriver.shared)
      if state.provider != nil { state.chosen = device }
      return device
    }
  }

  static func choose(_ device: Device) { state.withLock { $0.chosen = device } }
}

extension Device {
  /// Where tensors are made when no device is named: the CPU, unless `setDefault` or `withDevice` said otherwise.
  public static var `default`: Device { DeviceRegistry.current }

  /// Changes the default for the whole process.
  public static func setDefault(_ device: Device) { DeviceRegistry.choose(device) }
}

/// Makes `device` the default inside `body` (and the tasks it starts).
public func withDevice<R>(_ device: Device, _ body: () throws -> R) rethrows -> R {
  try DeviceRegistry.$scoped.withValue(device, operation: body)
}

/// Stands in when no device was registered: everything it is asked for says so.
final class MissingDriver: DeviceDriver {
  static let shared = MissingDriver()
  private var failure: DeviceError {
    .unavailable(device: "none", reason: "no device is registered", fix: "import Kiln instead of KilnEngine")
  }
  var name: String { "none" }
  var summary: String { "no device" }
  func supports(_ dtype: DType) -> Bool { true }
  func allocate(byteCount: Int) throws -> Buffer { throw failure }
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws { throw failure }
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws { throw failure }
  func compile(_ program: Program) throws -> any CompiledProgram { throw failure }
  func synchronize() throws {}
  func memoryUse() -> MemoryUse { MemoryUse(live: 0, peak: 0, cached: 0) }
}
