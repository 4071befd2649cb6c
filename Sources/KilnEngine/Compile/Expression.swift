/// A small straight-line program over the elements of one iteration space: what fusion makes of elementwise nodes.
///
/// Instruction `i` writes register `i`; its dtype is `dtypes[i]`. Devices turn it into kernel text or into calls of
/// block loops. It names no buffers and no values, so equal structure means equal compiled code.
public struct Expression: Hashable, Sendable {
  public enum Instruction: Hashable, Sendable {
    /// The element of the step's `operands[i]` at this point of the iteration space.
    case load(Int)
    /// The address of the step's `operands[i]` (offset + sum of index * stride) itself, as int64: a position.
    case address(Int)
    /// The program's run-time scalar `i`.
    case scalar(Int)
    /// What the step's own family computed at this point (epilogues of reduce, matmul, convolution only).
    case result
    case unary(UnaryOp, Int)
    case binary(BinaryOp, Int, Int)
    /// condition (bool register), then, otherwise.
    case select(Int, Int, Int)
    /// To this instruction's dtype, by the rules in docs/numerics.md.
    case cast(Int)
    /// Random number of this instruction's dtype; scalar slots of the key and counter, and the register of positions.
    case random(Distribution, key: Int, counter: Int, position: Int)
  }

  public var instructions: [Instruction] = []
  public var dtypes: [DType] = []
  /// Registers that are the expression's values, in the order of the step's outputs (a reduction's prologue has one).
  public var outputs: [Int] = []

  public init() {}

  /// Adds an instruction and returns its register; an equal one already there is shared.
  public mutating func append(_ instruction: Instruction, _ dtype: DType) -> Int {
    for i in instructions.indices where instructions[i] == instruction && dtypes[i] == dtype { return i }
    instructions.append(instruction)
    dtypes.append(dtype)
    return instructions.count - 1
  }

  /// An expression that passes the family's result on unchanged.
  public var isIdentityEpilogue: Bool { instructions == [.result] && outputs == [0] }
}
