import Foundation
import Testing

@testable import KilnData
@testable import KilnEngine

/// Numbers as samples; what goes wrong at some of them is the test's choice.
struct Counting: Dataset {
  var count = 100
  var delays = false
  var fault: @Sendable (Int) throws -> Void = { _ in }

  func sample(at position: Int) throws -> Sample {
    // Uneven times, so that workers finish out of order.
    if delays { usleep(UInt32((position * 7919) % 13) * 100) }
    try fault(position)
    return Sample(features: HostArray(.float32, [2], [Float(position), Float(position * 2)]), label: position % 10)
  }
  func name(of position: Int) -> String { "number \(position)" }
}

struct CountingStream: DataStream {
  var count = 100
  var fault: @Sendable (Int) throws -> Void = { _ in }
  var name: String { "numbers" }
  func makeReader() throws -> any SampleReader {
    var next = 0
    return ClosureReader {
      guard next < count else { return nil }
      defer { next += 1 }
      try fault(next)
      return Sample(features: HostArray(.float32, [1], [Float(next)]), label: next % 3)
    }
  }
}

struct Refused: Error, CustomStringConvertible { var description: String { "the disk is on fire" } }

@Suite("The data loader")
struct LoaderTests {
  private func all(_ loader: DataLoader, epoch: Int = 0) throws -> [Batch] {
    let batches = try loader.batches(epoch: epoch)
    var result: [Batch] = []
    while let batch = try batches.next() { result.append(batch) }
    #expect(try batches.next() == nil)
    return result
  }

