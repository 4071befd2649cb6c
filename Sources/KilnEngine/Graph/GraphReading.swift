/// How a value is computed, for those who translate graphs, such as exporters. Everything here only reads.
package struct GraphNode: Sendable {
  /// Equal for one value of the graph, as long as a tensor of it lives.
  package let identity: ObjectIdentifier
  /// Later values have higher numbers; see `Tensor.newestValue`.
  package let number: UInt64
  package let op: Op
  /// What it is computed from; of a custom gradient the value alone. Empty for values in memory that have let go of it.
  package let inputs: [Tensor]
  package let isInMemory: Bool
}

extension Tensor {
  package var graphNode: GraphNode {
    var inputs = node.inputs
    if case .identity(.custom) = node.op, let value = inputs.first { inputs = [value] }
    return GraphNode(
      identity: ObjectIdentifier(node), number: node.id, op: node.op, inputs: inputs.map { Tensor($0) },
      isInMemory: node.storage != nil)
  }

  /// The value of `body` with its graph as it was built: what reads a value meanwhile gets an error, as while a
  /// `CompiledFunction` traces, and no node is evaluated. Operations that some devices fuse are their compositions. Random
  /// generators are set back to where they were.
  package static func unevaluated<Result>(_ body: () throws -> Result) rethrows -> Result {
    let recorder = Recorder()
    defer { recorder.undoDraws() }
    return try EngineOptions.with({ ($0.eager, $0.fusion) = (false, false) }) {
      try Recorder.$current.withValue(recorder, operation: body)
    }
  }
}
