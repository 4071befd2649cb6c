import KilnEngine

/// A product as matmul.cl sees it: batched, left side by strides, right side by strides or a convolution's.
struct Product {
  var batches, m, n, depth: Int
  var dtype: DType
  var lhs: Operand
  /// Strides of the left side: along i, and along p in blocks of `lhsBlock` (0: one block).
  var lhsI, lhsP: Int
  var lhsBlock = 0
  var lhsOuter = 0
  /// Offsets of each batch entry in lhs and rhs, alternating.
  var offsets: [Int]
  /// Whether all batch entries share the left side.
  var sharesLhs: Bool
  /// Macros and arguments of the right side.
  var rhsMacros: [(String, String)]
  var rhsArguments: [Argument]
  var isConvolution: Bool
  /// The result as the epilogue sees it: rows (b, i) over `dims` without the last axis, n the last.
  var dims: [Int]
  var operands: [Operand]
  var epilogue: Expression
  var outputs: [Operand]
}

extension Planner {
  mutating func plan(_ step: MatmulStep) {
    let batches = step.batch.reduce(1, *)
    let rank = step.batch.count
    var offsets: [Int] = []
    offsets.reserveCapacity(batches * 2)
    for b in 0..<batches {
      var rest = b
      var (left, right) = (0, 0)
      for axis in stride(from: rank - 1, through: 0, by: -1) {
        let index = rest % step.batch[axis]
        rest /= step.batch[axis]
        left += index * step.lhs.strides[axis]
        right += index * step.rhs.strides[axis]
      }
      offsets += [left, right]
    }
    let (rhsP, rhsJ) = (step.rhs.strides[rank], step.rhs.strides[rank + 1])
    let isFastAlongP = rhsJ != 1 && (rhsP == 1 || step.k == 1)
    plan(
      Product(
        batches: batches, m: step.m, n: step.n, depth: step.k, dtype: step.dtype, lhs: step.lhs,
        lhsI: step.lhs.strides[rank], lhsP: step.lhs.strides[rank + 1], offsets: offsets,
        sharesLhs: step.lhs.strides.prefix(rank).allSatisfy { $0 == 0 },
        rhsMacros: isFastAlongP ? [("RHS_K_FAST", "")] : [],
        rhsArguments: place(step.rhs) + [.long(rhsP), .long(rhsJ)], isConvolution: false,
        dims: step.batch + [step.m, step.n], operands: step.operands, epilogue: step.epilogue, outputs: step.outputs))
  }

  mutating func plan(_ product: Product) {
    let point = PointText(
      outer: product.dims, inner: [], operands: product.operands, outputs: product.outputs,
      expressions: [product.epilogue], scalarTypes: scalarTypes)
    let rows = product.batches * product.m
    let pointMacros = [
      ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"), ("PREPARE", point.prepare),
      ("OUTER(row, x)", point.outerAddresses(row: "row", x: "x")), ("FINISH(l)", finish(product.epilogue, point)),
      ("PARAMETERS", point.parameters),
    ]
    let common = point.arguments(tableAt: enter(point.table))
    let shape = ProductForm(style: style, product: product)
    var macros = shape.elementMacros + product.rhsMacros
    macros.append(("RESULT_TYPE", product.dtype.openCL))
    if product.lhsP == 1 && product.lhsI != 1 { macros.append(("LHS_K_FAST", "")) }
    if product.lhsBlock != 0 { macros.append(("LHS_TWO_LEVELS", "")) }
    let files = product.isConvolution ? ["convolution", "matmul"] : ["matmul"]
    let isPartial = shape.segments > 1
    let part: [Argument] =
      isPartial
      ? [.scratch, .long(scratch(shape.segments * rows * product.n * product.dtype.size) / product.dtype.size)] : []
    let batch: [Argument] = [.table, .long(enter(product.offsets))]
    let lhs: [Argument] =
      place(product.lhs) + [
        .long(product.lhsI), .long(product.lhsP), .long(max(product.lhsBlock, 1)), .long(product.lhsOuter),
      ]
    let sizes: [Argument] = [
      .long(rows), .long(product.m), .long(product.n), .long(product.depth), .long(shape.segmentLength),
    ]
    var mainMacros = macros + pointMacros
    if isPartial { mainMacros.append(("PARTIAL", "")) }
    let depthGroups = product.batches * shape.segments

    switch style {
    case .gpu:
      let kernel = KernelText(files: files, macros: mainMacros + [("FORM_TILES", "")])
      launch(
        kernel, common + part + batch + lhs + product.rhsArguments + sizes + [.long(product.batches)],
        global: [(product.n + 63) / 64 * 16, (product.m + 63) / 64 * 16, depthGroups], local: [16, 16, 1])
    case .cpu:
      let panelsOfEntry = (product.m + shape.panelRows - 1) / shape.panelRows
      let entrySize = panelsOfEntry * shape.panelRows * product.depth
      let entries = product.sharesLhs ? 1 : product.batches
      let packed: [Argument] = [
        .scratch, .long(scratch(entries * entrySize * product.dtype.size) / product.dtype.size),
      ]
      let panels = entries * panelsOfEntry
      // The pack form knows no convolution: its left side is by strides.
      let packMacros = shape.elementMacros + macros.filter { $0.0.hasPrefix("LHS_") }
      let chunk = chunk(panels, least: max(1, 8192 / max(1, product.depth * shape.panelRows)))
      if product.depth > 0 {
        launch(
          KernelText(files: ["matmul"], macros: packMacros + [("FORM_PACK", "")]),
          packed + batch + lhs + [.long(product.m), .long(product.depth), .long(panels), .long(chunk)],
          global: [(panels + chunk - 1) / chunk], local: [1])
      }
      launch(
        KernelText(files: files, macros: mainMacros + [("FORM_PANELS", "")]),
        common + part + batch + packed + [.long(product.sharesLhs ? 0 : entrySize)] + product.rhsArguments + sizes
          + [.long(product.batches)],
        global: [
          (product.n + shape.panelColumns - 1) / shape.panelColumns,
          (product.m + shape.groupRows - 1) / shape.groupRows, depthGroups,
        ], local: [1, 1, 1])
    }
    if isPartial { addParts(product, point, common, part, segments: shape.segments, count: rows * product.n) }
  }

