import KilnCPU
import Testing

@testable import KilnEngine

/// Random expressions over random layouts, against the rows' closures one element at a time. Only operations that are
/// exact on every path appear, so that the results must be equal.
@Suite struct ExpressionTests {
  /// An operand over `dims` with a random layout, and how many elements its memory needs.
  static func layout(_ dims: [Int], _ dice: inout Dice) -> (strides: [Int], offset: Int, count: Int) {
    var order = Array(dims.indices)
    if dice.int(0...2) == 0 { order.shuffle(using: &dice) }
    var strides = [Int](repeating: 0, count: dims.count)
    var next = dice.int(0...5) == 0 ? 2 : 1
    var offset = dice.int(0...3) == 0 ? dice.int(0...5) : 0
    for axis in order.reversed() {
      if dice.int(0...4) == 0 { continue }  // broadcast
      strides[axis] = next
      if dice.int(0...7) == 0 {
        offset += next * (dims[axis] - 1)
        strides[axis] = -next
      }
      next *= dims[axis]
    }
    return (strides, offset, offset + next + 1)
  }

  static func expression(_ dtypes: [DType], _ dice: inout Dice) -> Expression {
    var e = Expression()
    for (i, dtype) in dtypes.enumerated() { _ = e.append(.load(i), dtype) }
    if dice.int(0...2) == 0 { _ = e.append(.address(0), .int64) }
    for (i, dtype) in [DType.float32, .float64, .int32].enumerated() where dice.int(0...1) == 0 {
      _ = e.append(.scalar(i), dtype)
    }
    for _ in 0..<dice.int(1...12) {
      let x = dice.int(0...(e.instructions.count - 1))
      let type = e.dtypes[x]
      let partners = e.dtypes.indices.filter { e.dtypes[$0] == type }
      let y = partners[dice.int(0...(partners.count - 1))]
      switch dice.int(0...7) {
      case 0...1 where type != .bool:
        var ops: [UnaryOp] = [.negate, .abs, .sign, .square, .relu]
        if type.isFloat { ops += [.sqrt, .floor, .ceil, .round, .isNaN, .isFinite] }
        // One that has no loop of its own.
        if type == .float64 { ops.append(.erfInverse) }
        let op = ops[dice.int(0...(ops.count - 1))]
        _ = e.append(.unary(op, x), op.row.isPredicate ? .bool : type)
      case 2...4:
        var ops: [BinaryOp] = [.equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual]
        ops += type == .bool ? [.and, .or, .xor] : [.add, .subtract, .multiply, .maximum, .minimum, .remainder]
        if type.isFloat { ops.append(.divide) }
        let op = ops[dice.int(0...(ops.count - 1))]
        _ = e.append(.binary(op, x, y), op.row.isPredicate ? .bool : type)
      case 5:
        let conditions = e.dtypes.indices.filter { e.dtypes[$0] == .bool }
        guard !conditions.isEmpty else { continue }
        _ = e.append(.select(conditions[dice.int(0...(conditions.count - 1))], x, y), type)
      default:
        // To what holds every value here, so that the reference through doubles is exact.
        let targets: [DType] = type.isFloat ? [.float32, .float64, .bool] : [.float64, .bool, type]
        _ = e.append(.cast(x), targets[dice.int(0...(targets.count - 1))])
      }
    }
    for _ in 0..<dice.int(1...3) { e.outputs.append(dice.int(0...(e.instructions.count - 1))) }
    return e
  }

  /// Integers beyond 2^53 would not survive the reference's doubles: squares of squares are left out by the seeds'
  /// ranges, and what still grows is skipped.
  static func isHeld(_ values: [Double]) -> Bool { values.allSatisfy { abs($0) < 1e15 || !$0.isFinite } }

  static let shapes: [[Int]] = [
    [], [1], [7], [4, 10], [3, 5, 7], [2, 3, 1, 5], [600], [2, 700], [33, 129], [9, 8, 70], [5000], [2, 2, 2, 2, 3],
  ]

