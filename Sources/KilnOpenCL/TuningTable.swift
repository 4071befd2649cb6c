import Foundation
import KilnEngine

/// The tiles that `kiln-bench tune` found best on a device, in the user's cache. The order of a sum depends on the tile's
/// segments, so that results are the same to the bit as long as this file is.
public struct TuningTable: Codable, Hashable, Sendable {
  /// Of the file's format and of the kernels that it was measured with: tables of others are not used.
  public static let currentVersion = 1

  public struct Entry: Codable, Hashable, Sendable {
    public var kind: String
    public var batches, m, n, k, bytes: Int
    /// A `TileShape` as text, and into how many segments the sum is split.
    public var tile: String
    public var segments: Int
    public init(_ shape: ProductShape, tile: TileShape, segments: Int) {
      (kind, batches, m, n, k, bytes) = (
        shape.kind.rawValue, shape.batches, shape.m, shape.n, shape.k, shape.bytes
      )
      (self.tile, self.segments) = (tile.text, segments)
    }
  }

  public var version = TuningTable.currentVersion
  public var device, driver: String
  public var entries: [Entry]

  /// What a file says, or what is wrong with it.
  static func decode(_ data: Data, device: String, driver: String, style: KernelStyle) throws(TuningMistake)
    -> TuningTable
  {
    guard let table = try? JSONDecoder().decode(TuningTable.self, from: data) else {
      throw TuningMistake(description: "is no tuning table")
    }
    if table.version != currentVersion {
      throw TuningMistake(description: "has version \(table.version), not \(currentVersion)")
    }
    if table.device != device || table.driver != driver {
      throw TuningMistake(description: "is of '\(table.device)' with driver \(table.driver)")
    }
    for entry in table.entries {
      guard let shape = TileShape(entry.tile), shape.style == style, ProductShape.Kind(rawValue: entry.kind) != nil,
        (1...4096).contains(entry.segments), min(entry.batches, entry.m, entry.n, entry.k, entry.bytes) > 0
      else { throw TuningMistake(description: "has an impossible entry (\(entry.kind), tile \(entry.tile))") }
    }
    return table
  }
}

struct TuningMistake: Error, CustomStringConvertible { var description: String }

/// How a driver chooses tiles: by a tuned table where a shape like the product's was measured, else by the rule of the
/// device's vendor.
struct Tiling: Sendable {
  let vendor: TileVendor
  let table: TuningTable?
  /// Vectors of 16 floats whose sums a CPU's registers hold: 24 of 32 registers of AVX-512, else 6 (12 of AVX's 16, and all
  /// 24 of NEON's 32).
  let sumVectors: Int
  /// One choice for all products, while tuning.
  var forced: TileChoice?

  init(_ hardware: OpenCLHardware, style: KernelStyle) {
    vendor = TileVendor(hardware, style: style)
    table = TuningFile(hardware, style: style).read()
    sumVectors = hardware.floatLanes >= 16 ? 24 : 6
  }

  init(vendor: TileVendor, table: TuningTable? = nil, sumVectors: Int = 24, forced: TileChoice? = nil) {
    (self.vendor, self.table, self.sumVectors, self.forced) = (vendor, table, sumVectors, forced)
  }

  func choice(_ product: ProductShape) -> TileChoice {
    if let forced, forced.shape.fits(product) {
      return TileChoice(shape: forced.shape, segments: max(1, min(forced.segments, product.k / 64)))
    }
    return nearest(product) ?? vendor.choice(product, sumVectors: sumVectors)
  }

  /// The entry of the same kind that is nearest by the ratios of all sizes, none of them over 2.
  private func nearest(_ product: ProductShape) -> TileChoice? {
    guard let table, product.k > 0 else { return nil }
    var best: (distance: Double, choice: TileChoice)?
    for entry in table.entries where entry.kind == product.kind.rawValue && entry.bytes == product.bytes {
      let ratios = zip(
        [entry.batches, entry.m, entry.n, entry.k], [product.batches, product.m, product.n, product.k]
      ).map { abs(Foundation.log2(Double($0) / Double($1))) }
      guard ratios.allSatisfy({ $0 <= 1 }), let shape = TileShape(entry.tile), shape.fits(product) else { continue }
      let distance = ratios.reduce(0, +)
      if distance < best?.distance ?? .infinity {
        best = (distance, TileChoice(shape: shape, segments: max(1, min(entry.segments, product.k / 64))))
      }
    }
    return best?.choice
  }

