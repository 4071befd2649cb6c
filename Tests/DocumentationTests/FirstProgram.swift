import Foundation
import Kiln
import Testing

/// The README's first program, word for word, on MNIST itself where it is there, else on digits in MNIST's form.
@Suite("The README's first program", .serialized)
struct FirstProgram {
  private static let hasMNIST = NamedSet.all.contains { $0.name == "mnist" && $0.isPresent() }

  private func run() throws -> Double {
    // example
    let (training, test) = try MNIST.load()
    let model = Sequential {
      Flatten()
      Dense(784, 128, activation: .relu)
      Dense(128, 10, activation: .softmax)
    }
    let trainer = try Trainer(
      model, optimizer: "adam", loss: "sparse_categorical_crossentropy", metrics: ["accuracy"])
    try trainer.fit(training.dataset(scale: 1 / 255), epochs: 5)
    print("Test accuracy:", try trainer.evaluate(test.dataset(scale: 1 / 255)).accuracy)
    // end
    return try trainer.evaluate(test.dataset(scale: 1 / 255)).accuracy
  }

  @Test("it learns")
  func learns() throws {
    setSeed(1)
    if Self.hasMNIST {
      #expect(try run() > 0.97)
      return
    }
    let folder = NSTemporaryDirectory() + "kiln-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder + "/mnist", withIntermediateDirectories: true)
    let (training, test) = try Digits.split()
    for (set, name) in [(training, "train"), (test, "t10k")] {
      // Each pixel of 8x8 three times in both directions, in the middle of 28x28.
      var images = [UInt8](repeating: 0, count: set.count * 784)
      for index in images.indices {
        let (row, column) = (index % 784 / 28 - 2, index % 28 - 2)
        guard (0..<24).contains(row), (0..<24).contains(column) else { continue }
        images[index] = set.images.bytes[index / 784 * 64 + row / 3 * 8 + column / 3] &* 15
      }
      func header(_ dimensions: Int...) -> [UInt8] {
        [0, 0, 8, UInt8(dimensions.count)]
          + dimensions.flatMap { size in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: size >> $0) } }
      }
      let labels = try Tensor(set.labels).scalars(as: Int.self).map { UInt8($0) }
      try Data(header(set.count, 28, 28) + images).write(to: URL(filePath: "\(folder)/mnist/\(name)-images-idx3-ubyte"))
      try Data(header(set.count) + labels).write(to: URL(filePath: "\(folder)/mnist/\(name)-labels-idx1-ubyte"))
    }
    setenv("KILN_DATA", folder, 1)
    defer { unsetenv("KILN_DATA") }
    #expect(try run() > 0.9)
  }

  @Test("the README has these lines, and they are at most 12")
  func same() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    let match = try #require(try #/    // example\n((?:.*\n)*?)    // end\n/#.firstMatch(in: source))
    let code = match.1.split(separator: "\n").map { String($0.dropFirst(4)) }
    let page = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
    #expect(page.contains("```swift\nimport Kiln\n\n" + code.joined(separator: "\n") + "\n```"))
    #expect(code.count + 1 <= 12)
  }
}
