import Foundation
import KilnEngine

/// Random changes of images on their device: a function of (seed, epoch, sample), whatever batch a sample is in.
///
///     let augment = Augmentation([.horizontalFlip(), .crop(padding: 4)], seed: 1)
///     let images = augment(batch.images, samples: batch.positions, epoch: epoch)
///
/// images [batch, channels, height, width] float32 or float64. The steps run in their order; the numbers that they draw
/// are made on the host, the pixels are changed by tensor functions.
public struct Augmentation: Sendable, Hashable {
  public enum Step: Sendable, Hashable {
    /// Left and right exchanged, with a probability.
    case horizontalFlip(probability: Double = 0.5)
    /// Top and bottom exchanged, with a probability.
    case verticalFlip(probability: Double = 0.5)
    /// A part of the image's size, from a random place of the image with `padding` zeros around it.
    case crop(padding: Int)
    /// Turned about the middle by up to so many degrees either way; bilinear, zeros outside.
    case rotation(degrees: Double)
    /// Rotation, then a shift by up to a part of the size, a scale between two, and a shear by up to so many degrees.
    case affine(degrees: Double, shift: Double = 0, scale: ClosedRange<Double> = 1...1, shear: Double = 0)
    /// Brightness, contrast and saturation times a random factor in 1 - x ... 1 + x each, as torchvision's ColorJitter in
    /// this order; saturation needs 3 channels. Values are then limited to 0...`maximum`.
    case colorJitter(brightness: Double = 0, contrast: Double = 0, saturation: Double = 0, maximum: Double = 1)
    /// A square of this size at a random place set to `value` (DeVries and Taylor, 2017).
    case cutout(size: Int, value: Double = 0)
    /// (x - mean) / deviation for each channel; nothing random.
    case normalize(mean: [Double], deviation: [Double])
  }
  public var steps: [Step]
  public var seed: UInt64

  public init(_ steps: [Step], seed: UInt64 = 0) { (self.steps, self.seed) = (steps, seed) }

  /// The changed images, of the same shape and dtype.
  ///
  /// `samples` are the positions of the batch's samples in their data set. Errors: images that are not of rank 4 or not of
  /// floats, another number of samples, parameters out of range.
  public func callAsFunction(_ images: Tensor, samples: [Int], epoch: Int) -> Tensor {
    guard images.error == nil else { return images }
    guard images.rank == 4, images.dtype.isFloat, images.shape[0] == samples.count else {
      return images.refused(
        "Augmentation", "needs float images [\(samples.count), channels, height, width], one for each sample",
        "cast with `.cast(to: .float32)`, and give the batch's positions")
    }
    if images.count == 0 { return images }
    var result = images
    for (number, step) in steps.enumerated() {
      if let (rule, fix) = step.mistake(images.shape) { return images.refused("Augmentation", rule, fix) }
      var draws = Draws(seed: seed, epoch: epoch, step: number, samples: samples)
      result = step.apply(result, &draws)
    }
    return result
  }
}

extension Tensor {
  /// This tensor with an error, which whatever uses it hands on.
  func refused(_ operation: String, _ rule: String, _ fix: String) -> Tensor {
    replacing(TensorError(operation: operation, rule: rule, operands: "\(shape) \(dtype)", fix: fix))
  }
}

/// A generator for each sample.
struct Draws {
  private var generators: [OrderGenerator]

  init(seed: UInt64, epoch: Int, step: Int, samples: [Int]) {
    generators = samples.map { sample in
      var generator = OrderGenerator(seed: seed, epoch: epoch)
      let first = generator.next() ^ UInt64(truncatingIfNeeded: step) &* 0xd6e8_feb8_6659_fd93
      return OrderGenerator(seed: first, epoch: sample)
    }
  }

  mutating func uniform(_ range: ClosedRange<Double>) -> [Double] {
    generators.indices.map { range.lowerBound + generators[$0].unit() * (range.upperBound - range.lowerBound) }
  }

  mutating func below(_ bound: Int) -> [Double] { generators.indices.map { Double(generators[$0].below(bound)) } }
}

