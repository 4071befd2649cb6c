import KilnEngine

/// Tensors made of a formula.
enum CreationCases {
  private static func made(
    _ name: String, _ variant: String, dtypes: [DType], ulps: Double = 0,
    _ call: @escaping @Sendable (OpCase.Place) -> Tensor,
    _ reference: @escaping @Sendable () -> NDArray
  ) -> OpCase {
    OpCase(
      name, variant, on: [], shapes: [[]], dtypes: dtypes, ulps: ulps, call: { $0[0] }, reference: { _ in reference() }
    ).with { one in one.call = { _, place in call(place) } }
  }

  private static func filled(_ shape: [Int], _ value: Double) -> NDArray { NDArray(shape) { _ in value } }

  static var all: [OpCase] {
    let every = DType.allCases
    let floats: [DType] = [.float32, .float64]
    return [
      made("zeros", "", dtypes: every, { .zeros([3, 5], dtype: $0.dtype, on: $0.device) }, { filled([3, 5], 0) })
        .with { $0.refusals = [Refusal("a negative dimension", "zeros") { .zeros([2, -1], on: $0) }] },
      made("ones", "", dtypes: every, { .ones([1031], dtype: $0.dtype, on: $0.device) }, { filled([1031], 1) }),
      made(
        "full", "", dtypes: every, { .full([2, 0, 3], 7, dtype: $0.dtype, on: $0.device) },
        {
          filled([2, 0, 3], 7)
        }),
      made(
        "full", "values", dtypes: [.float32, .float64, .int32, .int64],
        { .full([], -7, dtype: $0.dtype, on: $0.device) },
        {
          filled([], -7)
        }
      ).with {
        $0.refusals = [Refusal("more elements than memory", "full") { .full([1 << 40, 1 << 40], 1, on: $0) }]
      },
      made(
        "arange", "", dtypes: [.float32, .float64, .int32, .int64, .uint8],
        {
          .arange(to: 100, dtype: $0.dtype, on: $0.device)
        }, { NDArray([100]) { Double($0[0]) } }),
      made(
        "arange", "from 2.5 down", dtypes: floats, ulps: 1,
        {
          .arange(from: 2.5, to: -3.1, step: -0.7, dtype: $0.dtype, on: $0.device)
        }, { NDArray([8]) { 2.5 - 0.7 * Double($0[0]) }.with(slack: 6) }
      )
      .refusing("a step of 0") { .arange(to: 3, step: 0, on: $0) }
      .refusing("fractions of integers") { .arange(from: 0.5, to: 3, dtype: .int32, on: $0) },
      made(
        "arange", "nothing", dtypes: floats, { .arange(from: 3, to: 1, dtype: $0.dtype, on: $0.device) },
        {
          NDArray([0], [])
        }),
      made(
        "linspace", "", dtypes: floats, ulps: 1,
        {
          .linspace(from: -1, to: 3, count: 17, dtype: $0.dtype, on: $0.device)
        }, { NDArray([17]) { -1 + 0.25 * Double($0[0]) }.with(slack: 3) }
      )
      .refusing("a negative count") { .linspace(from: 0, to: 1, count: -1, on: $0) }
      .refusing("integers") { .linspace(from: 0, to: 1, count: 3, dtype: .int32, on: $0) },
      made(
        "linspace", "one", dtypes: floats, { .linspace(from: 2, to: 3, count: 1, dtype: $0.dtype, on: $0.device) },
        {
          NDArray([1], [2])
        }),
      made(
        "eye", "", dtypes: every, { .eye(5, dtype: $0.dtype, on: $0.device) },
        {
          NDArray([5, 5]) { $0[0] == $0[1] ? 1 : 0 }
        }),
      made(
        "eye", "wide", dtypes: floats, { .eye(3, columns: 7, dtype: $0.dtype, on: $0.device) },
        {
          NDArray([3, 7]) { $0[0] == $0[1] ? 1 : 0 }
        }),
      made(
        "Tensor", "of one number", dtypes: every, { Tensor(1, dtype: $0.dtype, on: $0.device) },
        {
          NDArray([], [1])
        }),
      made(
        "Tensor", "of an array", dtypes: [.int64], { place in Tensor([3, -1, 1 << 40] as [Int], on: place.device) },
        {
          NDArray([3], [3, -1, 0x1p40])
        }
      ).with {
        $0.refusals = [
          Refusal("a shape of another count", "Tensor") { Tensor([1, 2, 3] as [Float], shape: [2, 2], on: $0) }
        ]
      },
    ]
  }
}

extension NDArray {
  /// The same slack for every element.
  func with(slack units: Double) -> NDArray { NDArray(shape, values, slack: values.map { _ in units }) }
}
