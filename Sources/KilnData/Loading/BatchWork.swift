import KilnEngine

/// What threads do for a loader: batch `number` is asked for exactly once, in rising order of start.
protocol BatchWork: Sendable {
  /// Several threads may make batches at once.
  var isParallel: Bool { get }
  /// `nil` after the last. `starting` is told of each sample before it is read.
  func batch(_ number: Int, starting: (String) throws -> Void) throws -> Batch?
}

/// Thrown to a thread whose reader has been given up.
struct Abandoned: Error {}

struct DatasetWork: BatchWork {
  let dataset: any Dataset
  let plan: [[Int]]
  let padding: Padding?
  var isParallel: Bool { true }

  init(_ dataset: any Dataset, _ plan: [[Int]], _ padding: Padding?) {
    (self.dataset, self.plan, self.padding) = (dataset, plan, padding)
  }

  func batch(_ number: Int, starting: (String) throws -> Void) throws -> Batch? {
    guard number < plan.count else { return nil }
    let positions = plan[number]
    var samples: [Sample] = []
    samples.reserveCapacity(positions.count)
    for position in positions {
      let name = dataset.name(of: position)
      try starting(name)
      do {
        samples.append(try dataset.sample(at: position))
      } catch let error as DataError where name.hasPrefix(error.file) {
        throw error
      } catch {
        throw DataError(file: name, rule: "cannot be read: \(error)", fix: "mend or remove this sample")
      }
    }
    return try Batch(samples, positions: positions, padding: padding, name: dataset.name)
  }
}

/// One thread at a time makes batches of a stream.
final class StreamWork: BatchWork, @unchecked Sendable {  // used by one thread, see `isParallel`
  private let stream: any DataStream
  private let loader: DataLoader
  private var order: OrderGenerator
  private var reader: (any SampleReader)?
  private var number = 0
  private var buffer: [(Int, Sample)] = []
  private var isAtEnd = false
  private var skipping: Int
  var isParallel: Bool { false }

  init(_ stream: any DataStream, _ loader: DataLoader, order: OrderGenerator, skipping: Int) {
    (self.stream, self.loader, self.order, self.skipping) = (stream, loader, order, skipping)
  }

  func batch(_ wanted: Int, starting: (String) throws -> Void) throws -> Batch? {
    while skipping > 0 {
      skipping -= 1
      guard try collect(starting) != nil else { return nil }
    }
    guard let part = try collect(starting) else { return nil }
    let name = stream.name
    return try Batch(part.map(\.1), positions: part.map(\.0), padding: loader.padding) { "\(name), sample \($0)" }
  }

  private func collect(_ starting: (String) throws -> Void) throws -> [(Int, Sample)]? {
    var part: [(Int, Sample)] = []
    while part.count < loader.batchSize, let next = try draw(starting) { part.append(next) }
    return part.isEmpty || part.count < loader.batchSize && loader.lastBatch == .drop ? nil : part
  }

  /// The next sample of the stream, or one of the buffer's, whose place the next takes.
  private func draw(_ starting: (String) throws -> Void) throws -> (Int, Sample)? {
    guard loader.shuffleBuffer > 1 else { return try read(starting) }
    while buffer.count < loader.shuffleBuffer, let next = try read(starting) { buffer.append(next) }
    guard !buffer.isEmpty else { return nil }
    let chosen = order.below(buffer.count)
    buffer.swapAt(chosen, buffer.count - 1)
    return buffer.removeLast()
  }

  private func read(_ starting: (String) throws -> Void) throws -> (Int, Sample)? {
    if isAtEnd { return nil }
    let name = "\(stream.name), sample \(number)"
    try starting(name)
    do {
      let reader = try self.reader ?? stream.makeReader()
      self.reader = reader
      guard let sample = try reader.next() else {
        isAtEnd = true
        self.reader = nil
        return nil
      }
      defer { number += 1 }
      return (number, sample)
    } catch let error as DataError {
      throw error
    } catch {
      throw DataError(file: name, rule: "cannot be read: \(error)", fix: "mend or remove this sample")
    }
  }
}
