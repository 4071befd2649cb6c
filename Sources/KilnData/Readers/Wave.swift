import KilnEngine

/// A WAV file: PCM of 8, 16, 24 or 32 bits, or 32- or 64-bit floats, of any number of channels.
public struct WaveFormat: Sendable, Hashable {
  public var sampleRate: Int
  public var channels: Int
  public var bits: Int
  public var isFloat: Bool
  /// Samples of each channel.
  public var frames: Int
  /// Where the samples begin.
  var start: Int
  var frameSize: Int { channels * bits / 8 }
}

extension HostArray {
  /// All samples of a WAV file as float32 [channels, frames] in -1...1, and its format.
  ///
  /// PCM is divided by 2^(bits - 1), 8-bit PCM has its zero at 128; floats are kept. torchaudio: `load`.
  /// Throws `DataError` for other and damaged files.
  public static func wave(_ path: String) throws -> (samples: HostArray, format: WaveFormat) {
    let file = try Descriptor(path)
    let format = try WaveFormat(file)
    return (try format.samples(file, 0, format.frames), format)
  }
}

extension WaveFormat {
  /// Reads the header alone. Throws `DataError`.
  public init(contentsOf path: String) throws { try self.init(Descriptor(path)) }

  init(_ file: Descriptor) throws {
    func wrong(_ place: Int, _ rule: String, _ fix: String = "fetch or convert the file again") -> DataError {
      DataError(file: file.path, place: "byte \(place)", rule: rule, fix: fix)
    }
    let head = try file.read(at: 0, min(12, file.size))
    guard head.count == 12, head.starts(with: Array("RIFF".utf8)), head[8...].elementsEqual(Array("WAVE".utf8)) else {
      throw wrong(
        0, "a WAV file begins with 'RIFF', a size and 'WAVE', got \(Files.hex(head))", "convert the sound to WAV")
    }
    func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
      bytes[at..<at + count].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    var at = 12
    var found: (rate: Int, channels: Int, bits: Int, isFloat: Bool)?
    while at + 8 <= file.size {
      let chunk = try file.read(at: at, 8)
      let size = number(chunk, 4, 4)
      let name = String(decoding: chunk[..<4], as: UTF8.self)
      if name == "fmt " {
        guard size >= 16, size <= file.size - at - 8 else {
          throw wrong(at + 4, "the 'fmt ' chunk needs at least 16 bytes that exist, it claims \(size)")
        }
        let bytes = try file.read(at: at + 8, min(size, 40))
        var kind = number(bytes, 0, 2)
        // The extensible form has the true kind in the first bytes of its identifier.
        if kind == 0xfffe, bytes.count >= 26 { kind = number(bytes, 24, 2) }
        let (channels, rate, align, bits) = (
          number(bytes, 2, 2), number(bytes, 4, 4), number(bytes, 12, 2), number(bytes, 14, 2)
        )
        guard kind == 1 && [8, 16, 24, 32].contains(bits) || kind == 3 && [32, 64].contains(bits) else {
          throw wrong(
            at + 8, "PCM of 8, 16, 24 or 32 bits and floats of 32 or 64 are read, got kind \(kind) of \(bits) bits",
            "convert it, such as with ffmpeg -i in.wav -c:a pcm_s16le out.wav")
        }
        guard channels >= 1, rate >= 1, align == channels * bits / 8 else {
          throw wrong(
            at + 10, "\(channels) channels of \(bits) bits at \(rate) Hz do not make frames of \(align) bytes")
        }
        found = (rate, channels, bits, kind == 3)
      } else if name == "data" {
        guard let found else { throw wrong(at, "the 'data' chunk comes before the 'fmt ' chunk") }
        let frame = found.channels * found.bits / 8
        guard size <= file.size - at - 8 else {
          throw wrong(
            at + 4, "the 'data' chunk claims \(size) bytes, \(file.size - at - 8) follow",
            "the file was cut short; fetch it again")
        }
        guard size % frame == 0 else {
          throw wrong(at + 4, "the 'data' chunk's \(size) bytes are no whole number of frames of \(frame) bytes")
        }
        self.init(
          sampleRate: found.rate, channels: found.channels, bits: found.bits, isFloat: found.isFloat,
          frames: size / frame, start: at + 8)
        return
      }
      at += 8 + size + size % 2
    }
    throw wrong(file.size, "has no '\(found == nil ? "fmt " : "data")' chunk", "the file was cut short; fetch it again")
  }

