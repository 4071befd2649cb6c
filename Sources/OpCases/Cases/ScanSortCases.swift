import KilnEngine

/// Running sums and products, sorts and top-k.
enum ScanSortCases {
  private static let shapes: [[[Int]]] = [[[3, 7]], [[1, 1]], [[0, 3]], [[2, 1031]], [[129, 67]]]

  static var all: [OpCase] { scans + sorts + top }

  private static var scans: [OpCase] {
    func scan(
      _ name: String, _ variant: String, _ operand: Operand, axis: Int, order: Int,
      _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ line: @escaping @Sendable ([Double]) -> (values: [Double], slack: [Double])
    ) -> OpCase {
      OpCase(
        name, variant, on: [operand], shapes: shapes, ulps: 1, order: order, call: { call($0[0]) },
        reference: { $0[0].mappedLines(axis, line) })
    }
    let any = Operand.uniform(-3...3)
    return [
      scan(
        "cumulativeSum", "last axis", any, axis: 1, order: 2, { $0.cumulativeSum(axis: -1) },
        {
          Reference.cumulativeSum($0, reverse: false)
        }
      ).refusing("an axis out of range") { zeros([2, 3], .float32, $0).cumulativeSum(axis: 2) },
      scan(
        "cumulativeSum", "axis 0", any, axis: 0, order: 2, { $0.cumulativeSum(axis: 0) },
        {
          Reference.cumulativeSum($0, reverse: false)
        }),
      scan(
        "cumulativeSum", "reverse", any, axis: 1, order: 2, { $0.cumulativeSum(axis: 1, reverse: true) },
        {
          Reference.cumulativeSum($0, reverse: true)
        }),
      scan(
        "cumulativeProduct", "last axis", .awayFromZero(0.9, 1.1), axis: 1, order: 2,
        { $0.cumulativeProduct(axis: -1) }, Reference.cumulativeProduct
      ).refusing("an axis out of range") { zeros([2, 3], .float32, $0).cumulativeProduct(axis: 2) },
      scan(
        "cumulativeProduct", "axis 0", .awayFromZero(0.9, 1.1), axis: 0, order: 2, { $0.cumulativeProduct(axis: 0) },
        Reference.cumulativeProduct),
      scan(
        "cumulativeSum", "integers", .whole(-9...9), axis: 1, order: 0, { $0.cumulativeSum(axis: 1) },
        {
          (Reference.cumulativeSum($0, reverse: false).values, [])
        }
      ).with {
        $0.dtypes = [.int32, .int64]
        $0.ulps = 0
      }.result(.int64),
    ]
  }

  private static let nans = Operand.each { $0.unit() < 0.1 ? .nan : Double($0.below(9) - 4) }

  private static var sorts: [OpCase] {
    func sort(
      _ variant: String, _ operand: Operand, axis: Int, descending: Bool, dtypes: [DType], order: Int
    ) -> [OpCase] {
      let given = axis == 1 ? -1 : axis
      let sorted = OpCase(
        "sorted", variant, on: [operand], shapes: shapes, dtypes: dtypes, order: order,
        call: { $0[0].sorted(axis: given, descending: descending) },
        reference: {
          $0[0].mappedLines(axis) { row in
            (Reference.argsort(row, descending: descending).map { row[$0] }, [])
          }
        })
      let positions = OpCase(
        "argsorted", variant, on: [operand], shapes: shapes, dtypes: dtypes,
        call: { $0[0].argsorted(axis: given, descending: descending) },
        reference: {
          $0[0].mappedLines(axis) { row in (Reference.argsort(row, descending: descending).map(Double.init), []) }
        }
      ).result(.int64)
      return [sorted, positions]
    }
    let floats: [DType] = [.float32, .float64]
    let wholes: [DType] = [.float32, .int32, .int64, .uint8]
    let result =
      sort("last axis", .distinct, axis: 1, descending: false, dtypes: floats, order: 1)
      + sort("descending", .distinct, axis: 1, descending: true, dtypes: floats, order: 1)
      + sort("axis 0", .distinct, axis: 0, descending: false, dtypes: floats, order: 1)
      + sort("ties", .whole(0...4), axis: 1, descending: false, dtypes: wholes, order: 0)
      + sort("ties, descending", .whole(0...4), axis: 1, descending: true, dtypes: wholes, order: 0)
      + sort("NaN", nans, axis: 1, descending: false, dtypes: floats, order: 0)
      + sort("NaN, descending", nans, axis: 1, descending: true, dtypes: floats, order: 0)
    return [
      result[0].refusing("an axis out of range") { zeros([2, 3], .float32, $0).sorted(axis: 2) },
      result[1].refusing("an axis out of range") { zeros([2, 3], .float32, $0).argsorted(axis: 2) },
    ] + result.dropFirst(2)
  }

  private static var top: [OpCase] {
    @Sendable func lines(_ x: NDArray, _ axis: Int, _ k: Int, positions: Bool) -> NDArray {
      let sorted = x.mappedLines(axis) { row in
        let order = Reference.argsort(row, descending: true)
        return (positions ? order.map(Double.init) : order.map { row[$0] }, [])
      }
      return Reference.pick(sorted, axis: axis, Array(0..<k))
    }
    return [
      OpCase(
        "topK", "values", on: [.distinct], shapes: [[[3, 7]], [[2, 1031]]], order: 1, call: { $0[0].topK(3).values },
        reference: { lines($0[0], 1, 3, positions: false) }
      )
      .refusing("more than there are") { zeros([2, 3], .float32, $0).topK(4).values },
      OpCase(
        "topK", "indices", on: [.distinct], shapes: [[[3, 7]], [[2, 1031]]], call: { $0[0].topK(3).indices },
        reference: { lines($0[0], 1, 3, positions: true) }
      ).result(.int64),
      OpCase(
        "topK", "axis 0", on: [.distinct], shapes: [[[9, 4]]], order: 1, call: { $0[0].topK(2, axis: 0).values },
        reference: { lines($0[0], 0, 2, positions: false) }),
    ]
  }
}
