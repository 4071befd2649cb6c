import ArgumentParser
import Foundation
import Kiln
import KilnConfiguration

extension LearningTask: ExpressibleByArgument {}

struct New: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes a commented configuration that trains at once.",
    discussion: "Train it with `kiln train FILE`. docs/config.md has every field.")

  @Option(help: "image, tabular, text or series.")
  var task: LearningTask?
  @Option(help: "The file to write; by default <task>.yaml. One that exists is left alone.")
  var output: String?
  @Flag(help: "Prints the reference of all fields instead.")
  var reference = false

  func validate() throws {
    if task == nil, !reference { throw ValidationError("give --task image, tabular, text or series") }
  }

  func run() throws {
    if reference {
      print(ConfigSchema.reference, terminator: "")
      return
    }
    guard let task else { return }
    let path = output ?? "\(task.rawValue).yaml"
    guard !FileManager.default.fileExists(atPath: path) else {
      throw DataError(file: path, rule: "exists already", fix: "name another file with --output")
    }
    try TextFile.write(task.template, to: path)
    print("Wrote \(path). Train it with: kiln train \(path)")
  }
}
