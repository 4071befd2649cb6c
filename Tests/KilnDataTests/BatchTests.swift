import Testing

@testable import KilnData
@testable import KilnEngine

@Suite("Batches, splits and the embedded digits")
struct BatchTests {
  @Test("every sample comes once in an epoch, in an order that only seed and epoch decide")
  func order() throws {
    func batches(_ seed: UInt64, _ epoch: Int, _ size: Int) throws -> [[Int]] {
      try BatchIterator(count: 100, batchSize: size, seed: seed, epoch: epoch).map { Array($0) }
    }
    let first = try batches(1, 0, 32)
    #expect(first.map(\.count) == [32, 32, 32, 4])
    #expect(first.flatMap { $0 }.sorted() == Array(0..<100))
    #expect(try batches(1, 0, 32) == first)
    #expect(try batches(1, 0, 7).flatMap { $0 } == first.flatMap { $0 })
    #expect(try batches(1, 1, 32) != first)
    #expect(try batches(2, 0, 32) != first)
    // The order is part of what a seed means, and must not change between versions. From Golden/order.py.
    #expect(try BatchIterator(count: 8, batchSize: 8, seed: 1, epoch: 0).order == [0, 3, 7, 1, 4, 2, 6, 5])
  }

  @Test("the last batch is kept or dropped")
  func lastBatch() throws {
    let kept = try BatchIterator(count: 10, batchSize: 4, shuffles: false)
    #expect(kept.map { Array($0) } == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
    #expect(kept.batchCount == 3)
    let dropped = try BatchIterator(count: 10, batchSize: 4, shuffles: false, lastBatch: .drop)
    #expect(dropped.map { Array($0) } == [[0, 1, 2, 3], [4, 5, 6, 7]])
    #expect(dropped.batchCount == 2)
    #expect(try BatchIterator(count: 0, batchSize: 4).map { Array($0) }.isEmpty)
    #expect(try BatchIterator(count: 8, batchSize: Int.max, shuffles: false).batchCount == 1)
    #expect(throws: TensorError.self) { try BatchIterator(count: 10, batchSize: 0) }
    #expect(throws: TensorError.self) { try BatchIterator(count: -1, batchSize: 2) }
  }

  @Test("positions are drawn without bias")
  func uniform() {
    var counts = [Int](repeating: 0, count: 6)
    for epoch in 0..<6000 {
      var generator = OrderGenerator(seed: 3, epoch: epoch)
      var values = [0, 1, 2]
      generator.shuffle(&values)
      counts[values[0] * 2 + (values[1] < values[2] ? 0 : 1)] += 1
    }
    // Each of the 6 orders comes about 1,000 times; the bound is above five standard deviations.
    #expect(counts.allSatisfy { abs($0 - 1000) < 150 }, "\(counts)")
  }

  @Test("a stratified split holds out the same part of each class")
  func split() throws {
    let labels = (0..<100).map { $0 < 80 ? 0 : 1 }
    let split = try Split(labels: labels, heldOut: 0.2, seed: 5)
    #expect((split.training + split.heldOut).sorted() == Array(0..<100))
    #expect(split.heldOut.filter { labels[$0] == 0 }.count == 16)
    #expect(split.heldOut.filter { labels[$0] == 1 }.count == 4)
    #expect(try Split(labels: labels, heldOut: 0.2, seed: 5) == split)
    #expect(try Split(labels: labels, heldOut: 0.2, seed: 6) != split)
    #expect(throws: TensorError.self) { try Split(count: 10, heldOut: .nan, seed: 0) }
    #expect(throws: TensorError.self) { try Split(count: 10, heldOut: 1.5, seed: 0) }
  }

  @Test("the digits are the 1,797 of UCI's test part")
  func digits() throws {
    let all = try Digits.load()
    #expect(all.images.shape == [1797, 8, 8])
    #expect(all.images.bytes.max() == 16)
    #expect(all.images.bytes[..<8].elementsEqual([0, 0, 5, 13, 9, 1, 0, 0]))
    let labels = all.labels.values(as: Int64.self)
    #expect(
      (0..<10).map { label in labels.count { $0 == Int64(label) } } == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
      ])
    let (training, test) = try Digits.split()
    #expect(training.count + test.count == 1797)
    #expect(test.count == 359)
  }

  @Test("wrong MNIST files are refused")
  func mnist() throws {
    let images = HostArray(unchecked: .uint8, [1, 28, 28], [UInt8](repeating: 0, count: 784))
    func message(_ labels: HostArray, _ images: HostArray) -> String {
      DataFiles.message { _ = try MNIST.imageSet(images: images, file: "i", labels: labels, file: "l") }
    }
    let label = HostArray(unchecked: .uint8, [1], [3])
    #expect(message(label, label).hasPrefix("i, byte 2: images must be uint8 [count, 28, 28], got uint8 [1]"))
    #expect(message(images, images).hasPrefix("l, byte 2: labels must be uint8 [1], one for each image"))
    #expect(
      message(HostArray(unchecked: .uint8, [1], [10]), images).hasPrefix("l, label 0: labels must lie in 0...9, got 10")
    )
    let missing = DataFiles.message { _ = try MNIST.load(from: DataFolder("/nowhere")) }
    #expect(missing.contains("/nowhere/mnist: has no file 'train-images-idx3-ubyte'"))
    #expect(missing.contains("--data or KILN_DATA"))
  }
}
