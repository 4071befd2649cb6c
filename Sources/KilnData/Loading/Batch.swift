import KilnEngine

/// Samples put together: features [batch, ...], labels [batch, ...].
public struct Batch: Sendable, Hashable {
  public var features: HostArray
  public var labels: HostArray
  /// The samples' positions in the data set, or their numbers in the stream.
  public var positions: [Int]
  /// The size of each sample's axis 0 before padding; `nil` where nothing was padded.
  public var lengths: [Int]?
  public var count: Int { positions.count }

  /// Both on a device, not yet evaluated.
  public func tensors(on device: Device = .default) -> (features: Tensor, labels: Tensor) {
    (Tensor(features, on: device), Tensor(labels, on: device))
  }

  /// 1 where a padded sequence has an element, else 0: [batch, length] of `dtype`; `nil` where nothing was padded.
  public func mask(dtype: DType = .float32, on device: Device = .default) -> Tensor? {
    guard let lengths, features.shape.rank > 1 else { return nil }
    let positions = Tensor(Array(0..<features.shape[1]), on: device).reshaped(to: [1, features.shape[1]])
    return (positions .< Tensor(lengths, on: device).reshaped(to: [lengths.count, 1])).cast(to: dtype)
  }

  /// FNV-1a over everything in it: equal batches have equal hashes on every machine.
  public var hash: UInt64 {
    var state: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    func add(_ array: HostArray) {
      for byte in array.dtype.rawValue.utf8 { add(byte) }
      for size in array.shape.dimensions { withUnsafeBytes(of: size.littleEndian) { $0.forEach(add) } }
      array.bytes.forEach(add)
    }
    add(features)
    add(labels)
    for number in positions + (lengths ?? []) { withUnsafeBytes(of: number.littleEndian) { $0.forEach(add) } }
    return state
  }
}

/// How sequences of different lengths become one array: filled up at an end.
public struct Padding: Sendable, Hashable {
  /// Features are filled with this, converted to their dtype.
  public var value: Double
  /// Labels that are sequences too are filled with this; PyTorch's losses ignore -100.
  public var labelValue: Double
  /// Lengths are rounded up to a multiple of this, so that fewer different shapes are compiled.
  public var multiple: Int
  /// Longer sequences are cut to this; `nil` for no limit.
  public var maximum: Int?
  /// Filled before the first element instead of after the last.
  public var isLeading: Bool

  /// Zeros after the end, to the longest sequence of the batch, unless told otherwise.
  public init(
    value: Double = 0, labelValue: Double = -100, multiple: Int = 1, maximum: Int? = nil, isLeading: Bool = false
  ) {
    (self.value, self.labelValue, self.multiple) = (value, labelValue, multiple)
    (self.maximum, self.isLeading) = (maximum, isLeading)
  }
}

extension Batch {
  /// One batch of samples. Throws `DataError` naming the first sample that does not fit the others.
  init(_ samples: [Sample], positions: [Int], padding: Padding?, name: (Int) -> String) throws {
    self.positions = positions
    guard let first = samples.first else {
      features = HostArray(unchecked: .float32, [0], [])
      labels = features
      return
    }
    func check(_ array: HostArray, _ other: HostArray, _ what: String, _ position: Int, ragged: Bool) throws {
      let skip = ragged ? 1 : 0
      guard array.dtype == other.dtype, array.shape.rank == other.shape.rank,
        array.shape.dimensions.dropFirst(skip) == other.shape.dimensions.dropFirst(skip)
      else {
        throw DataError(
          file: name(position),
          rule: "its \(what) \(array.shape) \(array.dtype) differ from \(other.shape) \(other.dtype) of "
            + "\(name(positions[0])) in the same batch",
          fix: padding == nil && array.dtype == other.dtype
            ? "give the loader a padding, or samples of one shape" : "convert samples to one dtype and shape")
      }
    }
    let ragged = padding != nil && first.features.shape.rank > 0
    let raggedLabels = padding != nil && first.label.shape.rank > 0
    for (sample, position) in zip(samples, positions) {
      try check(sample.features, first.features, "features", position, ragged: ragged)
      try check(sample.label, first.label, "label", position, ragged: raggedLabels)
    }
    if let padding, ragged {
      lengths = samples.map { min($0.features.shape[0], padding.maximum ?? .max) }
      features = HostArray.padded(samples.map(\.features), padding, value: padding.value)
    } else {
      features = HostArray.stacked(samples.map(\.features))
    }
    labels =
      if let padding, raggedLabels {
        HostArray.padded(samples.map(\.label), padding, value: padding.labelValue)
      } else {
        HostArray.stacked(samples.map(\.label))
      }
  }
}

extension HostArray {
  /// Arrays of one dtype and shape along a new first axis; there is at least one.
  static func stacked(_ arrays: [HostArray]) -> HostArray {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(arrays[0].bytes.count * arrays.count)
    for array in arrays { bytes += array.bytes }
    return HostArray(unchecked: arrays[0].dtype, Shape([arrays.count] + arrays[0].shape.dimensions), bytes)
  }

  /// Arrays that differ in axis 0 alone, filled up to a common length; there is at least one.
  static func padded(_ arrays: [HostArray], _ padding: Padding, value: Double) -> HostArray {
    let dtype = arrays[0].dtype
    let limit = max(padding.maximum ?? .max, 0)
    let multiple = max(padding.multiple, 1)
    let longest = arrays.map { min($0.shape[0], limit) }.max() ?? 0
    let length = min((longest + multiple - 1) / multiple * multiple, max(limit, longest))
    let rest = arrays[0].shape.dimensions.dropFirst()
    let size = rest.reduce(1, *) * dtype.size
    let fill = Scalar(value, dtype).bytes
    var bytes: [UInt8] = []
    bytes.reserveCapacity(arrays.count * length * size)
    func addFill(_ rows: Int) { for _ in 0..<rows * size / dtype.size { bytes += fill } }
    for array in arrays {
      let kept = min(array.shape[0], limit)
      if padding.isLeading { addFill(length - kept) }
      bytes += array.bytes[..<(kept * size)]
      if !padding.isLeading { addFill(length - kept) }
    }
    return HostArray(unchecked: dtype, Shape([arrays.count, length] + rest), bytes)
  }
}

extension Scalar {
  /// The value as an element of its dtype lies in memory.
  var bytes: [UInt8] {
    func raw<T>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
    return switch dtype {
    case .float32: raw(Float(double))
    case .float64: raw(double)
    case .int32: raw(Int32(clamping: int))
    case .int64: raw(Int64(int))
    case .uint8: raw(UInt8(clamping: int))
    case .bool: raw(UInt8(int == 0 ? 0 : 1))
    }
  }
}
