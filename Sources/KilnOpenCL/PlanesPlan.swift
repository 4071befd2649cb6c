import KilnEngine

/// How the results of a convolution, or of its gradient by the input, meet the taps as shifts in padded planes of the image:
/// see planes.cl.
struct PlaneGeometry {
  /// A part of the result whose points meet the same taps: all of it, or for the gradient a phase of the stride.
  struct Turn {
    var y, x, rows, columns: Int
    var firstTap, taps: Int
  }
  /// Planes of the image, rows of the product.
  let channels, m: Int
  let imageHeight, imageWidth, stepY, stepX: Int
  /// Row and column of the image at each phase's first.
  var phases: [(y: Int, x: Int)] = []
  var turns: [Turn] = []
  /// Phase, rows and columns of a tap's shift, and its place in a filter.
  var taps: [(phase: Int, y: Int, x: Int, place: Int)] = []
  /// The most rows and columns that a tap shifts by.
  var reachY = 0
  var reachX = 0
  /// Rows and columns of the largest turn.
  let gridHeight, gridWidth: Int
  let outWidth, outStepY, outStepX: Int
  /// Strides of the filters along the product's rows, along the channels, and of a group.
  let rowStep, channelStep, filterGroup: Int

  init(_ c: Convolution) {
    let (filtersOfGroup, channelsOfGroup) = (c.filters / c.groups, c.channels / c.groups)
    let kernel = c.kernelHeight * c.kernelWidth
    filterGroup = filtersOfGroup * channelsOfGroup * kernel
    if c.kind == .inputGradient {
      (channels, m) = (filtersOfGroup, channelsOfGroup)
      (imageHeight, imageWidth, stepY, stepX) = (c.outHeight, c.outWidth, 1, 1)
      (gridHeight, gridWidth) = ((c.height + c.strideY - 1) / c.strideY, (c.width + c.strideX - 1) / c.strideX)
      (outWidth, outStepY, outStepX) = (c.width, c.strideY, c.strideX)
      (rowStep, channelStep) = (kernel, channelsOfGroup * kernel)
      addGradientTurns(c)
    } else {
      (channels, m) = (channelsOfGroup, filtersOfGroup)
      (imageHeight, imageWidth, stepY, stepX) = (c.height, c.width, c.strideY, c.strideX)
      (gridHeight, gridWidth) = (c.outHeight, c.outWidth)
      (outWidth, outStepY, outStepX) = (c.outWidth, 1, 1)
      (rowStep, channelStep) = (channelsOfGroup * kernel, kernel)
      var known: [Int: Int] = [:]
      for ky in 0..<c.kernelHeight {
        for kx in 0..<c.kernelWidth {
          let (y, x) = (ky * c.dilationY, kx * c.dilationX)
          let key = y % c.strideY * c.strideX + x % c.strideX
          if known[key] == nil {
            known[key] = phases.count
            phases.append((y % c.strideY - c.padTop, x % c.strideX - c.padLeft))
          }
          taps.append((known[key] ?? 0, y / c.strideY, x / c.strideX, ky * c.kernelWidth + kx))
        }
      }
      turns = [Turn(y: 0, x: 0, rows: gridHeight, columns: gridWidth, firstTap: 0, taps: taps.count)]
    }
    let (leastY, leastX) = (taps.map(\.y).min() ?? 0, taps.map(\.x).min() ?? 0)
    for i in taps.indices {
      taps[i].y -= leastY
      taps[i].x -= leastX
    }
    for i in phases.indices {
      phases[i].y += leastY * stepY
      phases[i].x += leastX * stepX
    }
    reachY = taps.map(\.y).max() ?? 0
    reachX = taps.map(\.x).max() ?? 0
  }

  /// Input rows y = stride * t + phase meet result row t + (phase + pad - k * dilation) / stride, where that is whole.
  private mutating func addGradientTurns(_ c: Convolution) {
    phases = [(0, 0)]
    func shifts(_ phase: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ pad: Int) -> [(k: Int, by: Int)] {
      (0..<kernel).compactMap { k in
        let place = phase + pad - k * dilation
        return place % stride == 0 ? (k, place / stride) : nil
      }
    }
    for y in 0..<min(c.strideY, c.height) {
      let rows = shifts(y, c.kernelHeight, c.strideY, c.dilationY, c.padTop)
      for x in 0..<min(c.strideX, c.width) {
        let columns = shifts(x, c.kernelWidth, c.strideX, c.dilationX, c.padLeft)
        turns.append(
          Turn(
            y: y, x: x, rows: (c.height - y + c.strideY - 1) / c.strideY,
            columns: (c.width - x + c.strideX - 1) / c.strideX, firstTap: taps.count, taps: rows.count * columns.count))
        for row in rows {
          for column in columns { taps.append((0, row.by, column.by, row.k * c.kernelWidth + column.k)) }
        }
      }
    }
  }

  var pitch: Int { gridWidth + reachX }