extension Augmentation.Step {
  /// The rule that a parameter breaks, and the mend.
  fileprivate func mistake(_ shape: Shape) -> (String, String)? {
    func share(_ value: Double, _ name: String) -> (String, String)? {
      value >= 0 && value <= 1 ? nil : ("\(name) must lie in 0...1, got \(value)", "use 0.5, say")
    }
    switch self {
    case .horizontalFlip(let probability), .verticalFlip(let probability): return share(probability, "a probability")
    case .crop(let padding):
      return padding >= 0 && padding <= 1 << 20
        ? nil : ("the padding must not be negative or huge, got \(padding)", "use 4")
    case .rotation(let degrees):
      return degrees >= 0 && degrees.isFinite ? nil : ("degrees must not be negative, got \(degrees)", "use 15")
    case .affine(let degrees, let shift, let scale, let shear):
      guard degrees >= 0, degrees.isFinite, scale.lowerBound > 0, scale.upperBound.isFinite, shear >= 0, shear < 90
      else {
        return (
          "degrees must not be negative, scales positive, shear in 0..<90, got \(degrees), \(scale), \(shear)",
          "use 15 degrees and 0.9...1.1"
        )
      }
      return share(shift, "the shift")
    case .colorJitter(let brightness, let contrast, let saturation, let maximum):
      guard maximum > 0, maximum.isFinite else {
        return ("the maximum must be positive, got \(maximum)", "use 1 or 255")
      }
      guard saturation == 0 || shape[1] == 3 else {
        return ("saturation needs 3 channels, got \(shape[1])", "leave it out for gray images")
      }
      return share(brightness, "brightness") ?? share(contrast, "contrast") ?? share(saturation, "saturation")
    case .cutout(let size, _):
      return size >= 1 && size <= min(shape[2], shape[3])
        ? nil : ("the size must lie in 1...\(min(shape[2], shape[3])), got \(size)", "use a quarter of the image")
    case .normalize(let mean, let deviation):
      guard mean.count == shape[1], deviation.count == shape[1], deviation.allSatisfy({ $0 > 0 }) else {
        return (
          "needs a mean and a positive deviation for each of \(shape[1]) channels, got \(mean) and \(deviation)",
          "give one of each for each channel"
        )
      }
      return nil
    }
  }

  fileprivate func apply(_ images: Tensor, _ draws: inout Draws) -> Tensor {
    let (height, width) = (images.shape[2], images.shape[3])
    /// A number for each sample, [batch, 1, 1, 1].
    func each(_ values: [Double]) -> Tensor {
      Tensor(values.map(Float.init), shape: [values.count, 1, 1, 1], on: images.device).cast(to: images.dtype)
    }
    func blend(_ a: Tensor, _ b: Tensor, _ factors: [Double]) -> Tensor { b + (a - b) * each(factors) }
    switch self {
    case .horizontalFlip(let probability):
      let turned = draws.uniform(0...1).map { $0 < probability ? 1.0 : 0 }
      return select(each(turned) .> 0.5, images.flipped(axes: [3]), images)
    case .verticalFlip(let probability):
      let turned = draws.uniform(0...1).map { $0 < probability ? 1.0 : 0 }
      return select(each(turned) .> 0.5, images.flipped(axes: [2]), images)
    case .crop(let padding):
      let down = draws.below(2 * padding + 1).map { Int($0) - padding }
      let right = draws.below(2 * padding + 1).map { Int($0) - padding }
      return images.shifted(down: down, right: right)
    case .rotation(let degrees):
      let angles = draws.uniform(-degrees...degrees).map { $0 * .pi / 180 }
      return images.warped(angles.map { Warp(angle: $0) })
    case .affine(let degrees, let shift, let scale, let shear):
      let angles = draws.uniform(-degrees...degrees).map { $0 * .pi / 180 }
      let xs = draws.uniform(-shift...shift).map { $0 * Double(width) }
      let ys = draws.uniform(-shift...shift).map { $0 * Double(height) }
      let scales = draws.uniform(scale)
      let shears = draws.uniform(-shear...shear).map { $0 * .pi / 180 }
      return images.warped(
        angles.indices.map {
          Warp(angle: angles[$0], x: xs[$0], y: ys[$0], scale: scales[$0], shear: shears[$0])
        })
    case .colorJitter(let brightness, let contrast, let saturation, let maximum):
      var result = images
      func factors(_ amount: Double, _ draws: inout Draws) -> [Double] { draws.uniform(1 - amount...1 + amount) }
      func limited(_ x: Tensor) -> Tensor { x.clamped(min: 0, max: maximum) }
      if brightness > 0 { result = limited(result * each(factors(brightness, &draws))) }
      if contrast > 0 {
        let mean = result.gray.mean(axes: [1, 2, 3], keepDims: true)
        result = limited(blend(result, mean, factors(contrast, &draws)))
      }
      if saturation > 0 { result = limited(blend(result, result.gray, factors(saturation, &draws))) }
      return result
    case .cutout(let size, let value):
      let tops = draws.below(height - size + 1)
      let lefts = draws.below(width - size + 1)
      let rows = Tensor.arange(to: Double(height), dtype: images.dtype, on: images.device)
        .reshaped(to: [1, 1, height, 1])
      let columns = Tensor.arange(to: Double(width), dtype: images.dtype, on: images.device)
        .reshaped(to: [1, 1, 1, width])
      let (top, left) = (each(tops), each(lefts))
      let inRows = (rows .>= top) .&& (rows .< top + Double(size))
      let inColumns = (columns .>= left) .&& (columns .< left + Double(size))
      return select(inRows .&& inColumns, images.filled(value), images)
    case .normalize(let mean, let deviation):
      func channel(_ values: [Double]) -> Tensor {
        Tensor(values.map(Float.init), shape: [1, values.count, 1, 1], on: images.device).cast(to: images.dtype)
      }
      return (images - channel(mean)) / channel(deviation)
    }
  }
}

