import ArgumentParser
import Foundation
import Kiln
import KilnConfiguration

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What is in a file of weights or data, or a checkpoint: names, shapes, dtypes, sizes. Reads it whole.",
    discussion: """
      Besides a checkpoint's folder or a run's it takes .safetensors, .npz, .npy, IDX (.idx, -ubyte), .csv, .tsv, .png, \
      .jpg, .wav, .txt, .bpe and .yaml files; IDX, tables and text may be gzipped (.gz). One that is damaged is refused \
      with the place and the rule.
      """)

  @Argument(help: "The file or folder.")
  var file: String

  func run() throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
      throw DataError(file: file, rule: "does not exist", fix: "check the path")
    }
    guard isFolder.boolValue else { return try describe(file) }
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

  /// By its name, as people give them.
  private func describe(_ file: String) throws {
    let packed = file.lowercased()
    let name = packed.hasSuffix(".gz") ? String(packed.dropLast(3)) : packed
    func isOne(_ endings: String...) -> Bool { endings.contains { name.hasSuffix($0) } }
    if isOne(".csv", ".tsv") {
      let table = try Table(contentsOf: file)
      print(
        "\(table.rows.count) rows of \(table.columns) columns"
          + (table.header.map { ": " + $0.joined(separator: ", ") } ?? ""))
    } else if isOne(".txt") {
      let text = try TextFile.read(file)
      print("\(text.unicodeScalars.count) characters, \(text.utf8.count) bytes, \(text.utf8.count { $0 == 10 }) lines")
    } else if isOne(".bpe") {
      print("a BPE tokenizer of \(try BPETokenizer(contentsOf: file).vocabularySize) tokens")
    } else if isOne(".yaml", ".yml") {
      print("a configuration without a fault: task \(try Configuration(contentsOf: file).task.rawValue)")
    } else {
      try list(file)
    }
  }

  private func list(_ file: String) throws {
    let (notes, arrays) = try Self.arrays(file)
    for note in notes { print("# \(note)") }
    let rows = arrays.map { [$0.0, "\($0.1.shape)", "\($0.1.dtype)", "\($0.1.bytes.count)"] }
    print(Listing.table([["name", "shape", "dtype", "bytes"]] + rows), terminator: "")
    let elements = arrays.reduce(0) { $0 + $1.1.shape.count }
    print("\(arrays.count) tensors, \(elements) elements, \(arrays.reduce(0) { $0 + $1.1.bytes.count }) bytes")
  }

  private static func arrays(_ file: String) throws -> (notes: [String], arrays: [(String, HostArray)]) {
    let name = file.lowercased()
    func isOne(_ endings: String...) -> Bool { endings.contains { name.hasSuffix($0) } }
    if isOne(".npz") { return ([], try readNPZArrays(file).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }) }
    if isOne(".npy") { return ([], [(file, try HostArray(npy: file))]) }
    if isOne(".idx", "ubyte", ".idx.gz", "ubyte.gz") { return ([], [(file, try HostArray(idx: file))]) }
    if isOne(".png", ".jpg", ".jpeg") { return ([], [(file, try Picture(contentsOf: file).array)]) }
    if isOne(".wav") {
      let (samples, format) = try HostArray.wave(file)
      return (["\(format.sampleRate) Hz, \(format.bits) bits"], [(file, samples)])
    }
    let tensors = try SafetensorsFile(file)
    return (
      tensors.metadata.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" },
      try tensors.names.map { ($0, try tensors.array($0)) }
    )
  }
}
