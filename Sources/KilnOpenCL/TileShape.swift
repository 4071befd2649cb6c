import KilnEngine

/// How a work-group (GPU style) or a work-item (CPU style) cuts a matrix product. Written as the tuning file has it:
/// "64x64x16/8x4" is a tile of 64 x 64, 16 deep, 8 x 4 of it a work-item's; "12x2/96x128" are panels of 12 rows and 2
/// vectors, up to 96 rows a work-item, 128 elements of the sum at a time.
public enum TileShape: Hashable, Sendable {
  case tile(rows: Int, columns: Int, depth: Int, itemRows: Int, itemColumns: Int)
  case panel(rows: Int, vectors: Int, group: Int, depth: Int)

  public var text: String {
    switch self {
    case .tile(let rows, let columns, let depth, let itemRows, let itemColumns):
      "\(rows)x\(columns)x\(depth)/\(itemRows)x\(itemColumns)"
    case .panel(let rows, let vectors, let group, let depth): "\(rows)x\(vectors)/\(group)x\(depth)"
    }
  }

  /// `nil` when the text is none, or names a shape that the kernels do not have.
  public init?(_ text: String) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    let numbers = halves.map { $0.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 } }
    switch numbers.map(\.count) {
    case [3, 2]:
      self = .tile(
        rows: numbers[0][0], columns: numbers[0][1], depth: numbers[0][2], itemRows: numbers[1][0],
        itemColumns: numbers[1][1])
    case [2, 2]:
      self = .panel(rows: numbers[0][0], vectors: numbers[0][1], group: numbers[1][0], depth: numbers[1][1])
    default: return nil
    }
    if !isValid { return nil }
  }

  /// What tiles.cl and panels.cl ask for, within the registers and the local memory of any device.
  var isValid: Bool {
    switch self {
    case .tile(let rows, let columns, let depth, let itemRows, let itemColumns):
      guard (16...256).contains(rows), (16...256).contains(columns), (4...64).contains(depth), depth % 4 == 0,
        [4, 8].contains(itemRows), [4, 8].contains(itemColumns), rows % itemRows == 0, columns % itemColumns == 0
      else { return false }
      let items = items
      return items <= 256 && items % columns == 0 && items % depth == 0 && (rows + columns + 8) * depth <= 5120
    case .panel(let rows, let vectors, let group, let depth):
      return (1...16).contains(rows) && (1...4).contains(vectors) && rows * vectors <= 28 && group % rows == 0
        && (rows...256).contains(group) && (16...512).contains(depth)
    }
  }

  /// Work-items of a group; 1 in the CPU style.
  var items: Int {
    guard case .tile(let rows, let columns, _, let itemRows, let itemColumns) = self else { return 1 }
    return rows / itemRows * (columns / itemColumns)
  }

  /// Whether elements of this size leave registers and local memory for it.
  func fits(_ product: ProductShape) -> Bool {
    guard case .tile(let rows, let columns, let depth, let itemRows, let itemColumns) = self else { return true }
    return product.bytes < 8 || (itemRows * itemColumns <= 32 && (rows + columns + 8) * depth * 8 <= 1 << 15)
  }

  /// What is tried when tiles are tuned.
  public static func candidates(_ style: KernelStyle) -> [TileShape] {
    switch style {
    case .gpu:
      var list: [TileShape] = []
      for (rows, columns) in [
        (128, 128), (128, 64), (64, 128), (64, 64), (32, 64), (64, 32), (32, 32), (16, 128), (128, 16),
      ] {
        for (itemRows, itemColumns) in [(8, 8), (8, 4), (4, 8), (4, 4)] {
          for depth in [8, 16, 32] {
            let shape = TileShape.tile(
              rows: rows, columns: columns, depth: depth, itemRows: itemRows, itemColumns: itemColumns)
            if shape.isValid && shape.items >= 32 { list.append(shape) }
          }
        }
      }
      return list
    case .cpu:
      return [(12, 2), (8, 3), (6, 4), (14, 2), (6, 2), (4, 4), (16, 1)].flatMap { rows, vectors in
        [(48, 256), (96, 128), (192, 256)].map { group, depth in
          TileShape.panel(rows: rows, vectors: vectors, group: group / rows * rows, depth: depth)
        }
      }.filter(\.isValid)
    }
  }

  public var style: KernelStyle {
    if case .tile = self { .gpu } else { .cpu }
  }
}

/// How a product is computed: its tile, and the number of segments that the sum is split into.
struct TileChoice: Hashable, Sendable {
  var shape: TileShape
  var segments: Int
}

/// Whose device it is, as far as tiles differ.
enum TileVendor: String, Sendable {
  case nvidia, amd, intel, cpu, other

  init(_ hardware: OpenCLHardware, style: KernelStyle) {
    let vendor = hardware.vendorName.lowercased()
    self =
      style == .cpu
      ? .cpu
      : vendor.contains("nvidia")
        ? .nvidia
        : vendor.contains("amd") || vendor.contains("advanced micro")
          ? .amd
          : vendor.contains("intel") ? .intel : .other
  }

