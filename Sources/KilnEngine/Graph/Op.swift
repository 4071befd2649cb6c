/// What a node computes: about a dozen families, each with its payload. The families are closed under differentiation.
///
/// Adding an elementwise operation adds a row to `UnaryOp` or `BinaryOp` and touches nothing here.
public enum Op: Hashable, Sendable {
  /// Data that is already on the device (or an error).
  case leaf
  /// One value everywhere, bound when the program runs.
  case constant(Scalar)
  /// The row-major position of each element, 0..<count, as int64. Fused into its consumer, never stored.
  case position
  /// Random numbers, a function of (key, counter, position). Fused into its consumer.
  case random(Distribution, key: UInt64, counter: UInt64)
  case unary(UnaryOp)
  case binary(BinaryOp)
  /// inputs: condition (bool), then, otherwise.
  case select
  /// To the node's dtype.
  case cast
  case view(View)
  /// Pieces placed into a larger tensor; see `Assembly`.
  case assemble(Assembly)
  /// Over `axes`, which stay as size 1.
  case reduce(Reduction, axes: [Int])
  case scan(Scan, axis: Int)
  /// The stable ascending or descending order of the elements along the last axis, as int64 positions; NaN sorts as
  /// the greatest value.
  case argsort(descending: Bool)
  case rowwise(Rowwise)
  /// inputs: query, key and value, and for the gradient that of the result; see `Attention`.
  case attention(Attention)
  /// inputs: lhs [batch..., m, k], rhs [batch..., k, n], equal batch dimensions (already broadcast).
  case matmul
  case convolution(Convolution)
  case pool(Pool)
  case gather(Gather)
  /// A copy from another device.
  case transfer
  /// Passes the first input on; `IdentityMark` says what differentiation makes of it.
  case identity(IdentityMark)
}

/// Element `i` of every distribution is a function of Philox 4x32-10's block for
/// key = (low, high word of `key`) and counter = (low, high word of position, low, high word of `counter`).
/// The block's words are w0...w3. docs/numerics.md defines every conversion to the bit.
public enum Distribution: Hashable, Sendable {
  /// [0, 1): float32 (w0 >> 8) * 2^-24, float64 ((w1:w0) >> 11) * 2^-53.
  case uniform
  /// Standard normal by Box-Muller of (w0, w1) (float32) or all four words (float64).
  case normal
  /// int64 in 0..<2^32: w0.
  case bits
}

/// Output of `shape`, filled with `fill`, then piece `i` (input `i`) is placed at `starts[i]`, each step `steps[i]`
/// apart along each axis. Pieces do not overlap. Padding, concatenation and the gradient of slicing are all this.
public struct Assembly: Hashable, Sendable {
  public var shape: Shape
  public var starts: [[Int]]
  public var steps: [[Int]]
  public var fill: Scalar
  public init(shape: Shape, starts: [[Int]], steps: [[Int]], fill: Scalar) {
    self.shape = shape
    self.starts = starts
    self.steps = steps
    self.fill = fill
  }
}

/// Sum and product of nothing are 0 and 1; `any`/`all` are `max`/`min` of bool. `max`, `min`, `argmax` and `argmin`
/// return NaN (its position) if there is one, and the first of equals; of nothing they are refused.
public enum Reduction: Hashable, Sendable {
  case sum, product, max, min
  /// int64 position along the reduced axes in row-major order.
  case argmax, argmin
}

public enum Scan: Hashable, Sendable {
  case sum(reverse: Bool)
  case product(reverse: Bool)
}

