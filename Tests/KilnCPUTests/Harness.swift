import KilnCPU
import Testing

@testable import KilnEngine

/// Values of any dtype as doubles, which hold float32, int32, uint8, bool and the int64s used here exactly.
struct Values: Equatable {
  var dtype: DType
  var values: [Double]
  init(_ dtype: DType, _ values: [Double]) {
    self.dtype = dtype
    self.values = values.map { Values.rounded($0, dtype) }
  }

  /// As the dtype holds it.
  static func rounded(_ x: Double, _ dtype: DType) -> Double {
    switch dtype {
    case .float32: Double(Float(x))
    case .float64: x
    case .int32: Double(Int32(truncatingIfNeeded: Scalar(x, .int64).int))
    case .int64: Double(Scalar(x, .int64).int)
    case .uint8: Double(UInt8(truncatingIfNeeded: Scalar(x, .int64).int))
    case .bool: x != 0 ? 1 : 0
    }
  }

  var bytes: [UInt8] {
    var result: [UInt8] = []
    for x in values {
      switch dtype {
      case .float32: withUnsafeBytes(of: Float(x)) { result += $0 }
      case .float64: withUnsafeBytes(of: x) { result += $0 }
      case .int32: withUnsafeBytes(of: Int32(x)) { result += $0 }
      case .int64: withUnsafeBytes(of: Int64(x)) { result += $0 }
      case .uint8, .bool: result.append(UInt8(x))
      }
    }
    return result
  }

  init(_ dtype: DType, bytes: [UInt8]) {
    self.dtype = dtype
    values = bytes.withUnsafeBytes { raw in
      (0..<(bytes.count / dtype.size)).map { i in
        switch dtype {
        case .float32: Double(raw.loadUnaligned(fromByteOffset: i * 4, as: Float.self))
        case .float64: raw.loadUnaligned(fromByteOffset: i * 8, as: Double.self)
        case .int32: Double(raw.loadUnaligned(fromByteOffset: i * 4, as: Int32.self))
        case .int64: Double(raw.loadUnaligned(fromByteOffset: i * 8, as: Int64.self))
        case .uint8, .bool: Double(raw[i])
        }
      }
    }
  }
}

/// Compiles one step and runs it on fresh buffers. `donations`: output i lies in input j's buffer.
func run(
  _ steps: [Step], inputs: [Values], outputs: [Program.ValueType], scalars: [Scalar] = [], donations: [Int: Int] = [:]
) throws -> [Values] {
  let driver = CPUDriver.shared
  var program = Program()
  program.steps = steps
  program.inputs = inputs.map { .init(dtype: $0.dtype, shape: [$0.values.count]) }
  program.outputs = outputs
  program.scalars = scalars.map(\.dtype)
  program.donations = donations
  let compiled = try driver.compile(program)
  let inputBuffers = try inputs.map { values -> Buffer in
    let bytes = values.bytes
    let buffer = try driver.allocate(byteCount: bytes.count)
    try bytes.withUnsafeBytes { try driver.write($0, to: buffer, byteOffset: 0) }
    return buffer
  }
  let guardBytes = 64
  let outputBuffers = try outputs.enumerated().map { i, type -> Buffer in
    if let donor = donations[i] { return inputBuffers[donor] }
    let buffer = try driver.allocate(byteCount: type.byteCount + guardBytes)
    let pattern = [UInt8](repeating: 0xAB, count: type.byteCount + guardBytes)
    try pattern.withUnsafeBytes { try driver.write($0, to: buffer, byteOffset: 0) }
    return buffer
  }
  try compiled.run(
    Bindings(inputs: inputBuffers.map { ($0, 0) }, outputs: outputBuffers, arena: nil, scalars: scalars))
  try driver.synchronize()
  return try zip(outputs, outputBuffers).enumerated().map { i, pair in
    let (type, buffer) = pair
    let count = type.byteCount + (donations[i] == nil ? guardBytes : 0)
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try driver.read(buffer, byteOffset: 0, into: $0) }
    #expect(bytes[type.byteCount...].allSatisfy { $0 == 0xAB }, "wrote past output \(i)")
    return Values(type.dtype, bytes: Array(bytes[..<type.byteCount]))
  }
}

