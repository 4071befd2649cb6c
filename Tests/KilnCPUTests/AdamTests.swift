import CVector
import Testing

@testable import KilnCPU
@testable import KilnEngine

/// Adam's update as one loop: the bits of its operations one after the other, on every ISA, and nothing else taken for it.
@Suite(.serialized) struct AdamTests {
  /// What `Adam` and, with `shrinks`, `AdamW` compute; operands w, m, v, g, outputs in an order of one's own.
  static func expression(shrinks: Bool, subtractsFrom: Int = 1) -> Expression {
    var e = Expression()
    func scalar(_ slot: Int) -> Int { e.append(.scalar(slot), .float32) }
    func binary(_ op: BinaryOp, _ a: Int, _ b: Int) -> Int { e.append(.binary(op, a, b), .float32) }
    let loads = (0..<4).map { e.append(.load($0), .float32) }
    let (w, m, v, g) = (loads[0], loads[1], loads[2], loads[3])
    let first = binary(.add, m, binary(.multiply, binary(.subtract, g, loads[subtractsFrom]), scalar(0)))
    let squares = binary(.multiply, binary(.multiply, g, g), scalar(2))
    let second = binary(.add, binary(.multiply, v, scalar(1)), squares)
    let root = e.append(.unary(.sqrt, second), .float32)
    let bottom = binary(.add, binary(.divide, root, scalar(3)), scalar(4))
    let move = binary(.multiply, binary(.divide, first, bottom), scalar(5))
    let weight = binary(.subtract, shrinks ? binary(.multiply, w, scalar(6)) : w, move)
    e.outputs = [second, weight, first]
    return e
  }

  /// Beside ordinary numbers zeros, denormals, what squares to one, and what overflows.
  static func numbers(_ count: Int, _ dice: inout Dice, isSquare: Bool = false) -> [Float] {
    (0..<count).map { _ in
      let x: Float =
        switch dice.int(0...9) {
        case 0: 0
        case 1: Float(bitPattern: UInt32(dice.int(1...0x7f_ffff)))
        case 2: Float.random(in: 1...2, using: &dice) * 1e-21
        case 3: Float.random(in: 1...2, using: &dice) * 1e20
        default: Float.random(in: -1...1, using: &dice)
        }
      return isSquare ? Swift.abs(x) : dice.int(0...1) == 0 ? x : -x
    }
  }

  /// `donations`: none, each output over its own input, and the moments over each other's.
  @Test(arguments: [false, true], [[:], [0: 2, 1: 0, 2: 1], [0: 1, 1: 0, 2: 2]] as [[Int: Int]])
  func bits(shrinks: Bool, donations: [Int: Int]) throws {
    let before = kv_current_isa()
    defer { _ = kv_set_isa(before) }
    var dice = Dice(7)
    let scalars = [0.1, 0.999, 0.001, 0.031, 1e-8, 0.01, 0.9].map { Float($0) }
    for isa in VectorMathTests.isas {
      _ = kv_set_isa(isa)
      for count in [1, 15, 16, 47, 1000, 40_001] {
        var inputs = (0..<4).map { Self.numbers(count, &dice, isSquare: $0 == 2) }
        // Long without a gradient: a first moment that has decayed into denormals beside ordinary weights.
        for i in 0..<count where i / 16 % 3 == 0 {
          inputs[0][i] = Float.random(in: 0.01...1, using: &dice)
          inputs[1][i] = Float(bitPattern: UInt32(dice.int(1...20)))
          (inputs[2][i], inputs[3][i]) = (1e-12, 0)
        }
        let step = ElementwiseStep(
          dims: [count], operands: (0..<4).map { Operand($0, .float32, [count]) },
          expression: Self.expression(shrinks: shrinks), outputs: (0..<3).map { Operand(output: $0, .float32, [count]) }
        )
        let actual = try run(
          [.elementwise(step)], inputs: inputs.map { Values(.float32, $0.map(Double.init)) },
          outputs: (0..<3).map { _ in .init(dtype: .float32, shape: [count]) },
          scalars: scalars.map { Scalar(Double($0), .float32) }, donations: donations)
        var expected = [[Float]](repeating: [], count: 3)
        for i in 0..<count {
          let (w, m, v, g) = (inputs[0][i], inputs[1][i], inputs[2][i], inputs[3][i])
          let first = m + (g - m) * scalars[0]
          let second = v * scalars[1] + g * g * scalars[2]
          let move = first / (second.squareRoot() / scalars[3] + scalars[4]) * scalars[5]
          for (j, x) in [second, (shrinks ? w * scalars[6] : w) - move, first].enumerated() { expected[j].append(x) }
        }
        for j in 0..<3 {
          let isSame = zip(actual[j].values, expected[j]).allSatisfy { Float($0).bitPattern == $1.bitPattern }
          #expect(isSame, "output \(j) of \(count) on \(String(cString: kv_isa_name(isa)))")
        }
      }
    }
  }

  @Test func onlyTheFormIsFound() throws {
    let found = try #require(AdamForm(Self.expression(shrinks: false)))
    #expect([found.weight, found.first, found.second, found.gradient] == [0, 1, 2, 3])
    #expect([found.newWeight, found.newFirst, found.newSecond] == [1, 2, 0])
    #expect([found.gain, found.decay, found.squareGain, found.root, found.epsilon, found.rate] == [0, 1, 2, 3, 4, 5])
    #expect(found.shrink == nil)
    #expect(AdamForm(Self.expression(shrinks: true))?.shrink == 6)
    // The difference from another operand than the one that it is added to.
    #expect(AdamForm(Self.expression(shrinks: false, subtractsFrom: 0)) == nil)
    for change in 0..<4 {
      var other = Self.expression(shrinks: false)
      switch change {
      case 0: other.outputs.removeLast()
      case 1: other.dtypes[5] = .float64
      case 2:
        let i = try #require(other.instructions.firstIndex { if case .unary(.sqrt, _) = $0 { true } else { false } })
        other.instructions[i] = .unary(.abs, 0)
      default:
        let i = try #require(
          other.instructions.firstIndex { if case .binary(.divide, _, _) = $0 { true } else { false } })
        if case .binary(_, let a, let b) = other.instructions[i] { other.instructions[i] = .binary(.multiply, a, b) }
      }
      #expect(AdamForm(other) == nil, "change \(change)")
    }
  }

  /// Memory that is written beside where it is read goes the evaluator's way, which copies first.
  @Test func overlapsAreNotTaken() throws {
    let count = 40
    let slots = SlotTable(Program(), driver: .shared)
    func run(_ weight: Operand) -> AdamRun? {
      AdamRun(
        ElementwiseStep(
          dims: [count], operands: [weight] + (1..<4).map { Operand($0, .float32, [count]) },
          expression: Self.expression(shrinks: false), outputs: (0..<3).map { Operand(output: $0, .float32, [count]) }),
        slots)
    }
    #expect(run(Operand(0, .float32, [count])) != nil)
    var shifted = Operand(output: 1, .float32, [count])
    #expect(run(shifted) != nil)
    shifted.offset = 1
    #expect(run(shifted) == nil)
    var strided = Operand(0, .float32, [count])
    strided.strides = [2]
    #expect(run(strided) == nil)
    #expect(run(Operand(0, .float64, [count])) == nil)
  }
}
