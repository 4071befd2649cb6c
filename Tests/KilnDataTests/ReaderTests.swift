import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("Readers that stream")
struct ReaderTests {
  private func all(_ stream: some DataStream) throws -> [Sample] {
    let reader = try stream.makeReader()
    var samples: [Sample] = []
    while let sample = try reader.next() { samples.append(sample) }
    return samples
  }

  static func cifar(_ labels: [UInt8]) -> [UInt8] {
    labels.flatMap { label in [label] + (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 7 + Int(label)) } }
  }

  @Test("CIFAR records, plain in any order and gzipped as a stream")
  func cifar() throws {
    let bytes = Self.cifar([3, 9, 0, 7])
    try DataFiles.with(bytes, suffix: ".bin") { path in
      let file = try RecordFile(path, format: .cifar())
      #expect(file.count == 4)
      let sample = try file.sample(at: 1)
      #expect(sample.features.shape == [3, 32, 32] && sample.label.values(as: Int64.self) == [9])
      #expect(sample.features.bytes == Array(bytes[3074..<6146]))
      let loaded = try CIFAR.read([path, path])
      #expect(loaded.count == 8 && loaded.labels.values(as: Int64.self) == [3, 9, 0, 7, 3, 9, 0, 7])
      #expect(try all(RecordStream([path], format: .cifar())) == (0..<4).map { try file.sample(at: $0) })
      let loader = try DataLoader(file, batchSize: 2, sampler: .sequential)
      #expect(try loader.batches(epoch: 0).next()?.labels.values(as: Int64.self) == [3, 9])
    }
    try DataFiles.with(DataFiles.gzip(bytes), suffix: ".bin.gz") { path in
      let samples = try all(RecordStream([path], format: .cifar()))
      #expect(samples.map { $0.label.values(as: Int64.self)[0] } == [3, 9, 0, 7])
      #expect(DataFiles.message { _ = try RecordFile(path, format: .cifar()) }.contains("gunzip"))
    }
  }

  @Test("rows of IDX and npy files in any order")
  func records() throws {
    let idx: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2] + (0..<12).map { UInt8($0) }
    try DataFiles.with(idx) { path in
      let images = try RecordFile.idx(path)
      #expect(images.count == 3)
      #expect(try images.sample(at: 2).features == HostArray(dtype: .uint8, shape: [2, 2], bytes: [8, 9, 10, 11]))
      let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]
      try DataFiles.with(labels) { other in
        let pair = try PairedDataset(features: images, labels: RecordFile.idx(other))
        #expect(try pair.sample(at: 1).label == HostArray(.int64, [], [Int64(6)]))
      }
    }
    let table = HostArray(.float64, [4, 3], (0..<12).map(Double.init))
    try DataFiles.with(table.npyBytes()) { path in
      let rows = try RecordFile.npy(path)
      #expect(rows.count == 4)
      #expect(try rows.sample(at: 3).features.values(as: Double.self) == [9, 10, 11])
      #expect(throws: TensorError.self) { try rows.sample(at: 4) }
    }
  }

  @Test("a CSV file in parts is the table in one; windows of bytes are those of its tokens")
  func parts() throws {
    let text = "a,b\n" + (0..<10).map { "\($0),\"x\n\($0)\"\n" }.joined()
    try DataFiles.with(Array(text.utf8), suffix: ".csv") { path in
      let whole = try Table(contentsOf: path)
      for count in [1, 3, 10, 20] {
        let reader = try TableChunks(path, rows: count).makeReader()
        var (rows, lines): ([[String]], [Int]) = ([], [])
        while let part = try reader.next() {
          #expect(part.rows.count <= count && part.header == ["a", "b"])
          (rows, lines) = (rows + part.rows, lines + part.lines)
          #expect(reader.position == rows.count)
        }
        #expect(rows == whole.rows && lines == whole.lines)
      }
    }
    try DataFiles.with([], suffix: ".csv") { path in
      #expect(DataFiles.message { _ = try TableChunks(path, header: .present) }.contains("has no header line"))
    }
    let bytes = (0..<100).map { UInt8($0) }
    try DataFiles.with(bytes) { path in
      let windows = try ByteWindows(path, bytes: 10..<60, length: 8, stride: 5)
      let tokens = try TokenWindows(bytes[10..<60].map(Int.init), length: 8, stride: 5)
      #expect(windows.count == tokens.count)
      for i in 0..<windows.count { #expect(try windows.sample(at: i) == tokens.sample(at: i)) }
      #expect(DataFiles.message { _ = try ByteWindows(path, bytes: 95..<400, length: 8) }.contains("needs more bytes"))
    }
    try DataFiles.with(DataFiles.gzip(bytes)) { path in
      #expect(DataFiles.message { _ = try ByteWindows(path, length: 2) }.contains("gzip"))
    }
  }

  @Test("a CSV file row by row, with quotes over lines")
  func table() throws {
    let text = "a,b,kind\n1,2,cat\n\n\"3\",4,\"dog\"\n5,\"6\",cat\r\n"
    try DataFiles.with(Array(text.utf8), suffix: ".csv") { path in
      let stream = try TableStream(path, features: ["b", "a"], label: "kind", classes: ["cat", "dog"])
      let samples = try all(stream)
      #expect(samples.map { $0.features.values(as: Float.self) } == [[2, 1], [4, 3], [6, 5]])
      #expect(samples.map { $0.label.values(as: Int64.self)[0] } == [0, 1, 0])
      #expect(try all(stream) == samples)
      #expect(DataFiles.message { _ = try TableStream(path, features: ["c"]) }.contains("no column 'c'"))
    }
    try DataFiles.with(Array("name,x\n\"two\nlines\",1\nb,no\n".utf8), suffix: ".csv") { path in
      let message = DataFiles.message { _ = try all(try TableStream(path, features: ["x"])) }
      #expect(message.contains("line 4, column 2: a number is needed, got 'no'"), "\(message)")
    }
    try DataFiles.with(Array("1,2\n3,4\n".utf8), suffix: ".csv") { path in
      let samples = try all(TableStream(path, features: ["1"], label: "0"))
      #expect(samples.map { $0.label.values(as: Int64.self)[0] } == [1, 3])
    }
  }

  @Test("lines of text, and windows of tokens and of series")
  func text() throws {
    try DataFiles.with(Array("ada\r\nbob\n\u{e4}".utf8)) { path in
      let stream = LineStream(path) { line, number in
        Sample(features: HostArray(unchecked: .uint8, [line.utf8.count], Array(line.utf8)), label: number)
      }
      let lines = try all(stream).map { String(decoding: $0.features.bytes, as: UTF8.self) }
      #expect(lines == ["ada", "bob", "\u{e4}"])
      let mapped = stream.mapped { Sample(features: $0.features, label: 7) }
      let collected = try mapped.collected().samples
      #expect(collected.count == 3 && collected.allSatisfy { $0.label.values(as: Int64.self) == [7] })
    }
    let windows = try TokenWindows(Array(0..<10), length: 3, stride: 2)
    #expect(windows.count == 4)
    #expect(try windows.sample(at: 3).features.values(as: Int64.self) == [6, 7, 8])
    #expect(try windows.sample(at: 3).label.values(as: Int64.self) == [7, 8, 9])
    #expect(try TokenWindows(Array(0..<10), length: 9).count == 1)
    #expect(throws: TensorError.self) { try TokenWindows(Array(0..<10), length: 10) }
    let series = HostArray(.float64, [6, 2], (0..<12).map(Double.init))
    let cut = try SeriesWindows(series, history: 3, horizon: 2, targets: [1])
    #expect(cut.count == 2)
    #expect(try cut.sample(at: 1).features.values(as: Double.self) == [2, 3, 4, 5, 6, 7])
    #expect(try cut.sample(at: 1).label == HostArray(.float64, [2, 1], [9.0, 11]))
    #expect(throws: TensorError.self) { try SeriesWindows(series, history: 5, horizon: 2) }
    #expect(throws: TensorError.self) { try SeriesWindows(series, history: 2, horizon: 2, targets: [2]) }
  }

  static func wave(
    kind: Int = 1, channels: Int = 2, rate: Int = 8000, bits: Int = 16, align: Int? = nil, data: [UInt8],
    claimed: Int? = nil
  ) -> [UInt8] {
    let format =
      DataFiles.little(UInt16(kind)) + DataFiles.little(UInt16(channels)) + DataFiles.little(UInt32(rate))
      + DataFiles.little(UInt32(rate * channels * bits / 8)) + DataFiles.little(UInt16(align ?? channels * bits / 8))
      + DataFiles.little(UInt16(bits))
    let body =
      Array("WAVEfmt ".utf8) + DataFiles.little(UInt32(16)) + format + Array("LIST".utf8) + DataFiles.little(UInt32(3))
      + [1, 2, 3, 0] + Array("data".utf8) + DataFiles.little(UInt32(claimed ?? data.count)) + data
    return Array("RIFF".utf8) + DataFiles.little(UInt32(body.count)) + body
  }

  @Test("WAV of every width")
  func waves() throws {
    let cases: [(Int, Int, [UInt8], [Float])] = [
      (1, 8, [0, 128, 255, 64], [-1, 127.0 / 128, 0, -0.5]),
      (1, 16, [0, 0x80, 0, 0x40, 0xff, 0x7f, 0, 0], [-1, 32767.0 / 32768, 0.5, 0]),
      (1, 24, [0, 0, 0x80, 0, 0, 0x40, 0, 0, 0xc0, 0, 0, 0], [-1, -0.5, 0.5, 0]),
      (1, 32, [0, 0, 0, 0x80, 0, 0, 0, 0x40] + [UInt8](repeating: 0, count: 8), [-1, 0, 0.5, 0]),
      (3, 32, [Float(0.25), -2, 1, 0].flatMap { DataFiles.little($0.bitPattern) }, [0.25, 1, -2, 0]),
      (3, 64, [0.25, -2, 1, 0].flatMap { DataFiles.little($0.bitPattern) }, [0.25, 1, -2, 0]),
    ]
    for (kind, bits, data, expected) in cases {
      try DataFiles.with(Self.wave(kind: kind, bits: bits, data: data), suffix: ".wav") { path in
        let (samples, format) = try HostArray.wave(path)
        #expect(samples.shape == [2, 2] && format.sampleRate == 8000)
        #expect(samples.values(as: Float.self) == expected, "\(bits) bits")
      }
    }
    let ramp = (0..<10).flatMap { DataFiles.little(Int16($0 * 1024)) }
    try DataFiles.with(Self.wave(channels: 1, data: ramp), suffix: ".wav") { path in
      let pieces = try WaveDataset([path, path], labels: [4, 5], frames: 4, stride: 3)
      #expect(pieces.count == 6)
      #expect(try pieces.sample(at: 4).features.values(as: Float.self) == [3, 4, 5, 6].map { Float($0) / 32 })
      #expect(try pieces.sample(at: 4).label.values(as: Int64.self) == [5])
    }
  }

  @Test("PNG and JPEG have the pixels that were written; conversion and resizing agree with PyTorch")
  func images() throws {
    let golden = try readNPZArrays(DataFiles.golden("images.npz"))
    for name in ["gray.png", "rgb.png", "rgba.png", "palette.png"] {
      let picture = try Picture(contentsOf: DataFiles.golden(name))
      let expected = try #require(golden[name.replacingOccurrences(of: ".", with: "_")])
      #expect((picture.width, picture.height) == (17, 12))
      #expect(picture.channels == (expected.shape.rank == 2 ? 1 : expected.shape[2]), "\(name)")
      #expect(picture.pixels == expected.bytes, "\(name)")
    }
    let smooth = try #require(golden["smooth"]).bytes
    let photo = try Picture(contentsOf: DataFiles.golden("rgb.jpg"))
    #expect(photo.channels == 3 && photo.pixels.count == smooth.count)
    #expect(zip(photo.pixels, smooth).allSatisfy { abs(Int($0) - Int($1)) <= 4 })
    let gray = try Picture(contentsOf: DataFiles.golden("gray.jpg"))
    #expect(
      gray.channels == 1 && gray.pixels.indices.allSatisfy { abs(Int(gray.pixels[$0]) - Int(smooth[$0 * 3])) <= 4 })

    let rgb = try Picture(contentsOf: DataFiles.golden("rgb.png"))
    func near(_ picture: Picture, _ name: String) throws {
      let expected = try #require(golden[name]).values(as: Double.self)
      #expect(picture.pixels.count == expected.count)
      #expect(zip(picture.pixels, expected).allSatisfy { abs(Double($0) - $1) <= 0.51 }, "\(name)")
    }
    try near(rgb.resized(width: 7, height: 5), "small")
    try near(rgb.resized(width: 31, height: 20), "large")
    try near(rgb.converted(channels: 1), "luminance")
    #expect(rgb.array.shape == [3, 12, 17] && rgb.array.bytes[204] == rgb.pixels[1])
    let alpha = try Picture(contentsOf: DataFiles.golden("rgba.png")).converted(channels: 3)
    #expect(alpha.channels == 3 && alpha.pixels[3] == golden["rgba_png"]?.bytes[4])
    #expect(rgb.centerCropped(width: 3, height: 2).pixels[0] == rgb.pixels[(5 * 17 + 7) * 3])
  }

  @Test("an image folder is read file by file")
  func folder() throws {
    let root = NSTemporaryDirectory() + "kiln-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (name, file) in [
      ("b/1.png", "rgb.png"), ("b/2.jpg", "rgb.jpg"), ("a/x.PNG", "gray.png"), ("a/notes.txt", "order.py"),
    ] {
      let target = URL(fileURLWithPath: root + "/" + name)
      try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: DataFiles.golden(file), toPath: target.path)
    }
    let folder = try ImageFolder(root, size: (8, 8))
    #expect(folder.classes == ["a", "b"] && folder.labels == [0, 1, 1])
    let batch = try DataLoader(folder, batchSize: 3, sampler: .sequential, workers: 2).batches(epoch: 0).next()
    #expect(batch?.features.shape == [3, 3, 8, 8])
    #expect(folder.name(of: 0).hasSuffix("a/x.PNG"))
    try Data([0x89, 0x50, 0x4e, 0x47, 1]).write(to: URL(fileURLWithPath: root + "/b/0.png"))
    let broken = try DataLoader(ImageFolder(root, size: (8, 8)), sampler: .sequential).batches(epoch: 0)
    #expect(DataFiles.message { _ = try broken.next() }.contains("b/0.png"))
    try FileManager.default.createDirectory(atPath: root + "/c", withIntermediateDirectories: true)
    #expect(DataFiles.message { _ = try ImageFolder(root) }.contains("/c: has no .png"))
  }

  @Test("a file larger than the memory allowed is read with flat memory")
  func flat() throws {
    // By default 400 MB under 100 MB of growth; KILN_DATA_MEGABYTES=4096 for the full claim.
    let megabytes = ProcessInfo.processInfo.environment["KILN_DATA_MEGABYTES"].flatMap { Int($0) } ?? 400
    let path = NSTemporaryDirectory() + "kiln-\(UUID().uuidString).bin"
    defer { unlink(path) }
    let record = 4 * 1024 + 1
    let handle = try #require(fopen(path, "w"))
    var block: [UInt8] = []
    for i in 0..<256 {
      block += [UInt8](repeating: UInt8(i & 3), count: record - 1)
      block.append(UInt8(i % 10))
    }
    var count = 0
    while count * record < megabytes << 20 {
      #expect(fwrite(block, 1, block.count, handle) == block.count)
      count += 256
    }
    fclose(handle)
    let format = try RecordFormat.raw([1024], .float32, label: .uint8)
    let before = Self.residentMegabytes()
    var most = 0
    let file = try RecordFile(path, format: format)
    #expect(file.count == count)
    for loader in [
      try DataLoader(file, batchSize: 64, seed: 1, workers: 2),
      try DataLoader(stream: RecordStream([path], format: format), batchSize: 64, shuffleBuffer: 2000, seed: 1),
    ] {
      let batches = try loader.batches(epoch: 0)
      var seen = 0
      while let batch = try batches.next() {
        seen += batch.count
        if seen % 6400 == 0 { most = max(most, Self.residentMegabytes()) }
      }
      #expect(seen == count)
    }
    print("read \(megabytes) MB twice: resident \(before) MB before, at most \(most) MB during")
    #expect(before > 0 && most > 0 && most - before < 100)
    #expect(most < 600 || before > 500)
  }

  private static func residentMegabytes() -> Int {
    // Files of /proc have no size, which Foundation relies on.
    let text = String(decoding: (try? Files.read("/proc/self/statm")) ?? [], as: UTF8.self)
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return (pages * 4096) >> 20
  }
}
