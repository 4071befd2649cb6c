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
      let whole: ImageSet
      if let known {
        whole = known.training
      } else {
        let path = root["data"]?["folder"]?.text ?? ""
        let size = root["data"]?["size"]?.integer
        let files = try ImageFolder(
          path, size: size.map { ($0, $0) }, channels: root["data"]?["channels"]?.text == "1" ? 1 : 3)
        (whole, classes) = (try Self.collected(files), files.classes)
      }
      let scale = root["preparation"]?["scale"]?.number ?? (set == "digits" ? 1.0 / 16 : 1.0 / 255)
      let data = try Self.planes(whole, scale, host)
      let labels = try data.labels.scalars(as: Int.self)
      let outputs = classes.isEmpty ? max((labels.max() ?? 0) + 1, 2) : classes.count
      let parts = try parts(labels, count: data.count, test: known == nil ? testShare : 0)
      var preparation = Preparation(
        inputShape: Array(data.features.shape.dimensions.dropFirst()), outputs: outputs, trainingCount: 0)
      preparation.scale = scale
      preparation.classes = classes
      preparation.classWeights = balancedWeights(parts.training.map { labels[$0] }, classes: outputs)
      let test = try known.map { try Self.planes($0.test, scale, host) } ?? data.part(parts.test)
      return PreparedData(
        training: try data.subset(parts.training), validation: try data.part(parts.validation), test: test,
        preparation: preparation)
    }
  }

  /// [count, channels, height, width].
  private static func planes(_ set: ImageSet, _ scale: Double, _ host: Device) throws -> ArrayDataset {
    let data = try set.dataset(scale: scale, on: host)
    return try ArrayDataset(computing: withChannels(data.features), data.labels)
  }

  static func withChannels(_ images: Tensor) -> Tensor { images.rank == 3 ? images.expanded(axis: 1) : images }

  private static func collected(_ files: ImageFolder) throws -> ImageSet {
    var (bytes, shape): ([UInt8], [Int]) = ([], [])
    for position in 0..<files.count {
      let sample = try files.sample(at: position)
      let own = sample.features.shape.dimensions
      guard shape.isEmpty || shape == own else {
        throw DataError(
          file: files.name(of: position), rule: "is \(Shape(own)), those before are \(Shape(shape))",
          fix: "give data.size, to which all are scaled")
      }
      shape = own
      bytes += sample.features.bytes
    }
    let labels = try HostArray(Tensor(files.labels))
    return ImageSet(
      images: try HostArray(dtype: .uint8, shape: Shape([files.count] + shape), bytes: bytes), labels: labels)
  }
}