/// Fused operations along the last axis (of `columns` elements). Each has a plain composition in `RowwisePlain`.
public enum Rowwise: Hashable, Sendable {
  /// x -> exp(x - max) / sum; a row of all -inf gives NaN, as PyTorch.
  case softmax
  case logSoftmax
  /// inputs x, scale [columns], shift [columns]; biased variance.
  case layerNorm(epsilon: Double)
  /// inputs x, scale [columns].
  case rmsNorm(epsilon: Double)
  /// inputs logits [rows, columns], labels [rows] (int64); result [rows]: logSumExp(row) - row[label].
  /// A label equal to `ignoreIndex` gives 0; any other label outside 0..<columns is a run-time error.
  case crossEntropy(ignoreIndex: Int)
  /// inputs logits, labels, g [rows]; result [rows, columns]: (softmax - oneHot) * g, 0 for ignored rows.
  case crossEntropyGradient(ignoreIndex: Int)
  /// inputs y = softmax(x) and g; result y * (g - sum(g * y)).
  case softmaxGradient
  /// inputs y = logSoftmax(x) and g; result g - exp(y) * sum(g).
  case logSoftmaxGradient
  /// inputs x, g, scale [columns]; with n = (x - mean) * r, r = 1 / sqrt(variance + epsilon) and h = g * scale:
  /// r * (h - mean(h) - n * mean(h * n)).
  case layerNormGradient(epsilon: Double)
  /// inputs x, g, scale [columns]; with n = x * r, r = 1 / sqrt(mean(x^2) + epsilon) and h = g * scale:
  /// r * (h - n * mean(h * n)).
  case rmsNormGradient(epsilon: Double)

  /// How many of the inputs, from the first, are [..., columns]; the others are vectors.
  public var rowInputCount: Int {
    switch self {
    case .softmax, .logSoftmax, .layerNorm, .rmsNorm, .crossEntropy, .crossEntropyGradient: 1
    case .softmaxGradient, .logSoftmaxGradient, .layerNormGradient, .rmsNormGradient: 2
    }
  }

  /// Which of the vectors a device also reads where all its elements are one (stride 0), so that the gradient of a mean
  /// needs no vector of equal numbers.
  var uniformVector: Int? { if case .crossEntropyGradient = self { 1 } else { nil } }

  /// Whether the result is one element for each row.
  public var isResultPerRow: Bool { if case .crossEntropy = self { true } else { false } }
}

/// Scaled dot-product attention over [batch..., heads, rows, features], rank at least 3; softmax(q k^T * scale) v, with
/// `isCausal` over the keys 0...i of query i. The result has its heads behind the rows: [batch..., queries, heads,
/// valueFeatures]. The gradient takes that result's cotangent as its fourth input and gives the gradients of query, key
/// and value in one value; see `Attention.gradientLayouts`.
public struct Attention: Hashable, Sendable {
  public var isGradient: Bool
  public var isCausal: Bool
  public var scale: Double
  public init(isGradient: Bool, isCausal: Bool, scale: Double) {
    (self.isGradient, self.isCausal, self.scale) = (isGradient, isCausal, scale)
  }
}

/// 2-D convolution (cross-correlation). 1-D is height 1. x [batch, channels, height, width],
/// w [filters, channels / groups, kernelHeight, kernelWidth], y [batch, filters, outHeight, outWidth].
public struct Convolution: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// inputs x, w; result y.
    case forward
    /// inputs y-shaped g, w; result x-shaped. Also transposed convolution's forward.
    case inputGradient
    /// inputs x, y-shaped g; result w-shaped.
    case filterGradient
  }
  public var kind: Kind
  public var batch, channels, height, width: Int
  public var filters, kernelHeight, kernelWidth: Int
  public var outHeight, outWidth: Int
  public var strideY, strideX, dilationY, dilationX: Int
  /// Zeros before the first row and column. Those after follow from the sizes: a tap outside x reads 0.
  public var padTop, padLeft: Int
  public var groups: Int

  public init(
    kind: Kind, batch: Int, channels: Int, height: Int, width: Int, filters: Int, kernelHeight: Int, kernelWidth: Int,
    outHeight: Int, outWidth: Int, strideY: Int, strideX: Int, dilationY: Int, dilationX: Int, padTop: Int,
    padLeft: Int, groups: Int
  ) {
    self.kind = kind
    (self.batch, self.channels, self.height, self.width) = (batch, channels, height, width)
    (self.filters, self.kernelHeight, self.kernelWidth) = (filters, kernelHeight, kernelWidth)
    (self.outHeight, self.outWidth) = (outHeight, outWidth)
    (self.strideY, self.strideX, self.dilationY, self.dilationX) = (strideY, strideX, dilationY, dilationX)
    (self.padTop, self.padLeft, self.groups) = (padTop, padLeft, groups)
  }
  public var inputShape: Shape { [batch, channels, height, width] }
  public var filterShape: Shape { [filters, channels / groups, kernelHeight, kernelWidth] }
  public var outputShape: Shape { [batch, filters, outHeight, outWidth] }
}

