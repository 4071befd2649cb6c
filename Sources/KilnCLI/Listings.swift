import ArgumentParser
import Foundation
import Kiln

struct Runs: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Lists the runs in a folder.")

  @Argument(help: "The folder of runs.")
  var folder: String = "runs"
  @Option(help: "Writes the list as JSON.")
  var json: String?

  func run() throws {
    var rows = [["run", "recipe", "device", "epochs", "loss", "test accuracy", "state"]]
    var objects: [JSON] = []
    for run in try RunFolder.all(in: folder) {
      let configuration = try run.configuration()
      let result = try run.result()
      let state = try run.checkpoints.latest().checkpoint.map { try $0.state() }
      let epochs = state?.epoch ?? 0
      let loss = state?.history.epochs.last?.loss
      rows.append([
        run.path, configuration.recipe, configuration.device, "\(epochs)/\(configuration.epochs)",
        loss.map { Terminal.fixed($0, 4) } ?? "-",
        result.map { $0.test.accuracy }.flatMap { $0.isNaN ? nil : Terminal.fixed($0, 4) } ?? "-",
        result == nil ? "unfinished" : "finished",
      ])
      var members: [(String, JSON)] = [
        ("run", .string(run.path)), ("recipe", .string(configuration.recipe)),
        ("device", .string(configuration.device)), ("epochs", .integer(epochs)),
        ("finished", .bool(result != nil)),
      ]
      if let result { members += JSON.members(of: result.test) }
      objects.append(.object(members))
    }
    if rows.count == 1 { print("No runs in '\(folder)'") } else { print(Listing.table(rows), terminator: "") }
    if let json { try TextFile.write(JSON.object([("runs", .array(objects))]).text, to: json) }
  }
}

/// Rows in columns.
enum Listing {
  static func table(_ rows: [[String]]) -> String {
    let columns = rows.first?.count ?? 0
    let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      // Nothing follows the last column.
      zip(row, widths.dropLast() + [0]).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }
        .joined(separator: "  ") + "\n"
    }.joined()
  }
}
