import KilnEngine

// Convolutions as matrix products: convolution.cl says how each kind maps to rows, columns and p. In the CPU style planes.cl
// and filters.cl compute them.

extension Planner {
  mutating func plan(_ step: ConvolutionStep) {
    if let product = self.product(step) {
      plan(product, of: step)
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
    if let product = self.product(plainStep) { plan(product, of: plainStep) }
    plan(
      ElementwiseStep(
        dims: resultShape.dimensions, operands: step.operands + [plain], expression: expression, outputs: step.outputs))
  }

  private mutating func plan(_ product: Product, of step: ConvolutionStep) {
    if product.convolution == nil {
      plan(product)
    } else if style == .gpu {
      if product.isOfSingles { planSingles(product) } else { plan(product) }
    } else if step.convolution.kind == .filterGradient {
      planFilters(step, product)
    } else {
      planPlanes(step, product)
    }
  }

  /// A work-item or a work-group for each result: see singles.cl.
  private mutating func planSingles(_ product: Product) {
    let text = text(product, segments: 1)
    let isOfPixels = product.shape.kind == .pixels
    let kernel = KernelText(
      files: ["convolution", "product", "singles"],
      macros: Planner.elementMacros(product.dtype) + text.macros + sideMacros(product)
        + (isOfPixels ? [("FORM_GROUPS", ""), ("WIDTH", "128")] : [("FORM_ITEMS", "")]))
    launch(
      kernel,
      text.arguments + [.table, .long(enter(product.offsets))] + place(product.lhs) + product.left.arguments
        + rightArguments(product) + sizes(product, max(product.depth, 1)),
      global: isOfPixels ? [product.n * 128, product.rows] : [roundUp(product.n, 64), product.rows],
      local: isOfPixels ? [128, 1] : [64, 1])
  }

  /// The product that a convolution is, or `nil` when an operand of the epilogue prevents the merging of its axes.
  func product(_ step: ConvolutionStep) -> Product? {
    let c = step.convolution
    let (filtersOfGroup, channelsOfGroup) = (c.filters / c.groups, c.channels / c.groups)
    let taps = c.kernelHeight * c.kernelWidth
    let shape = Planner.resultShape(c)
    let kept = c.kind == .filterGradient ? 1 : 2
    var operands = step.operands
    var outputs = step.outputs
    for i in operands.indices {
      guard let merged = Planner.mergeTrailing(operands[i].strides, shape.dimensions, from: kept) else { return nil }
      operands[i].strides = merged
    }
    for i in outputs.indices {
      guard let merged = Planner.mergeTrailing(outputs[i].strides, shape.dimensions, from: kept) else { return nil }
      outputs[i].strides = merged
    }
    let columns = shape.dimensions.dropFirst(kept).reduce(1, *)
    let pixels = c.outHeight * c.outWidth
    let plane = c.height * c.width
    var product = Product(
      batches: c.batch * c.groups, m: filtersOfGroup, n: columns, depth: channelsOfGroup * taps, dtype: step.dtype,
      lhs: step.inputs[1], left: Product.Side(line: channelsOfGroup * taps, depth: 1), offsets: [],
      sharesLhs: c.groups == 1, rhs: step.inputs[0], dims: Array(shape.dimensions.prefix(kept)) + [columns],
      operands: operands, epilogue: step.epilogue, outputs: outputs)
    var lhsOfGroup = filtersOfGroup * channelsOfGroup * taps
    // Planes of the image: of an entry, of a group.
    var image = (entry: c.channels * plane, group: channelsOfGroup * plane)
    switch c.kind {
    case .forward: break
    case .inputGradient:
      (product.m, product.depth) = (channelsOfGroup, filtersOfGroup * taps)
      product.left = Product.Side(line: taps, depth: 1, block: taps, outer: channelsOfGroup * taps)
      image = (c.filters * pixels, filtersOfGroup * pixels)
    case .filterGradient:
      product.batches = c.groups
      product.depth = c.batch * pixels
      product.left = Product.Side(line: pixels, depth: 1, block: max(pixels, 1), outer: c.filters * pixels)
      lhsOfGroup = filtersOfGroup * pixels
    }
    let isPointwise =
      taps == 1 && c.strideY == 1 && c.strideX == 1 && c.padTop == 0 && c.padLeft == 0 && c.outHeight == c.height
      && c.outWidth == c.width
    product.offsets = (0..<product.batches).flatMap { b in
      [b % c.groups * lhsOfGroup, isPointwise ? b / c.groups * image.entry + b % c.groups * image.group : 0]
    }
    if isPointwise && (c.kind != .filterGradient || style == .gpu) {
      // Nothing is gathered: a filter is a row, a pixel a column.
      if c.kind == .filterGradient {
        product.right = Product.Side(line: pixels, depth: 1, block: max(pixels, 1), outer: image.entry)
      } else {
        if c.kind == .inputGradient { product.left = Product.Side(line: 1, depth: channelsOfGroup) }
        product.right = Product.Side(line: 1, depth: pixels)
      }
      return product
    }
    product.convolution = Planner.convolutionText(step, image)
    return product
  }

  /// Macros and arguments of convolution.cl.
  private static func convolutionText(
    _ step: ConvolutionStep, _ planes: (entry: Int, group: Int)
  ) -> (macros: [(String, String)], arguments: [Argument]) {
    let c = step.convolution
    let isDivided = c.kind == .inputGradient && (c.strideY != 1 || c.strideX != 1)
    let count = c.batch * max(c.outHeight * c.outWidth, c.height * c.width)
    var macros = [
      ("KERNEL_HEIGHT", "\(c.kernelHeight)"), ("KERNEL_WIDTH", "\(c.kernelWidth)"),
      ("DIVIDE_Y", isDivided ? "\(c.strideY)" : "1"), ("DIVIDE_X", isDivided ? "\(c.strideX)" : "1"),
      ("POSITION", count < 1 << 30 ? "int" : "long"),
    ]
    if c.kind != .filterGradient { macros.append(("TAPS_P", "")) }
    if isDivided { macros.append(("DIVIDED", "")) }
    if c.kind == .inputGradient { macros.append(("NEGATED_TAPS", "")) }
    // Height and width of the image and of the grid, step, dilation, pad, groups.
    let sizes =
      c.kind == .inputGradient
      ? [
        c.outHeight, c.outWidth, c.height, c.width, 1, 1, c.dilationY, c.dilationX, c.padTop, c.padLeft, c.groups,
      ]
      : [
        c.height, c.width, c.outHeight, c.outWidth, c.strideY, c.strideX, c.dilationY, c.dilationX, c.padTop, c.padLeft,
        c.groups,
      ]
    let image = step.inputs[0]
    let place: [Argument] =
      image.slot.map { [.buffer($0), .offset($0, image.offset, elementSize: image.dtype.size)] } ?? [.table, .long(0)]
    return (macros, place + sizes.map { .int($0) } + [.long(planes.entry), .long(planes.group)])
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
