import Foundation
import Kiln
import Testing

@Suite("The layers are complete")
struct CompletenessTests {
  private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func files(_ folder: String) throws -> [(name: String, text: String)] {
    let walker = FileManager.default.enumerator(at: root.appending(path: folder), includingPropertiesForKeys: nil)
    var found: [(String, String)] = []
    while let url = walker?.nextObject() as? URL {
      if url.pathExtension == "swift" {
        found.append((url.lastPathComponent, try String(contentsOf: url, encoding: .utf8)))
      }
    }
    return found
  }

  /// What has no case of its own, and why.
  static let withoutGolden = [
    "RecurrentWeights": "part of the recurrent cells, which have their cases"
  ]

  @Test("every layer has a golden case here, or is named in another suite that reads golden values")
  func goldenCasesExist() throws {
    var covered = Set(Self.withoutGolden.keys)
    for make in goldenCases.values {
      for module in try make(Place(dtype: .float32, device: .cpu)).namedModules {
        covered.insert(String(describing: type(of: module.module)))
      }
    }
    let others = try files("Tests").filter { $0.text.contains(".npz\"") && $0.name != "LayerGoldenTests.swift" }
    let declaration =
      #/public (?:struct|final class) (\w+)(?:<[^>]*>)?: (?:Layer|Module|BatchNormalization|InstanceNormalization)\b/#
    var layers: [String] = []
    for file in try files("Sources/KilnLayers") {
      layers += file.text.matches(of: declaration).map { String($0.1) }
    }
    #expect(layers.count > 60)
    for layer in layers where !covered.contains(layer) {
      #expect(others.contains { $0.text.contains("\(layer)(") }, "\(layer) has no golden case")
    }
  }

  @Test("every public type has a doc comment")
  func documented() throws {
    for file in try files("Sources/KilnLayers") {
      let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      for (index, line) in lines.enumerated()
      where line.contains(#/^public (?:final )?(?:struct|class|enum|protocol) /#) {
        var above = index - 1
        while above >= 0, lines[above].hasPrefix("@") { above -= 1 }
        #expect(above >= 0 && lines[above].hasPrefix("///"), "\(file.name): \(line)")
      }
    }
  }

  @Test("docs/layers.md names every layer")
  func catalogue() throws {
    let pages = try ["docs/layers.md"].map { try String(contentsOf: root.appending(path: $0), encoding: .utf8) }
      .joined()
    for make in goldenCases.values {
      for module in try make(Place(dtype: .float32, device: .cpu)).namedModules {
        let name = String(describing: type(of: module.module))
        #expect(pages.contains("`\(name)`"), "\(name)")
      }
    }
  }
}
