import CVector
import Foundation
import Testing

@testable import KilnEngine

/// The vector functions against libm in double, over a dense sample of all float32 values, on every ISA this CPU has.
@Suite(.serialized) struct VectorMathTests {
  struct Function: Sendable, CustomTestStringConvertible {
    let name: String
    /// In ULPs of the exact result.
    let bound: Double
    let reference: @Sendable (Double) -> Double
    var testDescription: String { name }
  }

  static let functions: [Function] = [
    Function(name: "exp", bound: 1.1) { exp($0) },
    Function(name: "expm1", bound: 1.5) { expm1($0) },
    Function(name: "log", bound: 1) { log($0) },
    Function(name: "log1p", bound: 1.6) { log1p($0) },
    Function(name: "sin", bound: 1.6) { sin($0) },
    Function(name: "cos", bound: 1.6) { cos($0) },
    Function(name: "tan", bound: 1) { tan($0) },
    Function(name: "tanh", bound: 2.5) { tanh($0) },
    Function(name: "sigmoid", bound: 2.2) { 1 / (1 + exp(-$0)) },
    Function(name: "erf", bound: 1.4) { erf($0) },
    Function(name: "softplus", bound: 1.8) { max($0, 0) + log1p(exp(-abs($0))) + ($0.isNaN ? $0 : 0) },
    Function(name: "sqrt", bound: 0.5) { $0.squareRoot() },
    Function(name: "logSigmoid", bound: 1.8) { $0.isNaN ? $0 : min($0, 0) - log1p(exp(-abs($0))) },
    Function(name: "erfInverse", bound: 0.6) { inverseErrorFunction($0) },
  ]

  /// The distance in units of the last place of the exact result's float32 neighbourhood.
  static func ulps(_ actual: Float, _ exact: Double) -> Double {
    if exact.isNaN || actual.isNaN { return exact.isNaN && actual.isNaN ? 0 : .infinity }
    let rounded = Float(exact)
    if rounded.isInfinite || actual.isInfinite {
      // Within half an ULP of overflow either may come.
      return actual == rounded || (actual.sign == rounded.sign && abs(exact) > 3.4028234e38) ? 0 : .infinity
    }
    let exponent = max(exact == 0 ? -149 : exact.exponent - 23, -149)
    return abs(Double(actual) - exact) / scalbn(1, Int(exponent))
  }

  static let isas: [kv_isa] = [KV_ISA_BASELINE, KV_ISA_AVX2, KV_ISA_AVX512].filter { kv_isa_available($0) }

  @Test(arguments: functions) func staysWithinItsBound(function: Function) throws {
    let before = kv_current_isa()
    defer { _ = kv_set_isa(before) }
    // A prime stride over all bit patterns, and what lies at the ends.
    var xs = stride(from: UInt32(0), to: .max - 100_003, by: 100_003).map { Float(bitPattern: $0) }
    xs += [0, -0.0, 1, -1, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, -.leastNonzeroMagnitude]
    xs += [
      .leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 88.7, 88.8, -87.4, -103.9, -104.1,
    ]
    xs += (0..<20_000).map { Float($0) * 0.001 - 10 }
    // Towards 1, where the inverse of erf is steep.
    for i in 1...200 {
      let distance = Float(i) * 0x1p-24
      xs += [1 - distance, distance - 1]
    }
    for isa in Self.isas {
      _ = kv_set_isa(isa)
      let loop = try #require(kv_find_loop(function.name, KV_F32, KV_VV))
      var ys = [Float](repeating: 0, count: xs.count)
      loop(&ys, xs, nil, nil, xs.count, nil)
      var worst = (0.0, Float(0))
      for (x, y) in zip(xs, ys) {
        let error = Self.ulps(y, function.reference(Double(x)))
        if error > worst.0 { worst = (error, x) }
      }
      #expect(worst.0 <= function.bound, "\(function.name) on \(String(cString: kv_isa_name(isa))): \(worst)")
    }
  }

