import CDigits
import KilnEngine

/// Labelled images in host memory: images [count, height, width] or [count, channels, height, width] of uint8, labels
/// [count] of int64.
public struct ImageSet: Sendable, Hashable {
  public var images: HostArray
  public var labels: HostArray
  public var count: Int { images.shape[0] }

  /// Images and labels of one count.
  public init(images: HostArray, labels: HostArray) { (self.images, self.labels) = (images, labels) }

  /// On a device, with the pixels as float32 times `scale`.
  public func dataset(scale: Double, on device: Device = .default) throws -> ArrayDataset {
    let pixels = ArrayDataset.Pixels(values: Tensor(images, on: device), scale: scale)
    let labels = Tensor(self.labels, on: device)
    try evaluate(pixels.values, labels)
    return try ArrayDataset(pixels, labels: labels)
  }

  /// The samples at these positions, which must exist.
  func subset(_ positions: [Int]) -> ImageSet {
    let size = images.shape.dimensions.dropFirst().reduce(1, *)
    let all = labels.values(as: Int64.self)
    return ImageSet(
      images: HostArray(
        unchecked: .uint8, Shape([positions.count] + images.shape.dimensions.dropFirst()),
        positions.flatMap { images.bytes[($0 * size)..<(($0 + 1) * size)] }),
      labels: HostArray(.int64, [positions.count], positions.map { all[$0] }))
  }
}

/// UCI's "Optical Recognition of Handwritten Digits": 1,797 images 8x8 with values 0-16, embedded in the library.
/// E. Alpaydin and C. Kaynak, 1998; CC BY 4.0; https://doi.org/10.24432/C50P49.
public enum Digits {
  public static let name = "digits (embedded)"

  public static func load() throws -> ImageSet {
    let packed = Array(UnsafeBufferPointer(start: kiln_digits_data(), count: kiln_digits_size()))
    let table = try Table(bytes: Zlib.gunzip(packed, file: name), file: name, header: .absent)
    let pixels = try table.numbers(columns: Array(0..<64))
    return ImageSet(
      images: HostArray(
        unchecked: .uint8, [table.rows.count, 8, 8],
        pixels.values(as: Double.self).map { UInt8($0.rounded().clamped()) }),
      labels: try table.integers(column: 64))
  }

  /// A stratified fifth is held out; the same seed gives the same split.
  public static func split(seed: UInt64 = 0) throws -> (training: ImageSet, test: ImageSet) {
    let all = try load()
    let split = try Split(labels: all.labels.values(as: Int64.self).map { Int($0) }, heldOut: 0.2, seed: seed)
    return (all.subset(split.training), all.subset(split.heldOut))
  }
}

extension Double {
  fileprivate func clamped() -> Double { Swift.min(Swift.max(self, 0), 255) }
}

/// MNIST and sets of its form: four IDX files, plain or gzipped, in the data folder's `mnist` or in the folder itself.
public enum MNIST {
  /// 60,000 training and 10,000 test images 28x28 of 0-255, labels 0-9.
  /// Throws `DataError` for missing or damaged files.
  public static func load(from folder: DataFolder = DataFolder()) throws -> (training: ImageSet, test: ImageSet) {
    try load(folder, "mnist")
  }

  /// The same of Fashion-MNIST, from the data folder's `fashion-mnist` alone: its files have MNIST's names.
  public static func loadFashion(from folder: DataFolder = DataFolder()) throws -> (training: ImageSet, test: ImageSet)
  {
    let inner = DataFolder("\(folder.path)/fashion-mnist")
    return try load(inner, ".")
  }

  /// The four files at once: unpacking them is most of the work.
  private static func load(_ folder: DataFolder, _ subfolder: String) throws -> (training: ImageSet, test: ImageSet) {
    let names = ["train-images", "train-labels", "t10k-images", "t10k-labels"]
    let files = try concurrently(names) { name -> (path: String, array: HostArray) in
      let kind = name.hasSuffix("images") ? "idx3-ubyte" : "idx1-ubyte"
      let path = try folder.find("\(name)-\(kind)", "\(name).\(kind)", subfolder: subfolder)
      return (path, try HostArray(idx: path))
    }
    func set(_ images: Int, _ labels: Int) throws -> ImageSet {
      try imageSet(
        images: files[images].array, file: files[images].path, labels: files[labels].array, file: files[labels].path)
    }
    return (try set(0, 1), try set(2, 3))
  }

  static func imageSet(images: HostArray, file imagePath: String, labels: HostArray, file labelPath: String) throws
    -> ImageSet
  {
    guard images.dtype == .uint8, images.shape.rank == 3, images.shape[1] == 28, images.shape[2] == 28 else {
      throw DataError(
        file: imagePath, place: "byte 2",
        rule: "images must be uint8 [count, 28, 28], got \(images.dtype) \(images.shape)",
        fix: "name MNIST's image file")
    }
    guard labels.dtype == .uint8, labels.shape == [images.shape[0]] else {
      throw DataError(
        file: labelPath, place: "byte 2",
        rule: "labels must be uint8 [\(images.shape[0])], one for each image, got \(labels.dtype) \(labels.shape)",
        fix: "name the label file that belongs to the images")
    }
    if let bad = labels.bytes.firstIndex(where: { $0 > 9 }) {
      throw DataError(
        file: labelPath, place: "label \(bad)", rule: "labels must lie in 0...9, got \(labels.bytes[bad])",
        fix: "the file is damaged; fetch it again")
    }
    return ImageSet(images: images, labels: HostArray(.int64, labels.shape, labels.bytes.map { Int64($0) }))
  }
}

/// CIFAR-10 and CIFAR-100 in their binary format, gzipped or not.
public enum CIFAR {
  public static let classes10 = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
  ]

  /// The training batches that are there (1 to 5) and the test batch, in the data folder's `cifar10`.
  /// Throws `DataError` for missing or damaged files.
  public static func load10(from folder: DataFolder = DataFolder()) throws -> (training: ImageSet, test: ImageSet) {
    var paths = [try folder.find("data_batch_1.bin", subfolder: "cifar10")]
    for number in 2...5 {
      if let path = try? folder.find("data_batch_\(number).bin", subfolder: "cifar10") { paths.append(path) }
    }
    return (try read(paths), try read([folder.find("test_batch.bin", subfolder: "cifar10")]))
  }

  /// Whole files: images uint8 [count, 3, 32, 32], labels [count]; see `RecordFormat.cifar`.
  public static func read(_ paths: [String], labelBytes: Int = 1, classes: Int = 10) throws -> ImageSet {
    let reader = try RecordStream(paths, format: .cifar(labelBytes: labelBytes, classes: classes)).makeReader()
    var pixels: [UInt8] = []
    var labels: [Int64] = []
    while let sample = try reader.next() {
      pixels += sample.features.bytes
      labels += sample.label.values(as: Int64.self)
    }
    return ImageSet(
      images: HostArray(unchecked: .uint8, [labels.count, 3, 32, 32], pixels),
      labels: HostArray(.int64, [labels.count], labels))
  }
}
