import ArgumentParser
import Kiln

/// The command `kiln-bench`.
@main
struct KilnBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kiln-bench", abstract: "Measures Kiln on its devices.",
    subcommands: [
      TrainBenchmark.self, OpsBenchmark.self, GrowthBenchmark.self, MatmulBenchmark.self, ProfileBenchmark.self,
      TuneBenchmark.self, TrainWorker.self,
    ], defaultSubcommand: TrainBenchmark.self)
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// The value in the middle; of an even number of values the upper one.
func median(_ values: [Double]) -> Double { values.isEmpty ? .nan : values.sorted()[values.count / 2] }

/// A benchmark that cannot give a figure; ends the command with exit code 1.
struct BenchmarkFailure: Error, CustomStringConvertible {
  var description: String
}
