import Foundation
import Kiln
import Testing

/// What README.md and docs/ say in code, compiled and run.
@Suite("Documentation")
struct DocumentationTests {
  private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// Every page in a folder and those below it.
  private func pages(under folder: String) -> [String] {
    let path = root.appending(path: folder).path(percentEncoded: false)
    return (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? [])
      .filter { $0.hasSuffix(".md") }.sorted().map { folder + "/" + $0 }
  }

  @Test("the README's example is the file that is compiled here, in at most 12 lines of code")
  func readmeExample() throws {
    let example = try text("Tests/DocumentationTests/LearnXOR.swift")
    #expect(try text("README.md").contains("```swift\n" + example + "```"))
    let lines = example.split(separator: "\n").filter { !$0.hasPrefix("///") }
    #expect(lines.count <= 12)
  }

  @Test("the README's example learns", arguments: ["cpu", "opencl:0"])
  func exampleLearns(device: String) throws {
    #expect(try learnXOR(on: Device.named(device)) == 1)
  }

  @Test("links between the pages lead somewhere", arguments: ["README.md", "docs"])
  func links(place: String) throws {
    let pages = place.hasSuffix(".md") ? [place] : pages(under: place)
    #expect(!pages.isEmpty)
    for page in pages {
      let folder = root.appending(path: page).deletingLastPathComponent()
      for link in try text(page).matches(of: /\]\(([^)#:\s]+)(#[^)]*)?\)/).map({ String($0.1) }) {
        let target = folder.appending(path: link).path(percentEncoded: false)
        #expect(FileManager.default.fileExists(atPath: target), "\(page) links to \(link)")
      }
    }
  }

  @Test("files that the pages name exist")
  func namedFiles() throws {
    for page in ["README.md"] + pages(under: "docs") {
      for name in try text(page).matches(of: /`((?:Sources|Tests|Kernels|Benchmarks|docs)\/[A-Za-z0-9_\/.\-]+)`/) {
        let path = root.appending(path: String(name.1)).path(percentEncoded: false)
        #expect(FileManager.default.fileExists(atPath: path), "\(page) names \(name.1)")
      }
    }
  }

  @Test("make targets that the pages name exist")
  func makeTargets() throws {
    let makefile = try text("Makefile")
    for page in ["README.md"] + pages(under: "docs") {
      for target in try text(page).matches(of: /`make ([a-z][a-z-]+)/).map({ String($0.1) }) {
        #expect(makefile.contains("\n\(target):"), "\(page) names make \(target)")
      }
    }
  }
}
