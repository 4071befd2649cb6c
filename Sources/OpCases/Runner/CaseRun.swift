import Foundation
import KilnDevices
import KilnEngine

/// One thing to check about a case.
public enum CaseRun: Sendable, Hashable {
  /// Result against reference, for one entry of `OpCase.shapes`.
  case forward(shapes: Int, layout: OperandLayout, dtype: DType)
  /// The same with fusion off, or evaluating every node as it is made.
  case unfused(dtype: DType)
  case eager(dtype: DType)
  /// NaN, infinities, zeros, denormals, huge numbers.
  case specials(dtype: DType)
  /// float64 gradient against central differences of the reference.
  case gradient(shapes: Int)
  /// float64 second derivative against central differences of the gradient.
  case secondGradient(shapes: Int)
  /// float32 gradient against the float64 one.
  case gradientPrecision(shapes: Int)
  /// A call that must be refused.
  case refusal(Int)

  public var dtype: DType? {
    switch self {
    case .forward(_, _, let dtype), .unfused(let dtype), .eager(let dtype), .specials(let dtype): dtype
    case .gradient, .secondGradient: .float64
    case .gradientPrecision: .float32
    case .refusal: nil
    }
  }

  /// Words for a report, such as "forward [5, 7] [7] transposed".
  public func words(_ one: OpCase) -> String {
    func shapes(_ i: Int) -> String { one.shapes[i].map { "\($0)" }.joined(separator: " ") }
    switch self {
    case .forward(let i, let layout, _):
      return "forward \(shapes(i))" + (layout == .contiguous ? "" : " \(layout.rawValue)")
    case .unfused: return "unfused"
    case .eager: return "eager"
    case .specials: return "special values"
    case .gradient(let i): return "gradient \(shapes(i))"
    case .secondGradient(let i): return "second gradient \(shapes(i))"
    case .gradientPrecision(let i): return "float32 gradient \(shapes(i))"
    case .refusal(let i): return "refuses \(one.refusals[i].what)"
    }
  }
}

/// How much of the table runs on a device.
public enum Depth: String, Sendable, CaseIterable {
  /// All of it.
  case full
  /// For devices that build a program for each new kernel (0.1 to 0.5 s each): every case forward in each dtype, one
  /// layout and the float32 gradient for each operation. Derivatives against central differences say something about
  /// the engine's rules and nothing about a device, so they are left to the CPU, which the gradients are held against.
  case lean

  /// `lean` for all but the CPU, unless KILN_SELFTEST_DEPTH names another.
  public static func usual(for device: Device) -> Depth {
    let wished = ProcessInfo.processInfo.environment["KILN_SELFTEST_DEPTH"].flatMap { Depth(rawValue: $0) }
    return wished ?? (device == .cpu ? .full : .lean)
  }
}

extension OpCase {
  /// Everything that is to be checked about this case on a device.
  public func runs(on device: Device, depth: Depth? = nil) -> [CaseRun] {
    let held = dtypes.filter { dtype in
      device.driver.supports(dtype) && operands.allSatisfy { device.driver.supports($0.dtype ?? dtype) }
    }
    let runs = (depth ?? .usual(for: device)) == .full ? fullRuns(held, on: device) : leanRuns(held)
    return runs + refusals.indices.map { .refusal($0) }
  }

  private func fullRuns(_ held: [DType], on device: Device) -> [CaseRun] {
    var result: [CaseRun] = []
    let hasLayouts = operands.contains(where: \.hasLayouts)
    for (d, dtype) in held.enumerated() {
      for i in shapes.indices {
        result.append(.forward(shapes: i, layout: .contiguous, dtype: dtype))
        // Every layout of the first shapes in the first dtype, one in the others.
        if hasLayouts && i == 0 {
          let layouts = OperandLayout.allCases.dropFirst()
          result += (d == 0 ? Array(layouts) : [.transposed]).map { .forward(shapes: i, layout: $0, dtype: dtype) }
        }
      }
      if !specials.isEmpty { result.append(.specials(dtype: dtype)) }
    }
    if let first = held.first, !shapes.isEmpty { result += [.unfused(dtype: first), .eager(dtype: first)] }
    guard gradientOrder > 0 else { return result }
    for i in gradientShapes {
      if device.driver.supports(.float64) {
        result.append(.gradient(shapes: i))
        if gradientOrder > 1 { result.append(.secondGradient(shapes: i)) }
      }
      if dtypes.contains(.float32) { result.append(.gradientPrecision(shapes: i)) }
    }
    return result
  }

  private func leanRuns(_ held: [DType]) -> [CaseRun] {
    var result: [CaseRun] = []
    for (d, dtype) in held.enumerated() {
      let isFirst = d == 0
      for i in shapes.indices where isFirst || i == 0 {
        result.append(.forward(shapes: i, layout: .contiguous, dtype: dtype))
      }
      if isFirst && isLead && operands.contains(where: \.hasLayouts) {
        var bits = SeededBits(id)
        let layout = OperandLayout.allCases[1 + bits.below(OperandLayout.allCases.count - 1)]
        result.append(.forward(shapes: 0, layout: layout, dtype: dtype))
      }
      if !specials.isEmpty && isFirst { result.append(.specials(dtype: dtype)) }
    }
    if name == "chain", let first = held.first { result += [.unfused(dtype: first), .eager(dtype: first)] }
    if gradientOrder > 0, isLead || hasOwnGradientKernels, dtypes.contains(.float32), let i = gradientShapes.first {
      result.append(.gradientPrecision(shapes: i))
    }
    return result
  }

  private var hasOwnGradientKernels: Bool { name.contains("onvolution") || name.contains("Pool") || name == "chain" }

  /// Whether a run takes at most a few hundred elements through at most a few kernels.
  func isTiny(_ run: CaseRun) -> Bool {
    switch run {
    case .forward(let i, _, _): shapes[i].allSatisfy { NDArray.count($0) <= 200 }
    case .specials: specials.count <= 30
    case .unfused, .eager, .gradient, .secondGradient, .gradientPrecision, .refusal: false
    }
  }

  /// The first two small ones: finite differences of the reference are slow, and shapes add little to a gradient.
  var gradientShapes: [Int] {
    Array(
      shapes.indices.filter { i in
        let counts = shapes[i].map(NDArray.count)
        return counts.allSatisfy { $0 > 0 } && counts.reduce(0, +) <= largestGradient
      }.prefix(2))
  }

  /// The operands' values for a run, rounded to their dtypes.
  func values(shapes i: Int, dtype: DType, _ salt: String) -> [NDArray] {
    var bits = SeededBits("\(id) \(i) \(salt)")
    return zip(operands, shapes[i]).map { operand, shape in
      let filled = operand.fill(&bits, shape)
      return NDArray(shape, filled.map { rounded($0, to: operand.dtype ?? dtype) })
    }
  }
}

/// The outcome of one run.
public struct CaseResult: Sendable, Codable {
  public enum Verdict: String, Sendable, Codable { case passed, failed }
  public var op: String
  /// The case's variant and the run: "stride 2: forward [1, 2, 3, 3] [3, 2, 3, 3]".
  public var variant: String
  public var device: String
  public var dtype: String
  /// The largest error in units of its bound; 0 where nothing is measured.
  public var worstErrorInBounds: Double
  public var verdict: Verdict
  public var message: String
  public var passed: Bool { verdict == .passed }
}
