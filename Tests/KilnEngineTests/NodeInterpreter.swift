@testable import KilnEngine

/// Computes nodes one by one with plain loops in double or 64-bit integer arithmetic: what graphs mean, without fusion,
/// programs or devices. Slow and simple on purpose. float32 results are rounded after each node.
struct NodeInterpreter {
  struct Unsupported: Error { let op: String }
  /// Floats in `floats`, everything else in `ints`.
  struct Value {
    var dtype: DType
    var shape: Shape
    var floats: [Double] = []
    var ints: [Int64] = []
    var count: Int { shape.count }
    var doubles: [Double] { dtype.isFloat ? floats : ints.map(Double.init) }
  }
  private var known: [ObjectIdentifier: Value] = [:]

  static func doubles(_ tensor: Tensor) throws -> [Double] {
    var interpreter = NodeInterpreter()
    return try interpreter.value(tensor.node).doubles
  }

  mutating func value(_ root: Node) throws -> Value {
    var stack = [root]
    while let node = stack.last {
      if known[ObjectIdentifier(node)] != nil {
        stack.removeLast()
        continue
      }
      let missing = node.storage == nil ? node.inputs.filter { known[ObjectIdentifier($0)] == nil } : []
      if missing.isEmpty {
        known[ObjectIdentifier(node)] = NodeInterpreter.rounded(try compute(node))
        stack.removeLast()
      } else {
        stack += missing
      }
    }
    guard let result = known[ObjectIdentifier(root)] else { throw Unsupported(op: "nothing") }
    return result
  }

  private static func rounded(_ value: Value) -> Value {
    var value = value
    switch value.dtype {
    case .float32: value.floats = value.floats.map { Double(Float($0)) }
    case .int32: value.ints = value.ints.map { Int64(Int32(truncatingIfNeeded: $0)) }
    case .uint8: value.ints = value.ints.map { Int64(UInt8(truncatingIfNeeded: $0)) }
    default: break
    }
    return value
  }

  /// Row-major indices of a shape.
  static func indices(_ shape: Shape) -> [[Int]] {
    if shape.count == 0 { return [] }
    var result: [[Int]] = [[]]
    for d in shape.dimensions { result = result.flatMap { head in (0..<d).map { head + [$0] } } }
    return result
  }
  static func offset(_ index: [Int], _ shape: Shape) -> Int {
    zip(index, shape.dimensions).reduce(0) { $0 * $1.1 + $1.0 }
  }

  private func pick(_ source: Value, _ positions: [Int], _ shape: Shape) -> Value {
    Value(
      dtype: source.dtype, shape: shape, floats: source.dtype.isFloat ? positions.map { source.floats[$0] } : [],
      ints: source.dtype.isFloat ? [] : positions.map { source.ints[$0] })
  }