  @Test func signOfZeroIsKept() throws {
    for name in ["expm1", "log1p", "sin", "tan", "tanh", "erf", "erfInverse", "sqrt"] {
      let loop = try #require(kv_find_loop(name, KV_F32, KV_VV))
      var y: [Float] = [1, 1]
      loop(&y, [Float(-0.0), 0], nil, nil, 2, nil)
      #expect(y[0] == 0 && y[0].sign == .minus, "\(name)")
      #expect(y[1] == 0 && y[1].sign == .plus, "\(name)")
    }
  }

  /// A function of two operands; the reference may round to float32 itself.
  struct BinaryFunction: Sendable, CustomTestStringConvertible {
    let name: String
    let bound: Double
    let reference: @Sendable (Float, Float) -> Double
    var testDescription: String { name }
  }
  static let binaryFunctions: [BinaryFunction] = [
    BinaryFunction(name: "remainder", bound: 0) { Double(floorRemainder($0, $1)) },
    BinaryFunction(name: "arctangent2", bound: 0.6) { atan2(Double($0), Double($1)) },
    BinaryFunction(name: "power", bound: 0.6) { pow(Double($0), Double($1)) },
  ]

  @Test(arguments: binaryFunctions) func ofTwoStaysWithinItsBound(function: BinaryFunction) throws {
    let before = kv_current_isa()
    defer { _ = kv_set_isa(before) }
    var dice = Dice(11)
    let special: [Float] = [
      0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, .infinity, -.infinity, .nan, .leastNonzeroMagnitude,
      -.leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 0x1p24,
      0x1.000002p24, 1e9, 0.99999994,
    ]
    var a: [Float] = []
    var b: [Float] = []
    func add(_ x: Float, _ y: Float) {
      a.append(x)
      b.append(y)
    }
    for x in special { for y in special { add(x, y) } }
    for i in 0..<60_000 {
      let (x, y) = (Float(bitPattern: UInt32(dice.int(0...0xffff_ffff))), Float.random(in: -20...20, using: &dice))
      let near = Float.random(in: -20...20, using: &dice)
      switch i % 4 {
      case 0: add(near, y)
      case 1: add(x.isNaN ? near : x, y.rounded())
      // Whole quotients, and those just beside.
      case 2: add(near * Float(dice.int(1...1000)), near)
      default:
        let other = Float(bitPattern: UInt32(dice.int(0...0xffff_ffff)))
        add(x.isNaN ? 1 : x, other.isNaN ? 2 : other)
      }
    }
    for isa in Self.isas {
      _ = kv_set_isa(isa)
      let loop = try #require(kv_find_loop(function.name, KV_F32, KV_VV))
      var ys = [Float](repeating: 0, count: a.count)
      loop(&ys, a, b, nil, a.count, nil)
      var worst = (0.0, Float(0), Float(0))
      for i in a.indices {
        let exact = function.reference(a[i], b[i])
        var error = Self.ulps(ys[i], exact)
        // Which zero a remainder is, is left open.
        if exact == 0, ys[i] == 0, exact.sign != ys[i].sign, function.name != "remainder" { error = .infinity }
        if error > worst.0 { worst = (error, a[i], b[i]) }
      }
      #expect(worst.0 <= function.bound, "\(function.name) on \(String(cString: kv_isa_name(isa))): \(worst)")
    }
  }

  /// Loops work on whole vectors and a rest: every length must leave what follows alone.
  @Test func everyLengthStopsAtItsEnd() throws {
    for isa in Self.isas {
      _ = kv_set_isa(isa)
      for n in 0...70 {
        let a = (0..<n).map { Float($0) - 30 }
        var y = [Float](repeating: -1, count: n + 20)
        let add = try #require(kv_find_loop("add", KV_F32, KV_VS))
        let two: [Float] = [2]
        add(&y, a + [0], two, nil, n, nil)
        #expect(y == a.map { $0 + 2 } + [Float](repeating: -1, count: 20))
        let greater = try #require(kv_find_loop("greater", KV_F32, KV_SV))
        var flags = [UInt8](repeating: 9, count: n + 20)
        greater(&flags, two, a + [0], nil, n, nil)
        #expect(flags == a.map { 2 > $0 ? 1 : 0 } + [UInt8](repeating: 9, count: 20))
      }
    }
    _ = kv_set_isa(Self.isas.last ?? KV_ISA_BASELINE)
  }