/// Every index of a space, in row-major order.
func points(_ dims: [Int]) -> [[Int]] {
  let count = dims.reduce(1, *)
  return (0..<count).map { flat in
    var rest = flat
    var index = [Int](repeating: 0, count: dims.count)
    for axis in stride(from: dims.count - 1, through: 0, by: -1) {
      index[axis] = rest % dims[axis]
      rest /= dims[axis]
    }
    return index
  }
}

/// The address of every point of a space, in row-major order.
func addresses(_ dims: [Int], _ strides: some Collection<Int>, offset: Int = 0) -> [Int] {
  var result = [offset]
  for (count, stride) in zip(dims, strides) {
    var next: [Int] = []
    next.reserveCapacity(result.count * count)
    for base in result { for i in 0..<count { next.append(base + i * stride) } }
    result = next
  }
  return result
}

func address(_ operand: Operand, _ point: [Int]) -> Int {
  operand.offset + zip(point, operand.strides).map { $0 * $1 }.reduce(0, +)
}

/// One point of an expression by the rows' own closures, one instruction at a time.
func evaluate(
  _ expression: Expression, _ operands: [Operand], at point: [Int], inputs: [Values], scalars: [Scalar] = [],
  result: Double = 0
) -> [Double] {
  var registers: [Double] = []
  for (i, instruction) in expression.instructions.enumerated() {
    let dtype = expression.dtypes[i]
    var value: Double
    switch instruction {
    case .load(let o):
      guard case .input(let slot)? = operands[o].slot else { return [] }
      value = inputs[slot].values[address(operands[o], point)]
    case .address(let o): value = Double(address(operands[o], point))
    case .scalar(let slot): value = scalars[slot].double
    case .result: value = result
    case .unary(let op, let x):
      let a = registers[x]
      switch expression.dtypes[x] {
      case .float32: value = Double(op.row.float(Float(a)))
      case .float64: value = op.row.double(a)
      default: value = op.row.integer.map { Double($0(Int64(a))) } ?? op.row.double(a)
      }
    case .binary(let op, let x, let y):
      let (a, b) = (registers[x], registers[y])
      switch expression.dtypes[x] {
      case .float32: value = Double(op.row.float(Float(a), Float(b)))
      case .float64: value = op.row.double(a, b)
      default: value = op.row.integer.map { Double($0(Int64(a), Int64(b))) } ?? op.row.double(a, b)
      }
    case .select(let c, let a, let b): value = registers[c] != 0 ? registers[a] : registers[b]
    case .cast(let x): value = registers[x]
    case .random: value = .nan
    }
    registers.append(Values.rounded(value, dtype))
  }
  return expression.outputs.map { registers[$0] }
}

/// Equal, NaN with NaN included.
func same(_ lhs: [Double], _ rhs: [Double]) -> Bool {
  lhs.count == rhs.count && zip(lhs, rhs).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
}

/// Within `bound` absolutely, element by element; NaN only with NaN.
func near(_ lhs: [Double], _ rhs: [Double], _ bound: Double) -> Bool {
  lhs.count == rhs.count && zip(lhs, rhs).allSatisfy { abs($0 - $1) <= bound || ($0.isNaN && $1.isNaN) || $0 == $1 }
}

/// Numbers that repeat for a seed (SplitMix64).
struct Dice: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func values(_ dtype: DType, _ count: Int) -> Values {
    Values(
      dtype,
      (0..<count).map { _ in
        switch dtype {
        case .float32, .float64: Double.random(in: -2...2, using: &self)
        case .int32, .int64: Double(int(-20...20))
        case .uint8: Double(int(0...255))
        case .bool: Double(int(0...1))
        }
      })
  }
}

extension Operand {
  init(_ input: Int, _ dtype: DType, _ dims: [Int]) {
    self.init(slot: .input(input), dtype: dtype, offset: 0, strides: Layout.contiguousStrides(Shape(dims)))
  }
  init(output: Int, _ dtype: DType, _ dims: [Int]) {
    self.init(slot: .output(output), dtype: dtype, offset: 0, strides: Layout.contiguousStrides(Shape(dims)))
  }
}
