import Foundation
import Kiln
import Testing

@Suite("Malformed files of runs")
struct MalformedRunTests {
  static let good = """
    {"batchSize":32,"device":"cpu","epochs":1,"format":1,"learningRate":0.003,"recipe":"digits","seed":0,\
    "started":"2026-01-01T00:00:00Z"}
    """

  private func refusal(_ name: String, _ text: String, _ read: (RunFolder) throws -> Void) throws {
    let folder = try TemporaryFolder()
    if name != "run.json" { try Self.good.write(toFile: "\(folder.path)/run.json", atomically: true, encoding: .utf8) }
    try Data(text.utf8).write(to: URL(filePath: "\(folder.path)/\(name)"))
    let error = #expect(throws: DataError.self) { try read(RunFolder(folder.path)) }
    let words = error?.description ?? ""
    #expect(words.hasPrefix("\(folder.path)/\(name)") && words.contains("; "), "\(text): \(words)")
    #expect(!words.contains("\n") && words.utf8.count < 1000, "\(text): \(words)")
  }

  @Test("a configuration, a result and diagnoses that are cut short, of other types or lacking are one line each")
  func json() throws {
    let good = Self.good
    let configurations = [
      "", "{", "[]", "null", "7", String(good.dropLast()), good.replacingOccurrences(of: "\"epochs\":1,", with: ""),
      good.replacingOccurrences(of: "\"epochs\":1", with: "\"epochs\":\"one\""),
      good.replacingOccurrences(of: "\"seed\":0", with: "\"seed\":-1"),
      good.replacingOccurrences(of: "\"batchSize\":32", with: "\"batchSize\":1.5"), good + "x", "\u{0}",
    ]
    for text in configurations { try refusal("run.json", text) { _ = try $0.configuration() } }
    for text in ["", "{}", "[1]", "{\"weights\":3}", "{\"weights\":\"a\",\"seconds\":1}"] {
      try refusal("result.json", text) { _ = try $0.result() }
    }
    for text in ["{}", "[{}]", "[{\"kind\":\"bad luck\",\"epoch\":1,\"step\":1,\"finding\":\"\",\"advice\":\"\"}]"] {
      try refusal("diagnoses.json", text) { _ = try $0.diagnoses() }
    }
  }
}
