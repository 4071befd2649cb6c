import CImages
import Glibc
import KilnEngine

/// An image as a file holds it: 8 bits a channel, rows from the top.
public struct Picture: Sendable, Hashable {
  public var width: Int
  public var height: Int
  /// 1 gray, 2 gray and alpha, 3 red, green, blue, 4 with alpha.
  public var channels: Int
  /// [height, width, channels].
  public var pixels: [UInt8]

  /// An image larger than this is refused: a small file can claim to hold terabytes.
  public static let maximumPixels = 1 << 28

  /// Reads a PNG or JPEG file; its first bytes decide which, not its name.
  ///
  /// Needs libpng or libjpeg-turbo, opened at the first image. Palettes are expanded, 16 bits are cut to 8, a CMYK JPEG
  /// is refused. Throws `DataError` for other and damaged files, also for those that a lenient viewer shows in part.
  public init(contentsOf path: String) throws { try self.init(bytes: Files.read(path), file: path) }

  init(bytes: [UInt8], file: String, maximumPixels: Int = Picture.maximumPixels) throws {
    func wrong(_ place: String?, _ rule: String, _ fix: String) -> DataError {
      DataError(file: file, place: place, rule: rule, fix: fix)
    }
    let isPNG = bytes.starts(with: [0x89, 0x50, 0x4e, 0x47])
    guard isPNG || bytes.starts(with: [0xff, 0xd8]) else {
      throw wrong(
        "byte 0", "a PNG begins with the bytes 89 50 4e 47, a JPEG with ff d8, got \(Files.hex(bytes.prefix(4)))",
        "convert the image to PNG or JPEG")
    }
    if isPNG, let place = Picture.damagedChunk(bytes) {
      throw wrong(
        "byte \(place)", "the PNG is damaged: the chunk that begins here is cut short or its checksum is wrong",
        "the file was cut short or changed; fetch it again")
    }
    var image = kiln_image()
    let most = UInt64(maximumPixels)
    if isPNG {
      kiln_image_read_png(bytes, bytes.count, most, &image)
    } else {
      kiln_image_read_jpeg(bytes, bytes.count, most, &image)
    }
    defer { free(image.pixels) }
    let kind = isPNG ? "PNG" : "JPEG"
    switch image.status {
    case 0: break
    case 1:
      throw wrong(
        nil, "the \(kind) library cannot be opened: \(Picture.text(&image))",
        "install \(isPNG ? "libpng16-16" : "libjpeg62-turbo (Ubuntu: libjpeg-turbo8)")")
    case 2:
      throw wrong(
        "the image data", "the \(kind) is damaged: \(Picture.text(&image))",
        "the file was cut short or changed; fetch it again")
    case 3:
      throw wrong(
        isPNG ? "byte 16" : nil,
        "the \(kind) claims \(image.width) x \(image.height) pixels, at most \(maximumPixels) are read",
        "the file is damaged, or must be made smaller")
    default:
      throw wrong(nil, "not enough memory for \(image.width) x \(image.height) pixels", "make the image smaller")
    }
    (width, height, channels) = (Int(image.width), Int(image.height), Int(image.channels))
    pixels = Array(UnsafeBufferPointer(start: image.pixels, count: width * height * channels))
  }