  /// Adds the segments in order and finishes: reduce.cl's final form over [rows, n].
  private mutating func addParts(
    _ product: Product, _ point: PointText, _ common: [Argument], _ part: [Argument], segments: Int, count: Int
  ) {
    let kernel = KernelText(
      files: ["reduce"],
      macros: Planner.combination(.sum, product.dtype) + [
        ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"), ("PREPARE", point.prepare),
        ("OUTER_LAST", point.outerLast), ("OUTER(o, x)", point.outerAddresses(row: "o", x: "x")),
        ("FINISH(l)", finish(product.epilogue, point)), ("PARAMETERS", point.parameters), ("FORM_FINAL", ""),
      ])
    launchEach(kernel, common + part + nothing + [.long(count), .long(segments)], count: count, least: 512)
  }
}

/// Tile sizes and the splitting of the sum, by shape and style alone.
struct ProductForm {
  /// Rows of a packed panel, columns of a work-item, rows of a work-item (CPU style).
  let panelRows, panelColumns, groupRows: Int
  let segments, segmentLength: Int
  let elementMacros: [(String, String)]

  init(style: KernelStyle, product: Product) {
    let type = product.dtype.openCLWrapping
    let lanes = product.dtype.size == 8 ? 8 : 16
    panelRows = 12
    panelColumns = lanes * 2
    groupRows = 96
    let depthOfTile = 128
    let units: Int
    switch style {
    case .cpu:
      units =
        product.batches * ((product.n + panelColumns - 1) / panelColumns)
        * ((product.m + groupRows - 1) / groupRows)
    case .gpu: units = product.batches * ((product.n + 63) / 64) * ((product.m + 63) / 64)
    }
    let wanted = style == .cpu ? 8 : 128
    var count = 1
    if units < wanted && product.depth >= 1024 { count = max(1, min(wanted / units, product.depth / 256)) }
    segmentLength = max(1, ((product.depth + count - 1) / count + 15) / 16 * 16)
    segments = max(1, (product.depth + segmentLength - 1) / segmentLength)
    elementMacros = [
      ("T", type), ("MULTIPLY_ADD(a, b, c)", product.dtype.isFloat ? "fma(a, b, c)" : "((a) * (b) + (c))"),
      ("MR", "\(panelRows)"), ("NV", "2"), ("VL", "\(lanes)"), ("VECTOR", "\(type)\(lanes)"),
      ("VLOAD", "vload\(lanes)"), ("VSTORE", "vstore\(lanes)"), ("GROUP", "\(groupRows)"), ("DEPTH", "\(depthOfTile)"),
    ]
  }
}
