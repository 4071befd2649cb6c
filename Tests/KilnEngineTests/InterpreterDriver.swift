import KilnEngine

/// A device that runs programs one element at a time in doubles: slow, plain, and enough to test the compiler without
/// a real device. It knows elementwise, reduce, matmul and gather steps.
final class InterpreterDriver: DeviceDriver {
  final class HostBuffer: Buffer, @unchecked Sendable {  // tests use it from one thread
    var bytes: [UInt8]
    override init(byteCount: Int) {
      // A pattern, so that reading what was never written shows.
      bytes = [UInt8](repeating: 0xAB, count: byteCount)
      super.init(byteCount: byteCount)
    }
  }

  let name = "interpreter"
  let summary = "interpreter for tests"
  func supports(_ dtype: DType) -> Bool { true }
  func allocate(byteCount: Int) throws -> Buffer { HostBuffer(byteCount: byteCount) }
  func write(_ source: UnsafeRawBufferPointer, to buffer: Buffer, byteOffset: Int) throws {
    let host = buffer as! HostBuffer
    for (i, byte) in source.enumerated() { host.bytes[byteOffset + i] = byte }
  }
  func read(_ buffer: Buffer, byteOffset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    let host = buffer as! HostBuffer
    for i in 0..<destination.count { destination[i] = host.bytes[byteOffset + i] }
  }
  func compile(_ program: Program) throws -> any CompiledProgram { Interpreted(program) }
  func synchronize() throws {}
  func memoryUse() -> MemoryUse { MemoryUse(live: 0, peak: 0, cached: 0) }
}

final class Interpreted: CompiledProgram {
  let program: Program
  var launches: Int { program.steps.count }
  init(_ program: Program) { self.program = program }

  func run(_ bindings: Bindings) throws {
    for step in program.steps {
      switch step {
      case .elementwise(let step):
        // Every load of the step comes before its first store, which is stricter than the contract needs.
        let points = Points(step.dims)
        let values = points.map { evaluate(step.expression, step.operands, at: $0, nil, bindings) }
        for (point, results) in zip(points, values) {
          for (output, value) in zip(step.outputs, results) { store(value, output, at: point, bindings) }
        }
      case .reduce(let step): reduce(step, bindings)
      case .matmul(let step): matmul(step, bindings)
      case .gather(let step): gather(step, bindings)
      default: throw DeviceError.unavailable(device: "interpreter", reason: "unknown step", fix: "use another device")
      }
    }
  }

  private func reduce(_ step: ReduceStep, _ bindings: Bindings) {
    for outer in Points(step.outer) {
      var result: Double? = nil
      var best = 0
      for (i, inner) in Points(step.inner).enumerated() {
        let x = evaluate(step.prologue, step.operands, at: outer + inner, nil, bindings)[0]
        guard let current = result else {
          result = x
          continue
        }
        switch step.kind {
        case .sum: result = current + x
        case .product: result = current * x
        case .max: result = x.isNaN || current.isNaN ? .nan : max(current, x)
        case .min: result = x.isNaN || current.isNaN ? .nan : min(current, x)
        case .argmax: if x > current || (x.isNaN && !current.isNaN) { (result, best) = (x, i) }
        case .argmin: if x < current || (x.isNaN && !current.isNaN) { (result, best) = (x, i) }
        }
      }
      let value: Double =
        switch step.kind {
        case .argmax, .argmin: Double(best)
        case .product: result ?? 1
        default: result ?? 0
        }
      let point = outer + step.inner.map { _ in 0 }
      for (output, v) in zip(step.outputs, evaluate(step.epilogue, step.operands, at: point, value, bindings)) {
        store(v, output, at: outer, bindings)
      }
    }
  }

  private func matmul(_ step: MatmulStep, _ bindings: Bindings) {
    for point in Points(step.batch + [step.m, step.n], dense: true) {
      let (b, i, j) = (Array(point.dropLast(2)), point[point.count - 2], point[point.count - 1])
      var sum = 0.0
      for p in 0..<step.k {
        sum += load(step.lhs, at: b + [i, p], bindings) * load(step.rhs, at: b + [p, j], bindings)
      }
      for (output, v) in zip(step.outputs, evaluate(step.epilogue, step.operands, at: point, sum, bindings)) {
        store(v, output, at: point, bindings)
      }
    }
  }

  private func gather(_ step: GatherStep, _ bindings: Bindings) {
    let g = step.gather
    func put(_ position: Int, _ value: Double) {
      store(value, Operand(slot: step.output.slot, dtype: step.dtype, offset: position, strides: []), at: [], bindings)
    }
    func get(_ operand: Operand, _ position: Int) -> Double {
      load(
        Operand(slot: operand.slot, dtype: operand.dtype, offset: operand.offset + position, strides: []), at: [],
        bindings)
    }
    let adds = g.kind == .scatterAddRows || g.kind == .scatterAddAlong
    let indexed = g.kind == .rows || g.kind == .scatterAddRows
    if adds { for i in 0..<(g.outer * g.length * g.inner) { put(i, 0) } }
    for o in 0..<g.outer {
      for c in 0..<g.count {
        for i in 0..<g.inner {
          let small = (o * g.count + c) * g.inner + i
          let index = Int(get(step.inputs[1], indexed ? c : small))
          let large = (o * g.length + index) * g.inner + i
          if adds {
            let before = get(step.output, large)
            put(large, before + get(step.inputs[0], small))
          } else {
            put(small, get(step.inputs[0], large))
          }
        }
      }
    }
  }

