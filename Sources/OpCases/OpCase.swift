import KilnEngine

/// Everything that is known about how one operation must behave: its call, an independent reference, what to feed it,
/// how exact it must be, what it must refuse and what it costs. The test suites, `kiln selftest` and the benchmarks
/// all read this one table.
public struct OpCase: Sendable {
  /// Where a call without operands makes its tensor, and in which dtype.
  public struct Place: Sendable {
    public var device: Device
    public var dtype: DType
    public init(device: Device, dtype: DType) {
      self.device = device
      self.dtype = dtype
    }
  }

  /// The public name: "tanh", "convolution2D".
  public var name: String
  /// What is special about this case: "stride 2, groups 2".
  public var variant: String
  public var operands: [Operand]
  /// Each entry gives one shape to every operand.
  public var shapes: [[[Int]]]
  public var dtypes: [DType]
  public var call: @Sendable ([Tensor], Place) -> Tensor
  /// Written in plain loops over float64; shares nothing with the engine. Given the dtype for dtype-dependent results.
  public var reference: @Sendable ([NDArray], DType) -> NDArray
  /// The result's dtype for the case's dtype.
  public var resultDType: @Sendable (DType) -> DType = { $0 }
  /// Error allowed in units in the last place of the expected value; 0: the rounded reference exactly. A reference's
  /// `slack` comes on top.
  public var ulps = 0.0
  /// How often the result can be differentiated and is checked: 0, 1 or 2.
  public var gradientOrder = 0
  /// Gradients are checked for shapes with so many elements in all: finite differences of the reference are slow.
  public var largestGradient = 400
  /// A float32 gradient may be off by this many epsilons of the largest gradient of its operand.
  public var gradientUnits = 64.0
  /// Operands of special values (NaN, infinities, zeros, denormal, huge), one row for each element.
  public var specials: [[Double]] = []
  /// Whether the sign of a zero result is checked (it is for everything but the functions that do not define it).
  public var checksZeroSign = true
  public var refusals: [Refusal] = []
  /// Arithmetic operations for given operand shapes.
  public var flops: @Sendable ([[Int]]) -> Double
  /// Bytes that must move at least: operands and result once.
  public var bytes: @Sendable ([[Int]], DType) -> Double

  /// Whether this is its operation's first case; the table says so.
  public internal(set) var isLead = true

  /// "tanh", "convolution2D (stride 2)".
  public var id: String { variant.isEmpty ? name : "\(name) (\(variant))" }

  public init(
    _ name: String, _ variant: String = "", on operands: [Operand], shapes: [[[Int]]],
    dtypes: [DType] = [.float32, .float64], ulps: Double = 0, order: Int = 0,
    call: @escaping @Sendable ([Tensor]) -> Tensor, reference: @escaping @Sendable ([NDArray]) -> NDArray
  ) {
    self.name = name
    self.variant = variant
    self.operands = operands
    self.shapes = shapes
    self.dtypes = dtypes
    self.ulps = ulps
    gradientOrder = order
    self.call = { inputs, _ in call(inputs) }
    self.reference = { inputs, _ in reference(inputs) }
    flops = { shapes in Double(shapes.map(NDArray.count).max() ?? 0) }
    bytes = { shapes, dtype in
      Double((shapes.reduce(0) { $0 + NDArray.count($1) } + (shapes.map(NDArray.count).max() ?? 0)) * dtype.size)
    }
  }
}

/// A call that must give a tensor with an error (or throw at the latest when it is read), and the operation's name in
/// that error.
public struct Refusal: Sendable {
  public var what: String
  public var operation: String
  /// Whether only the values, known when the program runs, are wrong: an index out of range.
  public var atRunTime = false
  public var call: @Sendable (Device) -> Tensor

  public init(
    _ what: String, _ operation: String, atRunTime: Bool = false, _ call: @escaping @Sendable (Device) -> Tensor
  ) {
    self.what = what
    self.operation = operation
    self.atRunTime = atRunTime
    self.call = call
  }
}

/// Changes for a case made by a function: `unary(...).with { $0.specials = ... }`.
extension OpCase {
  public func with(_ change: (inout OpCase) -> Void) -> OpCase {
    var result = self
    change(&result)
    return result
  }

  /// Adds a call that must be refused under this case's own name.
  public func refusing(_ what: String, _ call: @escaping @Sendable (Device) -> Tensor) -> OpCase {
    with { $0.refusals.append(Refusal(what, $0.name, call)) }
  }

  public func result(_ dtype: DType) -> OpCase { with { $0.resultDType = { _ in dtype } } }

  public func costing(flops: @escaping @Sendable ([[Int]]) -> Double) -> OpCase { with { $0.flops = flops } }
}

/// Small tensors for calls that must be refused.
func zeros(_ shape: [Int], _ dtype: DType, _ device: Device) -> Tensor {
  .zeros(Shape(shape), dtype: dtype, on: device)
}

/// The shapes that elementwise cases run on: odd, scalar, one, none, longer than a work-group, high rank.
enum Shapes {
  static let elementwise: [[Int]] = [[5, 7], [], [1], [0], [1, 1031], [67, 129], [3, 1, 4, 2, 3]]
  static let unary = elementwise.map { [$0] }
  static let pair = elementwise.map { [$0, $0] } + broadcastPairs
  static let broadcastPairs: [[[Int]]] = [[[4, 1, 3], [5, 1]], [[2, 3], []], [[1], [7]], [[0, 3], [1, 3]]]
  /// Few, for the many variants of one family.
  static let few: [[[Int]]] = [[[5, 7]], [[1]], [[0]]]
}
