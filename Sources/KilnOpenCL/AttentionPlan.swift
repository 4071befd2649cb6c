import KilnEngine

extension Planner {
  // As attention_tiles.cl has them.
  private static let groupWidth = 128
  private static let tile = 32
  private static let columnChunk = 64
  /// With fewer batch elements the forward pass is cut further.
  private static let tasks = 16
  /// Scores of a block of queries, so that they and their gradient stay in the second-level cache.
  private static let blockScores = 1 << 15

  mutating func plan(_ step: AttentionStep) {
    let operands = step.inputs + step.outputs
    let batches = step.batch.reduce(1, *)
    var offsets: [Int] = []
    offsets.reserveCapacity(batches * operands.count)
    for b in 0..<batches {
      for operand in operands {
        var (rest, at) = (b, 0)
        for axis in step.batch.indices.reversed() {
          at += rest % step.batch[axis] * operand.strides[axis]
          rest /= step.batch[axis]
        }
        offsets.append(at)
      }
    }
    let arguments =
      operands.flatMap { place($0) + [.long($0.strides.last ?? 0)] } + [.table, .long(enter(offsets))] + [
        .int(step.queries), .int(step.keys), .int(step.features), .int(step.valueFeatures),
        .float(step.attention.scale, step.dtype),
      ]
    let macros = [("T", step.dtype.openCL)] + (step.attention.isCausal ? [("CAUSAL", "")] : [])
    switch (style, step.attention.isGradient) {
    case (.cpu, false): planPanels(step, batches, macros, arguments)
    case (.cpu, true): planGradientPanels(step, batches, macros, arguments)
    case (.gpu, false): planTiles(step, batches, macros, arguments)
    case (.gpu, true): planGradientTiles(step, batches, macros, arguments)
    }
  }

  // MARK: The GPU style

  private mutating func launchTiles(
    _ form: String, _ macros: [(String, String)], _ arguments: [Argument], rows: Int, columns: Int, batches: Int
  ) {
    launch(
      KernelText(files: ["attention", "attention_tiles"], macros: macros + [("EXP(v)", "exp(v)"), (form, "")]),
      arguments,
      global: [
        (rows + Planner.tile - 1) / Planner.tile * Planner.groupWidth,
        (columns + Planner.columnChunk - 1) / Planner.columnChunk, batches,
      ], local: [Planner.groupWidth, 1, 1])
  }

  private mutating func planTiles(
    _ step: AttentionStep, _ batches: Int, _ macros: [(String, String)], _ arguments: [Argument]
  ) {
    launchTiles(
      "FORM_FORWARD", macros, arguments + nothing, rows: step.queries, columns: step.valueFeatures, batches: batches)
  }

  private mutating func planGradientTiles(
    _ step: AttentionStep, _ batches: Int, _ macros: [(String, String)], _ arguments: [Argument]
  ) {
    let size = step.dtype.size
    let arguments = arguments + [.scratch, .long(scratch(batches * step.queries * 3 * size) / size)]
    launchTiles("FORM_STATISTICS", macros, arguments, rows: step.queries, columns: 1, batches: batches)
    launchTiles("FORM_QUERIES", macros, arguments, rows: step.queries, columns: step.features, batches: batches)
    launchTiles(
      "FORM_KEYS", macros, arguments, rows: step.keys, columns: max(step.features, step.valueFeatures), batches: batches
    )
  }

  // MARK: The CPU style

  /// Sizes in elements, by the shape alone.
  private struct Panels {
    let rows, columns: Int
    /// Of keys that any query sees; from one row of scores to the next.
    let keys, line: Int
    private let step: AttentionStep
    let macros: [(String, String)]

