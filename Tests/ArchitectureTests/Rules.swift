import Foundation

/// The rules of the folder layout, each a function from text to what breaks it, so that each can be shown to fail.
enum Rules {
  /// What a module may import of this package. System modules (Foundation, Synchronization) are free to all.
  static let allowedImports: [String: Set<String>] = [
    "KilnEngine": [],
    "KilnCPU": ["KilnEngine", "COpenBLAS", "CVector"],
    "KilnOpenCL": ["KilnEngine", "COpenCL", "Kernels"],
    "KilnLayers": ["KilnEngine"],
    "KilnOptimizers": ["KilnEngine", "KilnLayers"],
    "KilnData": ["KilnEngine", "CZlib", "CDigits", "CImages"],
    "KilnProtobuf": ["SwiftProtobuf"],
    "KilnTraining": ["KilnEngine", "KilnLayers", "KilnOptimizers", "KilnData", "KilnProtobuf"],
    "KilnONNX": ["KilnEngine", "KilnLayers", "KilnData", "KilnProtobuf"],
    "KilnModels": ["KilnEngine", "KilnLayers", "KilnOptimizers", "KilnData", "KilnTraining"],
    "KilnDevices": ["KilnEngine", "KilnCPU", "KilnOpenCL", "CKilnStart"],
    "Kiln": [
      "KilnEngine", "KilnDevices", "KilnLayers", "KilnOptimizers", "KilnData", "KilnTraining", "KilnModels",
      "KilnONNX",
    ],
    "KilnConfiguration": ["Kiln", "Yams"],
    "OpCases": ["KilnEngine", "KilnDevices"],
  ]
  static let systemModules: Set<String> = [
    "Foundation", "FoundationEssentials", "Glibc", "Synchronization", "Dispatch",
  ]

  /// Modules that must run on any device, and so may name none.
  static let deviceFree = [
    "KilnEngine", "KilnLayers", "KilnOptimizers", "KilnData", "KilnTraining", "KilnModels", "KilnProtobuf", "KilnONNX",
  ]

  /// Code that a generator wrote and people do not read: it has its own rules.
  static func isGenerated(_ path: String) -> Bool { path.hasSuffix(".pb.swift") }

  /// The modules that a file imports.
  static func imports(in text: String) -> [String] {
    var modules: [String] = []
    for line in code(text) {
      var words = line.split(separator: " ").map(String.init)
      while let first = words.first, first.hasPrefix("@") || ["public", "internal", "private"].contains(first) {
        words.removeFirst()
      }
      guard words.count >= 2, words[0] == "import" else { continue }
      let name = words.count > 2 && ["struct", "class", "enum", "func"].contains(words[1]) ? words[2] : words[1]
      modules.append(String(name.prefix { $0 != "." }))
    }
    return modules
  }

  static func forbiddenImports(in text: String, of module: String) -> [String] {
    guard let allowed = allowedImports[module] else { return ["no rule for module " + module] }
    return imports(in: text).filter { !allowed.contains($0) && !systemModules.contains($0) }
  }

  /// Code that names a particular device. Strings count, comments do not.
  static func deviceNames(in text: String) -> [String] {
    let names = ["KilnCPU", "KilnOpenCL", "Device.cpu", "Device.openCL", ".openCL(", "\"cpu\"", "\"opencl"]
    return code(text).filter { line in names.contains { line.contains($0) } }
  }

  /// Calls that stop the process where an error value or a typed throw belongs.
  static func traps(in text: String) -> [String] {
    let calls = ["fatalError(", "preconditionFailure(", "precondition(", "assertionFailure(", "try! ", "as! "]
    return code(text).filter { line in calls.contains { line.contains($0) } }
  }

  /// `@unchecked Sendable` without a comment on its line or the line above that says why it is safe.
  static func unexplainedUnchecked(in text: String) -> [String] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.indices.filter { i in
      guard strippingComment(lines[i]).contains("@unchecked") else { return false }
      let above = i > 0 ? lines[i - 1].trimmingCharacters(in: .whitespaces) : ""
      return !lines[i].contains("//") && !above.hasPrefix("//")
    }.map { lines[$0] }
  }

  /// Public functions, initializers, operators and subscripts without a doc comment right above them (attributes may
  /// stand between). A further overload is documented by an earlier one of the same name in the file.
  static func undocumented(in text: String) -> [String] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.trimmingCharacters(in: .whitespaces) }
    var documented: Set<String> = []
    var missing: [String] = []
    for i in lines.indices {
      guard let name = publicFunction(lines[i]) else { continue }
      var above = i - 1
      while above >= 0, lines[above].hasPrefix("@") { above -= 1 }
      if above >= 0, lines[above].hasPrefix("///") {
        documented.insert(name)
      } else if !documented.contains(name) {
        missing.append(lines[i])
      }
    }
    return missing
  }

  /// The name of the public function, initializer, operator or subscript that a line declares.
  private static func publicFunction(_ line: String) -> String? {
    let words = line.split(separator: " ").map(String.init)
    guard words.first == "public" else { return nil }
    for (i, word) in words.prefix(5).enumerated() {
      if word == "func", i + 1 < words.count { return String(words[i + 1].prefix { $0 != "(" && $0 != "<" }) }
      if word.hasPrefix("subscript(") || word.hasPrefix("init(") || word.hasPrefix("init<") {
        return String(word.prefix { $0 != "(" && $0 != "<" })
      }
    }
    return nil
  }

  /// Paths of which two differ only in case, folders included.
  static func caseTwins(in paths: [String]) -> [String] {
    var spellings: [String: Set<String>] = [:]
    for path in paths {
      var prefix = ""
      for part in path.split(separator: "/") {
        prefix += "/" + part
        spellings[prefix.lowercased(), default: []].insert(prefix)
      }
    }
    return spellings.values.filter { $0.count > 1 }.flatMap { $0.sorted() }
  }

  static func lineCount(_ text: String) -> Int {
    text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
  }

  /// The lines of a file without comments and blank lines, trimmed.
  static func code(_ text: String) -> [String] {
    text.split(separator: "\n").map { strippingComment(String($0)).trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty }
  }

  /// Drops what follows `//`, unless that stands in a string.
  private static func strippingComment(_ line: String) -> String {
    var inString = false
    var previous: Character = " "
    for (offset, character) in line.enumerated() {
      if character == "\"" && previous != "\\" { inString.toggle() }
      if character == "/" && previous == "/" && !inString { return String(line.prefix(offset - 1)) }
      previous = character
    }
    return line
  }
}
