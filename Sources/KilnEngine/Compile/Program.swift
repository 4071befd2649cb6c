/// The compiled form of a graph: kernel-sized steps in order, and where every value lives. It holds no buffers and no
/// scalar values, so that one program serves every graph of the same structure.
public struct Program: Sendable {
  /// Where a value lives during a run.
  public enum Slot: Hashable, Sendable {
    /// `buffers.inputs[i]`; a run binds it with a base offset in elements.
    case input(Int)
    /// Byte offset in the run's arena, a multiple of `Program.alignment`.
    case arena(Int)
    /// `buffers.outputs[i]`, contiguous from element 0.
    case output(Int)
  }

  public static let alignment = 256

  public var steps: [Step] = []
  public var inputs: [ValueType] = []
  public var outputs: [ValueType] = []
  /// Output `i` may be bound to the same buffer as input `j` (in-place update), by (i: j).
  public var donations: [Int: Int] = [:]
  public var scalars: [DType] = []
  public var arenaBytes = 0

  public init() {}

  public struct ValueType: Hashable, Sendable {
    public var dtype: DType
    public var shape: Shape
    public init(dtype: DType, shape: Shape) {
      self.dtype = dtype
      self.shape = shape
    }
    public var byteCount: Int { shape.count * dtype.size }
  }
}

/// One value as a step sees it: element at `offset + sum(index[d] * strides[d])` of the slot, plus, for inputs, the
/// base offset bound at run time. `strides` follow the step's iteration dimensions; 0 broadcasts, negatives flip.
public struct Operand: Hashable, Sendable {
  /// `nil`: no memory; the operand is only read through `.address`.
  public var slot: Program.Slot?
  public var dtype: DType
  public var offset: Int
  public var strides: [Int]
  public init(slot: Program.Slot?, dtype: DType, offset: Int, strides: [Int]) {
    self.slot = slot
    self.dtype = dtype
    self.offset = offset
    self.strides = strides
  }
}

/// One kernel-sized piece of work. A device implements each family; the engine guarantees what is said at each.
///
/// Dense operands ("contiguous") have row-major strides over the stated dims; their `strides` say so too.
/// Steps over 0 elements are never emitted, except that a reduction may have `inner` of 0 elements (sum, product).
public enum Step: Hashable, Sendable {
  case elementwise(ElementwiseStep)
  case reduce(ReduceStep)
  case scan(ScanStep)
  case argsort(ArgsortStep)
  case rowwise(RowwiseStep)
  case attention(AttentionStep)
  case matmul(MatmulStep)
  case convolution(ConvolutionStep)
  case pool(PoolStep)
  case gather(GatherStep)
}

/// For each point of `dims`: evaluates `expression` over `operands` and stores its outputs.
///
/// `dims` is minimal: size-1 axes are dropped and neighbours merged where every operand allows it (`[]` = one element).
/// An output may share a slot and layout with a load; all loads of a point come before its stores.
public struct ElementwiseStep: Hashable, Sendable {
  public var dims: [Int]
  public var operands: [Operand]
  public var expression: Expression
  /// One for each of `expression.outputs`; strides may be non-dense (a piece of an assembly).
  public var outputs: [Operand]
  public init(dims: [Int], operands: [Operand], expression: Expression, outputs: [Operand]) {
    (self.dims, self.operands, self.expression, self.outputs) = (dims, operands, expression, outputs)
  }
}

/// For each point of `outer`: reduces the prologue's value over all points of `inner`, then stores the epilogue.
///
/// `operands` are shared by both expressions: strides of prologue operands are over outer + inner, those used by the
/// epilogue have stride 0 along inner. Prologue has one output, of `dtype`; the family's result (`.result`) has
/// `dtype` too, or int64 for argmax and argmin. Sums are ordered by shape alone, never by thread count.
public struct ReduceStep: Hashable, Sendable {
  public var kind: Reduction
  public var dtype: DType
  public var outer: [Int]
  public var inner: [Int]
  public var operands: [Operand]
  public var prologue: Expression
  public var epilogue: Expression
  /// Strides over `outer`.
  public var outputs: [Operand]
  public init(
    kind: Reduction, dtype: DType, outer: [Int], inner: [Int], operands: [Operand], prologue: Expression,
    epilogue: Expression, outputs: [Operand]
  ) {
    (self.kind, self.dtype, self.outer, self.inner) = (kind, dtype, outer, inner)
    (self.operands, self.prologue, self.epilogue, self.outputs) = (operands, prologue, epilogue, outputs)
  }
}

/// Running sum or product over the middle of [outer, length, inner], contiguous. In-place never.
public struct ScanStep: Hashable, Sendable {
  public var kind: Scan
  public var outer, length, inner: Int
  public var input, output: Operand
}

/// Stable order of each row of [rows, columns], contiguous; output int64.
public struct ArgsortStep: Hashable, Sendable {
  public var descending: Bool
  public var rows, columns: Int
  public var input, output: Operand
}

