/// Tensors made of a formula. They take no memory until something needs them there: they fuse into what uses them.
/// All take a dtype (float32 unless given) and a device. Errors: dimensions that are negative or too large.
extension Tensor {
  /// All 0.
  public static func zeros(
    _ shape: Shape, dtype: DType = .float32, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor { filled("zeros", shape, 0, dtype, device, file, line) }

  /// All 1.
  public static func ones(
    _ shape: Shape, dtype: DType = .float32, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor { filled("ones", shape, 1, dtype, device, file, line) }

  /// All `value`, converted to the dtype (integers truncate towards zero; bool is whether it is not 0).
  public static func full(
    _ shape: Shape, _ value: Double, dtype: DType = .float32, on device: Device = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    filled("full", shape, value, dtype, device, file, line)
  }

  private static func filled(
    _ name: String, _ shape: Shape, _ value: Double, _ dtype: DType, _ device: Device, _ file: StaticString,
    _ line: UInt
  ) -> Tensor {
    if let bad = sizeFailure(name, shape, dtype, device, file, line) { return bad }
    return make(.constant(Scalar(value, dtype)), [], shape: shape, dtype: dtype, device: device, file: file, line: line)
  }

  /// An error tensor for a shape that cannot be.
  static func sizeFailure(
    _ name: String, _ shape: Shape, _ dtype: DType, _ device: Device, _ file: StaticString, _ line: UInt
  ) -> Tensor? {
    if Shape.isRepresentable(shape.dimensions) { return nil }
    let isNegative = shape.dimensions.contains { $0 < 0 }
    return failure(
      name, rule: "shape \(shape) has \(isNegative ? "a negative dimension" : "too many elements")",
      fix: isNegative ? "-1 is only for `reshaped(to:)`; use dimensions of 0 or more" : "use smaller dimensions",
      dtype: dtype, device: device, file: file, line: line)
  }

  /// from, from + step, ... below `to` (above it for a negative step): [ceil((to - from) / step)].
  ///
  /// Element i is from + i * step in the dtype's own arithmetic. Errors: a step of 0, bounds that are not finite,
  /// fractions for an integer dtype, bool.
  public static func arange(
    from: Double = 0, to: Double, step: Double = 1, dtype: DType = .float32, on device: Device = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    func refuse(_ rule: String, _ fix: String) -> Tensor {
      failure("arange", rule: rule, fix: fix, shape: [0], dtype: dtype, device: device, file: file, line: line)
    }
    guard from.isFinite, to.isFinite, step.isFinite, step != 0 else {
      return refuse("from \(from), to \(to) and step \(step) must be finite, the step not 0", "use a step such as 1")
    }
    guard dtype != .bool else { return refuse("bool cannot count", "use dtype: .int32") }
    guard dtype.isFloat || (from == from.rounded() && step == step.rounded()) else {
      return refuse("from \(from) and step \(step) must be whole for \(dtype)", "use dtype: .float32")
    }
    let count = Swift.max(((to - from) / step).rounded(.up), 0)
    guard count < 9e18 / 16 else { return refuse("\(count) elements are too many", "use a larger step") }
    let index = positions([Int(count)], on: device, file: file, line: line)
    let counting: DType = dtype.isFloat ? dtype : .int64
    var result = index.cast(to: counting)
    if step != 1 { result = result * step }
    if from != 0 { result = result + from }
    return result.cast(to: dtype)
  }

  /// `count` numbers evenly spaced from `from` to `to`, both exact: [count]. One number is `from`.
  ///
  /// Errors: a negative count, integer dtypes.
  public static func linspace(
    from: Double, to: Double, count: Int, dtype: DType = .float32, on device: Device = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    guard count >= 0, dtype.isFloat else {
      return failure(
        "linspace", rule: "needs a count of 0 or more and a float dtype, got \(count) and \(dtype)",
        fix: "use `arange` for integers", shape: [Swift.max(count, 0)], dtype: dtype, device: device, file: file,
        line: line)
    }
    if count < 2 { return full([count], from, dtype: dtype, on: device, file: file, line: line) }
    // Each half is measured from its own end, so that both ends are exact.
    let index = positions([count], on: device, file: file, line: line).cast(to: dtype)
    let step = (to - from) / Double(count - 1)
    return select(index .< Double(count / 2), index * step + from, (index - Double(count - 1)) * step + to)
  }

  /// 1 on the diagonal: [n, columns], square unless `columns` is given.
  public static func eye(
    _ n: Int, columns: Int? = nil, dtype: DType = .float32, on device: Device = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    if let bad = sizeFailure("eye", [n, columns ?? n], dtype, device, file, line) { return bad }
    let row = positions([n], on: device, file: file, line: line)
    let column = positions([columns ?? n], on: device, file: file, line: line)
    return (row.expanded(axis: 1) .== column).cast(to: dtype)
  }

  /// 0, 1, 2, ... in row-major order, int64.
  static func positions(
    _ shape: Shape, on device: Device, file: StaticString? = nil, line: UInt = 0
  ) -> Tensor { make(.position, [], shape: shape, dtype: .int64, device: device, file: file, line: line) }
}
