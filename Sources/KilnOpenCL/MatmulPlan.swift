import KilnEngine

/// A product as product.cl sees it: batched, left side by strides, right side by strides or a convolution's.
struct Product {
  /// Where the elements of a side lie: along its rows (columns), along p, and along p in blocks of `block` (0: one block).
  struct Side {
    var line, depth: Int
    var block = 0
    var outer = 0
    /// Neighbours along p are neighbours in memory, those along the rows (columns) are not.
    var isFastAlongDepth: Bool { depth == 1 && line != 1 }
    /// Whether four neighbours, from a multiple of four on, are neighbours in memory.
    var isVector: Bool { (depth == 1 && block % 4 == 0) || line == 1 }
    var arguments: [Argument] { [.long(line), .long(depth), .long(max(block, 1)), .long(outer)] }
  }

  var batches, m, n, depth: Int
  var dtype: DType
  var lhs: Operand
  var left: Side
  /// Offsets of each batch entry in lhs and rhs, alternating.
  var offsets: [Int]
  /// Whether all batch entries share the left side.
  var sharesLhs: Bool
  /// The right side: an operand by strides, or
  var rhs: Operand
  var right = Side(line: 0, depth: 0)
  /// macros and arguments of a convolution's.
  var convolution: (macros: [(String, String)], arguments: [Argument])?
  /// The result as the epilogue sees it: rows (b, i) over `dims` without the last axis, n the last.
  var dims: [Int]
  var operands: [Operand]
  var epilogue: Expression
  var outputs: [Operand]

  var rows: Int { batches * m }

  /// Whether a tile of the smallest kind would be mostly edge, and the rows are many instead.
  var isOfSingles: Bool {
    shape.kind == .taps ? m <= 2 && depth <= 256 : m * n <= 64 && batches >= 8
  }