/// One of the fused row operations over rows of `columns` elements: for each row the prologue's values, the family's
/// work on them, and for each of its results the epilogue.
///
/// `outer` are the dims of the rows (minimal; may be empty). Operands and outputs have strides over outer + [columns];
/// where the kind's result is one element a row, the epilogue is the identity and the output has stride 0 along
/// columns.
public struct RowwiseStep: Hashable, Sendable {
  public var kind: Rowwise
  public var outer: [Int]
  public var columns: Int
  /// Of prologue and epilogue.
  public var operands: [Operand]
  /// One output for each of the kind's row inputs, in order.
  public var prologue: Expression
  /// The kind's other inputs, contiguous; of `crossEntropyGradient`, g may have stride 0 instead.
  public var vectors: [Operand]
  public var epilogue: Expression
  public var outputs: [Operand]

  public var rows: Int { outer.reduce(1, *) }

  /// Whether the rows of a `crossEntropyGradient` share one g.
  public var hasOneScale: Bool { kind.uniformVector.map { vectors[$0].strides.allSatisfy { $0 == 0 } } ?? false }

  public init(
    kind: Rowwise, outer: [Int], columns: Int, operands: [Operand], prologue: Expression, vectors: [Operand],
    epilogue: Expression, outputs: [Operand]
  ) {
    (self.kind, self.outer, self.columns, self.operands) = (kind, outer, columns, operands)
    (self.prologue, self.vectors, self.epilogue, self.outputs) = (prologue, vectors, epilogue, outputs)
  }

  /// Nothing but the family's own work, on contiguous inputs.
  public init(kind: Rowwise, rows: Int, columns: Int, inputs: [Operand], output: Operand) {
    func row(_ operand: Operand) -> Operand {
      var operand = operand
      operand.strides = [columns, 1]
      return operand
    }
    var prologue = Expression()
    for i in 0..<kind.rowInputCount { prologue.outputs.append(prologue.append(.load(i), inputs[i].dtype)) }
    var epilogue = Expression()
    epilogue.outputs = [epilogue.append(.result, output.dtype)]
    var result = row(output)
    if kind.isResultPerRow { result.strides = [1, 0] }
    self.init(
      kind: kind, outer: [rows], columns: columns, operands: inputs.prefix(kind.rowInputCount).map(row),
      prologue: prologue, vectors: Array(inputs.dropFirst(kind.rowInputCount)), epilogue: epilogue, outputs: [result])
  }

  private func isDense(_ operand: Operand) -> Bool {
    Layout(shape: Shape(outer + [columns]), strides: operand.strides).isContiguous
  }

  /// The row input's operand where the prologue only reads it, from contiguous memory.
  public func plainInput(_ input: Int) -> Operand? {
    guard case .load(let i) = prologue.instructions[prologue.outputs[input]], isDense(operands[i]) else { return nil }
    return operands[i]
  }

  /// The output where the epilogue only stores the result, to contiguous memory.
  public var plainOutput: Operand? {
    guard epilogue.isIdentityEpilogue, let output = outputs.first else { return nil }
    return kind.isResultPerRow || isDense(output) ? output : nil
  }
}

/// `Attention` for each index of `batch`: query [queries, features], key [keys, features] and value [keys,
/// valueFeatures] to [queries, valueFeatures], or with g, of that shape, to the gradients of the three. dtype: float32
/// or float64; no size is 0.
///
/// Operands have strides over batch + [rows] and stride 1 along their features; batch strides of inputs may be 0.
public struct AttentionStep: Hashable, Sendable {
  public var attention: Attention
  public var dtype: DType
  public var batch: [Int]
  public var queries, keys, features, valueFeatures: Int
  /// query, key, value and, for the gradient, g.
  public var inputs: [Operand]
  /// The result, or the gradients of query, key and value, which do not overlap.
  public var outputs: [Operand]
}

/// result[b, i, j] = sum over p of lhs[b, i, p] * rhs[b, p, j]; then the epilogue, then the stores.
///
/// `batch` are the batch dims (minimal; may be empty). lhs strides are over batch + [m, k], rhs over batch + [k, n];
/// each has stride 1 along one of its last two axes (or that axis has size 1), and batch strides may be 0. `operands`
/// (epilogue only) and `outputs` have strides over batch + [m, n]; an output may be a piece of a larger value. k may be
/// 0 (result 0). dtype: any but bool; integers wrap.
public struct MatmulStep: Hashable, Sendable {
  public var batch: [Int]
  public var m, n, k: Int
  public var dtype: DType
  public var lhs, rhs: Operand
  public var operands: [Operand]
  public var epilogue: Expression
  public var outputs: [Operand]
}

/// inputs and outputs contiguous as `Convolution` lays them out. The epilogue's operands and outputs have strides over
/// the four dims of the result. dtype: float32 or float64.
public struct ConvolutionStep: Hashable, Sendable {
  public var convolution: Convolution
  public var dtype: DType
  public var inputs: [Operand]
  public var operands: [Operand]
  public var epilogue: Expression
  public var outputs: [Operand]
}

/// Every operand contiguous as `Pool` lays it out.
public struct PoolStep: Hashable, Sendable {
  public var pool: Pool
  public var dtype: DType
  public var inputs: [Operand]
  public var output: Operand
}

/// Every operand contiguous as `Gather` lays it out; inputs are the data and the int64 indices.
public struct GatherStep: Hashable, Sendable {
  public var gather: Gather
  public var dtype: DType
  public var inputs: [Operand]
  public var output: Operand
}
