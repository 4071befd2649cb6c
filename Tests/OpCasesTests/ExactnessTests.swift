import KilnDevices
import KilnEngine
import OpCases
import Testing

/// What doubles cannot show: whole numbers beyond 2^53, wrapping, and memory that must not change.
@Suite struct ExactnessTests {
  @Test(arguments: TestDevices.all)
  func int64IsExactBeyondDoubles(_ device: Device) throws {
    let large = [Int.max, Int.min, (1 << 53) + 1, -(1 << 53) - 1, 1 << 62, 12_345_678_901_234_567]
    let x = Tensor(large, on: device)
    #expect(try x.scalars(as: Int.self) == large)
    #expect(try (x + Tensor([1] as [Int], on: device)).scalars(as: Int.self) == large.map { $0 &+ 1 })
    #expect(try (x * Tensor([3] as [Int], on: device)).scalars(as: Int.self) == large.map { $0 &* 3 })
    #expect(try (-x).scalars(as: Int.self) == large.map { 0 &- $0 })
    #expect(try x.max().scalars(as: Int.self) == [Int.max])
    #expect(try x.min().scalars(as: Int.self) == [Int.min])
    #expect(try x.sum().scalars(as: Int.self) == [large.reduce(0, &+)])
    #expect(try x.sorted().scalars(as: Int.self) == large.sorted())
    #expect(try x.argmax().scalars(as: Int.self) == [0])
    #expect(try x.gathered(Tensor([5, 2] as [Int], on: device)).scalars(as: Int.self) == [large[5], large[2]])
    #expect(try concatenate([x, x], axis: 0).scalars(as: Int.self) == large + large)
    #expect(try (x .> Tensor([1 << 53] as [Int], on: device)).scalars(as: Bool.self) == large.map { $0 > 1 << 53 })
  }

  @Test(arguments: TestDevices.all)
  func narrowIntegersWrap(_ device: Device) throws {
    let bytes = Tensor([250, 5, 128] as [UInt8], on: device)
    #expect(try (bytes + bytes).scalars(as: UInt8.self) == [244, 10, 0])
    #expect(try (bytes * bytes).scalars(as: UInt8.self) == [36, 25, 0])
    let words = Tensor([Int32.max, Int32.min, 70_000] as [Int32], on: device)
    #expect(try (words + words).scalars(as: Int32.self) == [-2, 0, 140_000])
    #expect(try (words * words).scalars(as: Int32.self) == [1, 0, 70_000 &* 70_000])
  }

  @Test(arguments: TestDevices.all)
  func resultsNeverShareChangingMemory(_ device: Device) throws {
    let x = Tensor((0..<2000).map(Float.init), on: device)
    let y = x * 2
    let first: [Float] = try y.scalars()
    // Later work must not reuse what y and x still hold.
    for i in 0..<20 { _ = try (x + Double(i)).sum().item() }
    #expect(try y.scalars() == first)
    #expect(try x.scalars() == (0..<2000).map(Float.init))
    let part = y[100..<200]
    try evaluate(part)
    for i in 0..<20 { _ = try (y * Double(i)).max().item() }
    #expect(try part.scalars() == Array(first[100..<200]))
  }

  @Test(arguments: TestDevices.all)
  func severalOutputsOfOneGraphAreEachRight(_ device: Device) throws {
    let x = Tensor((0..<1031).map { Float($0) / 100 }, on: device)
    let shared = x * x + 1
    let (a, b, c) = (sqrt(shared), shared.sum(), shared.flipped(axes: [0]))
    try evaluate(a, b, c, shared)
    let values: [Float] = try shared.scalars()
    #expect(try c.scalars() == Array(values.reversed()))
    let total = values.reduce(0.0) { $0 + Double($1) }
    #expect(abs(try b.item() - total) < total * 1e-5)
    for (root, value) in zip(try a.scalars(as: Float.self), values) {
      #expect(abs(root - value.squareRoot()) <= 4 * root.ulp)
    }
  }

  @Test(arguments: TestDevices.all.filter { $0.driver.supports(.float64) })
  func gradientsPassThroughFloatCasts(_ device: Device) throws {
    let x = Tensor([1, 2, 3] as [Double], on: device).watched()
    let weights = Tensor([0.5, -2, 4] as [Float], on: device)
    let g = try gradient(of: (x.cast(to: .float32) * weights * weights).sum(), withRespectTo: x)
    #expect(g.dtype == .float64)
    #expect(try g.scalars(as: Double.self) == [0.25, 4, 16])
    let whole = try gradient(of: (x.cast(to: .int32).cast(to: .float64) * 3).sum(), withRespectTo: x)
    #expect(try whole.scalars(as: Double.self) == [0, 0, 0])
  }
}
