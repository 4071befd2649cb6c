import KilnEngine

/// Everything that only changes shape or order.
enum ViewCases {
  private static let any = Operand.uniform(-3...3)

  private static func view(
    _ name: String, _ variant: String, _ shapes: [[Int]], dtypes: [DType] = [.float32, .float64, .int32],
    _ call: @escaping @Sendable (Tensor) -> Tensor, _ reference: @escaping @Sendable (NDArray) -> NDArray
  ) -> OpCase {
    OpCase(
      name, variant, on: [any], shapes: shapes.map { [$0] }, dtypes: dtypes, order: 2, call: { call($0[0]) },
      reference: { reference($0[0]) })
  }

  static var all: [OpCase] { reshapes + orders + slices + broadcasts + subscripts }

  private static var reshapes: [OpCase] {
    [
      view("reshaped", "", [[4, 6]], { $0.reshaped(to: [3, 8]) }, { NDArray([3, 8], $0.values) })
        .refusing("another count") { zeros([4, 6], .float32, $0).reshaped(to: [5, 5]) }
        .refusing("two inferred dimensions") { zeros([4, 6], .float32, $0).reshaped(to: [-1, -1]) },
      view("reshaped", "inferred", [[4, 6]], { $0.reshaped(to: [-1, 3, 2]) }, { NDArray([4, 3, 2], $0.values) }),
      view("reshaped", "to a scalar", [[1, 1]], { $0.reshaped(to: []) }, { NDArray([], $0.values) }),
      view(
        "reshaped", "of a permuted operand", [[3, 4, 5]], { $0.permuted([2, 0, 1]).reshaped(to: [15, 4]) },
        {
          NDArray([15, 4], Reference.permute($0, [2, 0, 1]).values)
        }),
      view("reshaped", "empty", [[0, 3]], { $0.reshaped(to: [5, 0]) }, { _ in NDArray([5, 0], []) }),
      view("flattened", "", [[3, 4, 5]], { $0.flattened() }, { NDArray([60], $0.values) }),
      view("flattened", "from axis 1", [[3, 4, 5]], { $0.flattened(from: 1) }, { NDArray([3, 20], $0.values) }),
      view("squeezed", "", [[1, 3, 1, 2]], { $0.squeezed() }, { NDArray([3, 2], $0.values) }),
      view("squeezed", "axes", [[1, 3, 1, 2]], { $0.squeezed(axes: [-2]) }, { NDArray([1, 3, 2], $0.values) })
        .refusing("an axis that is not 1") { zeros([2, 3], .float32, $0).squeezed(axes: [0]) },
      view("expanded", "", [[3, 2]], { $0.expanded(axis: 1) }, { NDArray([3, 1, 2], $0.values) })
        .refusing("an axis out of range") { zeros([2, 3], .float32, $0).expanded(axis: 5) },
      view("expanded", "last", [[3, 2]], { $0.expanded(axis: -1) }, { NDArray([3, 2, 1], $0.values) }),
    ]
  }

  private static var orders: [OpCase] {
    [
      view(
        "permuted", "", [[2, 3, 4], [0, 3, 2], [65, 3, 67]], { $0.permuted([2, 0, 1]) },
        { Reference.permute($0, [2, 0, 1]) }
      )
      .refusing("a repeated axis") { zeros([2, 3], .float32, $0).permuted([0, 0]) }
      .refusing("too few axes") { zeros([2, 3], .float32, $0).permuted([0]) },
      view("transposed", "", [[5, 7], [67, 129]], { $0.transposed() }, { Reference.permute($0, [1, 0]) })
        .refusing("a vector") { zeros([3], .float32, $0).transposed() },
      view("transposed", "axes 0 and 2", [[2, 3, 4]], { $0.transposed(0, 2) }, { Reference.permute($0, [2, 1, 0]) }),
      view(
        "flipped", "", [[3, 5]], { $0.flipped(axes: [1]) },
        {
          Reference.slice($0, axis: 1, from: nil, to: nil, step: -1)
        }
      )
      .refusing("an axis out of range") { zeros([2, 3], .float32, $0).flipped(axes: [2]) },
      view(
        "flipped", "both axes", [[3, 5], [65, 130]], { $0.flipped(axes: [0, -1]) },
        {
          NDArray($0.shape, $0.values.reversed())
        }),
    ]
  }

  private static func slice(_ axis: Int, _ from: Int?, _ to: Int?, _ step: Int, _ shape: [Int]) -> OpCase {
    let words = "\(shape) axis \(axis), \(from.map(String.init) ?? ""):\(to.map(String.init) ?? ""):\(step)"
    return view(
      "sliced", words, [shape], { $0.sliced(axis: axis, from: from, to: to, step: step) },
      { Reference.slice($0, axis: axis < 0 ? axis + shape.count : axis, from: from, to: to, step: step) })
  }

  private static var slices: [OpCase] {
    [
      slice(0, 1, 4, 1, [5, 3]), slice(1, nil, nil, 2, [3, 7]), slice(-1, -3, nil, 1, [3, 7]),
      slice(1, nil, nil, -1, [3, 7]), slice(1, 5, 1, -2, [3, 7]), slice(0, 2, 2, 1, [5, 3]),
      slice(0, 2, 100, 1, [5, 3]),
      slice(0, -100, 2, 1, [5, 3]), slice(0, 4, 1, 1, [5, 3]), slice(1, 3, 1025, 3, [2, 1031]),
    ].enumerated().map { i, one in
      i > 0
        ? one
        : one.refusing("a step of 0") { zeros([3], .float32, $0).sliced(axis: 0, from: 0, to: 2, step: 0) }
          .refusing("an axis out of range") { zeros([3], .float32, $0).sliced(axis: 1, from: 0, to: 2, step: 1) }
    }
  }

  private static var subscripts: [OpCase] {
    @Sendable func row(_ x: NDArray, _ i: Int) -> NDArray {
      let picked = Reference.pick(x, axis: 0, [i])
      return NDArray(Array(x.shape.dropFirst()), picked.values)
    }
    return [
      view("subscript", "index", [[4, 3]], { $0[2] }, { row($0, 2) })
        .refusing("an index out of range") { zeros([4, 3], .float32, $0)[4] },
      view("subscript", "negative index", [[4, 3]], { $0[-1] }, { row($0, 3) }),
      view("subscript", "range", [[5, 3]], { $0[1..<4] }, { Reference.pick($0, axis: 0, [1, 2, 3]) }),
    ]
  }

  private static var broadcasts: [OpCase] {
    [
      view(
        "broadcast", "", [[4, 1, 3]], { $0.broadcast(to: [2, 4, 5, 3]) }, { Reference.broadcast($0, to: [2, 4, 5, 3]) }
      )
      .refusing("an incompatible shape") { zeros([3], .float32, $0).broadcast(to: [2, 4]) },
      view("broadcast", "of a scalar", [[]], { $0.broadcast(to: [3, 2]) }, { Reference.broadcast($0, to: [3, 2]) }),
      view(
        "broadcast", "to nothing", [[1, 3]], { $0.broadcast(to: [0, 3]) }, { Reference.broadcast($0, to: [0, 3]) }),
    ]
  }
}
