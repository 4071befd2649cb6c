import KilnEngine

/// The batches of one epoch, in order. One thread calls `next`.
///
/// It ends after the last batch, after an error (thrown once, where the failed batch would have come), and when
/// it is released. Threads then stop at their next sample; one that is stuck in a reader is left behind.
public final class LoadedBatches {
  private let state: LoaderState
  private let work: any BatchWork
  private let loader: DataLoader
  private var isDone = false
  /// Where the next batch stands: what to save for a resume.
  public private(set) var cursor: DataCursor

  init(_ work: any BatchWork, loader: DataLoader, cursor: DataCursor) {
    (self.work, self.loader, self.cursor) = (work, loader, cursor)
    let threads = work.isParallel ? loader.workers : min(loader.workers, 1)
    state = LoaderState(next: cursor.batch, ahead: loader.prefetch, threads: threads)
    for thread in 0..<threads {
      let (state, work) = (state, work)
      if !Monitor.startThread({ state.run(work, thread: thread) }) { state.threadFailed(thread) }
    }
  }

  deinit { state.stop() }

  /// The next batch, `nil` after the last. Throws what a reader threw, or `DataError` for a sample that takes longer
  /// than the loader's time limit; both name the sample.
  public func next() throws -> Batch? {
    if isDone { return nil }
    do {
      guard let batch = try state.hasThreads ? state.take(cursor.batch, loader.timeLimit) : inline() else {
        finish()
        return nil
      }
      cursor.batch += 1
      return batch
    } catch {
      finish()
      throw error
    }
  }

  private func finish() {
    isDone = true
    state.stop()
  }

  private func inline() throws -> Batch? {
    var current = ""
    var start = Monitor.now
    let limit = loader.timeLimit
    func check() throws {
      if Monitor.now - start > limit { throw LoaderState.tooLong(current, limit) }
    }
    let batch = try work.batch(cursor.batch) { name in
      try check()
      (current, start) = (name, Monitor.now)
    }
    try check()
    return batch
  }
}

/// What the threads of one epoch share. A bounded queue of batches that are numbered, so that any thread may make any.
final class LoaderState: @unchecked Sendable {  // everything is read and written inside `monitor.locked`
  private let monitor = Monitor()
  private var made: [Int: Result<Batch?, any Error>] = [:]
  /// The next batch that nobody makes yet, and the next that is handed out.
  private var upcoming: Int
  private var wanted: Int
  private let ahead: Int
  private var isStopped = false
  /// What each thread reads, and since when.
  private var reading: [(name: String, since: Double)?]
  private var alive: Int

  var hasThreads: Bool { !reading.isEmpty }

  init(next: Int, ahead: Int, threads: Int) {
    (upcoming, wanted, self.ahead) = (next, next, max(ahead, threads))
    reading = Array(repeating: nil, count: threads)
    alive = threads
  }

  func stop() {
    monitor.locked {
      isStopped = true
      made = [:]
      monitor.wake()
    }
  }

  func threadFailed(_ thread: Int) {
    monitor.locked {
      alive -= 1
      monitor.wake()
    }
  }

  /// A thread's whole life.
  func run(_ work: any BatchWork, thread: Int) {
    while let number = monitor.locked({ claim() }) {
      let result = Result {
        try work.batch(number) { name in
          try monitor.locked {
            if isStopped { throw Abandoned() }
            reading[thread] = (name, Monitor.now)
          }
        }
      }
      let isLast: Bool = if case .success(.some) = result { false } else { true }
      let goesOn = monitor.locked {
        reading[thread] = nil
        if isStopped { return false }
        made[number] = result
        monitor.wake()
        // Nothing comes after the end of a stream, nor after an error.
        return !isLast
      }
      if !goesOn { break }
    }
    monitor.locked {
      alive -= 1
      monitor.wake()
    }
  }

  private func claim() -> Int? {
    while !isStopped, upcoming >= wanted + ahead { monitor.wait() }
    if isStopped { return nil }
    defer { upcoming += 1 }
    return upcoming
  }

  func take(_ number: Int, _ limit: Double) throws -> Batch? {
    try monitor.locked {
      while true {
        if let result = made.removeValue(forKey: number) {
          wanted = number + 1
          monitor.wake()
          return try result.get()
        }
        let now = Monitor.now
        var earliest: Double?
        for case .some(let (name, since)) in reading {
          if now - since >= limit { throw Self.tooLong(name, limit) }
          earliest = min(earliest ?? since, since)
        }
        // All threads have ended, and this batch lies behind the end of the data.
        if alive == 0 {
          guard upcoming > number else {
            throw DataError(
              file: "DataLoader", rule: "the system has no thread left to read with", fix: "use fewer workers, or 0")
          }
          return nil
        }
        // Some thread is between two samples at times: it is looked at again soon.
        monitor.wait(seconds: limit.isFinite ? min(earliest.map { $0 + limit - now } ?? 1, 1) : 1)
      }
    }
  }

  static func tooLong(_ name: String, _ limit: Double) -> DataError {
    let seconds = limit == limit.rounded() && limit < 1e9 ? "\(Int(limit))" : "\(limit)"
    return DataError(
      file: name, rule: "took longer than the \(seconds) s that a sample may take",
      fix: "see why its reader is stuck, or raise the loader's timeLimit")
  }
}
