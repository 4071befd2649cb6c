import Foundation
import KilnEngine

/// Activations that are compositions, and chains whose fused form must equal their plain one.
enum CompositeCases {
  static var all: [OpCase] {
    func activation(
      _ name: String, _ variant: String = "", _ operand: Operand = .uniform(-4...4), ulps: Double, order: Int = 2,
      slack: @escaping @Sendable (Double) -> Double = { _ in 0 }, _ call: @escaping @Sendable (Tensor) -> Tensor,
      _ reference: @escaping @Sendable (Double) -> Double
    ) -> OpCase {
      OpCase(
        name, variant, on: [operand], shapes: Shapes.unary, ulps: ulps, order: order, call: { call($0[0]) },
        reference: { NDArray($0[0].shape, $0[0].values.map(reference), slack: $0[0].values.map(slack)) })
    }
    let kinked = Operand.awayFromZero(0.1, 3)
    return [
      activation("leakyReLU", "", kinked, ulps: 1, order: 1, { leakyReLU($0) }, { $0 >= 0 ? $0 : 0.01 * $0 })
        .refusing("bool") { leakyReLU(zeros([2], .bool, $0)) },
      activation(
        "leakyReLU", "slope 0.2", kinked, ulps: 1, order: 1, { leakyReLU($0, slope: 0.2) }, { $0 >= 0 ? $0 : 0.2 * $0 }),
      activation("elu", "", kinked, ulps: 5, order: 2, { elu($0) }, { Reference.elu($0, 1) })
        .refusing("int64") { elu(zeros([2], .int64, $0)) },
      activation("elu", "alpha 0.5", kinked, ulps: 5, order: 2, { elu($0, alpha: 0.5) }, { Reference.elu($0, 0.5) }),
      // 1 + erf cancels for negative x: its error is a few epsilons of x itself.
      activation("gelu", ulps: 8, slack: { 8 * abs($0) }, { gelu($0) }, Reference.gelu)
        .refusing("int32") { gelu(zeros([2], .int32, $0)) },
      activation(
        "geluDerivative", ulps: 8, slack: { 8 * (1 + abs($0)) }, { geluDerivative($0) }, Reference.geluDerivative
      )
      .refusing("int32") { geluDerivative(zeros([2], .int32, $0)) },
      activation(
        "gelu", "tanh", ulps: 8, slack: { 8 * abs($0) }, { gelu($0, approximation: .tanh) }, Reference.geluTanh),
      activation("silu", ulps: 8, { silu($0) }, Reference.silu)
        .refusing("int32") { silu(zeros([2], .int32, $0)) },
    ] + chains
  }

  private static var chains: [OpCase] {
    let any = Operand.uniform(-1...1)
    return [
      OpCase(
        "chain", "dense layer", on: [any, any, any], shapes: [[[4, 5], [3, 5], [3]], [[33, 40], [17, 40], [17]]],
        ulps: 1,
        order: 2, call: { tanh(matmul($0[0], $0[1].transposed()) + $0[2]) },
        reference: { x in
          let product = Reference.matmul(x[0], Reference.permute(x[1], [1, 0]))
          var result = NDArray.zip(product, x[2]) { Foundation.tanh($0 + $1) }
          // tanh contracts, so the sum's own bound carries over; a few units for tanh itself.
          result.slack = product.slack.map { $0 + 6 }
          return result
        }),
      OpCase(
        "chain", "convolution, bias, relu", on: [any, any, any], shapes: [[[2, 2, 5, 5], [3, 2, 3, 3], [3, 1, 1]]],
        ulps: 1, call: { relu(convolution2D($0[0], filter: $0[1]) + $0[2]) },
        reference: { x in
          let y = Reference.convolution(x[0], x[1], Reference.Window())
          var result = NDArray.zip(y, x[2]) { max($0 + $1, 0) }
          result.slack = y.slack.map { $0 + 2 }
          return result
        }
      ).with { $0.checksZeroSign = false },
      OpCase(
        "chain", "standardised columns", on: [any], shapes: [[[9, 4]], [[67, 33]]], ulps: 8, order: 2,
        call: { x in
          let centred = x[0] - x[0].mean(axes: [0], keepDims: true)
          return centred / sqrt(square(centred).mean(axes: [0], keepDims: true) + 1e-3)
        },
        reference: { x in
          let scale = [Double](repeating: 1, count: x[0].shape[0])
          return x[0].mappedLines(0) {
            Reference.layerNorm($0, scale: scale, shift: scale.map { _ in 0 }, epsilon: 1e-3)
          }
        }),
      OpCase(
        "chain", "shared subexpression", on: [any, any], shapes: [[[5, 7], [5, 7]], [[1031], [1031]]], ulps: 16,
        order: 2,
        call: { x in
          let shared = exp(x[0] * x[1])
          return shared * (shared + 1) + shared.transposedIfMatrix.transposedIfMatrix
        },
        reference: { x in
          NDArray.zip(x[0], x[1]) {
            let shared = Foundation.exp($0 * $1)
            return shared * (shared + 1) + shared
          }
        }),
    ]
  }
}

extension Tensor {
  fileprivate var transposedIfMatrix: Tensor { rank == 2 ? transposed() : self }
}
