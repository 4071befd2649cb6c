import Kiln

extension Configuration {
  func images(_ folder: DataFolder) throws -> PreparedData {
    try onHost { host in
      var classes: [String] = []
      let set = root["data"]?["set"]?.text
      var known: (training: ImageSet, test: ImageSet)?
      switch set {
      case "digits": known = try Digits.split()
      case "mnist": known = try MNIST.load(from: folder)
      case "fashion-mnist": known = try MNIST.loadFashion(from: folder)
      case "cifar10":
        known = try CIFAR.load10(from: folder)
        classes = CIFAR.classes10
      default: break
      }
      let scale = root["preparation"]?["scale"]?.number ?? (set == "digits" ? 1.0 / 16 : 1.0 / 255)
      guard let known else { return try files(scale, host) }
      let data = try Self.planes(known.training, scale, host)
      let labels = try data.labels.scalars(as: Int.self)
      let outputs = classes.isEmpty ? max((labels.max() ?? 0) + 1, 2) : classes.count
      let parts = try parts(labels, count: data.count, test: 0)
      var preparation = Preparation(
        inputShape: Array(data.features.shape.dimensions.dropFirst()), outputs: outputs, trainingCount: 0)
      preparation.scale = scale
      preparation.classes = classes
      preparation.classWeights = balancedWeights(parts.training.map { labels[$0] }, classes: outputs)
      return PreparedData(
        training: try data.subset(parts.training), validation: try data.part(parts.validation),
        test: try Self.planes(known.test, scale, host), preparation: preparation)
    }
  }

  /// A folder of pictures, or a file of them: in memory, or read as they are needed, with the same batches.
  private func files(_ scale: Double, _ host: Device) throws -> PreparedData {
    let (images, labels, classes) = try imageSource(scale)
    let outputs = classes.isEmpty ? max((labels?.max() ?? 0) + 1, 2) : classes.count
    let parts = try parts(labels, count: images.count, test: testShare)
    var preparation = Preparation(
      inputShape: images.shape.dimensions, outputs: outputs, trainingCount: parts.training.count)
    preparation.scale = scale
    preparation.classes = classes
    if let labels {
      preparation.classWeights = balancedWeights(parts.training.map { labels[$0] }, classes: outputs)
    }
    let bytes = 4 * images.shape.count
    guard streams(bytes: bytes * images.count) else {
      func memory(_ positions: [Int]) throws -> ArrayDataset? {
        guard !positions.isEmpty else { return nil }
        return try DataLoader(images.subset(positions), sampler: .sequential).samples(positions.count, on: host)
      }
      guard let training = try memory(parts.training) else { throw fault(0, "data", "no sample is left for training") }
      return PreparedData(
        training: training, validation: try memory(parts.validation), test: try memory(parts.test),
        preparation: preparation)
    }
    guard let training = try loader(images, parts.training, sampleBytes: bytes, trains: true) else {
      throw fault(0, "data", "no sample is left for training")
    }
    return PreparedData(
      training: training, validation: try loader(images, parts.validation, sampleBytes: bytes, trains: false),
      test: try loader(images, parts.test, sampleBytes: bytes, trains: false), preparation: preparation)
  }

  /// The images, their classes as far as those are known without reading them, and the classes' names.
  private func imageSource(_ scale: Double) throws -> (ImageSamples, labels: [Int]?, classes: [String]) {
    let data = root["data"]
    if let path = data?["folder"]?.text {
      let size = data?["size"]?.integer
      let files = try ImageFolder(path, size: size.map { ($0, $0) }, channels: data?["channels"]?.text == "1" ? 1 : 3)
      return (try ImageSamples(files, scale: scale), files.labels, files.classes)
    }
    let path = data?["file"]?.text ?? ""
    guard let answers = data?["labels"]?.text else {
      return (try ImageSamples(RecordFile(path, format: .cifar()), scale: scale), nil, CIFAR.classes10)
    }
    let array = try answers.hasSuffix(".npy") ? HostArray(npy: answers) : HostArray(idx: answers)
    let file = try path.hasSuffix(".npy") ? RecordFile.npy(path) : RecordFile.idx(path)
    guard array.dtype.isInteger, array.shape == [file.count] else {
      throw DataError(
        file: answers,
        rule: "labels must be integers [\(file.count)], one for each image, got \(array.dtype) \(array.shape)",
        fix: "name the label file that belongs to the images")
    }
    let labels = try onHost { try Tensor(array, on: $0).cast(to: .int64).scalars(as: Int.self) }
    if let bad = labels.firstIndex(where: { $0 < 0 || $0 >= 100_000 }) {
      throw DataError(
        file: answers, place: "label \(bad)", rule: "classes must lie in 0..<100000, got \(labels[bad])",
        fix: "number them from 0")
    }
    return (try ImageSamples(file, labels: labels, scale: scale), labels, [])
  }

  /// [count, channels, height, width].
  private static func planes(_ set: ImageSet, _ scale: Double, _ host: Device) throws -> ArrayDataset {
    let data = try set.dataset(scale: scale, on: host)
    return try ArrayDataset(computing: withChannels(data.features), data.labels)
  }

  static func withChannels(_ images: Tensor) -> Tensor { images.rank == 3 ? images.expanded(axis: 1) : images }
}
