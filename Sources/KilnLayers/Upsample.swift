import KilnEngine

/// How `Upsample` fills the places between.
public enum UpsampleMode: Sendable, Hashable {
  /// The element at floor(place * size / out).
  case nearest
  /// Between the two neighbors along each axis, by distance. With `alignCorners` the outermost elements keep their
  /// places, without the outermost borders do.
  case bilinear(alignCorners: Bool = false)
}

/// Enlarges (or shrinks) images: x [batch, channels, height, width] to [batch, channels, outHeight, outWidth], or
/// sequences: [batch, channels, width] to [batch, channels, outWidth]. PyTorch's Upsample (`nearest`, `linear` and
/// `bilinear`), Keras' UpSampling1D and UpSampling2D.
///
/// out is floor(size * scale), or given. Bilinear: place i is read at (i + 0.5) / scale - 0.5, kept inside x, or with
/// aligned corners at i * (size - 1) / (out - 1). Shrinking does not smooth. Errors: the rank, an empty result.
public struct Upsample: Layer {
  /// Of height and width; sequences use the second. nil where the size is given.
  public let scale: (Double, Double)?
  /// Height and width of the result; sequences use the second. nil where the scale is given.
  public let size: (Int, Int)?
  public let mode: UpsampleMode
  private let identity = LayerIdentity()

  /// By one factor both ways.
  public init(scale: Double, mode: UpsampleMode = .nearest) { self.init(scale: (scale, scale), mode: mode) }

  /// By a factor for height and one for width.
  public init(scale: (Double, Double), mode: UpsampleMode = .nearest) {
    (self.scale, self.size, self.mode) = (scale, nil, mode)
  }

  /// To a height and a width.
  public init(size: (Int, Int), mode: UpsampleMode = .nearest) {
    (self.scale, self.size, self.mode) = (nil, size, mode)
  }

  /// [batch, channels, height, width] or [batch, channels, width], enlarged.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    observed(x) {
      guard x.rank == 3 || x.rank == 4, x.dtype.isFloat else {
        return .layerFailure(
          "Upsample", rule: "x must be floats of [batch, channels, height, width] or [batch, channels, width]",
          operands: [("x", x)], fix: "for a single image use `.expanded(axis: 0)`", dtype: x.dtype)
      }
      let scales = scale.map { [$0.0, $0.1] } ?? [nil, nil]
      let sizes = size.map { [$0.0, $0.1] } ?? [nil, nil]
      var y = x
      for axis in 2..<x.rank {
        let side = axis - x.rank + 2
        let given = scales[side]
        let out = sizes[side] ?? Int(exactly: (Double(x.shape[axis]) * (given ?? 0)).rounded(.down)) ?? 0
        guard out > 0, out < 1 << 24, x.shape[axis] > 0, given.map({ $0 > 0 }) ?? true else {
          return .layerFailure(
            "Upsample", rule: "axis \(axis) of size \(x.shape[axis]) would get size \(out)", operands: [("x", x)],
            fix: "use a positive scale or size that leaves something", dtype: x.dtype)
        }
        y = resized(y, axis: axis, to: out, scale: given)
      }
      return y
    }
  }

  private func resized(_ x: Tensor, axis: Int, to out: Int, scale: Double?) -> Tensor {
    let count = x.shape[axis]
    // The place in x that one step in the result is, as PyTorch has it: a given scale is not rounded to the sizes.
    let step = scale.map { 1 / $0 } ?? Double(count) / Double(out)
    switch mode {
    case .nearest:
      if out == count { return x }
      // PyTorch takes a doubled size for a doubling, whatever the scale was.
      if out % count == 0, out == 2 * count || scale.map({ $0 == Double(out / count) }) ?? true {
        return repeated(x, axis, out / count)
      }
      // PyTorch computes these places in float32 too.
      let places = floor(Tensor.arange(to: Double(out), on: x.device) * step).clamped(max: Double(count - 1))
      return x.gathered(places.cast(to: .int64), axis: axis)
    case .bilinear(let alignCorners):
      if alignCorners && out == count { return x }
      let index = Tensor.arange(to: Double(out), dtype: x.dtype, on: x.device)
      let source =
        alignCorners
        ? index * (out > 1 ? Double(count - 1) / Double(out - 1) : 0)
        : ((index + 0.5) * step - 0.5)
      let places = source.clamped(min: 0, max: Double(count - 1)).expanded(axis: 1)
      // Each place takes of each element 1 less their distance: [out, count].
      let shares = relu(1 - abs(places - Tensor.arange(to: Double(count), dtype: x.dtype, on: x.device)))
      return matmul(x.transposed(axis, -1), shares.transposed()).transposed(axis, -1)
    }
  }

  /// Every element of an axis `times` times.
  private func repeated(_ x: Tensor, _ axis: Int, _ times: Int) -> Tensor {
    var wide = x.shape.dimensions
    wide.insert(times, at: axis + 1)
    var result = x.shape
    result[axis] *= times
    return x.expanded(axis: axis + 1).broadcast(to: Shape(wide)).reshaped(to: result)
  }

  public var configuration: String {
    let extent =
      size.map { "size: " + sizeWord([$0.0, $0.1]) }
      ?? scale.map { $0.0 == $0.1 ? "scale: \($0.0)" : "scale: (\($0.0), \($0.1))" } ?? ""
    return extent + (mode == .nearest ? "" : ", mode: \(mode)")
  }
}