    init(_ step: AttentionStep, sumVectors: Int) {
      let lanes = step.dtype.size == 8 ? 8 : 16
      let (rows, vectors) = sumVectors >= 24 ? (12, 2) : (6, 1)
      self.step = step
      (self.rows, columns) = (rows, vectors * lanes)
      keys = step.attention.isCausal ? min(step.queries, step.keys) : step.keys
      // Room for whole panels, and for as many rows of a transposed product; an odd number of cache lines, since rows
      // that lie a power of two apart would share the places of the cache.
      let room = max(Panels.up(keys, columns), keys + rows)
      line = (Panels.up(room, 16) / 16 | 1) * 16
      let places = (0..<lanes).map { "v.s" + String($0, radix: 16) }
      func tree(_ places: [String], _ join: (String, String) -> String) -> String {
        if places.count == 1 { return places[0] }
        let half = places.count / 2
        return join(tree(Array(places[..<half]), join), tree(Array(places[half...]), join))
      }
      macros =
        Planner.registerMacros(step.dtype, rows, vectors) + [
          ("MULTIPLY_ADD(a, b, c)", "fma(a, b, c)"),
          ("EXP(v)", step.dtype == .float32 ? "kiln_exp_float16(v)" : "exp(v)"),
          ("MASK", lanes == 16 ? "int16" : "long8"),
          ("LANES", "((\(lanes == 16 ? "int16" : "long8"))(\((0..<lanes).map(String.init).joined(separator: ", "))))"),
          ("SUM_LANES(v)", tree(places) { "(\($0) + \($1))" }), ("MAX_LANES(v)", tree(places) { "fmax(\($0), \($1))" }),
        ]
    }

    static func up(_ count: Int, _ multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
    func width(_ features: Int) -> Int { Panels.up(features, columns) }
    var tiles: Int { (step.queries + rows - 1) / rows }
  }

  /// Places of pieces one after the other, entered into the table; and their whole size.
  private mutating func lay(_ sizes: [Int]) -> (room: Int, size: Int) {
    var at = 0
    let places = sizes.map { size in
      defer { at += Panels.up(size, 16) }
      return at
    }
    return (enter(places), at)
  }

  private mutating func launchPanels(
    _ form: String, _ macros: [(String, String)], _ arguments: [Argument], _ step: AttentionStep, _ panels: Panels,
    pieces: [Int], units: Int, turns: Argument
  ) {
    let work = step.queries * step.keys * (step.features + step.valueFeatures)
    let chunk = chunk(units, least: max(1, 100_000 / max(work, 1)))
    let items = (units + chunk - 1) / chunk
    let (room, size) = lay(pieces)
    let stage = scratch(items * size * step.dtype.size) / step.dtype.size
    launch(
      KernelText(files: ["attention", "attention_panels"], macros: macros + panels.macros + [(form, "")]),
      arguments + [
        .scratch, .long(stage), .long(size), .long(room), .long(panels.line), .long(units), turns, .long(chunk),
      ], global: [items], local: [1])
  }

  private mutating func planPanels(
    _ step: AttentionStep, _ batches: Int, _ macros: [(String, String)], _ arguments: [Argument]
  ) {
    let panels = Panels(step, sumVectors: tiling.sumVectors)
    let parts = min((Planner.tasks + batches - 1) / batches, panels.tiles)
    let width = panels.width(step.valueFeatures)
    launchPanels(
      "FORM_FORWARD", macros, arguments, step, panels,
      pieces: [
        panels.rows * panels.line, panels.width(panels.keys) * step.features, panels.keys * width, panels.rows * width,
      ], units: batches * parts, turns: .long(parts))
  }

  private mutating func planGradientPanels(
    _ step: AttentionStep, _ batches: Int, _ macros: [(String, String)], _ arguments: [Argument]
  ) {
    let panels = Panels(step, sumVectors: tiling.sumVectors)
    let most = Planner.blockScores / panels.line / panels.rows * panels.rows
    let block = min(max(most, panels.rows), panels.tiles * panels.rows)
    let (width, valueWidth) = (panels.width(step.features), panels.width(step.valueFeatures))
    let keys = Panels.up(panels.keys, panels.rows)
    launchPanels(
      "FORM_GRADIENT", macros, arguments, step, panels,
      pieces: [
        block * panels.line, block * panels.line, panels.width(panels.keys) * step.features,
        panels.width(panels.keys) * step.valueFeatures, panels.keys * width, block * width, block * valueWidth,
        keys * width, keys * valueWidth, panels.rows * width,
      ], units: batches, turns: .int(block))
  }
}
