import KilnEngine

/// Reads and adds by index, with duplicates, along every kind of axis.
enum GatherCases {
  private static let any = Operand.uniform(-3...3)

  static var all: [OpCase] { reads + adds + hot }

  /// The nearest indices outside 0..<5 on both sides, and the farthest.
  private static func outOfRange(
    _ name: String, _ call: @escaping @Sendable (Device, Tensor) -> Tensor
  ) -> [Refusal] {
    [5, -1, Int.max, Int.min].map { index in
      Refusal("index \(index) of 5", name, atRunTime: true) { call($0, Tensor([0, index] as [Int], on: $0)) }
    }
  }

  private static var reads: [OpCase] {
    [
      OpCase(
        "gathered", on: [any, .indices(5)],
        shapes: [[[5, 3], [4]], [[5, 3], [0]], [[5], [2, 3]], [[5, 67], [131]]],
        dtypes: [.float32, .float64, .int32, .uint8], order: 2, call: { $0[0].gathered($0[1]) },
        reference: { Reference.gather($0[0], $0[1], axis: 0) }
      )
      .refusing("float indices") { zeros([5, 3], .float32, $0).gathered(zeros([2], .float32, $0)) }
      .refusing("an axis out of range") { zeros([5, 3], .float32, $0).gathered(zeros([2], .int64, $0), axis: 2) }
      .with { $0.refusals += outOfRange("gathered") { zeros([5, 3], .float32, $0).gathered($1) } },
      OpCase(
        "gathered", "axis 1, matrix of indices", on: [any, .indices(5)], shapes: [[[2, 5, 3], [2, 4]]], order: 2,
        call: { $0[0].gathered($0[1], axis: 1) }, reference: { Reference.gather($0[0], $0[1], axis: 1) }),
      OpCase(
        "gathered", "last axis", on: [any, .indices(5)], shapes: [[[4, 5], [7]], [[130, 5], [3]]], order: 2,
        call: { $0[0].gathered($0[1], axis: -1) }, reference: { Reference.gather($0[0], $0[1], axis: 1) }),
      OpCase(
        "gathered", "scalar index", on: [any, .indices(5)], shapes: [[[5, 3], []]], order: 2,
        call: { $0[0].gathered($0[1]) }, reference: { Reference.gather($0[0], $0[1], axis: 0) }),
      OpCase(
        "gathered", "int32 indices", on: [any, .indices(5).fixed(.int32)], shapes: [[[5, 3], [4]]], order: 1,
        call: { $0[0].gathered($0[1]) }, reference: { Reference.gather($0[0], $0[1], axis: 0) }),
      OpCase(
        "takenAlong", on: [any, .indices(5)],
        shapes: [[[3, 5], [3, 4]], [[3, 5], [3, 0]], [[67, 5], [67, 9]]], order: 2,
        call: { $0[0].takenAlong($0[1], axis: 1) }, reference: { Reference.takeAlong($0[0], $0[1], axis: 1) }
      )
      .refusing("another rank") { zeros([3, 5], .float32, $0).takenAlong(zeros([3], .int64, $0), axis: 1) }
      .with {
        $0.refusals += outOfRange("takenAlong") {
          zeros([2, 5], .float32, $0).takenAlong($1.reshaped(to: [2, 1]), axis: 1)
        }
      },
      OpCase(
        "takenAlong", "axis 0", on: [any, .indices(5)], shapes: [[[5, 3], [4, 3]]], order: 2,
        call: { $0[0].takenAlong($0[1], axis: 0) }, reference: { Reference.takeAlong($0[0], $0[1], axis: 0) }),
      OpCase(
        "embedding", on: [any, .indices(7)], shapes: [[[7, 4], [2, 3]], [[7, 65], [50]]], order: 2,
        call: { embedding($0[0], $0[1]) }, reference: { Reference.gather($0[0], $0[1], axis: 0) }
      )
      .refusing("a vector for the table") { embedding(zeros([7], .float32, $0), zeros([2], .int64, $0)) }
      .with { $0.refusals += outOfRange("embedding") { embedding(zeros([5, 3], .float32, $0), $1) } },
    ]
  }

  private static var adds: [OpCase] {
    [
      OpCase(
        "scatterAdd", on: [any, .indices(5)], shapes: [[[8, 3], [8]], [[0, 3], [0]], [[131, 33], [131]]], ulps: 1,
        order: 2,
        call: { scatterAdd($0[0], $0[1], axis: 0, count: 5) },
        reference: { Reference.scatterAdd($0[0], $0[1], axis: 0, count: 5) }
      )
      .refusing("indices of another count") {
        scatterAdd(zeros([8, 3], .float32, $0), zeros([7], .int64, $0), axis: 0, count: 5)
      }
      .with {
        $0.refusals += outOfRange("scatterAdd") { scatterAdd(zeros([2, 3], .float32, $0), $1, axis: 0, count: 5) }
      },
      OpCase(
        "scatterAdd", "axis 1", on: [any, .indices(5)], shapes: [[[2, 8, 3], [8]]], ulps: 1, order: 2,
        call: { scatterAdd($0[0], $0[1], axis: 1, count: 5) },
        reference: { Reference.scatterAdd($0[0], $0[1], axis: 1, count: 5) }),
      OpCase(
        "scatterAddAlong", on: [any, .indices(5)], shapes: [[[3, 8], [3, 8]], [[67, 9], [67, 9]]], ulps: 1, order: 2,
        call: { scatterAddAlong($0[0], $0[1], axis: 1, count: 5) },
        reference: { Reference.scatterAddAlong($0[0], $0[1], axis: 1, count: 5) }
      )
      .refusing("indices of another shape") {
        scatterAddAlong(zeros([3, 8], .float32, $0), zeros([3, 7], .int64, $0), axis: 1, count: 5)
      }
      .with {
        $0.refusals += outOfRange("scatterAddAlong") {
          scatterAddAlong(zeros([2, 1], .float32, $0), $1.reshaped(to: [2, 1]), axis: 1, count: 5)
        }
      },
      OpCase(
        "scatterAddAlong", "axis 0", on: [any, .indices(5)], shapes: [[[8, 3], [8, 3]]], ulps: 1, order: 2,
        call: { scatterAddAlong($0[0], $0[1], axis: 0, count: 5) },
        reference: { Reference.scatterAddAlong($0[0], $0[1], axis: 0, count: 5) }),
    ]
  }

  private static var hot: [OpCase] {
    [
      OpCase(
        "oneHot", on: [.indices(5)], shapes: [[[4]], [[2, 3]], [[0]]], dtypes: [.float32, .int32],
        call: { oneHot($0[0], depth: 5, dtype: .float32) },
        reference: { x in NDArray(x[0].shape + [5]) { x[0][Array($0.dropLast())] == Double($0[$0.count - 1]) ? 1 : 0 } }
      ).result(.float32).refusing("a negative depth") { oneHot(zeros([2], .int64, $0), depth: -1, dtype: .float32) }
    ]
  }
}
