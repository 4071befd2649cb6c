import KilnDevices
import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("Augmentation on a device")
struct AugmentationTests {
  static let devices = ["cpu", "opencl:0"]

  private func images(_ count: Int, _ channels: Int, _ size: Int, on device: Device) -> Tensor {
    let values = (0..<count * channels * size * size).map { Float(($0 * 37) % 101) / 100 }
    return Tensor(values, shape: [count, channels, size, size], on: device)
  }

  private static let every: [Augmentation.Step] = [
    .horizontalFlip(), .verticalFlip(), .crop(padding: 2), .rotation(degrees: 20),
    .affine(degrees: 10, shift: 0.1, scale: 0.8...1.2, shear: 5),
    .colorJitter(brightness: 0.3, contrast: 0.3, saturation: 0.3), .cutout(size: 3),
    .normalize(mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.3, 0.4]),
  ]

  @Test("a sample is changed the same way in whatever batch it is, and otherwise in another epoch")
  func perSample() throws {
    let all = images(6, 3, 8, on: .cpu)
    for step in Self.every {
      let augment = Augmentation([step], seed: 5)
      let whole = try augment(all, samples: [10, 11, 12, 13, 14, 15], epoch: 1).doubles()
      let alone = try augment(all[3..<4], samples: [13], epoch: 1).doubles()
      #expect(zip(alone, whole[(3 * 192)...]).allSatisfy { abs($0 - $1) < 1e-6 } && alone.count == 192, "\(step)")
      if case .normalize = step { continue }
      let later = try augment(all, samples: [10, 11, 12, 13, 14, 15], epoch: 2).doubles()
      #expect(later != whole, "\(step)")
    }
  }

  @Test("the devices agree")
  func devices() throws {
    let augment = Augmentation(Self.every, seed: 3)
    let results = try Self.devices.map { name -> [Double] in
      let device = try Device.named(name)
      return try augment(images(4, 3, 9, on: device), samples: [0, 1, 2, 3], epoch: 0).doubles()
    }
    #expect(zip(results[0], results[1]).allSatisfy { abs($0 - $1) < 1e-4 })
    #expect(results[0].count == 4 * 3 * 81)
  }

  @Test("flips and crops move whole pixels")
  func pixels() throws {
    let all = images(1, 1, 5, on: .cpu)
    let source = try all.doubles()
    let flipped = try Augmentation([.horizontalFlip(probability: 1)])(all, samples: [0], epoch: 0).doubles()
    let mirrored: [Double] = (0..<25).map { (i: Int) -> Double in source[i / 5 * 5 + 4 - i % 5] }
    #expect(flipped == mirrored)
    let turned = try Augmentation([.verticalFlip(probability: 1)])(all, samples: [0], epoch: 0).doubles()
    let upsideDown: [Double] = (0..<25).map { (i: Int) -> Double in source[(4 - i / 5) * 5 + i % 5] }
    #expect(turned == upsideDown)
    #expect(
      try Augmentation([.horizontalFlip(probability: 0), .crop(padding: 0)])(all, samples: [0], epoch: 0).doubles()
        == source)
    var shifts: Set<[Int]> = []
    for sample in 0..<200 {
      let moved = try Augmentation([.crop(padding: 1)])(all, samples: [sample], epoch: 0).doubles()
      let found = (-1...1).flatMap { dy in (-1...1).map { dx in [dy, dx] } }.filter { shift in
        (0..<25).allSatisfy { i in
          let (y, x) = (i / 5 - shift[0], i % 5 - shift[1])
          return moved[i] == (0..<5 ~= y && 0..<5 ~= x ? source[y * 5 + x] : 0)
        }
      }
      #expect(found.count == 1)
      shifts.formUnion(found)
    }
    #expect(shifts.count == 9)
  }

  @Test("warps: no turn changes nothing, a quarter turn moves whole pixels")
  func warps() throws {
    let all = images(1, 1, 5, on: .cpu)
    let source = try all.doubles()
    let still = try Augmentation([.rotation(degrees: 0)])(all, samples: [0], epoch: 0).doubles()
    #expect(zip(still, source).allSatisfy { abs($0 - $1) < 1e-6 })
    let quarter = Warp(angle: .pi / 2).source(x: 2, y: 1)
    #expect(abs(quarter.x - 1) < 1e-12 && abs(quarter.y + 2) < 1e-12)
    let scaled = Warp(angle: 0, x: 1, y: -1, scale: 2).source(x: 3, y: 3)
    #expect(scaled.x == 1 && scaled.y == 2)
  }

  @Test("cutout sets one square, jitter stays in range, normalization is exact")
  func values() throws {
    let ones = Tensor.ones([1, 2, 6, 6], on: .cpu)
    let cut = try Augmentation([.cutout(size: 2, value: 0)])(ones, samples: [4], epoch: 0).doubles()
    #expect(cut.filter { $0 == 0 }.count == 8)
    let jitter = Augmentation([.colorJitter(brightness: 1, contrast: 1, saturation: 1)])
    let result = try jitter(images(8, 3, 4, on: .cpu), samples: Array(0..<8), epoch: 0).doubles()
    #expect(result.allSatisfy { $0 >= 0 && $0 <= 1 })
    let normal = Augmentation([.normalize(mean: [1, 2], deviation: [2, 4])])
    #expect(try normal(ones, samples: [0], epoch: 0).doubles() == (0..<72).map { $0 < 36 ? 0 : -0.25 })
  }

  @Test("mixup mixes images and labels by the same share")
  func mixed() throws {
    let x = Tensor((0..<4).map { Float($0) }, shape: [4, 1], on: .cpu)
    let labels = oneHot(Tensor([0, 1, 2, 3], on: .cpu), depth: 4)
    let (images, mixedLabels) = mixup(x, labels, alpha: 0.4, samples: [5, 6, 7, 8], epoch: 0, seed: 1)
    let values = try images.doubles()
    let shares = try mixedLabels.doubles()
    for row in 0..<4 {
      let line = Array(shares[row * 4..<row * 4 + 4])
      #expect(abs(line.reduce(0, +) - 1) < 1e-6)
      let mean: Double = line[1] + 2 * line[2] + 3 * line[3]
      #expect(abs(mean - values[row]) < 1e-5)
      #expect(line.filter { $0 != 0 }.count <= 2)
    }
    #expect(try mixup(x, labels, alpha: 0, samples: [1, 2, 3, 4], epoch: 0).images.doubles() == [0, 1, 2, 3])
    #expect(mixup(x, labels, alpha: -1, samples: [1, 2, 3, 4], epoch: 0).labels.error != nil)
  }

  @Test("parameters and images that make no sense are errors of the result")
  func refused() {
    let all = images(2, 1, 4, on: .cpu)
    for step: Augmentation.Step in [
      .horizontalFlip(probability: 2), .crop(padding: -1), .rotation(degrees: -1), .rotation(degrees: .infinity),
      .affine(degrees: 1, scale: 0...1), .affine(degrees: 1, shift: 2), .colorJitter(saturation: 0.5),
      .colorJitter(brightness: .nan), .cutout(size: 5), .cutout(size: 0), .normalize(mean: [0], deviation: [0]),
      .normalize(mean: [0, 1], deviation: [1, 1]),
    ] {
      #expect(Augmentation([step])(all, samples: [0, 1], epoch: 0).error is TensorError, "\(step)")
    }
    #expect(Augmentation([])(all, samples: [0], epoch: 0).error is TensorError)
    #expect(Augmentation([])(all.cast(to: .int32), samples: [0, 1], epoch: 0).error is TensorError)
  }
}
