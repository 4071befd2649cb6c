/// Computes the values of `tensors`, all in as few kernels as their graphs allow.
///
/// - Throws: the first error that any of them carries, before any work; else what the device reports.
public func evaluate(_ tensors: Tensor...) throws { try evaluate(tensors) }

/// Computes the values of `tensors`. The memory of `donating`, whose tensors are not to be read afterwards, is reused
/// for results where that is possible (in-place updates); reading a donated tensor is an error.
public func evaluate(_ tensors: [Tensor], donating: [Tensor] = []) throws {
  for tensor in tensors { if let error = tensor.error { throw error } }
  try Recorder.refuseReading()
  var roots: [Node] = []
  var seen: Set<ObjectIdentifier> = []
  for tensor in tensors where seen.insert(ObjectIdentifier(tensor.node)).inserted {
    roots.append(tensor.node)
  }
  try Evaluator.evaluate(roots, donating: donating.map(\.node))
}

enum Evaluator {
  static func evaluate(_ roots: [Node], donating: [Node]) throws {
    var pending: [Device: [Node]] = [:]
    var order: [Device] = []
    for root in roots where root.storage == nil {
      if pending[root.device] == nil { order.append(root.device) }
      pending[root.device, default: []].append(root)
    }
    for device in order {
      try prepareInputs(of: pending[device]!)
      let unaliased = pending[device]!.filter { !alias($0) }
      guard !unaliased.isEmpty else { continue }
      try run(unaliased, on: device, donating: donating.filter { $0.device == device })
    }
  }

  private static func run(_ roots: [Node], on device: Device, donating: [Node]) throws {
    let snapshot = Snapshot(roots: roots, donated: donating)
    let plan = try ProgramCache.shared.plan(for: snapshot.graph, on: device)
    let program = plan.compiled.program

    var outputs: [Buffer] = []
    outputs.reserveCapacity(program.outputs.count)
    for (i, type) in program.outputs.enumerated() {
      if let input = program.donations[i] {
        outputs.append(snapshot.leaves[input].buffer)
      } else {
        outputs.append(try device.driver.allocate(byteCount: type.byteCount))
      }
    }
    let arena = program.arenaBytes > 0 ? try device.driver.allocate(byteCount: program.arenaBytes) : nil
    try plan.compiled.run(
      Bindings(
        inputs: snapshot.leaves.map { ($0.buffer, $0.layout.offset) }, outputs: outputs, arena: arena,
        scalars: snapshot.scalars))
    for node in donating { node.donate() }
    for (i, node) in snapshot.outputNodes.enumerated() {
      node.fulfil(Storage(buffer: outputs[plan.outputIndex[i]], layout: Layout(contiguous: node.shape)))
    }
  }

  /// A view of a value that is in memory needs no work. Returns whether `node` was such a one.
  private static func alias(_ node: Node) -> Bool {
    guard let storage = node.visibleStorage else { return false }
    node.fulfil(storage)
    return true
  }

  /// Carries out copies from other devices, checks for donated inputs, and finds errors that were built in.
  private static func prepareInputs(of roots: [Node]) throws {
    var seen: Set<ObjectIdentifier> = []
    var stack = roots
    var transfers: [(node: Node, source: Node)] = []
    while let node = stack.popLast() {
      guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
      if let error = node.error { throw error }
      if node.storage != nil { continue }
      if node.isDonated { throw donatedError(node) }
      if case .transfer = node.op {
        if let source = node.inputs.first { transfers.append((node, source)) }
        continue
      }
      stack += node.inputs
    }
    guard !transfers.isEmpty else { return }
    try evaluate(transfers.map(\.source), donating: [])
    for (node, source) in transfers {
      let bytes = try hostBytes(of: source)
      let buffer = try node.device.driver.allocate(byteCount: bytes.count)
      try bytes.withUnsafeBytes { try node.device.driver.write($0, to: buffer, byteOffset: 0) }
      node.fulfil(Storage(buffer: buffer, layout: Layout(contiguous: node.shape)))
    }
  }

  static func donatedError(_ node: Node) -> TensorError {
    TensorError(
      operation: "evaluate", rule: "a donated tensor was used after its memory was given away",
      operands: "x \(node.shape) \(node.dtype)", fix: "leave it out of `donating:`, or use the updated tensor")
  }

  /// The elements of an evaluated node in row-major order, as bytes.
  static func hostBytes(of node: Node) throws -> [UInt8] {
    guard let storage = node.storage else { throw donatedError(node) }
    let layout = storage.layout
    let size = node.dtype.size
    guard let extent = layout.extent else { return [] }
    let span = extent.count * size
    var raw = [UInt8](repeating: 0, count: span)
    try raw.withUnsafeMutableBytes {
      try node.device.driver.read(storage.buffer, byteOffset: extent.lowerBound * size, into: $0)
    }
    if layout.isContiguous { return raw }
    var result = [UInt8](repeating: 0, count: layout.shape.count * size)
    var index = [Int](repeating: 0, count: layout.shape.rank)
    var address = layout.offset - extent.lowerBound
    for i in 0..<layout.shape.count {
      for byte in 0..<size { result[i * size + byte] = raw[address * size + byte] }
      for axis in stride(from: layout.shape.rank - 1, through: 0, by: -1) {
        index[axis] += 1
        address += layout.strides[axis]
        if index[axis] < layout.shape[axis] { break }
        address -= layout.shape[axis] * layout.strides[axis]
        index[axis] = 0
      }
    }
    return result
  }
}

extension Node {
  /// The node's own result, or what its views show of a result in memory, where strides can express that.
  var visibleStorage: Storage? {
    if let storage { return storage }
    var views: [View] = []
    var current = self
    while true {
      switch current.op {
      case .view(let view): views.append(view)
      case .identity: break
      default: return nil
      }
      guard let input = current.inputs.first else { return nil }
      if let storage = input.storage {
        return storage.layout.applying(views.reversed()).map { Storage(buffer: storage.buffer, layout: $0) }
      }
      current = input
    }
  }
}
