/// A driver that hands on to another one what it does not do itself: for counting, timing and the like. It writes its
/// `name` and `compile`. Being a device of its own, it has programs of its own.
public protocol ForwardingDriver: DeviceDriver {
  /// Where the work is done.
  var base: any DeviceDriver { get }
}

extension ForwardingDriver {
  public var summary: String { base.summary }
  public var fusesAttention: Bool { base.fusesAttention }
  public func supports(_ dtype: DType) -> Bool { base.supports(dtype) }
  public func allocate(byteCount: Int) throws -> Buffer { try base.allocate(byteCount: byteCount) }
  public func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    try base.write(source, to: buffer, byteOffset: byteOffset)
  }
  public func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    try base.read(buffer, byteOffset: byteOffset, into: destination)
  }
  public func synchronize() throws { try base.synchronize() }
  public func memoryUse() -> MemoryUse { base.memoryUse() }
}
