import ArgumentParser
import Kiln

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Lists and fetches public data sets.",
    subcommands: [List.self, Fetch.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the data sets, and which of them are there.")

    @Option(help: "Folder of the data sets; by default KILN_DATA, else ~/.cache/kiln.")
    var data: String?
    @Option(help: "Writes the list as JSON.")
    var json: String?

    func run() throws {
      let folder = DataFolder(data)
      let width = NamedSet.all.map(\.name.count).max() ?? 0
      print("In \(folder.path):")
      for set in NamedSet.all {
        let name = set.name + String(repeating: " ", count: width - set.name.count)
        let state = set.isPresent(in: folder) ? "there  " : set.remote.isEmpty ? "by hand" : "fetch  "
        print("\(name)  \(state)  \(set.summary)")
      }
      guard let json else { return }
      let sets: [JSON] = NamedSet.all.map { set in
        .object([
          ("name", .string(set.name)), ("summary", .string(set.summary)), ("present", .bool(set.isPresent(in: folder))),
          ("fetchable", .bool(!set.remote.isEmpty)), ("source", .string(set.source)),
          ("files", .array(set.files.map { .string($0) })),
        ])
      }
      try TextFile.write(JSON.object([("folder", .string(folder.path)), ("sets", .array(sets))]).text, to: json)
    }
  }

  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetches data sets: goes on where it stopped, and checks each file's SHA-256.")

    @Argument(help: "Names of data sets; 'kiln data list' shows them.")
    var names: [String]
    @Option(help: "Folder of the data sets; by default KILN_DATA, else ~/.cache/kiln.")
    var data: String?

    func validate() throws {
      for name in names where !NamedSet.all.contains(where: { $0.name == name }) {
        let known = NamedSet.all.map(\.name).joined(separator: ", ")
        throw ValidationError("there is no data set '\(name)'; choose one of \(known)")
      }
    }

    func run() throws {
      let folder = DataFolder(data)
      for name in names {
        let set = try NamedSet.named(name)
        if set.isPresent(in: folder) {
          print("\(name) is there")
          continue
        }
        let bar = ProgressBar()
        defer { bar.clear() }
        try set.fetch(into: folder) { file, bytes in
          let share = Terminal.fixed(Double(bytes) / 1e6, 1)
          bar.draw(label: file.path, done: min(bytes, file.size), of: max(file.size, 1), note: "\(share) MB")
        }
        bar.clear()
        print("\(name) fetched into \(folder.path)")
      }
    }
  }
}
