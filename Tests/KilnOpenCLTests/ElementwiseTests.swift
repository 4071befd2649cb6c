import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite struct ElementwiseTests {
  @Test func everyUnaryRowAgreesWithItsHostFunction() throws {
    for driver in try Drivers.required() {
      for dtype in [DType.float32, .float64, .int32, .int64, .uint8, .bool] where driver.supports(dtype) {
        var values: [Double]
        if dtype.isFloat {
          values = samples(333, scale: 3) + [0, -0.0, 1, -1, 0.999, -0.999, 30, -30, .infinity, -.infinity, .nan]
        } else if dtype == .bool {
          values = [0, 1, 1, 0]
        } else if dtype == .uint8 {
          values = [0, 1, 127, 200, 255]
        } else {
          values = [0, 1, -1, 1000, -1000]
        }
        let ops = UnaryOp.allCases.filter { $0.row.domain.contains(dtype) }
        var expression = Expression()
        let x = expression.append(.load(0), dtype)
        for op in ops {
          expression.outputs.append(expression.append(.unary(op, x), op.row.isPredicate ? .bool : dtype))
        }
        let count = values.count
        let results = try run(
          driver,
          [
            .elementwise(
              ElementwiseStep(
                dims: [count], operands: [dense(.input(0), [count], dtype)], expression: expression,
                outputs: ops.indices.map { dense(.output($0), [count], ops[$0].row.isPredicate ? .bool : dtype) }))
          ],
          inputs: [HostTensor(values: values, dtype: dtype)],
          outputs: ops.map { (count, $0.row.isPredicate ? .bool : dtype) })
        for (op, result) in zip(ops, results) {
          let expected = values.map { value -> Double in
            if dtype == .float32 {
              return op.row.isPredicate ? Double(op.row.float(Float(value))) : Double(op.row.float(Float(value)))
            }
            if dtype == .float64 { return op.row.double(value) }
            let full = op.row.integer?(Int64(value)) ?? 0
            return dtype == .uint8 ? Double(UInt8(truncatingIfNeeded: full)) : Double(full)
          }
          let tolerance = dtype == .float64 ? 1e-13 : 2e-6
          expectClose(result, expected, tolerance: tolerance, "\(driver.name) \(op) \(dtype)")
        }
      }
    }
  }

  @Test func everyBinaryRowAgreesWithItsHostFunction() throws {
    for driver in try Drivers.required() {
      for dtype in [DType.float32, .float64, .int32, .int64, .uint8, .bool] where driver.supports(dtype) {
        let pool: [Double] =
          dtype.isFloat
          ? [0, 1, -1, 0.5, 2.5, -3.25, .infinity, -.infinity, .nan, 7]
          : dtype == .bool ? [0, 1] : dtype == .uint8 ? [0, 1, 2, 7, 255] : [0, 1, -1, 7, -7, 3, -3, 2_147_483_647]
        let a = pool.flatMap { value in pool.map { _ in value } }
        let b = pool.flatMap { _ in pool }
        let ops = BinaryOp.allCases.filter { $0.row.domain.contains(dtype) && ($0.row.integer != nil || dtype.isFloat) }
        var expression = Expression()
        let (x, y) = (expression.append(.load(0), dtype), expression.append(.load(1), dtype))
        for op in ops {
          expression.outputs.append(expression.append(.binary(op, x, y), op.row.isPredicate ? .bool : dtype))
        }
        let count = a.count
        let results = try run(
          driver,
          [
            .elementwise(
              ElementwiseStep(
                dims: [count], operands: [dense(.input(0), [count], dtype), dense(.input(1), [count], dtype)],
                expression: expression,
                outputs: ops.indices.map { dense(.output($0), [count], ops[$0].row.isPredicate ? .bool : dtype) }))
          ],
          inputs: [HostTensor(values: a, dtype: dtype), HostTensor(values: b, dtype: dtype)],
          outputs: ops.map { (count, $0.row.isPredicate ? .bool : dtype) })
        for (op, result) in zip(ops, results) {
          let expected = zip(a, b).map { a, b -> Double in
            if dtype == .float32 { return Double(op.row.float(Float(a), Float(b))) }
            if dtype == .float64 { return op.row.double(a, b) }
            let full = op.row.integer?(Int64(a), Int64(b)) ?? 0
            return switch dtype {
            case .uint8: Double(UInt8(truncatingIfNeeded: full))
            case .int32: Double(Int32(truncatingIfNeeded: full))
            default: Double(full)
            }
          }
          expectClose(result, expected, tolerance: dtype == .float64 ? 1e-13 : 2e-6, "\(driver.name) \(op) \(dtype)")
        }
      }
    }
  }

  @Test func stridesOffsetsBroadcastsAndFlips() throws {
    // y[i, j, k] = a[i, k, j] (transposed) * b[j] + position - scalar, with a flipped along k and starting at 7.
    let (n, m, p) = (5, 37, 9)
    let a = samples(7 + n * m * p)
    let b = samples(m, seed: 2)
    var expression = Expression()
    let load = expression.append(.load(0), .float32)
    let scale = expression.append(.load(1), .float32)
    let address = expression.append(.address(2), .int64)
    let position = expression.append(.cast(address), .float32)
    let product = expression.append(.binary(.multiply, load, scale), .float32)
    let sum = expression.append(.binary(.add, product, position), .float32)
    let scalar = expression.append(.scalar(0), .float32)
    expression.outputs = [expression.append(.binary(.subtract, sum, scalar), .float32)]
    let step = ElementwiseStep(
      dims: [n, m, p],
      operands: [
        Operand(slot: .input(0), dtype: .float32, offset: 7 + (p - 1) * m, strides: [m * p, 1, -m]),
        Operand(slot: .input(1), dtype: .float32, offset: 0, strides: [0, 1, 0]),
        Operand(slot: nil, dtype: .int64, offset: 3, strides: [m * p, p, 1]),
      ],
      expression: expression, outputs: [dense(.output(0), [n, m, p])])
    var expected: [Double] = []
    for i in 0..<n {
      for j in 0..<m {
        for k in 0..<p {
          let value = a[7 + i * m * p + (p - 1 - k) * m + j] * b[j]
          expected.append(value + Double(3 + i * m * p + j * p + k) - 0.25)
        }
      }
    }
    for driver in try Drivers.required() {
      let result = try run(
        driver, [.elementwise(step)], inputs: [HostTensor(values: a), HostTensor(values: b)],
        outputs: [(n * m * p, .float32)], scalars: [Scalar(0.25, .float32)])
      expectClose(result[0], expected, tolerance: 1e-6, driver.name)
    }
  }

  @Test func castsFollowTheRules() throws {
    let values: [Double] = [0, -0.0, 1.9, -1.9, 255.5, 256, -1, 3e9, -3e9, 1e20, -1e20, .nan, .infinity, -.infinity]
    for driver in try Drivers.required() {
      for source in [DType.float32, .float64] where driver.supports(source) {
        let targets: [DType] = [.int32, .int64, .uint8, .bool]
        var expression = Expression()
        let x = expression.append(.load(0), source)
        expression.outputs = targets.map { expression.append(.cast(x), $0) }
        let results = try run(
          driver,
          [
            .elementwise(
              ElementwiseStep(
                dims: [values.count], operands: [dense(.input(0), [values.count], source)], expression: expression,
                outputs: targets.indices.map { dense(.output($0), [values.count], targets[$0]) }))
          ],
          inputs: [HostTensor(values: values, dtype: source)], outputs: targets.map { (values.count, $0) })
        let long: [Int64] = values.map {
          $0.isNaN ? 0 : $0 >= 0x1p63 ? .max : $0 <= -0x1p63 ? .min : Int64($0)
        }
        let int = values.map { Double($0.isNaN ? 0 : $0 >= 0x1p31 ? .max : $0 <= -0x1p31 ? .min : Int32($0)) }
        #expect(results[0] == int, "\(driver.name) \(source) to int32")
        #expect(results[1] == long.map { Double($0) }, "\(driver.name) \(source) to int64")
        #expect(results[2] == long.map { Double(UInt8(truncatingIfNeeded: $0)) }, "\(driver.name) \(source) to uint8")
        #expect(results[3] == values.map { $0 == 0 ? 0 : 1 }, "\(driver.name) \(source) to bool")
      }
    }
  }

  @Test func randomNumbersAreTheKnownOnes() throws {
    // Key 42, counter 7: the table in docs/numerics.md.
    let positions: [Double] = [0, 1, 2, 3, 8_589_934_592]
    let bits: [Double] = [1_743_679_276, 3_856_525_632, 619_510_894, 2_489_043_674, 3_566_163_451]
    let uniform: [Double] = [0x1.9fb9bcp-2, 0x1.cbbbd2p-1, 0x1.2767ep-3, 0x1.28b794p-1, 0x1.a91eaap-1]
    let normal: [Double] = [0x1.10adb6p+0, -0x1.508334p-2, 0x1.d170ep+0, -0x1.0b297ap+0, -0x1.a03244p-3]
    let uniform64: [Double] = [
      0x1.caa82198cfdcdp-1, 0x1.803d865b9777ap-2, 0x1.e001559a49d9fp-1, 0x1.f90b55e2516f2p-2, 0x1.6450ebdba91eap-1,
    ]
    let normal64: [Double] = [
      -0x1.e2c277fcf9eafp-3, 0x1.493e12d59bbabp-1, 0x1.4ae53c0f8f8dep-3, 0x1.2f769a70f7fa6p+0, -0x1.592603affd362p-1,
    ]
    for driver in try Drivers.required() {
      var expression = Expression()
      let position = expression.append(.load(0), .int64)
      var kinds: [(Distribution, DType, [Double])] = [
        (.bits, .int64, bits), (.uniform, .float32, uniform), (.normal, .float32, normal),
      ]
      if driver.supports(.float64) { kinds += [(.uniform, .float64, uniform64), (.normal, .float64, normal64)] }
      for (distribution, dtype, _) in kinds {
        expression.outputs.append(
          expression.append(.random(distribution, key: 0, counter: 1, position: position), dtype))
      }
      let results = try run(
        driver,
        [
          .elementwise(
            ElementwiseStep(
              dims: [5], operands: [dense(.input(0), [5], .int64)], expression: expression,
              outputs: kinds.indices.map { dense(.output($0), [5], kinds[$0].1) }))
        ],
        inputs: [HostTensor(values: positions, dtype: .int64)], outputs: kinds.map { (5, $0.1) },
        scalars: [Scalar(bits: 42), Scalar(bits: 7)])
      for (kind, result) in zip(kinds, results) {
        #expect(result == kind.2, "\(driver.name) \(kind.0) \(kind.1)")
      }
    }
  }
}
