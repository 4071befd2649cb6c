import KilnEngine

// Convolutions as matrix products: convolution.cl says how each kind maps to rows, columns and p.

extension Planner {
  mutating func plan(_ step: ConvolutionStep) {
    let product = Planner.product(step)
    if let product {
      plan(product)
      return
    }
    // The epilogue's operands do not follow the merged axes: make the plain result first, then the epilogue.
    let resultShape = Planner.resultShape(step.convolution)
    var expression = Expression()
    var map: [Int] = []
    for (index, instruction) in step.epilogue.instructions.enumerated() {
      let moved: Expression.Instruction
      switch instruction {
      case .result: moved = .load(step.operands.count)
      case .load, .address, .scalar: moved = instruction
      case .unary(let op, let x): moved = .unary(op, map[x])
      case .binary(let op, let a, let b): moved = .binary(op, map[a], map[b])
      case .select(let c, let a, let b): moved = .select(map[c], map[a], map[b])
      case .cast(let x): moved = .cast(map[x])
      case .random(let d, let key, let counter, let position):
        moved = .random(d, key: key, counter: counter, position: map[position])
      }
      map.append(expression.append(moved, step.epilogue.dtypes[index]))
    }
    expression.outputs = step.epilogue.outputs.map { map[$0] }
    let at = scratch(resultShape.count * step.dtype.size)
    // No slot: it lies in the scratch memory.
    let plain = Operand(
      slot: nil, dtype: step.dtype, offset: at / step.dtype.size, strides: Layout.contiguousStrides(resultShape))
    var plainStep = step
    plainStep.operands = []
    plainStep.epilogue = Expression()
    plainStep.epilogue.outputs = [plainStep.epilogue.append(.result, step.dtype)]
    plainStep.outputs = [plain]
    if let product = Planner.product(plainStep) { plan(product) }
    plan(
      ElementwiseStep(
        dims: resultShape.dimensions, operands: step.operands + [plain], expression: expression, outputs: step.outputs))
  }

  /// The product that a convolution is, or `nil` when an operand of the epilogue prevents the merging of its axes.
  static func product(_ step: ConvolutionStep) -> Product? {
    let c = step.convolution
    let (filtersOfGroup, channelsOfGroup) = (c.filters / c.groups, c.channels / c.groups)
    let taps = c.kernelHeight * c.kernelWidth
    let shape = resultShape(c)
    let kept = c.kind == .filterGradient ? 1 : 2
    var operands = step.operands
    var outputs = step.outputs
    for i in operands.indices {
      guard let merged = mergeTrailing(operands[i].strides, shape.dimensions, from: kept) else { return nil }
      operands[i].strides = merged
    }
    for i in outputs.indices {
      guard let merged = mergeTrailing(outputs[i].strides, shape.dimensions, from: kept) else { return nil }
      outputs[i].strides = merged
    }
    let columns = shape.dimensions.dropFirst(kept).reduce(1, *)
    var product = Product(
      batches: c.batch * c.groups, m: 0, n: columns, depth: 0, dtype: step.dtype, lhs: step.inputs[1], lhsI: 0,
      lhsP: 1, offsets: [], sharesLhs: c.groups == 1, rhsMacros: [], rhsArguments: [], isConvolution: true,
      dims: Array(shape.dimensions.prefix(kept)) + [columns], operands: operands, epilogue: step.epilogue,
      outputs: outputs)
    // image height and width, kernel, grid, step, dilation, pad, divide, groups; entry and group sizes follow.
    var sizes: [Int]
    var lhsOfGroup: Int
    let (image, imagePlanes): (Operand, (entry: Int, group: Int))
    switch c.kind {
    case .forward:
      (product.m, product.depth) = (filtersOfGroup, channelsOfGroup * taps)
      product.lhsI = product.depth
      lhsOfGroup = filtersOfGroup * product.depth
      image = step.inputs[0]
      imagePlanes = (c.channels * c.height * c.width, channelsOfGroup * c.height * c.width)
      sizes = [
        c.height, c.width, c.kernelHeight, c.kernelWidth, c.outHeight, c.outWidth, c.strideY, c.strideX, c.dilationY,
        c.dilationX, c.padTop, c.padLeft, 1, 1, c.groups,
      ]
      product.rhsMacros = [("TAPS_P", "")]
    case .inputGradient:
      (product.m, product.depth) = (channelsOfGroup, filtersOfGroup * taps)
      (product.lhsI, product.lhsBlock, product.lhsOuter) = (taps, taps, channelsOfGroup * taps)
      lhsOfGroup = filtersOfGroup * channelsOfGroup * taps
      image = step.inputs[0]
      imagePlanes = (c.filters * c.outHeight * c.outWidth, filtersOfGroup * c.outHeight * c.outWidth)
      sizes = [
        c.outHeight, c.outWidth, c.kernelHeight, c.kernelWidth, c.height, c.width, 1, 1, c.dilationY, c.dilationX,
        c.padTop, c.padLeft, c.strideY, c.strideX, c.groups,
      ]
      product.rhsMacros = [("TAPS_P", "")] + (c.strideY == 1 && c.strideX == 1 ? [] : [("DIVIDED", "")])
      product.rhsMacros.append(("NEGATED_TAPS", ""))
    case .filterGradient:
      let pixels = c.outHeight * c.outWidth
      product.batches = c.groups
      product.sharesLhs = c.groups == 1
      (product.m, product.depth) = (filtersOfGroup, c.batch * pixels)
      (product.lhsI, product.lhsBlock, product.lhsOuter) = (pixels, max(pixels, 1), c.filters * pixels)
      lhsOfGroup = filtersOfGroup * pixels
      image = step.inputs[0]
      imagePlanes = (c.channels * c.height * c.width, channelsOfGroup * c.height * c.width)
      sizes = [
        c.height, c.width, c.kernelHeight, c.kernelWidth, c.outHeight, c.outWidth, c.strideY, c.strideX, c.dilationY,
        c.dilationX, c.padTop, c.padLeft, 1, 1, c.groups,
      ]
    }
    product.offsets = (0..<product.batches).flatMap { [$0 % c.groups * lhsOfGroup, 0] }
    product.rhsArguments =
      argumentsOf(image) + sizes.map { .int($0) } + [.long(imagePlanes.entry), .long(imagePlanes.group)]
    return product
  }

  private static func argumentsOf(_ operand: Operand) -> [Argument] {
    guard let slot = operand.slot else { return [.table, .long(0)] }
    return [.buffer(slot), .offset(slot, operand.offset, elementSize: operand.dtype.size)]
  }

  /// `strides` with the axes from `axis` on merged into one, if they can be.
  private static func mergeTrailing(_ strides: [Int], _ dims: [Int], from axis: Int) -> [Int]? {
    var stride = 0
    var next: Int?
    for d in Swift.stride(from: dims.count - 1, through: axis, by: -1) where dims[d] != 1 {
      if let expected = next {
        if strides[d] != expected { return nil }
      } else {
        stride = strides[d]
      }
      next = strides[d] * dims[d]
    }
    return Array(strides.prefix(axis)) + [stride]
  }

  static func resultShape(_ convolution: Convolution) -> Shape {
    switch convolution.kind {
    case .forward: convolution.outputShape
    case .inputGradient: convolution.inputShape
    case .filterGradient: convolution.filterShape
    }
  }
}
