import Glibc
import KilnEngine

/// A folder with one folder of images for each class. Classes and files are in alphabetical order.
///
/// Each image is read when it is asked for, so that only those of a few batches are in memory. torchvision: `ImageFolder`.
public struct ImageFolder: Dataset {
  public let classes: [String]
  public let files: [String]
  public let labels: [Int]
  private let size: (width: Int, height: Int)?
  private let channels: Int

  public var count: Int { files.count }

  /// Lists the images (`.png`, `.jpg`, `.jpeg`) without reading them. `size` scales the shorter side and cuts the middle
  /// out; without it all images must have one size. `channels`: 1, 3 or 4.
  /// Throws `DataError` for a folder that is missing, or has no classes, or a class without images.
  public init(_ path: String, size: (width: Int, height: Int)? = nil, channels: Int = 3) throws {
    guard [1, 3, 4].contains(channels), size.map({ $0.width >= 1 && $0.height >= 1 }) ?? true else {
      throw TensorError(
        operation: "ImageFolder",
        rule: "channels must be 1, 3 or 4 and sizes at least 1, got \(channels) and "
          + (size.map { "\($0.width) x \($0.height)" } ?? "no size"), fix: "use 3 channels and a size such as 32 x 32")
    }
    classes = try Files.list(path).filter { Files.isFolder("\(path)/\($0)") }
    guard !classes.isEmpty else {
      throw DataError(
        file: path, rule: "has no folders, one for each class is needed", fix: "sort the images into them")
    }
    var files: [String] = []
    var labels: [Int] = []
    for (label, name) in classes.enumerated() {
      let folder = "\(path)/\(name)"
      let images = try Files.list(folder).filter { file in
        [".png", ".jpg", ".jpeg"].contains { file.lowercased().hasSuffix($0) }
      }
      guard !images.isEmpty else {
        throw DataError(file: folder, rule: "has no .png, .jpg or .jpeg file", fix: "remove the folder or fill it")
      }
      files += images.map { "\(folder)/\($0)" }
      labels += images.map { _ in label }
    }
    (self.files, self.labels, self.size, self.channels) = (files, labels, size, channels)
  }

  /// The image as uint8 [channels, height, width] and its class.
  public func sample(at position: Int) throws -> Sample {
    try checkPosition(position, count, "image folder")
    var picture = try Picture(contentsOf: files[position]).converted(channels: channels)
    if let size {
      let scale = max(Double(size.width) / Double(picture.width), Double(size.height) / Double(picture.height))
      picture =
        picture.resized(
          width: max(size.width, Int((Double(picture.width) * scale).rounded())),
          height: max(size.height, Int((Double(picture.height) * scale).rounded()))
        ).centerCropped(width: size.width, height: size.height)
    }
    return Sample(features: picture.array, label: labels[position])
  }

  /// The file's path.
  public func name(of position: Int) -> String {
    files.indices.contains(position) ? files[position] : "image \(position)"
  }
}

extension Files {
  static func isFolder(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in a folder, sorted, without hidden ones.
  static func list(_ path: String) throws -> [String] {
    guard let folder = opendir(path) else { throw failure(path, "cannot be listed", "check the path") }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }
}