  private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing was thrown"
  }

  @Test("0, 1, 4 and 16 workers give the same batches")
  func workers() throws {
    var hashes: [[UInt64]] = []
    for workers in [0, 1, 4, 16] {
      let loader = try DataLoader(Counting(count: 333, delays: true), batchSize: 8, seed: 3, workers: workers)
      let batches = try all(loader, epoch: 2)
      #expect(batches.count == 42)
      hashes.append(batches.map(\.hash))
    }
    #expect(Set(hashes).count == 1)
    #expect(Set(hashes[0]).count == 42)
    let stream = try [0, 1, 4, 16].map {
      try all(DataLoader(stream: CountingStream(), batchSize: 7, shuffleBuffer: 20, seed: 1, workers: $0)).map(\.hash)
    }
    #expect(Set(stream).count == 1)
  }

  @Test("the order is the batch iterator's, and depends on seed and epoch")
  func order() throws {
    let loader = try DataLoader(Counting(), batchSize: 16, seed: 9)
    let batches = try all(loader, epoch: 4)
    let expected = try BatchIterator(count: 100, batchSize: 16, seed: 9, epoch: 4).map { Array($0) }
    #expect(batches.map(\.positions) == expected)
    #expect(batches[0].features.values(as: Float.self)[1] == Float(expected[0][0] * 2))
    #expect(batches[0].labels.values(as: Int64.self)[0] == Int64(expected[0][0] % 10))
    #expect(batches.last?.count == 4)
    #expect(try all(loader, epoch: 5).map(\.positions) != expected)
    #expect(
      try all(DataLoader(Counting(), batchSize: 16, lastBatch: .drop)).map(\.count) == Array(repeating: 16, count: 6))
    #expect(try all(DataLoader(Counting(count: 0), batchSize: 16)).isEmpty)
  }

  @Test("a saved position goes on where it stood", arguments: [0, 1, 4])
  func resume(workers: Int) throws {
    let loader = try DataLoader(Counting(), batchSize: 8, seed: 2, workers: workers)
    let whole = try all(loader, epoch: 3).map(\.hash)
    let first = try loader.batches(epoch: 3)
    for _ in 0..<5 { _ = try first.next() }
    let saved = try JSONDecoder().decode(DataCursor.self, from: JSONEncoder().encode(first.cursor))
    #expect(saved == DataCursor(epoch: 3, batch: 5))
    let second = try loader.batches(from: saved)
    var rest: [UInt64] = []
    while let batch = try second.next() { rest.append(batch.hash) }
    #expect(rest == Array(whole[5...]))
    let stream = try DataLoader(stream: CountingStream(), batchSize: 8, shuffleBuffer: 30, seed: 2, workers: workers)
    let entire = try all(stream, epoch: 1).map(\.hash)
    let late = try stream.batches(from: DataCursor(epoch: 1, batch: 6))
    #expect(try late.next()?.hash == entire[6])
  }

  @Test("a reader that throws is named, after the batches before it, and iteration ends", arguments: [0, 1, 4, 16])
  func throwing(workers: Int) throws {
    let dataset = Counting(count: 100, delays: true) { if $0 == 55 { throw Refused() } }
    let batches = try DataLoader(dataset, batchSize: 10, sampler: .sequential, workers: workers).batches(epoch: 0)
    for number in 0..<5 { #expect(try batches.next()?.positions.first == number * 10) }
    let text = message { _ = try batches.next() }
    #expect(text.hasPrefix("number 55: cannot be read: the disk is on fire; "), "\(text)")
    #expect(try batches.next() == nil)
    let stream = CountingStream { if $0 == 12 { throw Refused() } }
    let parts = try DataLoader(stream: stream, batchSize: 10, workers: workers).batches(epoch: 0)
    #expect(try parts.next()?.count == 10)
    #expect(message { _ = try parts.next() }.hasPrefix("numbers, sample 12: cannot be read"))
    #expect(try parts.next() == nil)
  }

  @Test("a reader that blocks is named within the time limit, and iteration ends", arguments: [1, 4, 16])
  func blocking(workers: Int) throws {
    let gate = Monitor()
    let dataset = Counting(count: 100) { position in
      if position == 42 { gate.locked { gate.wait(seconds: 20) } }
    }
    let batches = try DataLoader(
      dataset, batchSize: 10, sampler: .sequential, workers: workers, timeLimit: 0.3
    ).batches(epoch: 0)
    for _ in 0..<4 { #expect(try batches.next() != nil) }
    let start = Monitor.now
    let text = message { _ = try batches.next() }
    #expect(Monitor.now - start < 5)
    #expect(text.hasPrefix("number 42: took longer than the 0.3 s"), "\(text)")
    #expect(try batches.next() == nil)
    gate.locked { gate.wake() }
  }

  @Test("without workers a slow sample is named when it returns")
  func slow() throws {
    let dataset = Counting(count: 20) { if $0 == 3 { usleep(60_000) } }
    let batches = try DataLoader(dataset, batchSize: 10, sampler: .sequential, workers: 0, timeLimit: 0.05)
      .batches(epoch: 0)
    #expect(message { _ = try batches.next() }.hasPrefix("number 3: took longer"))
  }

  @Test("threads end when the batches are released early")
  func released() throws {
    final class Token: Sendable {}
    weak var weakToken: Token?
    try {
      let token = Token()
      weakToken = token
      let dataset = Counting(count: 10_000) { _ in withExtendedLifetime(token) {} }
      let batches = try DataLoader(dataset, batchSize: 4, workers: 4).batches(epoch: 0)
      _ = try batches.next()
    }()
    for _ in 0..<200 where weakToken != nil { usleep(10_000) }
    #expect(weakToken == nil)
  }

  @Test("the queue is bounded")
  func bounded() throws {
    let most = Monitor()
    final class Box: @unchecked Sendable { var value = 0 }
    let box = Box()
    let dataset = Counting(count: 1000) { position in most.locked { box.value = max(box.value, position) } }
    let batches = try DataLoader(dataset, batchSize: 10, sampler: .sequential, workers: 2, prefetch: 3)
      .batches(epoch: 0)
    _ = try batches.next()
    usleep(200_000)
    // One batch is out, three are ahead.
    #expect(most.locked { box.value } == 39)
  }

  @Test("sequences are padded and bucketed")
  func padding() throws {
    let lengths = [3, 9, 1, 4, 8, 2, 7, 5]
    let dataset = try SequenceDataset(tokens: lengths.map { Array(1...$0) }, labels: lengths)
    let loader = try DataLoader(
      dataset, batchSize: 2, sampler: .sequential, padding: Padding(value: 0, multiple: 4), bucketBoundaries: [5])
    let batches = try all(loader)
    #expect(batches.map(\.positions) == [[0, 2], [1, 4], [3, 5], [6, 7]])
    #expect(batches[0].features.shape == [2, 4])
    #expect(batches[0].features.values(as: Int64.self) == [1, 2, 3, 0, 1, 0, 0, 0])
    #expect(batches[0].lengths == [3, 1])
    #expect(batches[1].features.shape == [2, 12])
    let cut = try all(
      DataLoader(
        dataset, batchSize: 2, sampler: .sequential, padding: Padding(value: -1, maximum: 2, isLeading: true)))
    #expect(cut[0].features.values(as: Int64.self) == [1, 2, 1, 2])
    #expect(cut[1].features.values(as: Int64.self) == [-1, 1, 1, 2])
    #expect(
      message { _ = try all(DataLoader(dataset, batchSize: 2, sampler: .sequential)) }.contains(
        "sample 1: its features [9]"))
    #expect(message { _ = try DataLoader(Counting(), bucketBoundaries: [5]).batches(epoch: 0) }.contains("number"))
  }

  @Test("samplers weigh and balance")
  func samplers() throws {
    let weights = [0.0, 1, 3, 0]
    let drawn = try Sampler.weighted(weights, count: 8000).order(count: 4, seed: 1, epoch: 0)
    let counts = (0..<4).map { value in drawn.filter { $0 == value }.count }
    #expect(counts[0] == 0 && counts[3] == 0)
    #expect(abs(counts[1] - 2000) < 200)
    let labels = (0..<60).map { $0 < 50 ? 0 : 1 }
    let over = try Sampler.oversampled(labels: labels).order(count: 60, seed: 1, epoch: 0)
    #expect(over.count == 100 && over.filter { labels[$0] == 1 }.count == 50 && Set(over).count == 60)
    let under = try Sampler.undersampled(labels: labels).order(count: 60, seed: 1, epoch: 0)
    #expect(under.count == 20 && Set(under).count == 20 && under.filter { labels[$0] == 1 }.count == 10)
    #expect(try Sampler.undersampled(labels: labels).order(count: 60, seed: 1, epoch: 1) != under)
    for bad: Sampler in [
      .weighted([1], count: 2), .weighted([0, 0], count: 1), .weighted([1, .nan], count: 1),
      .weighted([1, -1], count: 1), .oversampled(labels: [1]),
    ] {
      #expect(throws: TensorError.self) { try bad.order(count: 2, seed: 0, epoch: 0) }
    }
  }

  @Test("every sample is held out by one fold, and classes are spread")
  func folds() throws {
    let labels = (0..<50).map { $0 < 40 ? 0 : 1 }
    let folds = try Split.folds(5, labels: labels, seed: 1)
    #expect(folds.flatMap(\.heldOut).sorted() == Array(0..<50))
    for fold in folds {
      #expect((fold.training + fold.heldOut).sorted() == Array(0..<50))
      #expect(fold.heldOut.filter { labels[$0] == 1 }.count == 2)
    }
    #expect(try Split.folds(3, count: 10, seed: 0).map(\.heldOut.count) == [4, 3, 3])
    #expect(throws: TensorError.self) { try Split.folds(1, count: 10, seed: 0) }
    #expect(throws: TensorError.self) { try Split.folds(11, count: 10, seed: 0) }
  }

  @Test("options that make no sense are refused")
  func options() throws {
    for make: () throws -> DataLoader in [
      { try DataLoader(Counting(), batchSize: 0) }, { try DataLoader(Counting(), workers: -1) },
      { try DataLoader(Counting(), prefetch: 0) }, { try DataLoader(Counting(), timeLimit: .nan) },
      { try DataLoader(Counting(), bucketBoundaries: [3, 3]) },
      { try DataLoader(Counting(), padding: Padding(multiple: 0)) },
      { try DataLoader(stream: CountingStream(), shuffleBuffer: -1) },
    ] {
      #expect(throws: TensorError.self) { try make() }
    }
    #expect(throws: TensorError.self) { try DataLoader(Counting()).batches(from: DataCursor(batch: -1)) }
  }
}
