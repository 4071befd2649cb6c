import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite(.serialized) struct TileTests {
  /// A product with a left or right side whose neighbours along k lie together or not.
  private func product(
    _ driver: any DeviceDriver, batches: Int, _ m: Int, _ n: Int, _ k: Int, _ kind: ProductShape.Kind,
    dtype: DType = .float32, offset: Int = 0
  ) throws -> [Double] {
    let transposesLhs = kind == .tn || kind == .tt
    let transposesRhs = kind == .nt || kind == .tt
    let lhs = Operand(
      slot: .input(0), dtype: dtype, offset: offset, strides: [m * k] + (transposesLhs ? [1, m] : [k, 1]))
    let rhs = Operand(
      slot: .input(1), dtype: dtype, offset: 0, strides: [k * n] + (transposesRhs ? [1, k] : [n, 1]))
    let step = MatmulStep(
      batch: [batches], m: m, n: n, k: k, dtype: dtype, lhs: lhs, rhs: rhs, operands: [],
      epilogue: identityEpilogue(dtype), outputs: [dense(.output(0), [batches, m, n], dtype)])
    return try run(
      driver, [.matmul(step)],
      inputs: [
        HostTensor(values: samples(batches * m * k + offset), dtype: dtype),
        HostTensor(values: samples(batches * k * n, seed: 2), dtype: dtype),
      ], outputs: [(batches * m * n, dtype)])[0]
  }

  private func expected(
    batches: Int, _ m: Int, _ n: Int, _ k: Int, _ kind: ProductShape.Kind, offset: Int = 0
  ) -> [Double] {
    let a = Array(samples(batches * m * k + offset).dropFirst(offset))
    let b = samples(batches * k * n, seed: 2)
    var result: [Double] = []
    for e in 0..<batches {
      for i in 0..<m {
        for j in 0..<n {
          var sum = 0.0
          for p in 0..<k {
            sum +=
              a[e * m * k + (kind == .tn || kind == .tt ? p * m + i : i * k + p)]
              * b[e * k * n + (kind == .nt || kind == .tt ? j * k + p : p * n + j)]
          }
          result.append(sum)
        }
      }
    }
    return result
  }

  /// All rungs of all ladders, and what `kiln-bench tune` tries of the CPU style.
  private static var shapes: [TileShape] {
    var list = TileShape.candidates(.cpu)
    for vendor in [TileVendor.nvidia, .amd, .intel, .other] {
      for tile in vendor.ladder.tiles where !list.contains(tile) { list.append(tile) }
    }
    return list
  }

  @Test func everyTileComputesTheProduct() throws {
    let drivers = try Drivers.required()
    // An edge in each direction, with and without rows that begin at multiples of four, from an odd place on.
    let sizes = [(1, 133, 70, 200, 0), (2, 18, 36, 64, 1)]
    for (index, shape) in Self.shapes.enumerated() {
      // Kinds and split sums take turns over the many of the CPU style.
      let kinds: [ProductShape.Kind] =
        shape.style == .gpu ? [.nn, .nt, .tn, .tt] : index % 2 == 0 ? [.nn, .tt] : [.nt, .tn]
      let base = try #require(drivers.first { $0.style == shape.style })
      let driver = TiledDriver(base, tile: shape, segments: index % 3 == 0 ? 3 : 1)
      #expect(driver.tile(for: ProductShape(kind: .nn, batches: 1, m: 9, n: 9, k: 999, bytes: 4)).tile == shape)
      for kind in kinds {
        for (batches, m, n, k, offset) in sizes {
          expectClose(
            try product(driver, batches: batches, m, n, k, kind, offset: offset),
            expected(batches: batches, m, n, k, kind, offset: offset), tolerance: 2e-5,
            "\(driver.name): \(kind) \(m)x\(n)x\(k)")
        }
      }
    }
  }

  @Test func tilesOfWideElementsFit() throws {
    for driver in try Drivers.required() where driver.supports(.float64) {
      let result = try product(driver, batches: 1, 150, 140, 300, .nt, dtype: .float64)
      expectClose(result, expected(batches: 1, 150, 140, 300, .nt), tolerance: 1e-12, driver.name)
    }
    for vendor in [TileVendor.nvidia, .amd, .intel, .other] {
      let product = ProductShape(kind: .nn, batches: 1, m: 4096, n: 4096, k: 4096, bytes: 8)
      #expect(vendor.choice(product).shape.fits(product))
    }
  }

  @Test func shapesChooseTheirTile() {
    func tile(_ m: Int, _ n: Int, _ k: Int, _ vendor: TileVendor = .nvidia) -> (String, Int) {
      let choice = vendor.choice(ProductShape(kind: .nn, batches: 1, m: m, n: n, k: k, bytes: 4))
      return (choice.shape.text, choice.segments)
    }
    #expect(tile(4096, 4096, 4096) == ("128x128x16/8x8", 1))
    #expect(tile(8, 4096, 512).0 == "16x128x16/4x4")
    #expect(tile(4096, 10, 512).0 == "128x16x16/4x4")
    #expect(tile(4096, 4096, 4096, .intel) == ("64x64x32/8x4", 1))
    // A CPU with narrow registers takes fewer sums, in the same order.
    let product = ProductShape(kind: .nn, batches: 1, m: 99, n: 99, k: 9999, bytes: 4)
    let (wide, narrow) = (TileVendor.cpu.choice(product), TileVendor.cpu.choice(product, sumVectors: 6))
    #expect(wide.shape.text == "12x2/96x128" && narrow.shape.text == "6x1/96x128")
    // A long sum of few elements is split.
    #expect(tile(16, 144, 65536).1 > 8)
    #expect(tile(16, 144, 200).1 == 1)
  }

  @Test func tilesAreWrittenAndReadAsText() {
    for style in KernelStyle.allCases {
      for shape in TileShape.candidates(style) { #expect(TileShape(shape.text) == shape) }
    }
    for text in [
      "", "64", "64x64x16", "64x64x16/8x4/1", "65x64x16/8x4", "64x64x16/8x3", "512x512x16/8x8", "64x64x-16/8x4",
      "128x128x64/8x8", "12x2", "12x2/96", "12x9/96x128", "12x2/97x128", "0x2/96x128", "axb/cxd",
    ] { #expect(TileShape(text) == nil, "\(text)") }
  }

  // Tables of what was tuned.

  private func entry(_ m: Int, _ n: Int, _ k: Int, _ tile: String, segments: Int = 1) throws -> TuningTable.Entry {
    TuningTable.Entry(
      ProductShape(kind: .nn, batches: 1, m: m, n: n, k: k, bytes: 4), tile: try #require(TileShape(tile)),
      segments: segments)
  }

  @Test func theNearestTunedProductCounts() throws {
    let table = TuningTable(
      device: "d", driver: "1",
      entries: [
        try entry(1024, 1024, 1024, "32x32x32/4x4"), try entry(700, 1024, 1024, "64x64x16/4x4"),
        try entry(32, 32, 4096, "16x128x16/4x4", segments: 8),
      ])
    let tiling = Tiling(vendor: .nvidia, table: table)
    func text(_ m: Int, _ n: Int, _ k: Int, _ kind: ProductShape.Kind = .nn, bytes: Int = 4) -> String {
      let choice = tiling.choice(ProductShape(kind: kind, batches: 1, m: m, n: n, k: k, bytes: bytes))
      return "\(choice.shape.text) in \(choice.segments)"
    }
    #expect(text(1000, 1024, 1024) == "32x32x32/4x4 in 1")
    #expect(text(750, 1024, 1024) == "64x64x16/4x4 in 1")
    #expect(text(40, 32, 4096) == "16x128x16/4x4 in 8")
    // Other kinds, other elements and sizes over twice as far take the vendor's.
    let standard = TileVendor.nvidia.choice(ProductShape(kind: .nn, batches: 1, m: 4096, n: 4096, k: 4096, bytes: 4))
    #expect(text(4096, 4096, 4096) == "\(standard.shape.text) in \(standard.segments)")
    #expect(text(1024, 1024, 1024, .nt) != "32x32x32/4x4 in 1")
    #expect(text(1024, 1024, 1024, bytes: 8) != "32x32x32/4x4 in 1")
  }

  @Test func tablesAreStoredAndDamagedOnesAreIgnored() throws {
    let first = try #require(Drivers.required().first)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kiln-tiles-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = TuningFile(first.hardware, style: .gpu, folder: folder)
    #expect(file.read() == nil)
    let entries = [try entry(64, 64, 64, "64x64x16/4x4")]
    try file.write(entries)
    #expect(file.read()?.entries == entries)
    // Each style has its own table.
    #expect(TuningFile(first.hardware, style: .cpu, folder: folder).read() == nil)
    let path = try #require(file.path)
    let sound = try #require(FileManager.default.contents(atPath: path))
    let text = String(decoding: sound, as: UTF8.self)
    for damaged in [
      "", "{", text.replacingOccurrences(of: "\"version\" : 1", with: "\"version\" : 99"),
      text.replacingOccurrences(of: "64x64x16/4x4", with: "64x64x16/4x5"),
      text.replacingOccurrences(of: "64x64x16/4x4", with: "12x2/96x128"),
      text.replacingOccurrences(of: "\"segments\" : 1", with: "\"segments\" : 0"),
      text.replacingOccurrences(of: "\"driver\" : \"", with: "\"driver\" : \"other "),
    ] {
      #expect(damaged != text)
      try Data(damaged.utf8).write(to: URL(fileURLWithPath: path))
      #expect(file.read() == nil, "\(damaged)")
    }
    // Tuning again overwrites it.
    try file.write(entries)
    #expect(file.read()?.entries == entries)
    #expect(TuningFile(first.hardware, style: .gpu, folder: nil).read() == nil)
    #expect(throws: TuningMistake.self) { try TuningFile(first.hardware, style: .gpu, folder: nil).write(entries) }
  }

  @Test func theTilesInUseAreNamed() throws {
    for driver in try Drivers.required() {
      #expect(driver.summary.hasSuffix(driver.tilesInUse))
      // A tile of the other style is not taken.
      let other = try #require(TileShape.candidates(driver.style == .gpu ? .cpu : .gpu).first)
      let product = ProductShape(kind: .nn, batches: 1, m: 99, n: 99, k: 99, bytes: 4)
      #expect(TiledDriver(driver, tile: other).tile(for: product) == TiledDriver(driver).tile(for: product))
    }
  }
}
