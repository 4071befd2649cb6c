import Testing

@Suite("Folders, imports and names")
struct ArchitectureTests {
  let repository = Repository.own

  @Test("each module imports only what its place allows", arguments: Rules.allowedImports.keys.sorted())
  func imports(module: String) throws {
    let sources = try repository.sources(of: module)
    #expect(!sources.isEmpty, "Sources/\(module) holds no Swift file")
    for (path, text) in sources {
      let forbidden = Rules.forbiddenImports(in: text, of: module)
      #expect(forbidden.isEmpty, "\(path) imports \(forbidden)")
    }
  }

  @Test("Package.swift declares no dependency that the rules forbid", arguments: Rules.allowedImports.keys.sorted())
  func manifest(module: String) throws {
    let manifest = try repository.text("Package.swift")
    let start = try #require(manifest.range(of: "name: \"\(module)\","), "no target \(module)")
    // The target's text ends where the next one begins.
    let rest = manifest[start.upperBound...]
    let end = rest.range(of: "arget(")?.lowerBound ?? rest.endIndex
    let declaration = rest[..<end]
    let others = Rules.allowedImports.keys + ["COpenCL", "COpenBLAS", "CVector", "CZlib", "CKilnStart", "Kernels"]
    let declared = others.filter { $0 != module && declaration.contains("\"\($0)\"") }
    let forbidden = declared.filter { !(Rules.allowedImports[module] ?? []).contains($0) }
    #expect(forbidden.isEmpty, "target \(module) depends on \(forbidden)")
  }

  @Test("what must run on any device names none", arguments: Rules.deviceFree)
  func deviceFree(module: String) throws {
    for (path, text) in try repository.sources(of: module) {
      let named = Rules.deviceNames(in: text)
      #expect(named.isEmpty, "\(path): \(named)")
    }
  }

  @Test("no file is longer than 500 lines")
  func fileLengths() throws {
    let suffixes = [".swift", ".c", ".h", ".cl", ".py", ".sh"]
    for folder in ["Sources", "Kernels", "Tests", "Benchmarks"] {
      for path in repository.paths(under: folder, suffixes: suffixes) where !Rules.isGenerated(path) {
        let lines = Rules.lineCount(try repository.text(path))
        #expect(lines <= 500, "\(path) has \(lines) lines")
      }
    }
  }

  @Test("no two names differ only in case")
  func caseTwins() {
    #expect(Rules.caseTwins(in: repository.paths()).isEmpty)
  }

  @Test("every public op has a doc comment")
  func documented() throws {
    let files = repository.paths(under: "Sources/KilnEngine/Ops", suffixes: [".swift"])
    #expect(files.count > 3)
    for path in files {
      let missing = Rules.undocumented(in: try repository.text(path))
      #expect(missing.isEmpty, "\(path): \(missing)")
    }
  }

  @Test("nothing in the library stops the process", arguments: Rules.allowedImports.keys.sorted())
  func traps(module: String) throws {
    for (path, text) in try repository.sources(of: module) where !Rules.isGenerated(path) {
      let traps = Rules.traps(in: text)
      #expect(traps.isEmpty, "\(path): \(traps)")
    }
  }

  @Test("@unchecked Sendable says why")
  func unchecked() throws {
    for path in repository.paths(under: "Sources", suffixes: [".swift"]) where !Rules.isGenerated(path) {
      let unexplained = Rules.unexplainedUnchecked(in: try repository.text(path))
      #expect(unexplained.isEmpty, "\(path): \(unexplained)")
    }
  }
}

@Suite("The rules can fail")
struct RuleTests {
  @Test("a forbidden import is found in every spelling")
  func forbiddenImport() {
    let text = "import Foundation\n@_exported import KilnCPU\npublic import struct COpenCL.x\n// import CVector\n"
    #expect(Rules.forbiddenImports(in: text, of: "KilnEngine") == ["KilnCPU", "COpenCL"])
    #expect(Rules.forbiddenImports(in: "import KilnEngine", of: "KilnLayers").isEmpty)
    #expect(!Rules.forbiddenImports(in: "", of: "Unheard").isEmpty)
  }

  @Test("a named device is found in code and not in comments")
  func deviceName() {
    #expect(Rules.deviceNames(in: "/// on `Device.cpu`\nlet d = Device.cpu  // \"cpu\"\n") == ["let d = Device.cpu"])
    #expect(Rules.deviceNames(in: "let name = \"opencl:0\"").count == 1)
  }

  @Test("a trap is found")
  func trap() {
    #expect(Rules.traps(in: "guard x else { fatalError(\"no\") }\nlet y = try! f()\n// precondition(x)\n").count == 2)
  }

  @Test("an unexplained @unchecked is found")
  func unchecked() {
    #expect(Rules.unexplainedUnchecked(in: "final class A: @unchecked Sendable {}").count == 1)
    #expect(Rules.unexplainedUnchecked(in: "// a driver handle\nfinal class A: @unchecked Sendable {}").isEmpty)
  }

  @Test("a missing doc comment is found")
  func undocumented() {
    let text = "/// The sine.\npublic func sin() {}\n\npublic func cos() {}\n  public static func + (a: A) {}\n"
    #expect(Rules.undocumented(in: text) == ["public func cos() {}", "public static func + (a: A) {}"])
    #expect(Rules.undocumented(in: "public subscript(i: Int) -> A {}\npublic init<S>(s: S) {}").count == 2)
    #expect(Rules.undocumented(in: "/// X.\npublic func x(a: A) {}\npublic func x(b: B) {}").isEmpty)
    #expect(Rules.undocumented(in: "/// X.\n@discardableResult\npublic func x() {}").isEmpty)
  }

  @Test("names that differ in case are found, folders too")
  func twins() {
    #expect(Rules.caseTwins(in: ["a/B/c", "a/b/d"]) == ["/a/B", "/a/b"])
    #expect(Rules.caseTwins(in: ["a/b", "a/c"]).isEmpty)
  }
}
