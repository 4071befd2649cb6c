/// A graph together with what its run is bound to.
struct Snapshot {
  var graph = Graph()
  var leaves: [Storage] = []
  var scalars: [Scalar] = []
  /// The node of each of `graph.outputs`.
  var outputNodes: [Node] = []

  /// The leaf of each node that is one, and the scalar slot of each constant (of each random node its key's, which its
  /// counter's follows).
  private(set) var leafIndex: [ObjectIdentifier: Int] = [:]
  private(set) var slotIndex: [ObjectIdentifier: Int] = [:]

  /// Collects what `roots` need. Every root is unevaluated; every node's inputs are on one device.
  ///
  /// `stated` are nodes that stand for values given later, with the layouts that those have: a trace. Nothing else that is
  /// in memory is then looked at through views, so that `leafIndex` shows what the graph depends on.
  init(roots: [Node], donated: [Node], stated: [ObjectIdentifier: Storage]? = nil) {
    var index: [ObjectIdentifier: Int] = [:]
    var leafIndex: [ObjectIdentifier: Int] = [:]
    var slotIndex: [ObjectIdentifier: Int] = [:]

    // Buffers that only a donated tensor shows; one with views or copies elsewhere must not be overwritten.
    var overwritable: Set<ObjectIdentifier> = []
    for node in donated {
      guard let storage = node.storage ?? stated?[ObjectIdentifier(node)], storage.layout.offset == 0,
        storage.layout.isContiguous, stated != nil || storage.buffer.holders.load(ordering: .acquiring) == 1
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
        case .constant(let value):
          kind = .constant(slot(value))
          slotIndex[ObjectIdentifier(node)] = scalars.count - 1
        case .random(let distribution, let key, let counter):
          slotIndex[ObjectIdentifier(node)] = scalars.count
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
        if let stated {
          if let storage = stated[ObjectIdentifier(node)] ?? node.storage {
            add(node, storage: storage, inputs: [])
          } else {
            var inputs = node.inputs
            if case .identity(.custom) = node.op { inputs = [inputs[0]] }
            stack.append(Frame(node: node, inputs: inputs))
          }
          return
        }
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
    (self.leafIndex, self.slotIndex) = (leafIndex, slotIndex)
    graph.donated = donated.compactMap { node in
      guard let leaf = leafIndex[ObjectIdentifier(node)] else { return nil }
      return overwritable.contains(ObjectIdentifier(leaves[leaf].buffer)) ? leaf : nil
    }.sorted()
    graph.options = EngineOptions.current
  }
}