/// 2-D pooling over x [planes, height, width] (planes = batch * channels) to y [planes, outHeight, outWidth].
public struct Pool: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// input x; result y. Taps outside x are skipped; the first of equals wins; NaN wins over all.
    case max
    /// inputs x, g (y-shaped); result x-shaped: g added at each window's maximum.
    case maxGradient
    /// inputs x, h (x-shaped); result y-shaped: h read at each window's maximum of x.
    case maxGather
    /// input x; result y: sum over the window / divisor (window size, or taps inside x).
    case average(countPadding: Bool)
    /// input g (y-shaped); result x-shaped.
    case averageGradient(countPadding: Bool)
  }
  public var kind: Kind
  public var planes, height, width, outHeight, outWidth: Int
  public var kernelHeight, kernelWidth, strideY, strideX, dilationY, dilationX, padTop, padLeft: Int
  public init(
    kind: Kind, planes: Int, height: Int, width: Int, outHeight: Int, outWidth: Int, kernelHeight: Int,
    kernelWidth: Int, strideY: Int, strideX: Int, dilationY: Int, dilationX: Int, padTop: Int, padLeft: Int
  ) {
    self.kind = kind
    (self.planes, self.height, self.width) = (planes, height, width)
    (self.outHeight, self.outWidth) = (outHeight, outWidth)
    (self.kernelHeight, self.kernelWidth, self.strideY, self.strideX) = (kernelHeight, kernelWidth, strideY, strideX)
    (self.dilationY, self.dilationX, self.padTop, self.padLeft) = (dilationY, dilationX, padTop, padLeft)
  }
  public var inputShape: Shape { [planes, height, width] }
  public var outputShape: Shape { [planes, outHeight, outWidth] }
}

/// Reads and deterministic adds by index (int64). An index outside 0..<length is a run-time error.
public struct Gather: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// x [outer, length, inner], indices [count]; result [outer, count, inner].
    case rows
    /// source [outer, count, inner], indices [count]; result [outer, length, inner], 0 where nothing is added;
    /// duplicates add in the order of their positions.
    case scatterAddRows
    /// x [outer, length, inner], indices [outer, count, inner]; result [outer, count, inner].
    case along
    /// source and indices [outer, count, inner]; result [outer, length, inner].
    case scatterAddAlong
  }
  public var kind: Kind
  public var outer, length, inner, count: Int
  public init(kind: Kind, outer: Int, length: Int, inner: Int, count: Int) {
    self.kind = kind
    (self.outer, self.length, self.inner, self.count) = (outer, length, inner, count)
  }
}

/// A mark on a value that passes through unchanged.
public enum IdentityMark: Hashable, Sendable {
  /// Differentiation sees a constant.
  case stopGradient
  /// Differentiation sees a leaf whose gradient can be asked for.
  case watch
  /// Differentiation calls the user's rule. inputs: the value, then the arguments of the custom function.
  case custom(CustomGradient)
}

/// A user's gradient rule, compared by identity.
public final class CustomGradient: Hashable, Sendable {
  /// (arguments, result, cotangent of the result) -> one cotangent for each argument.
  public let rule: @Sendable (_ arguments: [Tensor], _ result: Tensor, _ g: Tensor) -> [Tensor]
  public init(_ rule: @escaping @Sendable ([Tensor], Tensor, Tensor) -> [Tensor]) { self.rule = rule }
  public static func == (lhs: CustomGradient, rhs: CustomGradient) -> Bool { lhs === rhs }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
