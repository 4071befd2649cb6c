import Foundation
import Synchronization

/// The part of the lazy graph that one evaluation works on, free of buffers and of scalar values: equal graphs mean
/// equal programs, so a graph is also the key under which its program is kept.
struct Graph: Hashable, Sendable {
  struct Vertex: Hashable, Sendable {
    var kind: Kind
    /// Earlier vertices.
    var inputs: [Int]
    var shape: Shape
    var dtype: DType
  }
  enum Kind: Hashable, Sendable {
    /// Program input `index`, with the strides it is bound with.
    case leaf(index: Int, strides: [Int])
    /// Run-time scalar slot.
    case constant(Int)
    /// Run-time scalar slots of key and counter.
    case random(Distribution, key: Int, counter: Int)
    /// Any other op; it holds no values.
    case op(Op)
  }

  /// Inputs before users.
  var vertices: [Vertex] = []
  /// Vertices whose values are wanted.
  var outputs: [Int] = []
  /// Program inputs whose buffers may be overwritten.
  var donated: [Int] = []
  var options = EngineOptions.Flags()
}

/// A graph together with what its run is bound to.
struct Snapshot {
  var graph = Graph()
  var leaves: [Storage] = []
  var scalars: [Scalar] = []
  /// The node of each of `graph.outputs`.
  var outputNodes: [Node] = []

  /// Collects what `roots` need. Every root is unevaluated; every node's inputs are on one device.
  init(roots: [Node], donated: [Node]) {
    var index: [ObjectIdentifier: Int] = [:]
    var leafIndex: [ObjectIdentifier: Int] = [:]

    // Buffers that only a donated tensor shows; one with views or copies elsewhere must not be overwritten.
    var overwritable: Set<ObjectIdentifier> = []
    for node in donated {
      guard let storage = node.storage, storage.layout.offset == 0, storage.layout.isContiguous,
        storage.buffer.holders.load(ordering: .acquiring) == 1
      else { continue }
      overwritable.insert(ObjectIdentifier(storage.buffer))
    }

    // A slot for every use: were equal values merged, a number that comes to equal another one day (a decayed rate, a
    // bias correction that has become 1) would make another graph, and the step would be compiled again.
    func slot(_ scalar: Scalar) -> Int {
      scalars.append(scalar)
      return scalars.count - 1
    }

    func add(_ node: Node, storage: Storage?, inputs: [Node]) {
      let kind: Graph.Kind
      var inputIndices: [Int] = []
      if let storage {
        leaves.append(storage)
        leafIndex[ObjectIdentifier(node)] = leaves.count - 1
        kind = .leaf(index: leaves.count - 1, strides: storage.layout.strides)
      } else {
        switch node.op {
        case .constant(let value): kind = .constant(slot(value))
        case .random(let distribution, let key, let counter):
          kind = .random(distribution, key: slot(Scalar(bits: key)), counter: slot(Scalar(bits: counter)))
        case .identity(.custom): kind = .op(.identity(.stopGradient))  // the same value; rules must not split programs
        default: kind = .op(node.op)
        }
        inputIndices = inputs.map { index[ObjectIdentifier($0)]! }
      }
      if storage == nil, case .assemble(var assembly) = node.op {
        // The fill becomes a run-time scalar too, as input 0.
        graph.vertices.append(
          Graph.Vertex(kind: .constant(slot(assembly.fill)), inputs: [], shape: node.shape, dtype: node.dtype))
        assembly.fill = Scalar(0, node.dtype)
        graph.vertices.append(
          Graph.Vertex(
            kind: .op(.assemble(assembly)), inputs: [graph.vertices.count - 1] + inputIndices, shape: node.shape,
            dtype: node.dtype))
        index[ObjectIdentifier(node)] = graph.vertices.count - 1
        return
      }
      graph.vertices.append(
        Graph.Vertex(kind: kind, inputs: inputIndices, shape: node.shape, dtype: node.dtype))
      index[ObjectIdentifier(node)] = graph.vertices.count - 1
    }

    // Depth first with an explicit stack: inputs are added before the nodes that use them.
    struct Frame {
      let node: Node
      let inputs: [Node]
      var next = 0
    }
    for root in roots where index[ObjectIdentifier(root)] == nil {
      var stack: [Frame] = []
      func visit(_ node: Node) {
        // A view of data in memory is bound as it is, so that slices at different places run one program; but a buffer
        // to be overwritten must have one name, so that the plan sees every use of it.
        let visible = node.visibleStorage
        if let storage = visible, node.storage != nil || !overwritable.contains(ObjectIdentifier(storage.buffer)) {
          add(node, storage: storage, inputs: [])
        } else {
          // Another thread may evaluate and release the node between these two reads; then it has a storage.
          var inputs = node.inputs
          if inputs.isEmpty, let storage = node.storage {
            add(node, storage: storage, inputs: [])
            return
          }
          if case .identity(.custom) = node.op { inputs = [inputs[0]] }
          stack.append(Frame(node: node, inputs: inputs))
        }
      }
      visit(root)
      while !stack.isEmpty {
        let top = stack.count - 1
        if stack[top].next < stack[top].inputs.count {
          let input = stack[top].inputs[stack[top].next]
          stack[top].next += 1
          if index[ObjectIdentifier(input)] == nil { visit(input) }
        } else {
          let frame = stack.removeLast()
          if index[ObjectIdentifier(frame.node)] == nil { add(frame.node, storage: nil, inputs: frame.inputs) }
        }
      }
    }
    graph.outputs = roots.map { index[ObjectIdentifier($0)]! }
    outputNodes = roots
    graph.donated = donated.compactMap { node in
      guard let leaf = leafIndex[ObjectIdentifier(node)] else { return nil }
      return overwritable.contains(ObjectIdentifier(leaves[leaf].buffer)) ? leaf : nil
    }.sorted()
    graph.options = EngineOptions.current
  }
}

/// Switches for debugging and for the tests that hold fused against unfused results.
public enum EngineOptions {
  public struct Flags: Hashable, Sendable {
    /// Merge elementwise work into its consumers.
    public var fusion = true
    /// Let temporaries share memory and donated inputs be updated in place.
    public var memoryReuse = true
    /// Evaluate every node as it is made, to find the operation that goes wrong; also `KILN_EAGER=1`.
    public var eager = EngineOptions.isEagerByEnvironment
    public init() {}
  }
  @TaskLocal private static var scoped: Flags?
  fileprivate static let isEagerByEnvironment = ProcessInfo.processInfo.environment["KILN_EAGER"] == "1"
  public static var current: Flags { scoped ?? Flags() }

  /// Runs `body` with other switches.
  public static func with<R>(_ change: (inout Flags) -> Void, _ body: () throws -> R) rethrows -> R {
    var flags = current
    change(&flags)
    return try $scoped.withValue(flags, operation: body)
  }
}