extension Tensor {
  fileprivate func filled(_ value: Double) -> Tensor { .full(shape, value, dtype: dtype, on: device) }

  /// Luminance (ITU-R 601) of 3 channels, the mean of others: [batch, 1, height, width].
  fileprivate var gray: Tensor {
    guard shape[1] == 3 else { return mean(axes: [1], keepDims: true) }
    let weights = Tensor([0.299, 0.587, 0.114] as [Float], shape: [1, 3, 1, 1], on: device).cast(to: dtype)
    return (self * weights).sum(axes: [1], keepDims: true)
  }

  /// Pixels moved by whole steps, zeros where none came from: [batch, channels, height, width].
  fileprivate func shifted(down: [Int], right: [Int]) -> Tensor {
    let (height, width) = (shape[2], shape[3])
    var places: [Int32] = []
    places.reserveCapacity(down.count * height * width)
    for (dy, dx) in zip(down, right) {
      for y in 0..<height {
        for x in 0..<width {
          let (fromY, fromX) = (y - dy, x - dx)
          let isInside = fromY >= 0 && fromY < height && fromX >= 0 && fromX < width
          places.append(isInside ? Int32(fromY * width + fromX) : Int32(height * width))
        }
      }
    }
    let count = height * width
    // One zero after the pixels is what lies outside.
    let flat = reshaped(to: [shape[0], shape[1], count]).padded(low: [0, 0, 0], high: [0, 0, 1])
    let indices = Tensor(places, shape: [shape[0], 1, count], on: device)
    return flat.takenAlong(indices, axis: 2).reshaped(to: shape)
  }