  /// Denormals take a path of their own in these loops; it must give the same bits as Swift's operators.
  @Test func denormalsAreExact() throws {
    var dice = Dice(9)
    func number() -> Float {
      let bits = UInt32(truncatingIfNeeded: dice.next())
      return switch dice.int(0...4) {
      case 0: Float(bitPattern: bits & 0x807f_ffff)
      case 1: Float(bitPattern: bits & 0x8000_0007)
      case 2: Float(bitPattern: (bits & 0x807f_ffff) | UInt32(dice.int(0...40)) << 23)
      case 3: Float(bitPattern: (bits & 0x807f_ffff) | UInt32(dice.int(100...156)) << 23)
      default: Float(bitPattern: bits)
      }
    }
    for isa in Self.isas {
      _ = kv_set_isa(isa)
      for name in ["multiply", "divide", "sqrt"] {
        for form in name == "sqrt" ? [KV_VV] : [KV_VV, KV_VS, KV_SV] {
          let loop = try #require(kv_find_loop(name, KV_F32, form))
          for n in [1, 15, 16, 333] {
            let (a, b) = ((0..<n).map { _ in number() }, (0..<n).map { _ in number() })
            var y = [Float](repeating: 0, count: n)
            loop(&y, a, b, nil, n, nil)
            let expected = (0..<n).map { i -> Float in
              let (p, q) = (form == KV_SV ? a[0] : a[i], form == KV_VS ? b[0] : b[i])
              return name == "multiply" ? p * q : name == "divide" ? p / q : p.squareRoot()
            }
            #expect(
              zip(y, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) },
              "\(name) \(form) of \(n) on \(String(cString: kv_isa_name(isa)))")
          }
        }
      }
    }
    _ = kv_set_isa(Self.isas.last ?? KV_ISA_BASELINE)
  }

  /// docs/numerics.md, "Known values".
  @Test func randomNumbersAreAsDocumented() throws {
    var words = [UInt32](repeating: 0, count: 4)
    kv_philox(0, 0, 0, &words)
    #expect(words == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    kv_philox(.max, .max, .max, &words)
    #expect(words == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
    #expect(kv_random_bits(42, 7, 0) == 1_743_679_276)
    #expect(kv_random_uniform_f32(42, 7, 1) == 0x1.cbbbd2p-1)
    #expect(kv_random_uniform_f64(42, 7, 2) == 0x1.e001559a49d9fp-1)
    #expect(kv_random_normal_f32(42, 7, 3) == -0x1.0b297ap+0)
    #expect(kv_random_normal_f64(42, 7, 1 << 33) == -0x1.592603affd362p-1)
  }

  @Test func vectorRandomNumbersEqualTheReference() throws {
    let key: UInt64 = 0x0123_4567_89ab_cdef
    let counter: UInt64 = 99 << 33 | 5
    let positions = (0..<1003).map { UInt64($0 * 123_457) << UInt64($0 % 20) }
    func draw<T>(_ name: String, _ dtype: kv_dtype, _ zero: T) throws -> [T] {
      let loop = try #require(kv_find_loop(name, dtype, KV_VV))
      var result = [T](repeating: zero, count: positions.count)
      result.withUnsafeMutableBytes { loop($0.baseAddress, positions, [key], [counter], positions.count, nil) }
      return result
    }
    for isa in Self.isas {
      _ = kv_set_isa(isa)
      #expect(try draw("uniform", KV_F32, Float(0)) == positions.map { kv_random_uniform_f32(key, counter, $0) })
      #expect(try draw("normal", KV_F32, Float(0)) == positions.map { kv_random_normal_f32(key, counter, $0) })
      #expect(try draw("uniform", KV_F64, 0.0) == positions.map { kv_random_uniform_f64(key, counter, $0) })
      #expect(try draw("normal", KV_F64, 0.0) == positions.map { kv_random_normal_f64(key, counter, $0) })
      #expect(try draw("bits", KV_I64, Int64(0)) == positions.map { kv_random_bits(key, counter, $0) })
    }
    _ = kv_set_isa(Self.isas.last ?? KV_ISA_BASELINE)
  }
}