  private func compute(_ node: Node) throws -> Value {
    if let error = node.error { throw error }
    if let storage = node.storage { return try leaf(node, storage) }
    let inputs = node.inputs.compactMap { known[ObjectIdentifier($0)] }
    let shape = node.shape
    let n = shape.count
    var result = Value(dtype: node.dtype, shape: shape)
    switch node.op {
    case .constant(let scalar):
      result.floats = node.dtype.isFloat ? Array(repeating: scalar.double, count: n) : []
      result.ints = node.dtype.isFloat ? [] : Array(repeating: Int64(bitPattern: scalar.bits), count: n)
    case .position: result.ints = (0..<n).map(Int64.init)
    case .unary(let op):
      let row = op.row
      let x = inputs[0]
      let y = x.dtype.isFloat ? x.floats.map(row.double) : []
      if node.dtype.isFloat {
        result.floats = y
      } else if x.dtype.isFloat {
        result.ints = y.map(Int64.init)
      } else if let integer = row.integer {
        result.ints = x.ints.map(integer)
      }
    case .binary(let op):
      let row = op.row
      let (a, b) = (inputs[0], inputs[1])
      if a.dtype.isFloat {
        let y = zip(a.floats, b.floats).map(row.double)
        if node.dtype.isFloat { result.floats = y } else { result.ints = y.map(Int64.init) }
      } else if let integer = row.integer {
        result.ints = zip(a.ints, b.ints).map(integer)
      }
    case .select:
      let (c, a, b) = (inputs[0], inputs[1], inputs[2])
      if node.dtype.isFloat {
        result.floats = (0..<n).map { c.ints[$0] != 0 ? a.floats[$0] : b.floats[$0] }
      } else {
        result.ints = (0..<n).map { c.ints[$0] != 0 ? a.ints[$0] : b.ints[$0] }
      }
    case .cast:
      let x = inputs[0]
      switch (x.dtype.isFloat, node.dtype.isFloat) {
      case (true, true): result.floats = x.floats
      case (false, true): result.floats = x.ints.map(Double.init)
      case (true, false):
        result.ints = x.floats.map { Int64(bitPattern: Scalar($0, node.dtype).bits) }
      case (false, false): result.ints = node.dtype == .bool ? x.ints.map { $0 != 0 ? 1 : 0 } : x.ints
      }
    case .view(let view):
      let x = inputs[0]
      if case .reshape = view { return pick(x, Array(0..<n), shape) }
      guard let layout = Layout(contiguous: x.shape).applying(view) else { throw Unsupported(op: "view") }
      let positions = NodeInterpreter.indices(shape).map { index in
        layout.offset + zip(index, layout.strides).reduce(0) { $0 + $1.0 * $1.1 }
      }
      return pick(x, positions, shape)
    case .assemble(let assembly):
      result.floats = Array(repeating: assembly.fill.double, count: node.dtype.isFloat ? n : 0)
      result.ints = Array(repeating: Int64(assembly.fill.int), count: node.dtype.isFloat ? 0 : n)
      for (i, piece) in inputs.enumerated() {
        for (position, index) in NodeInterpreter.indices(piece.shape).enumerated() {
          let target = index.indices.map { assembly.starts[i][$0] + index[$0] * assembly.steps[i][$0] }
          let to = NodeInterpreter.offset(target, shape)
          if node.dtype.isFloat {
            result.floats[to] = piece.floats[position]
          } else {
            result.ints[to] = piece.ints[position]
          }
        }
      }
    case .reduce(let kind, let axes): try reduce(kind, axes, inputs[0], &result)
    case .scan(let kind, let axis): scan(kind, axis, inputs[0], &result)
    case .argsort(let descending): argsort(descending, inputs[0], &result)
    case .rowwise(let kind): rowwise(kind, inputs, &result)
    case .attention(let attention):
      // Only where the device has a step for it, which those that this interpreter serves have not.
      throw Unsupported(op: "\(attention)")
    case .matmul: matmul(inputs[0], inputs[1], &result)
    case .convolution(let c): convolution(c, inputs[0].floats, inputs[1].floats, &result)
    case .pool(let p): pool(p, inputs.map(\.floats), &result)
    case .gather(let g): gather(g, inputs[0], inputs[1], &result)
    case .identity, .transfer: return inputs[0]
    case .leaf, .random: throw Unsupported(op: node.op.publicName)
    }
    return result
  }

  private func leaf(_ node: Node, _ storage: Storage) throws -> Value {
    func read<T: BitwiseCopyable>(_ type: T.Type, _ zero: T) throws -> [T] {
      var all = Array(repeating: zero, count: storage.buffer.byteCount / MemoryLayout<T>.size)
      try all.withUnsafeMutableBytes { try node.device.driver.read(storage.buffer, byteOffset: 0, into: $0) }
      return NodeInterpreter.indices(node.shape).map { index in
        all[storage.layout.offset + zip(index, storage.layout.strides).reduce(0) { $0 + $1.0 * $1.1 }]
      }
    }
    var result = Value(dtype: node.dtype, shape: node.shape)
    switch node.dtype {
    case .float32: result.floats = try read(Float.self, 0).map(Double.init)
    case .float64: result.floats = try read(Double.self, 0)
    case .int32: result.ints = try read(Int32.self, 0).map(Int64.init)
    case .int64: result.ints = try read(Int64.self, 0)
    case .uint8, .bool: result.ints = try read(UInt8.self, 0).map(Int64.init)
    }
    return result
  }