  /// Result rows whose planes stay in the second-level cache, unless that copied rows too often.
  var blockRows: Int {
    let row = max(1, channels * phases.count * pitch)
    let rows = max(49152 / row - reachY, 4 * max(reachY, 1), 1)
    let blocks = (gridHeight + rows - 1) / rows
    return (gridHeight + blocks - 1) / blocks
  }

  /// Rows and vectors of sums in registers that need least: rows and columns past the last are computed too.
  func registers(lanes: Int, count: Int, sumVectors: Int) -> (rows: Int, vectors: Int) {
    var best = (cost: Int.max, rows: 1, vectors: 1)
    for (rows, vectors) in [(12, 2), (8, 3), (6, 4), (4, 4), (2, 4), (1, 4), (16, 1), (6, 1), (4, 1), (3, 2), (1, 2)]
    where rows * vectors <= sumVectors {
      let blocks = (m + rows - 1) / rows * ((count + lanes * vectors - 1) / (lanes * vectors))
      let cost = blocks * (rows * vectors + vectors + 2)
      if cost < best.cost { best = (cost, rows, vectors) }
    }
    return (best.rows, best.vectors)
  }
}

extension Planner {
  /// Forward convolutions and gradients by the input in the CPU style.
  mutating func planPlanes(_ step: ConvolutionStep, _ product: Product) {
    let c = step.convolution
    let geometry = PlaneGeometry(c)
    let blockRows = geometry.blockRows
    let blocks = (geometry.gridHeight + blockRows - 1) / blockRows
    let planeRows = blockRows + geometry.reachY
    let planeSize = planeRows * geometry.pitch
    let lanes = step.dtype.size == 8 ? 8 : 16
    let count = (blockRows - 1) * geometry.pitch + geometry.gridWidth
    let (rows, vectors) = geometry.registers(lanes: lanes, count: count, sumVectors: tiling.sumVectors)
    let width = lanes * vectors
    let panels = (geometry.m + rows - 1) / rows

    // The list that planes.cl describes.
    var shape = [geometry.channels, geometry.phases.count, geometry.turns.count, geometry.taps.count]
    for phase in geometry.phases { shape += [phase.y, phase.x] }
    var groupPacked = 0
    for turn in geometry.turns {
      shape += [turn.y, turn.x, turn.rows, turn.columns, turn.taps, turn.firstTap, groupPacked, 0]
      groupPacked += panels * geometry.channels * turn.taps * rows
    }
    for tap in geometry.taps { shape += [tap.phase * planeSize + tap.y * geometry.pitch + tap.x, tap.place] }
    let shapeArguments: [Argument] = [.table, .long(enter(shape))]

    let text = text(product, segments: 1)
    let macros = Planner.elementMacros(step.dtype) + Planner.registerMacros(step.dtype, rows, vectors)
    let size = step.dtype.size
    let packed: [Argument] = [.scratch, .long(scratch(c.groups * groupPacked * size) / size)]
    let items = c.groups * geometry.turns.count * panels
    let chunk = chunk(items, least: max(1, 8192 / max(1, geometry.channels * rows)))
    launch(
      KernelText(files: ["planes"], macros: macros + [("FORM_PACK", "")]),
      packed + place(step.inputs[1]) + shapeArguments + [
        .long(geometry.m), .long(geometry.filterGroup), .long(groupPacked), .long(geometry.rowStep),
        .long(geometry.channelStep), .long(items), .long(chunk),
      ], global: [(items + chunk - 1) / chunk], local: [1])

    let entries = c.batch * c.groups * blocks
    let parts = max(1, min(panels, 16 / max(entries, 1)))
    let units = entries * parts
    let unitChunk = self.chunk(units, least: 1)
    let workItems = (units + unitChunk - 1) / unitChunk
    let sumsPitch = (count + width - 1) / width * width
    let stageSize =
      (geometry.channels * geometry.phases.count * planeSize + width + rows * sumsPitch + lanes - 1) / lanes * lanes
    let stage: [Argument] = [.scratch, .long(scratch(workItems * stageSize * size) / size)]
    let image = step.inputs[0]
    let isGradient = c.kind == .inputGradient
    let plane = geometry.imageHeight * geometry.imageWidth
    let sizes = [
      geometry.imageHeight, geometry.imageWidth, geometry.stepY, geometry.stepX, geometry.pitch, blockRows, planeRows,
      geometry.outWidth, geometry.outStepY, geometry.outStepX,
    ]
    launch(
      KernelText(
        files: ["planes"],
        macros: macros + text.macros + [("FORM_SUMS", "")] + (geometry.outStepX > 1 ? [("SPREAD", "")] : [])),
      text.arguments + packed + [.long(groupPacked)] + stage + [.long(stageSize), .long(sumsPitch)] + place(image)
        + [.long((isGradient ? c.filters : c.channels) * plane), .long(geometry.channels * plane)]
        + sizes.map { .int($0) } + shapeArguments
        + [
          .long(geometry.m), .long(c.groups), .long(blocks), .long(parts), .long(units), .long(unitChunk),
        ], global: [workItems], local: [1])
  }
}
