import KilnEngine

// Gathers, scatters and pooling: families that read (or own) scattered elements.

extension Planner {
  mutating func plan(_ step: GatherStep) {
    let gather = step.gather
    let form: String
    let operation: FaultingOperation
    let isScatter: Bool
    switch gather.kind {
    case .rows: (form, operation, isScatter) = ("FORM_ROWS", .gather, false)
    case .along: (form, operation, isScatter) = ("FORM_ALONG", .takeAlong, false)
    case .scatterAddRows: (form, operation, isScatter) = ("FORM_SCATTER_ROWS", .scatterAdd, true)
    case .scatterAddAlong: (form, operation, isScatter) = ("FORM_SCATTER_ALONG", .scatterAddAlong, true)
    }
    let type = step.dtype.openCL
    let wrapping = step.dtype.openCLWrapping
    // Adding to a bool is "or", as PyTorch has it.
    let add = step.dtype == .bool ? "((a) | (b))" : "((\(type))((\(wrapping))(a) + (\(wrapping))(b)))"
    let kernel = KernelText(files: ["gather"], macros: [("T", type), ("ADD(a, b)", add), (form, "")])
    let arguments =
      place(step.inputs[0]) + place(step.inputs[1]) + place(step.output)
      + [.status, .long(gather.outer), .long(gather.length), .long(gather.inner), .long(gather.count)]
    if isScatter {
      switch style {
      case .cpu:
        // A work-item takes a block of `inner`; enough of them to share the work.
        let perOuter = max(1, computeUnits * 4 / max(gather.outer, 1))
        let chunk = max(16, (gather.inner + perOuter - 1) / perOuter)
        let blocks = (gather.inner + chunk - 1) / chunk
        launch(kernel, arguments + [.long(chunk)], global: [gather.outer * blocks], local: [1])
      case .gpu:
        launch(kernel, arguments + [.long(1)], global: [roundUp(gather.outer * gather.inner, 64)], local: [64])
      }
    } else {
      launchEach(kernel, arguments, count: gather.outer * gather.count * gather.inner)
    }
    report(step.inputs[1], length: gather.length, operation)
  }

  mutating func plan(_ step: PoolStep) {
    let pool = step.pool
    var countPadding = false
    let form: String
    var count = pool.planes * pool.outHeight * pool.outWidth
    switch pool.kind {
    case .max: form = "FORM_MAX"
    case .maxGather: form = "FORM_MAX_GATHER"
    case .average(let padding): (form, countPadding) = ("FORM_AVERAGE", padding)
    case .maxGradient:
      form = "FORM_MAX_GRADIENT"
      count = pool.planes * pool.height * pool.width
    case .averageGradient(let padding):
      (form, countPadding) = ("FORM_AVERAGE_GRADIENT", padding)
      count = pool.planes * pool.height * pool.width
    }
    var macros = [
      ("T", step.dtype.openCL), ("IS_NAN(v)", step.dtype.isFloat ? "((v) != (v))" : "false"), (form, ""),
    ]
    if countPadding { macros.append(("COUNT_PADDING", "")) }
    macros += [
      ("KERNEL_HEIGHT", "\(pool.kernelHeight)"), ("KERNEL_WIDTH", "\(pool.kernelWidth)"),
      ("STRIDE_Y", "\(pool.strideY)"), ("STRIDE_X", "\(pool.strideX)"),
      ("DILATION_Y", "\(pool.dilationY)"), ("DILATION_X", "\(pool.dilationX)"),
    ]
    var least = 1024
    if style == .cpu && pool.kernelHeight * pool.kernelWidth <= 16 {
      macros.append(("SMALL", ""))
      let isApart =
        pool.strideY > (pool.kernelHeight - 1) * pool.dilationY
        && pool.strideX > (pool.kernelWidth - 1) * pool.dilationX
      // Work-items take rows of the result, or planes that they add the windows' gradients to.
      switch pool.kind {
      case .max: (count, least) = (pool.planes * pool.outHeight, max(1, 1024 / max(pool.outWidth, 1)))
      case .maxGradient:
        if isApart { macros.append(("APART", "")) }
        (count, least) = (pool.planes, max(1, 1024 / max(pool.outWidth * pool.outHeight, 1)))
      case .maxGather, .average, .averageGradient: break
      }
    }
    // (x, other, result): the gradient of the average reads g alone, in the second place.
    let inputs: [Argument]
    switch pool.kind {
    case .max, .average: inputs = place(step.inputs[0]) + nothing
    case .maxGather, .maxGradient: inputs = place(step.inputs[0]) + place(step.inputs[1])
    case .averageGradient: inputs = nothing + place(step.inputs[0])
    }
    let sizes = [pool.height, pool.width, pool.outHeight, pool.outWidth, pool.padTop, pool.padLeft]
    launchEach(
      KernelText(files: ["pool"], macros: macros),
      inputs + place(step.output) + [.long(pool.planes)] + sizes.map { .int($0) }, count: count, least: least)
  }
}
