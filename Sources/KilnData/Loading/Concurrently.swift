/// The results of `work` on each of some items, in their order. Each item but the first has a thread of its own, so they
/// should be few; all are waited for. Throws the error of the first item that has one.
func concurrently<Item: Sendable, Result: Sendable>(
  _ items: [Item], _ work: @escaping @Sendable (Item) throws -> Result
) throws -> [Result] {
  let results = ConcurrentResults<Result>(items.count)
  for (index, item) in items.enumerated().dropFirst() {
    let run: @Sendable () -> Void = { results.set(index, Swift.Result { try work(item) }) }
    // Without a thread the caller does it.
    if !Monitor.startThread(run) { run() }
  }
  if let first = items.first { results.set(0, Swift.Result { try work(first) }) }
  return try results.all().map { try $0.get() }
}

private final class ConcurrentResults<Value: Sendable>: @unchecked Sendable {  // used inside `monitor.locked`
  private let monitor = Monitor()
  private var results: [Result<Value, any Error>?]

  init(_ count: Int) { results = Array(repeating: nil, count: count) }

  func set(_ index: Int, _ result: Result<Value, any Error>) {
    monitor.locked {
      results[index] = result
      monitor.wake()
    }
  }

  func all() -> [Result<Value, any Error>] {
    monitor.locked {
      while results.contains(where: { $0 == nil }) { monitor.wait() }
      return results.compactMap { $0 }
    }
  }
}
