/// What kind of data is learned from.
public enum LearningTask: String, Sendable, Hashable, Codable, CaseIterable {
  /// Pictures and their classes.
  case image
  /// Rows of a table, and a class or a number for each.
  case tabular
  /// Running text: the next token is learned; or texts and their classes.
  case text
  /// Rows in the order of time: the next ones are learned.
  case series

  /// The sets that Kiln knows by name and a configuration may use.
  static let sets: [(name: String, task: LearningTask)] = [
    ("digits", .image), ("mnist", .image), ("fashion-mnist", .image), ("cifar10", .image), ("iris", .tabular),
    ("breast-cancer", .tabular), ("tinyshakespeare", .text), ("names", .text), ("sst2", .text), ("etth1", .series),
  ]
}
