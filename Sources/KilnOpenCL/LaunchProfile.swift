import Foundation
import KilnEngine

/// The time of each kernel, for work on kernels: with `KILN_OPENCL_PROFILE` every launch is waited for and timed, and a
/// table goes to standard error when the process ends. Times include the launch itself.
final class LaunchProfile: @unchecked Sendable {  // all mutable state is guarded by `lock`
  /// `nil` unless it is asked for.
  static let shared: LaunchProfile? = {
    guard ProcessInfo.processInfo.environment["KILN_OPENCL_PROFILE"] != nil else { return nil }
    atexit { LaunchProfile.shared?.print() }
    return LaunchProfile()
  }()

  private let lock = NSLock()
  private var times: [String: [Double]] = [:]

  func add(_ what: String, _ time: Duration) {
    let microseconds = Double(time.components.seconds) * 1e6 + Double(time.components.attoseconds) * 1e-12
    lock.withLock { times[what, default: []].append(microseconds) }
  }

  private func print() {
    let all = lock.withLock { times }
    let total = all.values.reduce(0) { $0 + $1.reduce(0, +) }
    var lines = ["    us each     runs    share  kernel"]
    for (what, list) in all.sorted(by: { $0.value.reduce(0, +) > $1.value.reduce(0, +) }) {
      let sorted = list.sorted()
      lines.append(
        String(
          format: "%11.1f %8d %7.2f%%  ", sorted[sorted.count / 2], sorted.count, list.reduce(0, +) / total * 100)
          + what)
    }
    FileHandle.standardError.write(Data((lines.joined(separator: "\n") + "\n").utf8))
  }
}

extension Planner {
  /// A step's family and sizes, for the profile.
  static func note(_ step: Step) -> String {
    func text(_ dims: [Int]) -> String { dims.isEmpty ? "1" : dims.map(String.init).joined(separator: "x") }
    switch step {
    case .elementwise(let s): return "elementwise \(text(s.dims)), \(s.expression.instructions.count) instructions"
    case .reduce(let s): return "\(s.kind) of \(text(s.inner)) for \(text(s.outer))"
    case .scan(let s): return "scan \(s.outer)x\(s.length)x\(s.inner)"
    case .argsort(let s): return "argsort \(s.rows)x\(s.columns)"
    case .rowwise(let s): return "\(s.kind) \(s.rows)x\(s.columns)"
    case .attention(let s): return "attention \(text(s.batch)), \(s.queries)x\(s.keys)"
    case .matmul(let s):
      func side(_ operand: Operand) -> String { operand.strides.last == 1 ? "N" : "T" }
      return "matmul \(side(s.lhs))\(side(s.rhs)) [\(text(s.batch))] \(s.m)x\(s.n)x\(s.k)"
    case .convolution(let s):
      let c = s.convolution
      return "convolution \(c.kind) \(c.batch)x\(c.channels)x\(c.height)x\(c.width) "
        + "by \(c.filters)x\(c.kernelHeight)x\(c.kernelWidth) /\(c.strideY) in \(c.groups)"
    case .pool(let s): return "pool \(s.pool.kind) \(s.pool.planes)x\(s.pool.outHeight)x\(s.pool.outWidth)"
    case .gather(let s):
      return "\(s.gather.kind) \(s.gather.outer)x\(s.gather.length)x\(s.gather.inner) of \(s.gather.count)"
    }
  }
}
