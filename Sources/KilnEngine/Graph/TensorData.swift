/// A Swift type that a tensor's elements can be made from and read as.
public protocol TensorScalar: Sendable {
  static var dtype: DType { get }
  associatedtype Stored: BitwiseCopyable
  init(stored: Stored)
}
extension TensorScalar where Stored == Self {
  public init(stored: Self) { self = stored }
}
extension Float: TensorScalar { public static var dtype: DType { .float32 } }
extension Double: TensorScalar { public static var dtype: DType { .float64 } }
extension Int32: TensorScalar { public static var dtype: DType { .int32 } }
extension Int64: TensorScalar { public static var dtype: DType { .int64 } }
extension UInt8: TensorScalar { public static var dtype: DType { .uint8 } }
extension Int: TensorScalar {
  public static var dtype: DType { .int64 }
  public init(stored: Int64) { self = Int(stored) }
}
extension Bool: TensorScalar {
  public static var dtype: DType { .bool }
  public init(stored: UInt8) { self = stored != 0 }
}

extension Tensor {
  /// A tensor of the elements in row-major order; `shape` defaults to one axis of all of them. `Int` becomes int64.
  ///
  /// - Errors: `shape` must have as many elements as `scalars`.
  public init<S: TensorScalar>(
    _ scalars: [S], shape: Shape? = nil, on device: Device = .default, file: StaticString = #fileID, line: UInt = #line
  ) {
    let target = shape ?? [scalars.count]
    guard Shape.checkedCount(target.dimensions) == scalars.count else {
      self = .failure(
        "Tensor",
        rule: "shape \(target) needs \(Shape.checkedCount(target.dimensions) ?? 0) elements, got \(scalars.count)",
        fix: "give a shape whose dimensions multiply to \(scalars.count)", shape: target, dtype: S.dtype,
        device: device,
        file: file, line: line)
      return
    }
    // Every scalar type lies in memory as its stored form does (`Int` is 64 bits here, `Bool` a byte of 0 or 1).
    self = scalars.withUnsafeBytes { Tensor(bytes: $0, shape: target, dtype: S.dtype, on: device) }
  }

  /// A tensor over raw element bytes in row-major order and native byte order; bool is one byte of 0 or 1.
  ///
  /// - Errors: the byte count must be the shape's element count times the dtype's size.
  public init(bytes: UnsafeRawBufferPointer, shape: Shape, dtype: DType, on device: Device = .default) {
    guard let count = Shape.checkedCount(shape.dimensions), count * dtype.size == bytes.count else {
      self = .failure(
        "Tensor", rule: "\(shape) \(dtype) does not fit \(bytes.count) bytes", fix: "give count * \(dtype.size) bytes",
        shape: shape, dtype: dtype, device: device)
      return
    }
    guard device.driver.supports(dtype) else {
      self = .carrying(
        DeviceError.unsupportedDType(
          device: device.name, dtype: dtype, reason: "use another dtype, such as float32, or another device"),
        shape: shape, dtype: dtype, device: device)
      return
    }
    do {
      let buffer = try device.driver.allocate(byteCount: bytes.count)
      if !bytes.isEmpty { try device.driver.write(bytes, to: buffer, byteOffset: 0) }
      let storage = Storage(buffer: buffer, layout: Layout(contiguous: shape))
      self.init(Node(.leaf, shape: shape, dtype: dtype, device: device, storage: storage))
    } catch {
      self = .carrying(error, shape: shape, dtype: dtype, device: device)
    }
  }

  /// A 0-d tensor held in memory. As an operand a plain `Double` is cheaper: it is bound when the kernel runs.
  public init(_ value: Double, dtype: DType = .float32, on device: Device = .default) {
    let scalar = Scalar(value, dtype)
    switch dtype {
    case .float32: self.init([Float(scalar.double)], shape: [], on: device)
    case .float64: self.init([scalar.double], shape: [], on: device)
    case .int32: self.init([Int32(scalar.int)], shape: [], on: device)
    case .int64: self.init([Int64(scalar.int)], shape: [], on: device)
    case .uint8: self.init([UInt8(scalar.int)], shape: [], on: device)
    case .bool: self.init([scalar.int != 0], shape: [], on: device)
    }
  }

  /// The elements in row-major order. Evaluates the tensor and waits for its device.
  ///
  /// - Throws: the error it carries; what the device reports; a `TensorError` when `S` is not the dtype's type.
  public func scalars<S: TensorScalar>(as type: S.Type = S.self) throws -> [S] {
    if let error { throw error }
    guard S.dtype == dtype else {
      throw TensorError(
        operation: "scalars", rule: "the element type must match the dtype, got \(S.self) for \(dtype)",
        operands: "x \(shape) \(dtype)", fix: "use `.cast(to: .\(S.dtype))` first, or `doubles()`")
    }
    let bytes = try hostBytes()
    return bytes.withUnsafeBytes { raw in raw.bindMemory(to: S.Stored.self).map { S(stored: $0) } }
  }

  /// The elements of any dtype as doubles, in row-major order (int64 beyond 2^53 is rounded).
  public func doubles() throws -> [Double] {
    if let error { throw error }
    switch dtype {
    case .float32: return try scalars(as: Float.self).map(Double.init)
    case .float64: return try scalars(as: Double.self)
    case .int32: return try scalars(as: Int32.self).map(Double.init)
    case .int64: return try scalars(as: Int64.self).map(Double.init)
    case .uint8: return try scalars(as: UInt8.self).map(Double.init)
    case .bool: return try scalars(as: Bool.self).map { $0 ? 1 : 0 }
    }
  }

  /// The only element of a tensor of one element.
  public func item() throws -> Double {
    if let error { throw error }
    guard count == 1 else {
      throw TensorError(
        operation: "item", rule: "the tensor must have one element, got \(count)", operands: "x \(shape) \(dtype)",
        fix: "reduce it first, or read `scalars(as:)`")
    }
    return try doubles()[0]
  }

  /// The element bytes in row-major order and native byte order. Evaluates the tensor.
  public func hostBytes() throws -> [UInt8] {
    try evaluate([self])
    return try Evaluator.hostBytes(of: node)
  }

  /// The same elements on another device. Free when it is there already.
  public func to(_ device: Device) -> Tensor {
    device == self.device ? self : .make(.transfer, [self], shape: shape, dtype: dtype, device: device)
  }
}

extension Tensor: CustomStringConvertible {
  /// The values (the first of many), shape and dtype; a tensor that carries an error prints it.
  public var description: String {
    do {
      let values = try doubles()
      let shown = values.prefix(12).map { dtype.isFloat ? "\(Float($0))" : "\(Int($0))" }
      let list = shown.joined(separator: ", ") + (values.count > 12 ? ", ..." : "")
      return rank == 0 ? "Tensor(\(list), \(dtype))" : "Tensor([\(list)], shape: \(shape), \(dtype))"
    } catch { return "Tensor(error: \(error))" }
  }
}
