import KilnEngine

/// A public data set that Kiln knows by name: where its files lie in the data folder, and where they come from.
public struct NamedSet: Sendable, Hashable {
  public var name: String
  public var summary: String
  /// The files that must be there, relative to the data folder; each may be gzipped with `.gz` added.
  public var files: [String]
  /// What `fetch` gets; empty where `source` says how to get it by hand, or where nothing is needed.
  public var remote: [RemoteFile]
  /// Origin and licence.
  public var source: String

  /// Every set.
  public static let all: [NamedSet] = [
    idxSet(
      "mnist", "60,000 + 10,000 handwritten digits 28x28", "https://ossci-datasets.s3.amazonaws.com/mnist/",
      "LeCun, Cortes, Burges; CC BY-SA 3.0",
      [
        (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
      ]),
    idxSet(
      "fashion-mnist", "60,000 + 10,000 pictures of clothes 28x28",
      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "Zalando Research; MIT",
      [
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
      ]),
    NamedSet(
      name: "cifar10", summary: "colour pictures 32x32 of 10 classes, CIFAR's binary files",
      files: ["cifar10/data_batch_1.bin", "cifar10/test_batch.bin"], remote: [],
      source: "Krizhevsky 2009; unpack cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"),
    NamedSet(
      name: "digits", summary: "1,797 handwritten digits 8x8, inside the library", files: [], remote: [],
      source: "UCI; Alpaydin and Kaynak 1998; CC BY 4.0"),
    NamedSet(
      name: "iris", summary: "150 flowers, 4 measures, 3 species", files: ["tabular/iris.csv"], remote: [],
      source: "UCI; CC BY 4.0; a CSV with the header "
        + "sepal_length,sepal_width,petal_length,petal_width,label from https://archive.ics.uci.edu/dataset/53/iris"),
    NamedSet(
      name: "breast-cancer", summary: "569 tumours, 30 measures, benign or malignant",
      files: ["tabular/breast_cancer.csv"], remote: [],
      source: "UCI; CC BY 4.0; a CSV with a header and the column label, such as scikit-learn's load_breast_cancer"),
    single(
      "tinyshakespeare", "1.1 MB of Shakespeare, for character models", "text/tinyshakespeare.txt",
      "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt", 1_115_394,
      "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", "public domain, collected by A. Karpathy"),
    single(
      "names", "32,033 first names", "text/names.txt",
      "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt", 228_145,
      "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d", "US SSA, public domain"),
    single(
      "etth1", "17,420 hours of transformer temperature and loads", "timeseries/ETTh1.csv",
      "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv", 2_589_657,
      "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066", "Zhou et al. 2021; CC BY-ND 4.0"),
    NamedSet(
      name: "sst2", summary: "film reviews, a sentence a line, with their sentiment 0 or 1",
      files: ["text/sst2-train.tsv", "text/sst2-dev.tsv"],
      remote: [
        RemoteFile(
          path: "text/sst2-train.tsv",
          url: "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/master/data/SST2/train.tsv",
          size: 720_259, sha256: "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920"),
        RemoteFile(
          path: "text/sst2-dev.tsv",
          url: "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/master/data/SST2/dev.tsv",
          size: 92057, sha256: "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359"),
      ], source: "Stanford Sentiment Treebank, Socher et al. 2013"),
    NamedSet(
      name: "cora", summary: "2,708 papers, their words and citations, 7 subjects",
      files: ["graph/cora-nodes.tsv", "graph/cora-edges.tsv"], remote: [],
      source: "Yang et al. 2016, the Planetoid split; tables id,label,split,words and source,target"),
  ]

  /// The set of this name. Throws `DataError` that lists the names.
  public static func named(_ name: String) throws -> NamedSet {
    guard let set = all.first(where: { $0.name == name }) else {
      throw DataError(
        file: name, rule: "is no data set that Kiln knows",
        fix: "choose one of \(all.map(\.name).joined(separator: ", "))")
    }
    return set
  }

  /// The paths of its files in a folder, in the order of `files`. Throws `DataError` for the first that is missing.
  public func paths(in folder: DataFolder = DataFolder()) throws -> [String] {
    try files.map { file in
      let whole = "\(folder.path)/\(file)"
      if Files.exists(whole) { return whole }
      if Files.exists(whole + ".gz") { return whole + ".gz" }
      throw DataError(
        file: whole, rule: "is missing, also with .gz",
        fix: remote.isEmpty
          ? "get it by hand: \(source)" : "run 'kiln data fetch \(name)', or name the folder with KILN_DATA")
    }
  }

  /// Whether all its files are in a folder.
  public func isPresent(in folder: DataFolder = DataFolder()) -> Bool { (try? paths(in: folder)) != nil }

  /// Fetches what is missing; see `RemoteFile.fetch`. Throws `DataError` for sets that must be got by hand.
  public func fetch(into folder: DataFolder = DataFolder(), progress: (RemoteFile, Int) -> Void = { _, _ in }) throws {
    if isPresent(in: folder) { return }
    guard !remote.isEmpty else {
      throw DataError(
        file: name, rule: "cannot be fetched from one place",
        fix: "get it by hand into \(folder.path)/"
          + "\(files.joined(separator: " and ")): \(source)")
    }
    for file in remote { try file.fetch(into: folder) { progress(file, $0) } }
  }

  private static func single(
    _ name: String, _ summary: String, _ path: String, _ url: String, _ size: Int, _ sha256: String, _ source: String
  ) -> NamedSet {
    NamedSet(
      name: name, summary: summary, files: [path],
      remote: [RemoteFile(path: path, url: url, size: size, sha256: sha256)], source: source)
  }

  private static func idxSet(
    _ name: String, _ summary: String, _ base: String, _ source: String, _ known: [(Int, String)]
  ) -> NamedSet {
    let files = [
      "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
    ]
    return NamedSet(
      name: name, summary: summary, files: files.map { "\(name)/\($0)" },
      remote: zip(files, known).map {
        RemoteFile(path: "\(name)/\($0).gz", url: "\(base)\($0).gz", size: $1.0, sha256: $1.1)
      }, source: source)
  }
}
