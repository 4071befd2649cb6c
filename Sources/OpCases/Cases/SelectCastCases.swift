import KilnEngine

/// select, casts between every two dtypes, clamped, and the marks that pass values through.
enum SelectCastCases {
  static var all: [OpCase] { selections + casts + clamped + marks }

  private static var selections: [OpCase] {
    let any = Operand.uniform(-3...3)
    @Sendable func pick(_ inputs: [NDArray]) -> NDArray {
      NDArray.zip(inputs[0], inputs[1], inputs[2]) { $0 != 0 ? $1 : $2 }
    }
    let shapes = Shapes.elementwise.map { [$0, $0, $0] } + [[[4, 1], [3], [4, 3]], [[2, 3], [], []]]
    return [
      OpCase(
        "select", on: [.flags, any, any], shapes: shapes, order: 2, call: { select($0[0], $0[1], $0[2]) },
        reference: pick
      )
      .refusing("a condition that is not bool") {
        select(zeros([2], .float32, $0), zeros([2], .float32, $0), zeros([2], .float32, $0))
      }
      .refusing("shapes that do not broadcast") {
        select(zeros([2], .bool, $0), zeros([3], .float32, $0), zeros([2], .float32, $0))
      },
      OpCase(
        "select", "integers", on: [.flags, .whole(0...99), .whole(0...99)], shapes: Array(shapes.prefix(3)),
        dtypes: [.int32, .int64, .uint8, .bool], call: { select($0[0], $0[1], $0[2]) }, reference: pick),
      OpCase(
        "select", "tensor or number", on: [.flags, any], shapes: [[[5, 7], [5, 7]]], order: 2,
        call: { select($0[0], $0[1], 0.5) }, reference: { NDArray.zip($0[0], $0[1]) { $0 != 0 ? $1 : 0.5 } }),
      OpCase(
        "select", "number or tensor", on: [.flags, any], shapes: [[[5, 7], [5, 7]]], order: 2,
        call: { select($0[0], 0.5, $0[1]) }, reference: { NDArray.zip($0[0], $0[1]) { $0 != 0 ? 0.5 : $1 } }),
    ]
  }

  /// docs/numerics.md, "Casts", as plain Swift.
  private static func cast(_ x: Double, from: DType, to: DType) -> Double {
    func integer(_ low: Double, _ high: Double) -> Double {
      x.isNaN ? 0 : Swift.min(Swift.max(x.rounded(.towardZero), low), high)
    }
    switch to {
    case .float64: return x
    case .float32: return Double(Float(x))
    case .bool: return x != 0 ? 1 : 0
    case .int64: return from.isFloat ? integer(-0x1p63, 0x1p63) : x
    case .int32: return from.isFloat ? integer(-0x1p31, 0x1p31 - 1) : rounded(x, to: .int32)
    case .uint8:
      let whole = from.isFloat ? integer(-0x1p63, 0x1p63) : x
      let low = whole - (whole / 256).rounded(.down) * 256
      // The largest int64 is odd, which its double is not: its low byte is 255.
      return whole >= 0x1p63 ? 255 : low
    }
  }

  private static var casts: [OpCase] {
    var result: [OpCase] = []
    for from in DType.allCases {
      for to in DType.allCases {
        let operand: Operand =
          switch from {
          case .float32, .float64: .uniform(-300...300)
          case .bool: .flags
          case .uint8: .whole(0...255)
          case .int32, .int64: .whole(-70_000...70_000)
          }
        var one = OpCase(
          "cast", "\(from) to \(to)", on: [operand], shapes: [[[5, 7]], [[0]], [[1, 1031]]], dtypes: [from],
          // Rounding to float32 is a staircase to finite differences; ExactnessTests has its gradient.
          order: from.isFloat && to == .float64 ? 2 : 0,
          call: { $0[0].cast(to: to) }, reference: { $0[0].map { cast($0, from: from, to: to) } }
        ).result(to)
        if from.isFloat {
          one.specials = [.nan, .infinity, -.infinity, 0, -0.0, 0.99, -0.99, 2.5, -2.5, 3e9, -3e9, 1e30, -1e30, 255.9]
            .map { [$0] }
        }
        result.append(one)
      }
    }
    return result
  }

  private static var clamped: [OpCase] {
    [
      OpCase(
        "clamped", on: [.betweenSteps(-3...3, spacing: 0.25)], shapes: Shapes.few, order: 1,
        call: { $0[0].clamped(min: -1, max: 1.5) }, reference: { $0[0].map { $0.isNaN ? $0 : min(max($0, -1), 1.5) } }
      ).with {
        $0.specials = UnaryCases.specialValues.map { [$0] }
        $0.checksZeroSign = false
      },
      OpCase(
        "clamped", "min only", on: [.betweenSteps(-3...3, spacing: 0.25)], shapes: Shapes.few, order: 1,
        call: { $0[0].clamped(min: -1) }, reference: { $0[0].map { max($0, -1) } }),
      OpCase(
        "clamped", "max only", on: [.betweenSteps(-3...3, spacing: 0.25)], shapes: Shapes.few, order: 1,
        call: { $0[0].clamped(max: 1) }, reference: { $0[0].map { min($0, 1) } }),
    ]
  }

  private static var marks: [OpCase] {
    [
      OpCase(
        "stopGradient", on: [.uniform(-3...3)], shapes: Shapes.few, call: { $0[0].stopGradient() * 2 },
        reference: { $0[0].map { $0 * 2 } }),
      OpCase(
        "watched", on: [.uniform(-3...3)], shapes: Shapes.few, call: { $0[0].watched() * 2 },
        reference: { $0[0].map { $0 * 2 } }),
      OpCase(
        "to", on: [.uniform(-3...3)], shapes: Shapes.few, order: 1, call: { $0[0].to($0[0].device) * 2 },
        reference: { $0[0].map { $0 * 2 } }),
    ]
  }
}