  @Test(arguments: 0..<120) func randomExpressionEqualsTheRows(seed: Int) throws {
    var dice = Dice(UInt64(seed))
    let dims = Self.shapes[seed % Self.shapes.count]
    let types: [DType] = [.float32, .float64, .int32, .int64, .uint8, .bool]
    var operands: [Operand] = []
    var inputs: [Values] = []
    for i in 0..<dice.int(1...4) {
      let dtype = dice.int(0...1) == 0 ? .float32 : types[dice.int(0...5)]
      let (strides, offset, count) = Self.layout(dims, &dice)
      operands.append(Operand(slot: .input(i), dtype: dtype, offset: offset, strides: strides))
      inputs.append(dice.values(dtype, count))
    }
    let expression = Self.expression(operands.map(\.dtype), &dice)
    let scalars = [Scalar(1.5, .float32), Scalar(-0.75, .float64), Scalar(3, .int32)]
    let outputTypes = expression.outputs.map { Program.ValueType(dtype: expression.dtypes[$0], shape: Shape(dims)) }
    let outputs = outputTypes.enumerated().map { Operand(output: $0, $1.dtype, dims) }
    let step = ElementwiseStep(dims: dims, operands: operands, expression: expression, outputs: outputs)
    let actual = try run([.elementwise(step)], inputs: inputs, outputs: outputTypes, scalars: scalars)

    let expected = points(dims).map {
      evaluate(expression, operands, at: $0, inputs: inputs, scalars: scalars)
    }
    for (i, values) in actual.enumerated() {
      let column = expected.map { $0[i] }
      guard Self.isHeld(column) else { continue }
      #expect(
        same(values.values, column), "output \(i) of \(expression.instructions) \(expression.dtypes) over \(dims)")
    }
  }

  /// Outputs over the memory of their inputs, in an order in which writing early would spoil a later read.
  @Test(arguments: [5, 700, 5000]) func updatesInPlace(count: Int) throws {
    var dice = Dice(7)
    let a = dice.values(.float32, count)
    let b = dice.values(.float32, count)
    var e = Expression()
    let x = e.append(.load(0), .float32)
    let y = e.append(.load(1), .float32)
    let sum = e.append(.binary(.add, x, y), .float32)
    let difference = e.append(.binary(.subtract, x, y), .float32)
    e.outputs = [sum, difference]
    let dims = [count]
    let step = ElementwiseStep(
      dims: dims, operands: [Operand(0, .float32, dims), Operand(1, .float32, dims)], expression: e,
      outputs: [Operand(output: 0, .float32, dims), Operand(output: 1, .float32, dims)])
    let type = Program.ValueType(dtype: .float32, shape: Shape(dims))
    for donations in [[0: 0, 1: 1], [0: 1, 1: 0]] {
      let result = try run([.elementwise(step)], inputs: [a, b], outputs: [type, type], donations: donations)
      #expect(result[0] == Values(.float32, zip(a.values, b.values).map { $0 + $1 }))
      #expect(result[1] == Values(.float32, zip(a.values, b.values).map { $0 - $1 }))
    }
  }

  /// A piece of a larger tensor: strided stores leave the rest alone.
  @Test func storesIntoAPiece() throws {
    let values = Values(.float32, (0..<6).map(Double.init))
    var e = Expression()
    e.outputs = [e.append(.load(0), .float32)]
    var target = Operand(output: 0, .float32, [2, 3])
    (target.offset, target.strides) = (1, [8, 2])
    let zero = ElementwiseStep(
      dims: [16], operands: [Operand(slot: .input(0), dtype: .float32, offset: 0, strides: [0])], expression: e,
      outputs: [Operand(output: 0, .float32, [16])])
    let step = ElementwiseStep(
      dims: [2, 3], operands: [Operand(0, .float32, [2, 3])], expression: e, outputs: [target])
    let result = try run(
      [.elementwise(zero), .elementwise(step)], inputs: [values], outputs: [.init(dtype: .float32, shape: [16])])
    #expect(result[0].values == [0, 0, 0, 1, 0, 2, 0, 0, 0, 3, 0, 4, 0, 5, 0, 0])
  }
}