  /// float32 [channels, count] from frame `first`; the range is in the file.
  func samples(_ file: Descriptor, _ first: Int, _ count: Int) throws -> HostArray {
    let bytes = try file.read(at: start + first * frameSize, count * frameSize)
    let width = bits / 8
    var values = [Float](repeating: 0, count: channels * count)
    bytes.withUnsafeBytes { raw in
      for frame in 0..<count {
        for channel in 0..<channels {
          let at = (frame * channels + channel) * width
          let value: Float
          switch (bits, isFloat) {
          case (8, _): value = (Float(raw[at]) - 128) / 128
          case (16, _):
            value = Float(Int16(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: Int16.self))) / 0x1p15
          case (24, _):
            let low = Int32(raw[at]) | Int32(raw[at + 1]) << 8
            value = Float(low | Int32(Int8(bitPattern: raw[at + 2])) << 16) / 0x1p23
          case (32, false):
            value = Float(Int32(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: Int32.self))) / 0x1p31
          case (32, true): value = raw.loadUnaligned(fromByteOffset: at, as: Float.self)
          default: value = Float(raw.loadUnaligned(fromByteOffset: at, as: Double.self))
          }
          values[channel * count + frame] = value
        }
      }
    }
    return HostArray(.float32, [channels, count], values)
  }
}

/// Pieces of equal length of WAV files, each read when it is asked for: float32 [channels, frames], labels by file.
public struct WaveDataset: Dataset {
  private struct Piece: Sendable {
    var file: Int
    var first: Int
  }
  private let files: [(Descriptor, WaveFormat)]
  private let labels: [Int]
  private let frames: Int
  private let pieces: [Piece]
  public var count: Int { pieces.count }

  /// Pieces of `frames`, `stride` apart (by default their length); a rest that is shorter is left out. Opens every file
  /// and reads its header. Throws `DataError` for damaged files, `TensorError` for lengths below 1.
  public init(_ paths: [String], labels: [Int], frames: Int, stride: Int? = nil) throws {
    let step = stride ?? frames
    guard paths.count == labels.count, frames >= 1, step >= 1 else {
      throw TensorError(
        operation: "WaveDataset",
        rule:
          "needs one label for each file, and frames and stride of at least 1, got \(labels.count) for \(paths.count), "
          + "\(frames) and \(step)", fix: "use 16,000 frames, say")
    }
    var files: [(Descriptor, WaveFormat)] = []
    var pieces: [Piece] = []
    for (index, path) in paths.enumerated() {
      let file = try Descriptor(path)
      let format = try WaveFormat(file)
      files.append((file, format))
      if format.frames >= frames {
        pieces += Swift.stride(from: 0, through: format.frames - frames, by: step).map { Piece(file: index, first: $0) }
      }
    }
    (self.files, self.labels, self.frames, self.pieces) = (files, labels, frames, pieces)
  }

  /// Reads one piece.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "WAV data set")
    let piece = pieces[position]
    let (file, format) = files[piece.file]
    return Sample(features: try format.samples(file, piece.first, frames), label: labels[piece.file])
  }

  /// The file and the first frame.
  public func name(of position: Int) -> String {
    pieces.indices.contains(position)
      ? "\(files[pieces[position].file].0.path), frame \(pieces[position].first)" : "sample \(position)"
  }
}