  private func reduce(_ kind: Reduction, _ axes: [Int], _ x: Value, _ result: inout Value) throws {
    var groups = [[Int]](repeating: [], count: result.count)
    for (position, index) in NodeInterpreter.indices(x.shape).enumerated() {
      let target = index.indices.map { axes.contains($0) ? 0 : index[$0] }
      groups[NodeInterpreter.offset(target, result.shape)].append(position)
    }
    func better(_ a: Int, _ b: Int, greatest: Bool) -> Bool {  // whether a beats the earlier b
      if x.dtype.isFloat {
        let (p, q) = (x.floats[a], x.floats[b])
        if q.isNaN { return false }
        return p.isNaN || (greatest ? p > q : p < q)
      }
      return greatest ? x.ints[a] > x.ints[b] : x.ints[a] < x.ints[b]
    }
    for group in groups {
      switch kind {
      case .sum:
        if x.dtype.isFloat {
          result.floats.append(group.reduce(0) { $0 + x.floats[$1] })
        } else {
          result.ints.append(group.reduce(0) { $0 &+ x.ints[$1] })
        }
      case .product:
        if x.dtype.isFloat {
          result.floats.append(group.reduce(1) { $0 * x.floats[$1] })
        } else {
          result.ints.append(group.reduce(1) { $0 &* x.ints[$1] })
        }
      case .max, .min, .argmax, .argmin:
        guard var best = group.indices.first else { throw Unsupported(op: "the maximum of nothing") }
        let greatest = kind == .max || kind == .argmax
        for i in group.indices where better(group[i], group[best], greatest: greatest) { best = i }
        if kind == .argmax || kind == .argmin {
          result.ints.append(Int64(best))
        } else if x.dtype.isFloat {
          result.floats.append(x.floats[group[best]])
        } else {
          result.ints.append(x.ints[group[best]])
        }
      }
    }
  }

  private func scan(_ kind: Scan, _ axis: Int, _ x: Value, _ result: inout Value) {
    result.floats = x.floats
    result.ints = x.ints
    let (isProduct, reverse) =
      switch kind {
      case .sum(let reverse): (false, reverse)
      case .product(let reverse): (true, reverse)
      }
    let all = NodeInterpreter.indices(x.shape)
    for index in reverse ? all.reversed() : all {
      var before = index
      before[axis] += reverse ? 1 : -1
      guard before[axis] >= 0, before[axis] < x.shape[axis] else { continue }
      let (to, from) = (NodeInterpreter.offset(index, x.shape), NodeInterpreter.offset(before, x.shape))
      if x.dtype.isFloat {
        result.floats[to] = isProduct ? result.floats[from] * x.floats[to] : result.floats[from] + x.floats[to]
      } else {
        result.ints[to] = isProduct ? result.ints[from] &* x.ints[to] : result.ints[from] &+ x.ints[to]
      }
    }
  }

  private func argsort(_ descending: Bool, _ x: Value, _ result: inout Value) {
    let columns = x.shape[x.shape.rank - 1]
    for row in 0..<(columns == 0 ? 0 : x.count / columns) {
      func less(_ a: Int, _ b: Int) -> Bool {
        if !x.dtype.isFloat { return x.ints[row * columns + a] < x.ints[row * columns + b] }
        let (p, q) = (x.floats[row * columns + a], x.floats[row * columns + b])
        return p.isNaN ? false : q.isNaN || p < q
      }
      let order = (0..<columns).sorted { a, b in
        let before = descending ? less(b, a) : less(a, b)
        let after = descending ? less(a, b) : less(b, a)
        return before || (!after && a < b)
      }
      result.ints += order.map(Int64.init)
    }
  }
}
