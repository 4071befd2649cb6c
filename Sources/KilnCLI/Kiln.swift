import ArgumentParser
import Kiln
import KilnConfiguration

/// The command `kiln`. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
@main
struct KilnCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kiln", abstract: "Trains neural networks on the CPU and on OpenCL devices.",
    subcommands: [
      DataCommand.self, Devices.self, SelfTestCommand.self, New.self, Train.self, Resume.self, EvaluateRun.self,
      PredictRun.self, Report.self, Runs.self, Export.self, Inspect.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      do {
        try command.run()
      } catch let error as ConfigError {
        for line in error.description.split(separator: "\n") { Terminal.complain("kiln: \(line)") }
        Terminal.exit(2)
      } catch let error where exitCode(for: error) == .failure && !(error is ExitCode) {
        // What the parser does not know: a failure of the work itself.
        Terminal.complain("kiln: \(error)")
        Terminal.exit(1)
      }
    } catch {
      let code = exitCode(for: error)
      let text = fullMessage(for: error)
      if code == .success {
        if !text.isEmpty { print(text) }
        Terminal.exit(0)
      }
      Terminal.complain(text)
      // The parser's own code for wrong usage is 64.
      Terminal.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }
}
