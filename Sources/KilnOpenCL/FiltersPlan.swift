import KilnEngine

extension Planner {
  /// Gradients of convolutions by their filters in the CPU style: see filters.cl. How entries and taps are grouped, and
  /// with it the order of the sums, follows from the shape alone.
  mutating func planFilters(_ step: ConvolutionStep, _ product: Product) {
    let c = step.convolution
    let size = step.dtype.size
    let lanes = size == 8 ? 8 : 16
    let (m, n) = (product.m, product.n)
    let (rows, columns) = m >= 4 ? (4, 6) : m >= 2 ? (2, 8) : (1, 8)
    let pixels = c.outHeight * c.outWidth
    let entryPixels = (pixels + lanes - 1) / lanes * lanes
    // A few thousand bytes of each row, so that block and gradient stay in the second-level cache.
    let entries = max(1, min(c.batch, 1024 / entryPixels))
    let turns = (c.batch + entries - 1) / entries
    let blocksWished = (n + 35) / 36
    let block = ((n + blocksWished - 1) / blocksWished + columns - 1) / columns * columns
    let blocks = (n + block - 1) / block
    let segments = max(1, min(turns, 16 / max(1, blocks * c.groups)))
    let units = blocks * segments * c.groups
    let chunk = chunk(units, least: 1)
    let items = (units + chunk - 1) / chunk

    let text = text(product, segments: segments)
    let rowSize = (entries * entryPixels / lanes | 1) * lanes
    let stageSize = (block * rowSize + m * entries * lanes + m * block + lanes - 1) / lanes * lanes
    let lanesText =
      lanes == 16
      ? "(((v.s0 + v.s8) + (v.s4 + v.sc)) + ((v.s2 + v.sa) + (v.s6 + v.se)) "
        + "+ (((v.s1 + v.s9) + (v.s5 + v.sd)) + ((v.s3 + v.sb) + (v.s7 + v.sf))))"
      : "(((v.s0 + v.s4) + (v.s2 + v.s6)) + ((v.s1 + v.s5) + (v.s3 + v.s7)))"
    let kernel = KernelText(
      files: ["filters"],
      macros: Planner.elementMacros(step.dtype) + text.macros + [
        ("FR", "\(rows)"), ("FC", "\(columns)"), ("VL", "\(lanes)"), ("VECTOR", "\(step.dtype.openCL)\(lanes)"),
        ("VLOAD", "vload\(lanes)"), ("SUM_LANES(v)", lanesText),
        ("ALL_ROWS(F)", (0..<rows).map { "F(\($0))" }.joined(separator: " ")),
        ("ALL_COLUMNS(F, r)", (0..<columns).map { "F(r, \($0))" }.joined(separator: " ")),
      ])
    let stage: [Argument] = [.scratch, .long(scratch(items * stageSize * size) / size)]
    let sizes = [
      c.height, c.width, c.kernelHeight, c.kernelWidth, c.outHeight, c.outWidth, c.strideY, c.strideX, c.dilationY,
      c.dilationX, c.padTop, c.padLeft,
    ]
    let plane = c.height * c.width
    let longs = [
      c.channels * plane, c.channels / c.groups * plane, c.filters * pixels, m * pixels, product.rows, m, n, c.batch,
      entries, block, segments, c.groups, units, chunk,
    ]
    launch(
      kernel,
      text.arguments + text.part + stage + [.long(stageSize)] + place(step.inputs[0]) + place(step.inputs[1])
        + sizes.map { .int($0) } + longs.map { .long($0) }, global: [items], local: [1])
    if segments > 1 { addParts(product, text, segments: segments) }
  }
}
