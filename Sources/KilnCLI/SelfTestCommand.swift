import ArgumentParser
import Foundation
import Kiln
import OpCases

struct SelfTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "selftest",
    abstract: "Checks every operation on your devices against references; exits 1 if anything fails.")

  @Option(name: .customLong("device"), help: "A device to check, several times for several; by default all.")
  var devices: [String] = []
  @Option(help: "Only cases whose name contains this; * stands for anything.")
  var op: String?
  @Flag(help: "Only small shapes and no gradients, for simulators.")
  var tiny = false
  @Flag(help: "Names each run on standard error before it starts: the last one is where a driver hangs or crashes.")
  var verbose = false
  @Option(help: "Writes the report as JSON.")
  var json: String?

  func run() throws {
    let chosen = devices.isEmpty ? Device.all : try devices.map { try Device.named($0) }
    if let json { try TextFile.write("", to: json) }
    let report = SelfTest.run(
      devices: chosen, pattern: op, tiny: tiny,
      beforeRun: { if verbose { FileHandle.standardError.write(Data("\($0)\n".utf8)) } },
      progress: { print(SelfTest.line($0)) })
    for failure in report.failures.prefix(50) { print(SelfTest.line(failure)) }
    if report.failures.count > 50 { print("... and \(report.failures.count - 50) more failures") }
    if let json { try TextFile.write(String(decoding: report.json(), as: UTF8.self) + "\n", to: json) }
    let names = chosen.map(\.name).joined(separator: ", ")
    let seconds = Terminal.fixed(report.seconds, 1)
    print("\(report.cases) cases on \(names), \(report.failures.count) failed, \(seconds) s")
    if report.cases == 0 {
      throw SelfTestFailure(description: "no case matches '\(op ?? "")'; run without --op to see the names")
    }
    if !report.passed { throw SelfTestFailure(description: "the self-test failed") }
  }
}

/// Ends the command with exit code 1.
struct SelfTestFailure: Error, CustomStringConvertible {
  var description: String
}
