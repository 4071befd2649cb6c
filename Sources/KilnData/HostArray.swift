import KilnEngine

/// Numbers in host memory, as a file held them: what readers return and writers take, independent of any device.
public struct HostArray: Hashable, Sendable {
  public var dtype: DType
  public var shape: Shape
  /// `shape.count * dtype.size` bytes, row-major, in the machine's byte order.
  public var bytes: [UInt8]

  /// Throws when the number of bytes is not what shape and dtype say.
  public init(dtype: DType, shape: Shape, bytes: [UInt8]) throws {
    let count = Shape.checkedCount(shape.dimensions + [dtype.size])
    guard count == bytes.count else {
      throw TensorError(
        operation: "HostArray",
        rule: "needs \(count.map(String.init) ?? "an impossible number of") bytes, got \(bytes.count)",
        operands: "\(shape) \(dtype)", fix: "give as many bytes as shape and dtype need")
    }
    (self.dtype, self.shape, self.bytes) = (dtype, shape, bytes)
  }

  /// float32 numbers; throws as above.
  public init(_ values: [Float], shape: Shape) throws {
    try self.init(dtype: .float32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }

  /// For callers that have checked.
  init(unchecked dtype: DType, _ shape: Shape, _ bytes: [UInt8]) {
    (self.dtype, self.shape, self.bytes) = (dtype, shape, bytes)
  }

  init<T: BitwiseCopyable>(_ dtype: DType, _ shape: Shape, _ values: [T]) {
    self.init(unchecked: dtype, shape, values.withUnsafeBytes { Array($0) })
  }

  /// The elements reinterpreted as `T`, which must be of the dtype's size.
  func values<T: BitwiseCopyable>(as type: T.Type) -> [T] {
    bytes.withUnsafeBytes { raw in
      (0..<raw.count / MemoryLayout<T>.size).map {
        raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self)
      }
    }
  }

  /// IEEE binary16 to float32, exactly.
  static func float(half bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1f)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default: return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction * 0x1p-10)
    }
  }
}