  /// For the description of a device.
  var summary: String { table.map { "tiles tuned for \($0.entries.count) products" } ?? "default tiles" }
}

/// Where the table of a device lies: beside its built kernels.
struct TuningFile {
  let path: String?
  private let device, driver: String
  private let style: KernelStyle

  init(_ hardware: OpenCLHardware, style: KernelStyle, folder: String? = KernelDiskCache.folder) {
    device = "\(hardware.deviceName), \(hardware.platformName)"
    driver = "\(hardware.driverVersion), \(hardware.platformVersion)"
    self.style = style
    let key = StableHash.hex([device, driver, style.rawValue].joined(separator: "\u{0}"))
    path = folder.map { "\($0)/tiles-\(style.rawValue)-\(key).json" }
  }

  /// The table, if there is a sound one. One that is not is named on standard error, once in a process.
  func read() -> TuningTable? {
    guard let path, let data = FileManager.default.contents(atPath: path) else { return nil }
    do {
      return try TuningTable.decode(data, device: device, driver: driver, style: style)
    } catch {
      let isFirst = TuningFile.warned.withLock { $0.insert(path).inserted }
      if isFirst {
        let text = "kiln: \(path) \(error.description) and is not used; 'kiln-bench tune' writes it anew\n"
        FileHandle.standardError.write(Data(text.utf8))
      }
      return nil
    }
  }

  func write(_ entries: [TuningTable.Entry]) throws(TuningMistake) {
    guard let path else { throw TuningMistake(description: "there is no cache to write to: KILN_CACHE_DIR is empty") }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      let data = try encoder.encode(TuningTable(device: device, driver: driver, entries: entries))
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try data.write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch { throw TuningMistake(description: "\(path) cannot be written: \(error.localizedDescription)") }
  }

  private static let warned = Warned()

  private final class Warned: @unchecked Sendable {  // guarded by `lock`
    private let lock = NSLock()
    private var paths: Set<String> = []
    func withLock<T>(_ body: (inout Set<String>) -> T) -> T { lock.withLock { body(&paths) } }
  }
}

extension OpenCLDriver {
  /// Which tiles are in use: "default tiles", or how many products a table holds.
  public var tilesInUse: String { tiling.summary }

  /// Stores what was tuned for later processes; gives the file's path. Throws why it cannot be written.
  public func storeTiles(_ entries: [TuningTable.Entry]) throws -> String {
    let file = TuningFile(hardware, style: style)
    try file.write(entries)
    return file.path ?? ""
  }
}

/// A driver's device, queue and memory, with tiles of its own: for tuning, and to test tiles.
public final class TiledDriver: ForwardingDriver {
  private let driver: OpenCLDriver
  public var base: any DeviceDriver { driver }
  private let tiling: Tiling
  public let name: String

  /// All products have this tile, and a sum of so many segments if it is long enough; without a tile the vendor's,
  /// whatever was tuned. The tile must be of the driver's style.
  public init(_ base: OpenCLDriver, tile: TileShape? = nil, segments: Int = 1) {
    driver = base
    let isUsable = tile?.style == base.style
    tiling = Tiling(
      vendor: base.tiling.vendor, sumVectors: base.tiling.sumVectors,
      forced: isUsable ? tile.map { TileChoice(shape: $0, segments: segments) } : nil)
    name = "\(base.name) (\(tile.map { "\($0.text) in \(segments)" } ?? "default tiles"))"
  }

  /// What a product of this shape is computed with.
  public func tile(for product: ProductShape) -> (tile: TileShape, segments: Int) {
    let choice = tiling.choice(product)
    return (choice.shape, choice.segments)
  }

  public func compile(_ program: Program) throws -> any CompiledProgram {
    try driver.compile(program, tiling: tiling)
  }
}
