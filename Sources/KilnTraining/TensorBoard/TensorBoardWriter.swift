import Foundation
import Glibc
import KilnData
import KilnEngine
import KilnProtobuf

/// Writes a TensorBoard event file: scalars, histograms and images that `tensorboard --logdir FOLDER` shows.
///
///     let writer = try TensorBoardWriter("runs/first/tensorboard")
///     try writer.scalar("loss", 0.25, step: 100)
///
/// Each record goes to the file whole and at once. A process that is killed leaves at most one record cut short, at
/// which TensorBoard's reader stops; the next process writes a file of its own beside it.
public final class TensorBoardWriter {
  /// The event file.
  public let path: String
  private let descriptor: Int32

  /// A new file in a folder, which is made if it is not there. Throws `DataError`.
  ///
  /// - Parameter purging: a step from which on what older files of the folder say is to be forgotten: where a resumed
  ///   training begins.
  public init(_ folder: String, purging step: Int? = nil) throws {
    try Folders.create(folder)
    let stem =
      "events.out.tfevents.\(Int(Date().timeIntervalSince1970)).\(ProcessInfo.processInfo.hostName).\(getpid())"
    var number = 0
    var (path, descriptor): (String, Int32)
    repeat {
      path = "\(folder)/\(stem).\(number)"
      descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o644)
      number += 1
    } while descriptor < 0 && errno == EEXIST
    (self.path, self.descriptor) = (path, descriptor)
    guard descriptor >= 0 else { throw failure("cannot be created") }
    try append(Self.record(step: 0) { $0.fileVersion = "brain.Event:2" })
    if let step { try append(Self.record(step: step) { $0.sessionLog.status = .start }) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// One number.
  public func scalar(_ tag: String, _ value: Double, step: Int) throws { try scalars([(tag, value)], step: step) }

  /// Numbers of one step, in one record.
  public func scalars(_ values: [(tag: String, value: Double)], step: Int) throws {
    guard !values.isEmpty else { return }
    try append(Self.record(step: step) { $0.summary.value = values.map(Self.scalar) })
  }

  /// One number for each of the steps from one on, all written at once.
  func scalars(_ tag: String, _ values: some Sequence<Double>, from step: Int) throws {
    let now = Date().timeIntervalSince1970
    var records: [UInt8] = []
    for (i, value) in values.enumerated() {
      records += try Self.record(step: step + i, time: now) { $0.summary.value = [Self.scalar(tag, value)] }
    }
    if !records.isEmpty { try append(records) }
  }

  private static func scalar(_ tag: String, _ number: Double) -> TensorBoardSummary.Value {
    var value = TensorBoardSummary.Value()
    (value.tag, value.simpleValue) = (tag, Float(number))
    return value
  }

  /// How the elements of a tensor are distributed; those that are not finite are left out. Evaluates and reads it.
  public func histogram(_ tag: String, _ tensor: Tensor, step: Int) throws {
    try histograms([(tag, tensor)], step: step)
  }

  /// Histograms of one step, evaluated together and in one record.
  public func histograms(_ tensors: [(tag: String, tensor: Tensor)], step: Int) throws {
    try KilnEngine.evaluate(tensors.map(\.tensor))
    let values = try tensors.compactMap { tag, tensor -> TensorBoardSummary.Value? in
      guard let histogram = TensorBoardHistogramProto(try tensor.doubles()) else { return nil }
      var value = TensorBoardSummary.Value()
      (value.tag, value.histo) = (tag, histogram)
      return value
    }
    guard !values.isEmpty else { return }
    try append(Self.record(step: step) { $0.summary.value = values })
  }

  /// A picture [channels, height, width] with 1, 3 or 4 channels, or [height, width]: floats from 0 to 1, which are cut
  /// to that, or bytes. Evaluates and reads it.
  public func image(_ tag: String, _ picture: Tensor, step: Int) throws {
    if let error = picture.error { throw error }
    guard picture.rank == 2 || picture.rank == 3 && [1, 3, 4].contains(picture.shape[0]), picture.count > 0,
      picture.dtype.isFloat || picture.dtype == .uint8
    else {
      throw TensorError(
        operation: "TensorBoardWriter.image",
        rule: "needs [height, width] or [channels, height, width] with 1, 3 or 4 channels of floats or uint8",
        operands: "picture \(picture.shape) \(picture.dtype)", fix: "write the pictures of a batch one by one")
    }
    let planes = picture.rank == 2 ? picture.expanded(axis: 0) : picture
    let (channels, height, width) = (planes.shape[0], planes.shape[1], planes.shape[2])
    let scale = picture.dtype == .uint8 ? 1.0 : 255.0
    let pixels = try planes.permuted([1, 2, 0]).doubles().map { value in
      UInt8(value.isNaN ? 0 : min(max((value * scale).rounded(), 0), 255))
    }
    let png = try PNG.encode(pixels, height: height, width: width, channels: channels)
    var value = TensorBoardSummary.Value()
    value.tag = tag
    (value.image.height, value.image.width) = (Int32(height), Int32(width))
    (value.image.colorspace, value.image.encodedImageString) = (Int32(channels), Data(png))
    try append(Self.record(step: step) { $0.summary.value = [value] })
  }

  /// Waits until the file is on the disk.
  public func flush() throws {
    guard fsync(descriptor) == 0 else { throw failure("cannot be flushed to the disk") }
  }

  private static func record(
    step: Int, time: Double = Date().timeIntervalSince1970, _ fill: (inout TensorBoardEvent) -> Void
  ) throws -> [UInt8] {
    var event = TensorBoardEvent()
    (event.wallTime, event.step) = (time, Int64(step))
    fill(&event)
    return TFRecord.framed(try event.serializedBytes())
  }

  private func append(_ records: [UInt8]) throws {
    guard Glibc.write(descriptor, records, records.count) == records.count else { throw failure("cannot be written") }
  }

  private func failure(_ what: String) -> DataError {
    DataError(
      file: path, rule: "\(what): \(String(cString: strerror(errno)))",
      fix: "check the folder's permissions and the free space of the disk")
  }
}

extension TensorBoardHistogramProto {
  /// Thirty buckets of one width from the least to the greatest finite number; `nil` without such.
  init?(_ numbers: [Double]) {
    let finite = numbers.filter(\.isFinite)
    guard let least = finite.min(), let greatest = finite.max() else { return nil }
    self.init()
    (min, max, num) = (least, greatest, Double(finite.count))
    (sum, sumSquares) = finite.reduce(into: (0, 0)) { sums, value in
      sums.0 += value
      sums.1 += value * value
    }
    // A bucket needs some width even where all numbers are equal.
    let buckets = least == greatest ? 1 : 30
    let width = (greatest - least) / Double(buckets)
    var counts = [Double](repeating: 0, count: buckets)
    for value in finite {
      counts[width > 0 ? Swift.min(Int((value - least) / width), buckets - 1) : 0] += 1
    }
    bucketLimit = (1...buckets).map { $0 == buckets ? greatest : least + Double($0) * width }
    bucket = counts
  }
}
