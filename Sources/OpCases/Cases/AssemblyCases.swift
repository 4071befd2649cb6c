import KilnEngine

/// What puts pieces together or takes them apart: concatenate, stack, split, pad, tile.
enum AssemblyCases {
  private static let any = Operand.uniform(-3...3)
  private static let dtypes: [DType] = [.float32, .float64, .int64, .uint8]

  static var all: [OpCase] { joins + splits + pads + tiles }

  private static var joins: [OpCase] {
    [
      OpCase(
        "concatenate", on: [any, any, any],
        shapes: [[[2, 3], [1, 3], [4, 3]], [[0, 3], [5, 3], [1, 3]], [[1], [600], [431]]],
        dtypes: dtypes, order: 2, call: { concatenate($0, axis: 0) }, reference: { Reference.concatenate($0, axis: 0) }
      )
      .refusing("nothing to join") { _ in concatenate([], axis: 0) }
      .refusing("sizes that differ elsewhere") {
        concatenate([zeros([2, 3], .float32, $0), zeros([2, 4], .float32, $0)], axis: 0)
      }
      .refusing("an axis out of range") { concatenate([zeros([2], .float32, $0)], axis: 1) },
      OpCase(
        "concatenate", "last axis", on: [any, any], shapes: [[[3, 2], [3, 4]], [[65, 67], [65, 3]]], dtypes: dtypes,
        order: 2, call: { concatenate($0, axis: -1) }, reference: { Reference.concatenate($0, axis: 1) }),
      OpCase(
        "stack", on: [any, any], shapes: [[[2, 3], [2, 3]], [[], []]], dtypes: dtypes, order: 2,
        call: { stack($0, axis: 0) },
        reference: { x in
          Reference.concatenate(x.map { NDArray([1] + $0.shape, $0.values) }, axis: 0)
        }
      )
      .refusing("shapes that differ") { stack([zeros([2], .float32, $0), zeros([3], .float32, $0)], axis: 0) },
      OpCase(
        "stack", "last axis", on: [any, any], shapes: [[[2, 3], [2, 3]]], dtypes: dtypes, order: 2,
        call: { stack($0, axis: -1) },
        reference: { x in
          Reference.concatenate(x.map { NDArray($0.shape + [1], $0.values) }, axis: 2)
        }),
    ]
  }

  private static var splits: [OpCase] {
    @Sendable func piece(_ tensors: [Tensor], _ i: Int) -> Tensor {
      i < tensors.count ? tensors[i] : tensors.first ?? Tensor(0)
    }
    return [
      OpCase(
        "split", "counts", on: [any], shapes: [[[3, 7]]], order: 2,
        call: { piece($0[0].split(counts: [2, 1, 4], axis: 1), 2) },
        reference: { Reference.pick($0[0], axis: 1, [3, 4, 5, 6]) }
      )
      .refusing("counts that do not add up") { piece(zeros([3, 7], .float32, $0).split(counts: [2, 2], axis: 1), 0) },
      OpCase(
        "split", "into equal parts", on: [any], shapes: [[[6, 3]]], order: 2,
        call: { piece($0[0].split(into: 3, axis: 0), 1) }, reference: { Reference.pick($0[0], axis: 0, [2, 3]) }
      )
      .refusing("parts that are not equal") { piece(zeros([7], .float32, $0).split(into: 3, axis: 0), 0) },
    ]
  }

  private static var pads: [OpCase] {
    func pad(
      _ variant: String, _ shape: [Int], _ low: [Int], _ high: [Int], _ mode: Reference.Edge,
      _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpCase {
      OpCase(
        "padded", variant, on: [any], shapes: [[shape]], dtypes: [.float32, .float64, .int32], order: 2,
        call: { call($0[0]) }, reference: { Reference.pad($0[0], low: low, high: high, mode) })
    }
    return [
      pad("constant", [3, 4], [1, 0], [2, 3], .constant(0)) {
        $0.padded(low: [1, 0], high: [2, 3], mode: .constant(0))
      }
      .refusing("too few widths") { zeros([3, 4], .float32, $0).padded(low: [1], high: [1], mode: .constant(0)) }
      .refusing("a negative width") {
        zeros([3, 4], .float32, $0).padded(low: [-1, 0], high: [0, 0], mode: .constant(0))
      },
      pad("constant 7", [0, 4], [2, 1], [1, 1], .constant(7)) {
        $0.padded(low: [2, 1], high: [1, 1], mode: .constant(7))
      },
      pad("reflect", [4, 5], [2, 3], [3, 4], .reflect) { $0.padded(low: [2, 3], high: [3, 4], mode: .reflect) }
        .refusing("reflection beyond the far edge") {
          zeros([3], .float32, $0).padded(low: [3], high: [0], mode: .reflect)
        },
      pad("edge", [2, 3], [3, 1], [1, 4], .edge) { $0.padded(low: [3, 1], high: [1, 4], mode: .edge) },
      pad("edge, 3-D", [2, 3, 2], [0, 1, 2], [1, 0, 3], .edge) {
        $0.padded(low: [0, 1, 2], high: [1, 0, 3], mode: .edge)
      },
    ]
  }

  private static var tiles: [OpCase] {
    [
      OpCase(
        "tiled", on: [any], shapes: [[[2, 3]], [[0, 3]]], dtypes: dtypes, order: 2, call: { $0[0].tiled([3, 2]) },
        reference: { Reference.tile($0[0], [3, 2]) }
      ).refusing("a negative count") { zeros([2, 3], .float32, $0).tiled([2, -1]) },
      OpCase(
        "tiled", "new axis", on: [any], shapes: [[[3]]], dtypes: dtypes, order: 2, call: { $0[0].tiled([2, 2]) },
        reference: { Reference.tile($0[0], [2, 2]) }),
    ]
  }
}
