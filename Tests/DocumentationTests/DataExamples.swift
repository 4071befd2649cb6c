import Foundation
import Kiln
import Testing

/// The examples of docs/data.md, word for word.
@Suite("Examples of docs/data.md")
struct DataExamples {
  @Test("the loader's example runs")
  func loader() throws {
    // example: loader
    let flowers = try SequenceDataset(tokens: [[1, 2, 3], [4], [5, 6]], labels: [0, 1, 0])
    let loader = try DataLoader(flowers, batchSize: 2, seed: 1, workers: 2, padding: Padding(multiple: 4))
    let batches = try loader.batches(epoch: 0)
    while let batch = try batches.next() {
      let (features, labels) = batch.tensors()
      print(features.shape, labels.shape, batch.lengths ?? [])
    }
    // end
    #expect(batches.cursor == DataCursor(epoch: 0, batch: 2))
  }

  @Test("the preparation's example runs")
  func preparation() throws {
    // example: preparation
    let training = HostArray(rows: [[1, 10], [2, .nan], [3, 30]])
    let imputer = try Imputer(.median, fittedOn: training)
    let scaler = try Scaler(.standard, fittedOn: imputer.apply(training).table)
    let ready = try scaler.apply(imputer.apply(HostArray(rows: [[.nan, 25]])).table)
    print(ready.shape)
    // end
    #expect(ready.shape == [1, 2])
  }

  @Test("the text's example runs")
  func text() throws {
    // example: text
    let text = "the cat and the hat and the bat"
    let tokenizer = try BPETokenizer(trainedOn: text, vocabularySize: 270)
    let tokens = tokenizer.encode(text)
    let windows = try TokenWindows(tokens, length: 4, stride: 1)
    print(try tokenizer.decode(tokens) == text, windows.count)
    // end
    #expect(try tokenizer.decode(tokens) == text)
  }

  @Test("the augmentation's example runs")
  func augmentation() throws {
    // example: augmentation
    let augment = Augmentation([.horizontalFlip(), .crop(padding: 2), .cutout(size: 4)], seed: 1)
    let images = Tensor.ones([2, 3, 16, 16])
    print(augment(images, samples: [10, 11], epoch: 0).shape)
    // end
    #expect(try augment(images, samples: [10, 11], epoch: 0).doubles().contains(0))
  }

  @Test("the page's examples are those that are compiled here")
  func same() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/data.md"), encoding: .utf8)
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    var count = 0
    for match in source.matches(of: #/    // example: ([a-z]+)\n((?:.*\n)*?)    // end\n/#) {
      let code = match.2.split(separator: "\n", omittingEmptySubsequences: false)
        .map { $0.hasPrefix("    ") ? String($0.dropFirst(4)) : String($0) }.joined(separator: "\n")
      #expect(page.contains("<!-- example: \(match.1) -->\n```swift\n\(code)```"), "\(match.1)")
      count += 1
    }
    #expect(count == page.components(separatedBy: "```swift").count - 1)
  }
}