  /// The tiles to choose from, and the work-items that keep such a device busy: a number for the vendor, not of the device
  /// at hand, since the order of sums may depend on the shape alone.
  var ladder: (tiles: [TileShape], busyItems: Int) {
    let skinny = [Self.tile(16, 128, 16, 4, 4), Self.tile(128, 16, 16, 4, 4), Self.tile(32, 32, 32, 4, 4)]
    switch self {
    case .nvidia:
      // 8 x 8 sums and the next tile's 16 elements fit 128 registers; shared memory gives what the multipliers take.
      return ([Self.tile(128, 128, 16, 8, 8), Self.tile(64, 64, 16, 8, 4)] + skinny, 1 << 15)
    case .amd: return ([Self.tile(128, 64, 16, 8, 8), Self.tile(64, 64, 32, 8, 4)] + skinny, 1 << 15)
    // 64 registers of a work-item in groups of 16: no tile of 8 x 8.
    case .intel: return ([Self.tile(64, 64, 32, 8, 4), Self.tile(64, 64, 16, 4, 4)] + skinny, 1 << 13)
    case .other: return ([Self.tile(64, 64, 16, 4, 4)] + skinny, 1 << 14)
    case .cpu: return ([], 1)
    }
  }

  private static func tile(_ m: Int, _ n: Int, _ k: Int, _ itemM: Int, _ itemN: Int) -> TileShape {
    .tile(rows: m, columns: n, depth: k, itemRows: itemM, itemColumns: itemN)
  }

  /// Without a tuned table: by the shape alone.
  func choice(_ product: ProductShape, sumVectors: Int = 24) -> TileChoice {
    self == .cpu ? panelChoice(product, sumVectors) : tileChoice(product)
  }

  private func panelChoice(_ product: ProductShape, _ sumVectors: Int) -> TileChoice {
    // So little work that handing a part of it to a second thread takes longer than doing it.
    let isTiny = product.bytes < 8 && product.batches * product.m * product.n * product.k <= 1 << 18
    let isWide = sumVectors >= 24
    if isTiny && isWide && (33...64).contains(product.n) {
      return TileChoice(shape: .panel(rows: 6, vectors: 4, group: 96, depth: 128), segments: 1)
    }
    let shape = TileShape.panel(rows: isWide ? 12 : 6, vectors: isWide ? 2 : 1, group: 96, depth: 128)
    let columns = 2 * (product.bytes == 8 ? 8 : 16)
    let units = product.batches * ((product.n + columns - 1) / columns) * ((product.m + 95) / 96)
    let isSplit = units < 8 && product.k >= 1024
    return TileChoice(shape: shape, segments: isSplit ? max(1, min(8 / units, product.k / 256)) : 1)
  }

  /// The tile that needs least: the whole of its work over what it reaches, less when the groups do not fill the device.
  private func tileChoice(_ product: ProductShape) -> TileChoice {
    let (tiles, busyItems) = ladder
    var best: (time: Double, choice: TileChoice)?
    for shape in tiles {
      guard case .tile(let rows, let columns, _, let itemRows, let itemColumns) = shape else { continue }
      if !shape.fits(product) { continue }
      let units = product.batches * ((product.m + rows - 1) / rows) * ((product.n + columns - 1) / columns)
      let wanted = (busyItems + shape.items - 1) / shape.items
      let segments = units >= wanted ? 1 : max(1, min(wanted / units, product.k / 256, 64))
      let busy = min(1, Double(units * segments * shape.items) / Double(busyItems))
      // Products for each element read from local memory.
      let reuse = Double(itemRows * itemColumns) / Double(itemRows + itemColumns)
      var time = Double(units * rows * columns) * Double(product.k + 16) / (busy * reuse / (reuse + 1))
      if segments > 1 { time += Double((segments + 1) * product.batches * product.m * product.n) * 8 }
      if time < best?.time ?? .infinity { best = (time, TileChoice(shape: shape, segments: segments)) }
    }
    return best?.choice ?? TileChoice(shape: Self.tile(64, 64, 16, 4, 4), segments: 1)
  }
}

/// What the choice of a tile depends on.
public struct ProductShape: Hashable, Sendable {
  /// Which side is read along p ("N" and "T" as in BLAS), or a convolution's kind.
  public enum Kind: String, Sendable, CaseIterable {
    // Of a convolution the case says what p counts, the text in a table what the columns are.
    case nn = "NN", nt = "NT", tn = "TN", tt = "TT"
    case taps = "conv-pixels", pixels = "conv-taps"
  }
  public var kind: Kind
  public var batches, m, n, k: Int
  /// Of an element.
  public var bytes: Int
  public init(kind: Kind, batches: Int, m: Int, n: Int, k: Int, bytes: Int) {
    (self.kind, self.batches, self.m, self.n, self.k, self.bytes) = (kind, batches, m, n, k, bytes)
  }
}
