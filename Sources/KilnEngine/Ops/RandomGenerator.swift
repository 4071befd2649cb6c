import Synchronization

/// A source of random numbers that are the same on every device and at every thread count.
///
/// A draw's numbers are Philox 4x32-10 of (key, counter, element): the key comes from `seed` and `stream`, the counter
/// is the number of draws before. Saving `state` and setting it again resumes the sequence. Calls from several threads
/// are safe, but the order of their draws is theirs.
public final class RandomGenerator: Sendable {
  /// All there is to a generator.
  public struct State: Hashable, Sendable, Codable {
    public var seed, stream, counter: UInt64
    /// The state after `counter` draws from a generator of this seed and stream.
    public init(seed: UInt64, stream: UInt64 = 0, counter: UInt64 = 0) {
      (self.seed, self.stream, self.counter) = (seed, stream, counter)
    }
    /// Streams of one seed have different keys; stream 0 has the seed itself.
    var key: UInt64 { seed &+ stream &* 0x9E37_79B9_7F4A_7C15 }
  }

  private let mutex: Mutex<State>

  /// What random functions draw from unless told otherwise; it starts with seed 0.
  public static let `default` = RandomGenerator(seed: 0)

  /// Generators of one seed and different streams are independent.
  public init(seed: UInt64, stream: UInt64 = 0) { mutex = Mutex(State(seed: seed, stream: stream)) }

  /// A generator that goes on from a state.
  public init(_ state: State) { mutex = Mutex(state) }

  /// Where the sequence is; settable, to resume it.
  public var state: State {
    get { mutex.withLock { $0 } }
    set { mutex.withLock { $0 = newValue } }
  }

  /// The state before the next draw, which is then used up: a generator set to it draws the same numbers again.
  package func takeState() -> State {
    mutex.withLock { state in
      defer { state.counter &+= 1 }
      return state
    }
  }
}

/// Restarts the default generator's sequence: the same seed gives the same numbers.
public func setSeed(_ seed: UInt64) { RandomGenerator.default.state = RandomGenerator.State(seed: seed) }