  /// Each image through its own map, bilinear, zeros outside.
  fileprivate func warped(_ warps: [Warp]) -> Tensor {
    let (height, width, count) = (shape[2], shape[3], shape[2] * shape[3])
    var corners = [[Int32]](repeating: [], count: 4)
    var weights = [[Float]](repeating: [], count: 4)
    for i in 0..<4 {
      corners[i].reserveCapacity(warps.count * count)
      weights[i].reserveCapacity(warps.count * count)
    }
    let (middleX, middleY) = (Double(width - 1) / 2, Double(height - 1) / 2)
    for warp in warps {
      for y in 0..<height {
        for x in 0..<width {
          let source = warp.source(x: Double(x) - middleX, y: Double(y) - middleY)
          // Far outside is outside; whole numbers stay in range.
          let sx = Swift.max(-2, Swift.min(source.x + middleX, Double(width) + 1))
          let sy = Swift.max(-2, Swift.min(source.y + middleY, Double(height) + 1))
          let (left, top) = (sx.rounded(.down), sy.rounded(.down))
          let (fx, fy) = (sx - left, sy - top)
          for i in 0..<4 {
            let (cx, cy) = (Int(left) + i % 2, Int(top) + i / 2)
            let isInside = cx >= 0 && cx < width && cy >= 0 && cy < height
            corners[i].append(isInside ? Int32(cy * width + cx) : 0)
            weights[i].append(isInside ? Float((i % 2 == 0 ? 1 - fx : fx) * (i / 2 == 0 ? 1 - fy : fy)) : 0)
          }
        }
      }
    }
    let flat = reshaped(to: [shape[0], shape[1], count])
    let parts = (0..<4).map { i in
      flat.takenAlong(Tensor(corners[i], shape: [shape[0], 1, count], on: device), axis: 2)
        * Tensor(weights[i], shape: [shape[0], 1, count], on: device).cast(to: dtype)
    }
    return (parts[0] + parts[1] + (parts[2] + parts[3])).reshaped(to: shape)
  }
}

/// A rotation, scale, shear and shift about the middle, used from the result back to the source.
struct Warp {
  var angle: Double
  var x = 0.0
  var y = 0.0
  var scale = 1.0
  var shear = 0.0

  func source(x toX: Double, y toY: Double) -> (x: Double, y: Double) {
    let (dx, dy) = ((toX - x) / scale, (toY - y) / scale)
    let (c, s) = (cos(angle), sin(angle))
    let (rx, ry) = (c * dx + s * dy, -s * dx + c * dy)
    return (rx - tan(shear) * ry, ry)
  }
}

/// Pairs of samples mixed (Zhang et al., 2018): x = share * x + (1 - share) * x', and the same of the labels.
///
/// images [batch, ...] floats, labels [batch, classes] floats, such as `oneHot` gives. Each sample is mixed with another of
/// its batch; share is Beta(alpha, alpha) drawn for each sample from (seed, epoch, sample). alpha 0 changes nothing.
/// Errors: labels that are no [batch, classes] of floats, a negative alpha, another number of samples.
public func mixup(
  _ images: Tensor, _ labels: Tensor, alpha: Double = 0.2, samples: [Int], epoch: Int, seed: UInt64 = 0
) -> (images: Tensor, labels: Tensor) {
  guard images.rank >= 1, images.dtype.isFloat, labels.rank == 2, labels.dtype.isFloat, alpha >= 0, alpha.isFinite,
    images.shape[0] == samples.count, labels.shape[0] == samples.count
  else {
    let rule =
      "needs float images [\(samples.count), ...], float labels [\(samples.count), classes] and an alpha of at least 0, "
      + "got labels \(labels.shape) \(labels.dtype) and \(alpha)"
    let fix = "make labels with `oneHot`, and give the batch's positions"
    return (images.refused("mixup", rule, fix), labels.refused("mixup", rule, fix))
  }
  guard alpha > 0, samples.count > 1 else { return (images, labels) }
  var order = OrderGenerator(seed: seed, epoch: epoch)
  var partners = Array(samples.indices)
  // A cycle: nobody is mixed with himself (Sattolo).
  for i in stride(from: partners.count - 1, to: 0, by: -1) { partners.swapAt(i, order.below(i)) }
  let shares = samples.map { sample -> Float in
    var first = OrderGenerator(seed: seed, epoch: epoch)
    var generator = OrderGenerator(seed: first.next(), epoch: sample)
    let (a, b) = (generator.gamma(alpha), generator.gamma(alpha))
    return a + b > 0 ? Float(a / (a + b)) : 1
  }
  func mixed(_ x: Tensor) -> Tensor {
    let share = Tensor(
      shares, shape: Shape([samples.count] + Array(repeating: 1, count: x.rank - 1)), on: x.device
    ).cast(to: x.dtype)
    let other = x.gathered(Tensor(partners, on: x.device))
    return other + (x - other) * share
  }
  return (mixed(images), mixed(labels))
}