  // MARK: Elements

  private func evaluate(
    _ expression: Expression, _ operands: [Operand], at point: [Int], _ result: Double?, _ bindings: Bindings
  ) -> [Double] {
    var registers: [Double] = []
    for (i, instruction) in expression.instructions.enumerated() {
      let dtype = expression.dtypes[i]
      let value: Double =
        switch instruction {
        case .load(let operand): load(operands[operand], at: point, bindings)
        case .address(let operand): Double(address(operands[operand], at: point))
        case .scalar(let slot): bindings.scalars[slot].double
        case .result: result ?? .nan
        case .unary(let op, let x):
          dtype.isFloat || op.row.integer == nil
            ? op.row.double(registers[x]) : Double(op.row.integer!(Int64(registers[x])))
        case .binary(let op, let a, let b):
          expression.dtypes[a].isFloat || op.row.integer == nil
            ? op.row.double(registers[a], registers[b])
            : Double(op.row.integer!(Int64(registers[a]), Int64(registers[b])))
        case .select(let c, let a, let b): registers[c] != 0 ? registers[a] : registers[b]
        case .cast(let x): Scalar(registers[x], dtype).double
        case .random(_, _, _, let position): registers[position]
        }
      registers.append(dtype == .float32 ? Double(Float(value)) : value)
    }
    return expression.outputs.map { registers[$0] }
  }

  private func address(_ operand: Operand, at point: [Int]) -> Int {
    operand.offset + zip(operand.strides, point).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private func place(_ operand: Operand, at point: [Int], _ bindings: Bindings) -> (InterpreterDriver.HostBuffer, Int) {
    let element = address(operand, at: point)
    let size = operand.dtype.size
    switch operand.slot! {
    case .input(let i):
      return (bindings.inputs[i].buffer as! InterpreterDriver.HostBuffer, (element + bindings.inputs[i].offset) * size)
    case .arena(let offset): return (bindings.arena as! InterpreterDriver.HostBuffer, offset + element * size)
    case .output(let i): return (bindings.outputs[i] as! InterpreterDriver.HostBuffer, element * size)
    }
  }

  private func load(_ operand: Operand, at point: [Int], _ bindings: Bindings) -> Double {
    let (buffer, offset) = place(operand, at: point, bindings)
    return buffer.bytes.withUnsafeBytes { raw in
      switch operand.dtype {
      case .float32: Double(raw.loadUnaligned(fromByteOffset: offset, as: Float.self))
      case .float64: raw.loadUnaligned(fromByteOffset: offset, as: Double.self)
      case .int32: Double(raw.loadUnaligned(fromByteOffset: offset, as: Int32.self))
      case .int64: Double(raw.loadUnaligned(fromByteOffset: offset, as: Int64.self))
      case .uint8, .bool: Double(raw.loadUnaligned(fromByteOffset: offset, as: UInt8.self))
      }
    }
  }

  private func store(_ value: Double, _ operand: Operand, at point: [Int], _ bindings: Bindings) {
    let (buffer, offset) = place(operand, at: point, bindings)
    let scalar = Scalar(value, operand.dtype)
    buffer.bytes.withUnsafeMutableBytes { raw in
      switch operand.dtype {
      case .float32: raw.storeBytes(of: Float(scalar.double), toByteOffset: offset, as: Float.self)
      case .float64: raw.storeBytes(of: scalar.double, toByteOffset: offset, as: Double.self)
      case .int32: raw.storeBytes(of: Int32(scalar.int), toByteOffset: offset, as: Int32.self)
      case .int64: raw.storeBytes(of: Int64(scalar.int), toByteOffset: offset, as: Int64.self)
      case .uint8, .bool: raw.storeBytes(of: UInt8(scalar.int), toByteOffset: offset, as: UInt8.self)
      }
    }
  }
}

/// Every point of a box, in row-major order.
struct Points: Sequence {
  let dims: [Int]
  init(_ dims: [Int], dense: Bool = true) { self.dims = dims }
  func makeIterator() -> AnyIterator<[Int]> {
    var next: [Int]? = dims.contains(0) ? nil : dims.map { _ in 0 }
    return AnyIterator {
      guard let current = next else { return nil }
      var point = current
      next = nil
      for axis in self.dims.indices.reversed() {
        point[axis] += 1
        if point[axis] < self.dims[axis] {
          next = point
          break
        }
        point[axis] = 0
      }
      return current
    }
  }
}