  var shape: ProductShape {
    let kind: ProductShape.Kind =
      if let convolution {
        convolution.macros.contains { $0.0 == "TAPS_P" } ? .taps : .pixels
      } else {
        switch (left.isFastAlongDepth, right.isFastAlongDepth) {
        case (true, false): .nn
        case (true, true): .nt
        case (false, false): .tn
        case (false, true): .tt
        }
      }
    return ProductShape(kind: kind, batches: batches, m: m, n: n, k: depth, bytes: dtype.size)
  }
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
    var right = Product.Side(line: step.rhs.strides[rank + 1], depth: step.rhs.strides[rank])
    if step.k == 1 { right.depth = 1 }
    plan(
      Product(
        batches: batches, m: step.m, n: step.n, depth: step.k, dtype: step.dtype, lhs: step.lhs,
        left: Product.Side(line: step.lhs.strides[rank], depth: step.lhs.strides[rank + 1]), offsets: offsets,
        sharesLhs: step.lhs.strides.prefix(rank).allSatisfy { $0 == 0 }, rhs: step.rhs, right: right,
        dims: step.batch + [step.m, step.n], operands: step.operands, epilogue: step.epilogue, outputs: step.outputs))
  }

  /// What the kernels of a product, and of what stands for one, have in common.
  struct ProductText {
    let point: PointText
    /// Macros and arguments by which the result is addressed, finished and stored.
    let macros: [(String, String)]
    let arguments: [Argument]
    /// Where the parts of a split sum go.
    var part: [Argument] = []
  }

  mutating func text(_ product: Product, segments: Int) -> ProductText {
    let point = PointText(
      outer: product.dims, inner: [], operands: product.operands, outputs: product.outputs,
      expressions: [product.epilogue], scalarTypes: scalarTypes)
    var macros = [
      ("INDEX", point.fitsInt && style == .gpu ? "int" : "long"), ("PREPARE", point.prepare),
      ("OUTER(row, x)", point.outerAddresses(row: "row", x: "x")), ("FINISH(l)", finish(product.epilogue, point)),
      ("PARAMETERS", point.parameters), ("RESULT_TYPE", product.dtype.openCL),
    ]
    if segments > 1 {
      macros.append(("PARTIAL", ""))
    } else if style == .cpu, let text = point.storeVector(product.epilogue, register: "e", l: "l") {
      macros.append(("FINISH_VECTOR(l)", text))
    }
    var text = ProductText(point: point, macros: macros, arguments: point.arguments(tableAt: enter(point.table)))
    if segments > 1 {
      text.part = [
        .scratch, .long(scratch(segments * product.rows * product.n * product.dtype.size) / product.dtype.size),
      ]
    }
    return text
  }

  static func elementMacros(_ dtype: DType) -> [(String, String)] {
    [
      ("T", dtype.openCLWrapping), ("VECTOR4", "\(dtype.openCLWrapping)4"),
      ("MULTIPLY_ADD(a, b, c)", dtype.isFloat ? "fma(a, b, c)" : "((a) * (b) + (c))"),
    ]
  }

  mutating func plan(_ product: Product) {
    let choice = tiling.choice(product.shape)
    let length = max(1, ((product.depth + choice.segments - 1) / choice.segments + 15) / 16 * 16)
    let segments = max(1, (product.depth + length - 1) / length)
    let text = text(product, segments: segments)
    switch choice.shape {
    case .tile: planTiles(product, text, choice.shape, segments: segments, length: length)
    case .panel: planPanels(product, text, choice.shape, segments: segments, length: length)
    }
    if segments > 1 { addParts(product, text, segments: segments) }
  }

  func sideMacros(_ product: Product) -> [(String, String)] {
    var macros: [(String, String)] = []
    if product.left.isFastAlongDepth { macros.append(("LHS_K_FAST", "")) }
    if product.left.isVector { macros.append(("LHS_VECTOR", "")) }
    if product.left.block != 0 { macros.append(("LHS_TWO_LEVELS", "")) }
    if let convolution = product.convolution { return macros + convolution.macros }
    if product.right.isFastAlongDepth { macros.append(("RHS_K_FAST", "")) }
    if product.right.isVector { macros.append(("RHS_VECTOR", "")) }
    if product.right.block != 0 { macros.append(("RHS_TWO_LEVELS", "")) }
    return macros
  }

  func rightArguments(_ product: Product) -> [Argument] {
    product.convolution?.arguments
      ?? place(product.rhs) + [.long(product.right.depth), .long(product.right.line)]
      + product.right.arguments.suffix(2)
  }

  func sizes(_ product: Product, _ length: Int) -> [Argument] {
    [
      .long(product.rows), .long(product.m), .long(product.n), .long(product.depth), .long(length),
      .long(product.batches),
    ]
  }

  private mutating func planTiles(
    _ product: Product, _ text: ProductText, _ shape: TileShape, segments: Int, length: Int
  ) {
    guard case .tile(let rows, let columns, let depth, let itemRows, let itemColumns) = shape else { return }
    let kernel = KernelText(
      files: (product.convolution == nil ? [] : ["convolution"]) + ["product", "tiles"],
      macros: Planner.elementMacros(product.dtype) + text.macros + sideMacros(product) + [
        ("TILE_ROWS", "\(rows)"), ("TILE_COLUMNS", "\(columns)"), ("TILE_DEPTH", "\(depth)"),
        ("ITEM_ROWS", "\(itemRows)"), ("ITEM_COLUMNS", "\(itemColumns)"),
      ])
    let local = [columns / itemColumns, rows / itemRows, 1]
    launch(
      kernel,
      text.arguments + text.part + [.table, .long(enter(product.offsets))] + place(product.lhs)
        + product.left.arguments + rightArguments(product) + sizes(product, length),
      global: [
        (product.n + columns - 1) / columns * local[0], (product.m + rows - 1) / rows * local[1],
        product.batches * segments,
      ], local: local)
  }

  private mutating func planPanels(
    _ product: Product, _ text: ProductText, _ shape: TileShape, segments: Int, length: Int
  ) {
    guard case .panel(let rows, let vectors, let group, let depth) = shape else { return }
    let lanes = product.dtype.size == 8 ? 8 : 16
    let macros = Planner.elementMacros(product.dtype) + Planner.registerMacros(product.dtype, rows, vectors)
    let batch: [Argument] = [.table, .long(enter(product.offsets))]
    let lhs = place(product.lhs) + product.left.arguments
    let panelMacros =
      macros + text.macros + sideMacros(product) + [
        ("FORM_PANELS", ""), ("GROUP", "\(group)"), ("DEPTH", "\(depth)"),
      ]
    let global = [
      (product.n + vectors * lanes - 1) / (vectors * lanes), (product.m + group - 1) / group,
      product.batches * segments,
    ]
    if Planner.readsDirectly(product) {
      let direct = panelMacros + [("LHS_DIRECT", "")]
      let names = text.point.places.map(\.name) + ["lhs", "rhs"]
      let isAlone = global.allSatisfy { $0 == 1 }
      launch(
        KernelText(files: ["product", "panels"], macros: direct),
        text.arguments + text.part + batch + lhs + rightArguments(product) + sizes(product, length), global: global,
        local: [1, 1, 1],
        chained: isAlone
          ? KernelText(files: ["product", "panels"], macros: direct + KernelText.chainMacros(names)) : nil)
      return
    }
    let panelsOfEntry = (product.m + rows - 1) / rows
    let entrySize = panelsOfEntry * rows * product.depth
    let entries = product.sharesLhs ? 1 : product.batches
    let packed: [Argument] = [
      .scratch, .long(scratch(entries * entrySize * product.dtype.size) / product.dtype.size),
    ]
    let panels = entries * panelsOfEntry
    let packMacros = macros + sideMacros(product).filter { $0.0.hasPrefix("LHS_") } + [("FORM_PACK", "")]
    let chunk = chunk(panels, least: max(1, 8192 / max(1, product.depth * rows)))
    if product.depth > 0 {
      launch(
        KernelText(files: ["product", "panels"], macros: packMacros),
        packed + batch + lhs + [.long(product.m), .long(product.depth), .long(panels), .long(chunk)],
        global: [(panels + chunk - 1) / chunk], local: [1])
    }
    launch(
      KernelText(files: ["product", "panels"], macros: panelMacros),
      text.arguments + text.part + batch + packed + [.long(product.sharesLhs ? 0 : entrySize)]
        + rightArguments(product) + sizes(product, length), global: global, local: [1, 1, 1])
  }

  /// Whether packing the left side would cost a launch for little: it fits the first-level cache, and its rows do not fall
  /// on the same few lines of it.
  private static func readsDirectly(_ product: Product) -> Bool {
    let bytes = product.m * product.depth * product.dtype.size
    return product.left.block == 0 && bytes <= 1 << 15
      && (product.left.line * product.dtype.size % 1024 != 0 || product.left.line == 0 || product.m <= 6)
  }

  /// Registers of the CPU style's kernels: `rows` x `vectors` of 16 lanes (8 of 8 bytes).
  static func registerMacros(_ dtype: DType, _ rows: Int, _ vectors: Int) -> [(String, String)] {
    let lanes = dtype.size == 8 ? 8 : 16
    return [
      ("MR", "\(rows)"), ("NV", "\(vectors)"), ("VL", "\(lanes)"), ("VECTOR", "\(dtype.openCLWrapping)\(lanes)"),
      ("VLOAD", "vload\(lanes)"), ("VSTORE", "vstore\(lanes)"),
      ("ALL_ROWS(F)", (0..<rows).map { "F(\($0))" }.joined(separator: " ")),
      ("ALL_VECTORS(F, r)", (0..<vectors).map { "F(r, \($0))" }.joined(separator: " ")),
    ]
  }

  /// Adds the segments in order and finishes: reduce.cl's final form over [rows, n].
  mutating func addParts(_ product: Product, _ text: ProductText, segments: Int) {
    let kernel = KernelText(
      files: ["reduce"],
      macros: Planner.combination(.sum, product.dtype)
        + text.macros.filter {
          ["INDEX", "PREPARE", "FINISH(l)", "PARAMETERS"].contains($0.0)
        } + [
          ("OUTER_LAST", text.point.outerLast), ("OUTER(o, x)", text.point.outerAddresses(row: "o", x: "x")),
          ("FORM_FINAL", ""),
        ])
    let count = product.rows * product.n
    launchEach(
      kernel, text.arguments + text.part + nothing + [.long(count), .long(segments)], count: count, least: 512)
  }
}
