import KilnEngine

/// softmax, logSoftmax, layerNorm, rmsNorm, crossEntropy.
enum RowwiseCases {
  private static let shapes: [[[Int]]] = [[[3, 7]], [[1, 1]], [[0, 4]], [[2, 1031]], [[67, 129]]]
  private static let any = Operand.uniform(-4...4)

  static var all: [OpCase] { softmaxes + norms + losses }

  private static var softmaxes: [OpCase] {
    typealias Line = @Sendable ([Double]) -> (values: [Double], slack: [Double])
    func soft(_ name: String, _ call: @escaping @Sendable (Tensor, Int) -> Tensor, _ line: @escaping Line) -> [OpCase] {
      let last = OpCase(
        name, on: [any], shapes: shapes, ulps: 2, order: 2, call: { call($0[0], -1) },
        reference: { $0[0].mappedLines(1, line) }
      )
      .refusing("an axis out of range") { call(zeros([2, 3], .float32, $0), 2) }
      .refusing("integers") { call(zeros([2, 3], .int32, $0), -1) }
      let first = OpCase(
        name, "axis 0", on: [any], shapes: [[[5, 3]], [[33, 40]]], ulps: 2, order: 2, call: { call($0[0], 0) },
        reference: { $0[0].mappedLines(0, line) })
      let middle = OpCase(
        name, "axis 1 of 3", on: [any], shapes: [[[2, 5, 3]]], ulps: 2, order: 2, call: { call($0[0], 1) },
        reference: { $0[0].mappedLines(1, line) })
      let far = OpCase(
        name, "far apart", on: [.each { [-1e4, 0, 50, 1e4][$0.below(4)] }], shapes: [[[9, 5]]], ulps: 2,
        call: { call($0[0], -1) }, reference: { $0[0].mappedLines(1, line) })
      let masked = OpCase(
        name, "masked by -infinity", on: [.each { $0.unit() < 0.3 ? -.infinity : $0.uniform(-3, 3) }],
        shapes: [[[9, 12]]], ulps: 2, call: { call($0[0], -1) },
        reference: {
          $0[0].mappedLines(1) { row in
            // An element of -infinity adds nothing, and its own share is 0 (its logarithm -infinity).
            let finite = row.filter { $0 != -.infinity }
            let part = line(finite)
            var next = 0
            var values: [Double] = []
            var slack: [Double] = []
            for v in row {
              if v == -.infinity {
                values.append(name == "softmax" ? 0 : -.infinity)
                slack.append(0)
              } else {
                values.append(part.values[next])
                slack.append(part.slack[next])
                next += 1
              }
            }
            return (values, slack)
          }
        })
      return [last, first, middle, far, masked]
    }
    return soft("softmax", { $0.softmax(axis: $1) }, Reference.softmax)
      + soft("logSoftmax", { $0.logSoftmax(axis: $1) }, Reference.logSoftmax)
  }

  private static var norms: [OpCase] {
    let normShapes: [[[Int]]] = [
      [[3, 7], [7], [7]], [[2, 3, 5], [5], [5]], [[2, 1031], [1031], [1031]], [[0, 4], [4], [4]],
    ]
    return [
      OpCase(
        "layerNorm", on: [any, .uniform(0.5...2), any], shapes: normShapes, ulps: 2, order: 2,
        call: { layerNorm($0[0], scale: $0[1], shift: $0[2]) },
        reference: { x in
          x[0].mappedLines(x[0].shape.count - 1) {
            Reference.layerNorm($0, scale: x[1].values, shift: x[2].values, epsilon: 1e-5)
          }
        }
      )
      .refusing("a scale of another length") {
        layerNorm(zeros([2, 3], .float32, $0), scale: zeros([4], .float32, $0), shift: zeros([3], .float32, $0))
      }
      .refusing("integers") {
        layerNorm(zeros([2, 3], .int32, $0), scale: zeros([3], .int32, $0), shift: zeros([3], .int32, $0))
      },
      OpCase(
        "layerNorm", "epsilon 0.1", on: [any, .uniform(0.5...2), any], shapes: [[[3, 7], [7], [7]]], ulps: 2, order: 2,
        call: { layerNorm($0[0], scale: $0[1], shift: $0[2], epsilon: 0.1) },
        reference: { x in
          x[0].mappedLines(1) { Reference.layerNorm($0, scale: x[1].values, shift: x[2].values, epsilon: 0.1) }
        }),
      OpCase(
        "rmsNorm", on: [any, .uniform(0.5...2)], shapes: normShapes.map { Array($0.prefix(2)) }, ulps: 2, order: 2,
        call: { rmsNorm($0[0], scale: $0[1]) },
        reference: { x in
          x[0].mappedLines(x[0].shape.count - 1) { Reference.rmsNorm($0, scale: x[1].values, epsilon: 1e-6) }
        }
      )
      .refusing("a scale of another length") {
        rmsNorm(zeros([2, 3], .float32, $0), scale: zeros([4], .float32, $0))
      },
    ]
  }

  private static func losses(_ x: NDArray, _ labels: NDArray, ignore: Int) -> NDArray {
    var result = NDArray(labels.shape, [Double]())
    let columns = x.shape[x.shape.count - 1]
    for (i, label) in labels.values.enumerated() {
      let row = Array(x.values[(i * columns)..<((i + 1) * columns)])
      let loss = Reference.crossEntropy(row, label: Int(label), ignore: ignore)
      result.values.append(loss.value)
      result.slack.append(loss.slack)
    }
    return result
  }

  private static var losses: [OpCase] {
    var partly = Operand.each(.int64) { $0.unit() < 0.4 ? -100 : Double($0.below(5)) }
    partly.isDifferentiable = false
    return [
      OpCase(
        "crossEntropy", on: [any, .indices(5)],
        shapes: [[[4, 5], [4]], [[1, 5], [1]], [[0, 5], [0]], [[131, 5], [131]]],
        ulps: 2, order: 2, call: { crossEntropy(logits: $0[0], labels: $0[1]) },
        reference: { losses($0[0], $0[1], ignore: -100) }
      )
      .refusing("labels of another count") {
        crossEntropy(logits: zeros([4, 5], .float32, $0), labels: zeros([3], .int64, $0))
      }
      .refusing("float labels") {
        crossEntropy(logits: zeros([4, 5], .float32, $0), labels: zeros([4], .float32, $0))
      }
      .with {
        $0.refusals += [5, -1, Int.max, Int.min].map { label in
          Refusal("label \(label) of 5", "crossEntropy", atRunTime: true) {
            crossEntropy(logits: zeros([2, 5], .float32, $0), labels: Tensor([0, label] as [Int], on: $0))
          }
        }
      },
      OpCase(
        "crossEntropy", "ignored labels", on: [any, partly], shapes: [[[6, 5], [6]], [[67, 5], [67]]], ulps: 2,
        order: 2,
        call: { crossEntropy(logits: $0[0], labels: $0[1]) }, reference: { losses($0[0], $0[1], ignore: -100) }),
      OpCase(
        "crossEntropy", "many classes", on: [any, .indices(1031)], shapes: [[[3, 1031], [3]]], ulps: 2,
        call: { crossEntropy(logits: $0[0], labels: $0[1]) }, reference: { losses($0[0], $0[1], ignore: -100) }),
    ]
  }
}
