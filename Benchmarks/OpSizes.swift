import OpCases

/// The sizes at which operations are timed. The cases' own shapes are small and odd, as tests want them.
struct OpSize {
  var shapes: [[Int]]
  /// In the place of the case's own: indices that reach every row, say.
  var operands: [Int: OpCases.Operand] = [:]

  /// Of an operation's lead case: the table's; where all operands have one shape, a million elements; else the largest of
  /// the case's own, which says more about the cost of a call than about the device.
  init(_ one: OpCase) {
    if let known = Self.known[one.name] {
      self = known
    } else if let first = one.shapes.first, let shape = first.first, shape.count > 1, first.allSatisfy({ $0 == shape }),
      !one.shapes.allSatisfy({ $0 == first })
    {
      let leading = [Int](repeating: 1, count: shape.count - 2)
      self.init(of: first.map { _ in leading + [1024, 1024] })
    } else {
      func count(_ shapes: [[Int]]) -> Int { shapes.reduce(0) { $0 + $1.reduce(1, *) } }
      self.init(of: one.shapes.max { count($0) < count($1) } ?? [])
    }
  }

  private init(of shapes: [[Int]], operands: [Int: OpCases.Operand] = [:]) {
    (self.shapes, self.operands) = (shapes, operands)
  }

  private static let images = [32, 64, 56, 56]
  private static let rows = 4096

  private static let known: [String: OpSize] = [
    "matmul": OpSize(of: [[1024, 1024], [1024, 1024]]),
    "convolution2D": OpSize(of: [[32, 64, 28, 28], [64, 64, 3, 3]]),
    "transposedConvolution2D": OpSize(of: [[32, 64, 28, 28], [64, 64, 3, 3]]),
    "convolution1D": OpSize(of: [[32, 64, 1024], [64, 64, 3]]),
    "transposedConvolution1D": OpSize(of: [[32, 64, 1024], [64, 64, 3]]),
    "maxPool2D": OpSize(of: [images]), "averagePool2D": OpSize(of: [images]),
    "globalAveragePool2D": OpSize(of: [images]), "globalMaxPool2D": OpSize(of: [images]),
    "adaptiveAveragePool2D": OpSize(of: [images]), "adaptiveMaxPool2D": OpSize(of: [images]),
    "maxPool1D": OpSize(of: [[32, 64, 4096]]), "averagePool1D": OpSize(of: [[32, 64, 4096]]),
    "layerNorm": OpSize(of: [[2048, 768], [768], [768]]), "rmsNorm": OpSize(of: [[2048, 768], [768]]),
    "crossEntropy": OpSize(of: [[8192, 128], [8192]], operands: [1: .indices(128)]),
    "gathered": OpSize(of: [[rows, 64], [16384]], operands: [1: .indices(rows)]),
    "embedding": OpSize(of: [[rows, 64], [16384]], operands: [1: .indices(rows)]),
    "takenAlong": OpSize(of: [[1024, 512], [1024, 512]], operands: [1: .indices(512)]),
    "oneHot": OpSize(of: [[65536]]),
    "concatenate": OpSize(of: [[512, 1024], [256, 1024], [256, 1024]]),
  ]
}
