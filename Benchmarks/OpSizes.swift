import KilnEngine
import OpCases

/// The sizes at which operations are timed. The cases' own shapes are small and odd, as tests want them.
struct OpSize {
  var shapes: [[Int]]
  /// In the place of the case's own: indices that reach every row, say.
  var operands: [Int: Operand] = [:]

  /// Of an operation's lead case: the table's; where all operands have one shape, a million elements; else the largest of
  /// the case's own, which says more about the cost of a call than about the device.
  init(_ one: OpCase) {
    if let known = Self.known[one.name] {
      self = known
    } else if let first = one.shapes.first, let shape = first.first, shape.count > 1, first.allSatisfy({ $0 == shape }),
      !one.shapes.allSatisfy({ $0 == first })
    {
      let leading = [Int](repeating: 1, count: shape.count - 2)
      self.init(first.map { _ in leading + [1024, 1024] })
    } else {
      func count(_ shapes: [[Int]]) -> Int { shapes.reduce(0) { $0 + $1.reduce(1, *) } }
      self.init(one.shapes.max { count($0) < count($1) } ?? [])
    }
  }

  private init(_ shapes: [[Int]], operands: [Int: Operand] = [:]) {
    (self.shapes, self.operands) = (shapes, operands)
  }

  private static let images = [32, 64, 56, 56]
  private static let rows = 4096

  private static let known: [String: OpSize] = [
    "matmul": OpSize([[1024, 1024], [1024, 1024]]),
    "convolution2D": OpSize([[32, 64, 28, 28], [64, 64, 3, 3]]),
    "transposedConvolution2D": OpSize([[32, 64, 28, 28], [64, 64, 3, 3]]),
    "convolution1D": OpSize([[32, 64, 1024], [64, 64, 3]]),
    "transposedConvolution1D": OpSize([[32, 64, 1024], [64, 64, 3]]),
    "maxPool2D": OpSize([images]), "averagePool2D": OpSize([images]),
    "globalAveragePool2D": OpSize([images]), "globalMaxPool2D": OpSize([images]),
    "adaptiveAveragePool2D": OpSize([images]), "adaptiveMaxPool2D": OpSize([images]),
    "maxPool1D": OpSize([[32, 64, 4096]]), "averagePool1D": OpSize([[32, 64, 4096]]),
    "layerNorm": OpSize([[2048, 768], [768], [768]]), "rmsNorm": OpSize([[2048, 768], [768]]),
    "crossEntropy": OpSize([[8192, 128], [8192]], operands: [1: .indices(128)]),
    "gathered": OpSize([[rows, 64], [16384]], operands: [1: .indices(rows)]),
    "embedding": OpSize([[rows, 64], [16384]], operands: [1: .indices(rows)]),
    "takenAlong": OpSize([[1024, 512], [1024, 512]], operands: [1: .indices(512)]),
    "oneHot": OpSize([[65536]]),
    "concatenate": OpSize([[512, 1024], [256, 1024], [256, 1024]]),
  ]
}
