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

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What is in a file of weights or a checkpoint: names, shapes, dtypes, sizes.")

  @Argument(help: "A .safetensors, .npz or .npy file, a checkpoint's folder, or a run's.")
  var file: String

  func run() throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
      throw DataError(file: file, rule: "does not exist", fix: "check the path")
    }
    guard isFolder.boolValue else { return try list(file) }
    let run = RunFolder(file)
    let checkpoint =
      run.exists ? try RunSession.checkpoint(of: run, best: false) : Checkpoint(path: file, step: 0)
    try checkpoint.verify()
    let state = try checkpoint.state()
    print("\(checkpoint.path): whole; step \(state.step), epoch \(state.epoch + 1), \(state.position) samples into it")
    let files = ["model.safetensors", "optimizer.safetensors", "average.safetensors"]
    for name in files where FileManager.default.fileExists(atPath: "\(checkpoint.path)/\(name)") {
      print("\(name):")
      try list("\(checkpoint.path)/\(name)")
    }
  }

  private func list(_ file: String) throws {
    var arrays: [(String, HostArray)] = []
    if file.hasSuffix(".npz") {
      arrays = try readNPZArrays(file).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    } else if file.hasSuffix(".npy") {
      arrays = [(file, try HostArray(npy: file))]
    } else {
      let tensors = try SafetensorsFile(file)
      for (key, value) in tensors.metadata.sorted(by: { $0.key < $1.key }) { print("# \(key): \(value)") }
      arrays = try tensors.names.map { ($0, try tensors.array($0)) }
    }
    let rows = arrays.map { [$0.0, "\($0.1.shape)", "\($0.1.dtype)", "\($0.1.bytes.count)"] }
    print(Listing.table([["name", "shape", "dtype", "bytes"]] + rows), terminator: "")
    let elements = arrays.reduce(0) { $0 + $1.1.shape.count }
    print("\(arrays.count) tensors, \(elements) elements, \(arrays.reduce(0) { $0 + $1.1.bytes.count }) bytes")
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
