import Kiln
import KilnOpenCL

/// A product that tiles are tuned for: those of the nine workloads, and squares.
struct TuningWork {
  let shape: ProductShape
  /// Sizes of a convolution: batch, channels, height and width, filters, kernel, padding.
  private var image: [Int] = []

  var text: String {
    image.isEmpty
      ? "\(shape.kind.rawValue) \(shape.batches) x \(shape.m)x\(shape.n)x\(shape.k)"
      : "\(shape.kind.rawValue) \(image[0])x\(image[1])x\(image[2])x\(image[2]) by \(image[3])x\(image[4])x\(image[4])"
  }

  var operations: Double { 2 * Double(shape.batches) * Double(shape.m) * Double(shape.n) * Double(shape.k) }

  /// What a sum of so many float32 products of numbers in -1...1 may be off by: the error of each, all one way.
  var bound: Double { Double(shape.k + 8) * 1.2e-7 }

  struct Operands {
    var inputs: [Tensor]
    /// In float64, on the CPU.
    var expected: Tensor
  }

  func operands() throws -> Operands {
    let generator = RandomGenerator(seed: 5)
    func random(_ dims: [Int]) -> Tensor {
      Tensor.randomUniform(Shape(dims), low: -1, high: 1, generator: generator, on: .cpu)
    }
    let inputs: [Tensor]
    if image.isEmpty {
      let (m, n, k) = (shape.m, shape.n, shape.k)
      inputs = [
        random([shape.batches] + (shape.kind == .tn || shape.kind == .tt ? [k, m] : [m, k])),
        random([shape.batches] + (shape.kind == .nt || shape.kind == .tt ? [n, k] : [k, n])),
      ]
    } else {
      let out = image[2] + 2 * image[5] - image[4] + 1
      inputs = [
        random([image[0], image[1], image[2], image[2]]), random([image[3], image[1], image[4], image[4]]),
        random([image[0], image[3], out, out]),
      ]
    }
    let expected = try result(inputs.map { $0.cast(to: .float64) })
    try evaluate(inputs + [expected])
    return Operands(inputs: inputs, expected: expected)
  }

  /// The product of the operands, wherever they are.
  func result(_ inputs: [Tensor]) throws -> Tensor {
    if image.isEmpty {
      let left = shape.kind == .tn || shape.kind == .tt ? inputs[0].permuted([0, 2, 1]) : inputs[0]
      let right = shape.kind == .nt || shape.kind == .tt ? inputs[1].permuted([0, 2, 1]) : inputs[1]
      return matmul(left, right)
    }
    func convolution(_ filter: Tensor) -> Tensor {
      convolution2D(inputs[0], filter: filter, padding: .all(image[5]))
    }
    if shape.kind == .taps { return convolution(inputs[1]) }
    let filter = inputs[1].watched()
    return try gradient(of: (convolution(filter) * inputs[2]).sum(), withRespectTo: [filter])[0]
  }

  static func list(for style: KernelStyle, kind: String?, limit: Int?) -> [TuningWork] {
    var list: [TuningWork] = []
    func add(_ kind: ProductShape.Kind, _ m: Int, _ n: Int, _ k: Int, batches: Int = 1) {
      list.append(
        TuningWork(shape: ProductShape(kind: kind, batches: batches, m: m, n: n, k: k, bytes: 4)))
    }
    // A layer's product forward, by its input and by its weights: rows, width in, width out.
    func addLayer(_ rows: Int, _ width: Int, _ out: Int) {
      add(.nt, rows, out, width)
      add(.nn, rows, width, out)
      add(.tn, out, width, rows)
    }
    for (rows, width, out) in [
      (32, 784, 128), (128, 784, 128), (256, 1024, 2048), (64, 1600, 128), (32, 50, 50), (32, 256, 1024),
      (2048, 256, 1024), (768, 128, 512), (768, 512, 128), (768, 128, 384), (2048, 1024, 256), (2048, 256, 768),
    ] { addLayer(rows, width, out) }
    for size in [256, 1024] + (style == .gpu ? [2048] : []) {
      for kind in [ProductShape.Kind.nn, .nt, .tn] { add(kind, size, size, size) }
    }
    // Attention: scores, what they weigh, and the gradients.
    for (batches, time, width) in [(48, 64, 32), (128, 128, 32)] {
      add(.nt, time, time, width, batches: batches)
      add(.nn, time, width, time, batches: batches)
      add(.tn, time, width, time, batches: batches)
    }
    if style == .gpu {
      // In the CPU style convolutions have no tiles.
      for (batch, channels, size, filters, kernel, padding) in [
        (64, 16, 32, 16, 3, 1), (64, 32, 16, 32, 3, 1), (64, 64, 8, 64, 3, 1), (64, 32, 13, 64, 3, 0),
        (32, 64, 28, 64, 3, 1), (8, 128, 28, 128, 3, 1),
      ] {
        let out = size + 2 * padding - kernel + 1
        let taps = channels * kernel * kernel
        let image = [batch, channels, size, filters, kernel, padding]
        list.append(
          TuningWork(
            shape: ProductShape(kind: .taps, batches: batch, m: filters, n: out * out, k: taps, bytes: 4), image: image)
        )
        list.append(
          TuningWork(
            shape: ProductShape(kind: .pixels, batches: 1, m: filters, n: taps, k: batch * out * out, bytes: 4),
            image: image))
      }
    }
    return ProductShape.Kind.allCases.flatMap { each in
      kind == nil || kind == each.rawValue
        ? Array(list.filter { $0.shape.kind == each }.prefix(limit ?? Int.max)) : []
    }
  }
}
