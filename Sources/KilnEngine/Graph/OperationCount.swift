extension Tensor {
  /// The floating-point operations that this value takes, as far as its graph was built after the value numbered `mark`.
  ///
  /// A product of matrices and a convolution count 2 for each multiplication with its addition; elementwise operations 1
  /// for each element of the result; reductions and scans 1 for each element of the input; pooling 1 for each place of
  /// each window; row operations what their plain compositions take. Moving data, casts and random numbers are free.
  package func operationCount(since mark: UInt64 = 0) -> Int {
    // Counted in Double, as tensors that are never computed may have any size; exact below 2^53.
    var total = 0.0
    var seen: Set<ObjectIdentifier> = []
    var pending = [node]
    while let node = pending.popLast() {
      guard node.id > mark, seen.insert(ObjectIdentifier(node)).inserted else { continue }
      total += node.operations
      pending += node.inputs
    }
    return Int(Swift.min(total, 0x1p62))
  }
}

extension Node {
  fileprivate var operations: Double {
    let first = inputs.first?.shape ?? []
    func product(_ sizes: Int...) -> Double { sizes.reduce(1) { $0 * Double($1) } }
    switch op {
    case .leaf, .constant, .position, .random, .cast, .view, .assemble, .transfer, .identity, .argsort: return 0
    case .unary, .binary, .select: return Double(shape.count)
    case .reduce, .scan: return Double(first.count)
    case .rowwise(let row): return product(row.plainOperations, first.count)
    case .attention(let attention):
      let (rows, keys, width) = (
        first.count / Swift.max(first.dimensions.last ?? 1, 1), inputs[1].shape, inputs[2].shape
      )
      let pairs = product(rows, keys[keys.rank - 2])
      // Products with keys and with values, once forward; five products of the like in the gradient.
      let (narrow, wide) = (Double(2 * keys[keys.rank - 1]), Double(2 * width[width.rank - 1]))
      return attention.isGradient ? pairs * (3 * narrow + 2 * wide + 10) : pairs * (narrow + wide + 6)
    case .matmul: return product(2, shape.count, first.dimensions.last ?? 0)
    case .convolution(let c):
      return product(
        2, c.batch, c.filters, c.outHeight, c.outWidth, c.channels / Swift.max(c.groups, 1), c.kernelHeight,
        c.kernelWidth)
    case .pool(let pool):
      return product(pool.planes, pool.outHeight, pool.outWidth, pool.kernelHeight, pool.kernelWidth)
    case .gather(let gather):
      switch gather.kind {
      case .rows, .along: return 0
      case .scatterAddRows, .scatterAddAlong: return Double(first.count)
      }
    }
  }
}

extension Rowwise {
  /// Operations on each element in the plain composition.
  fileprivate var plainOperations: Int {
    switch self {
    case .softmax, .logSoftmax: 5
    case .layerNorm: 7
    case .rmsNorm: 4
    case .crossEntropy: 4
    case .crossEntropyGradient: 6
    case .softmaxGradient: 4
    case .logSoftmaxGradient: 4
    case .layerNormGradient: 14
    case .rmsNormGradient: 10
    }
  }
}
