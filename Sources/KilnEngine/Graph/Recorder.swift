import Synchronization

/// What a function does while `CompiledFunction` traces it, that a graph does not show.
final class Recorder: Sendable {
  /// One number that a generator gave, and the node that uses it.
  struct Draw: Sendable {
    let generator: RandomGenerator
    let node: ObjectIdentifier
  }

  private struct State {
    var draws: [Draw] = []
    /// Each generator as it was before its first draw, to undo a trace that comes to nothing.
    var before: [(generator: RandomGenerator, state: RandomGenerator.State)] = []
    /// Keeps the drawn nodes alive, so that their identities stay theirs.
    var nodes: [Node] = []
  }
  private let state = Mutex(State())

  @TaskLocal static var current: Recorder?

  var draws: [Draw] { state.withLock { $0.draws } }

  /// Notes a random node and the draw it is made of.
  func note(_ node: Node, from generator: RandomGenerator, before: RandomGenerator.State) {
    state.withLock { state in
      if !state.before.contains(where: { $0.generator === generator }) {
        state.before.append((generator, before))
      }
      state.draws.append(Draw(generator: generator, node: ObjectIdentifier(node)))
      state.nodes.append(node)
    }
  }

  /// Sets every generator back to where it was.
  func undoDraws() {
    for (generator, before) in state.withLock({ $0.before }) { generator.state = before }
  }

  /// Throws while a function is being traced: what is read then would not be read again.
  static func refuseReading() throws {
    guard current != nil else { return }
    throw TensorError(
      operation: "CompiledFunction",
      rule: "no value can be read or evaluated inside the function: later calls replay it",
      fix: "return the tensor as an output and read it after the call, or pass the number as a scalar")
  }
}
