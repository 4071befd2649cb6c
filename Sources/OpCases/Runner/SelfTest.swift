import Foundation
import KilnEngine

/// The whole table on given devices: what `kiln selftest` and the test suites run.
public enum SelfTest {
  /// All runs of one operation on one device.
  public struct Summary: Sendable, Codable {
    public var op: String
    public var device: String
    public var cases: Int
    public var failures: Int
    public var worstErrorInBounds: Double
    public var verdict: CaseResult.Verdict
    public var seconds: Double
  }

  public struct Report: Sendable, Codable {
    public var summaries: [Summary]
    /// Failed runs only; the passed ones are counted.
    public var failures: [CaseResult]
    public var cases: Int
    public var seconds: Double
    public var passed: Bool { failures.isEmpty && cases > 0 }

    public func json() throws -> Data {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      return try encoder.encode(self)
    }
  }

  /// Runs every case whose name or id contains `pattern` (all without one; `*` matches anything) on each device.
  ///
  /// - Parameters:
  ///   - depth: how much of the table; by default all of it on the CPU and `lean` elsewhere.
  ///   - tiny: only small shapes and no gradients, for simulators that are a thousand times slower than a device.
  ///   - beforeRun: called with the words of each run before it starts: the last ones name the run in which a driver
  ///     hangs or ends the process.
  ///   - progress: called after each operation on each device.
  public static func run(
    devices: [Device], pattern: String? = nil, depth: Depth? = nil, tiny: Bool = false,
    beforeRun: (String) -> Void = { _ in }, progress: (Summary) -> Void = { _ in }
  ) -> Report {
    let chosen = OpTable.all.filter { matches($0, pattern) }
    var report = Report(summaries: [], failures: [], cases: 0, seconds: 0)
    let clock = ContinuousClock()
    for device in devices {
      let runner = CaseRunner(device)
      var names: [String] = []
      for one in chosen where !names.contains(one.name) { names.append(one.name) }
      for name in names {
        var summary = Summary(
          op: name, device: device.name, cases: 0, failures: 0, worstErrorInBounds: 0, verdict: .passed, seconds: 0)
        let time = clock.measure {
          for one in chosen where one.name == name {
            for run in one.runs(on: device, depth: depth) where !tiny || one.isTiny(run) {
              beforeRun("\(device.name) \(one.id) \(run.dtype?.description ?? "") \(run.words(one))")
              let result = runner.run(one, run)
              summary.cases += 1
              summary.worstErrorInBounds = max(summary.worstErrorInBounds, result.worstErrorInBounds)
              if !result.passed {
                summary.failures += 1
                summary.verdict = .failed
                report.failures.append(result)
              }
            }
          }
        }
        summary.seconds = Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
        report.summaries.append(summary)
        report.cases += summary.cases
        report.seconds += summary.seconds
        progress(summary)
      }
    }
    return report
  }

  static func matches(_ one: OpCase, _ pattern: String?) -> Bool {
    guard let pattern, !pattern.isEmpty else { return true }
    let parts = pattern.lowercased().split(separator: "*", omittingEmptySubsequences: true)
    var rest = Substring(one.id.lowercased())
    for part in parts {
      guard let found = rest.range(of: part) else { return false }
      rest = rest[found.upperBound...]
    }
    return true
  }

  /// One line: operation, cases, worst error in units of its bound, verdict.
  public static func line(_ summary: Summary) -> String {
    let worst = summary.worstErrorInBounds >= 1e300 ? "wrong" : String(format: "%.3f", summary.worstErrorInBounds)
    return [
      summary.device.padding(toLength: 10, withPad: " ", startingAt: 0),
      summary.op.padding(toLength: 26, withPad: " ", startingAt: 0),
      String(format: "%5d cases", summary.cases), "  worst \(worst)".padding(toLength: 16, withPad: " ", startingAt: 0),
      summary.verdict == .passed ? "passed" : "FAILED (\(summary.failures))",
    ].joined(separator: " ")
  }

  /// One line for a failed run.
  public static func line(_ result: CaseResult) -> String {
    "\(result.device) \(result.op) \(result.dtype) [\(result.variant)]: \(result.message)"
  }
}