  /// The byte where a PNG's first chunk begins that is cut short or has a wrong checksum, or that is missing; `nil` for a
  /// file without such. Chunks that a decoder may leave out are not looked at.
  private static func damagedChunk(_ bytes: [UInt8]) -> Int? {
    var at = 8
    while at + 12 <= bytes.count {
      let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - at - 12 else { return at }
      let end = at + 8 + length
      let stored = bytes[end..<end + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let isNeeded = bytes[at + 4] & 0x20 == 0
      if isNeeded, Zlib.checksum(bytes[at + 4..<end]) != stored { return at }
      if bytes[at + 4..<at + 8].elementsEqual(Array("IEND".utf8)) { return nil }
      at = end + 4
    }
    return at
  }

  private static func text(_ image: inout kiln_image) -> String {
    withUnsafeBytes(of: &image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Memory for an image that is known to be well formed.
  init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
    (self.width, self.height, self.channels, self.pixels) = (width, height, channels, pixels)
  }

  /// With 1 channel (luminance 0.299 r + 0.587 g + 0.114 b, ITU-R 601), 3, or 4. Alpha is dropped, or added as 255.
  /// Any other number leaves the image as it is.
  public func converted(channels target: Int) -> Picture {
    guard target != channels, [1, 3, 4].contains(target) else { return self }
    let count = width * height
    var result = [UInt8](repeating: 255, count: count * target)
    for i in 0..<count {
      let isGray = channels < 3
      let red = Int(pixels[i * channels])
      let green = isGray ? red : Int(pixels[i * channels + 1])
      let blue = isGray ? red : Int(pixels[i * channels + 2])
      if target == 1 {
        result[i] = UInt8(clamping: (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)
      } else {
        result[i * target] = UInt8(red)
        result[i * target + 1] = UInt8(green)
        result[i * target + 2] = UInt8(blue)
        if target == 4, channels == 2 || channels == 4 { result[i * 4 + 3] = pixels[i * channels + channels - 1] }
      }
    }
    return Picture(width: width, height: height, channels: target, pixels: result)
  }

  /// Bilinear, with the triangle widened when it shrinks, so that nothing is skipped (as Pillow's BILINEAR). Sizes
  /// below 1 leave the image as it is.
  public func resized(width target: Int, height targetHeight: Int) -> Picture {
    guard target >= 1, targetHeight >= 1, width >= 1, height >= 1 else { return self }
    if target == width, targetHeight == height { return self }
    let columns = Picture.weights(width, target)
    let rows = Picture.weights(height, targetHeight)
    var middle = [Float](repeating: 0, count: height * target * channels)
    for y in 0..<height {
      for x in 0..<target {
        for (offset, weight) in columns[x].weights.enumerated() {
          let source = (y * width + columns[x].start + offset) * channels
          for c in 0..<channels { middle[(y * target + x) * channels + c] += weight * Float(pixels[source + c]) }
        }
      }
    }
    var result = [UInt8](repeating: 0, count: targetHeight * target * channels)
    for y in 0..<targetHeight {
      for i in 0..<target * channels {
        var sum: Float = 0
        for (offset, weight) in rows[y].weights.enumerated() {
          sum += weight * middle[(rows[y].start + offset) * target * channels + i]
        }
        result[y * target * channels + i] = UInt8(max(0, min(255, sum.rounded())))
      }
    }
    return Picture(width: target, height: targetHeight, channels: channels, pixels: result)
  }

  private static func weights(_ size: Int, _ target: Int) -> [(start: Int, weights: [Float])] {
    let scale = Double(size) / Double(target)
    let reach = max(scale, 1)
    return (0..<target).map { i in
      let center = (Double(i) + 0.5) * scale
      let first = max(Int((center - reach + 0.5).rounded(.down)), 0)
      let last = max(min(Int((center + reach + 0.5).rounded(.down)), size), first + 1)
      var weights = (first..<last).map { max(0, 1 - abs((Double($0) + 0.5 - center) / reach)) }
      let sum = weights.reduce(0, +)
      weights = sum > 0 ? weights.map { $0 / sum } : weights.map { _ in 1 / Double(weights.count) }
      return (first, weights.map(Float.init))
    }
  }

  /// The part in the middle; sizes are cut to the image's.
  public func centerCropped(width wanted: Int, height wantedHeight: Int) -> Picture {
    let (w, h) = (min(max(wanted, 1), width), min(max(wantedHeight, 1), height))
    let (left, top) = ((width - w) / 2, (height - h) / 2)
    var result: [UInt8] = []
    result.reserveCapacity(w * h * channels)
    for y in top..<top + h { result += pixels[((y * width + left) * channels)..<((y * width + left + w) * channels)] }
    return Picture(width: w, height: h, channels: channels, pixels: result)
  }

  /// uint8 [channels, height, width], the order of the convolutions.
  public var array: HostArray {
    var planes = [UInt8](repeating: 0, count: pixels.count)
    let count = width * height
    for i in 0..<count { for c in 0..<channels { planes[c * count + i] = pixels[i * channels + c] } }
    return HostArray(unchecked: .uint8, [channels, height, width], planes)
  }
}
