import Foundation
import KilnData
import KilnEngine

/// What a model says of a test set, sample by sample, as far as a report shows it.
public struct SamplePredictions: Sendable {
  /// One shown sample.
  public struct Sample: Sendable {
    public var index: Int
    /// PNG, if the samples are images.
    public var image: [UInt8]?
    /// The first features, if they are not.
    public var text: String
    public var truth: String
    public var prediction: String
    /// Of the predicted class.
    public var probability: Double?
    public var isRight: Bool?
  }
  /// Rows are the true classes, columns the predicted ones; `nil` where the labels are no classes.
  public var confusion: [[Int]]?
  public var samples: [Sample]

  /// Runs the model on the whole set and shows up to `count` samples: of a classifier wrong ones first, at most half.
  ///
  /// A classifier has integer labels [samples] and gives logits [samples, classes]. Images are [samples, height, width]
  /// or [samples, 1 or 3, height, width]. Throws the tensors' errors, or the device's.
  public init(_ trainer: Trainer, _ test: ArrayDataset, count: Int = 24) throws {
    (confusion, samples) = (nil, [])
    guard test.count > 0 else { return }
    let output = try trainer.predict(test)
    let labels = try test.labels.doubles()
    guard test.labels.rank == 1, test.labels.dtype.isInteger, output.rank == 2, output.shape[1] > 0 else {
      try showValues(output, test, count)
      return
    }
    let classes = output.shape[1]
    let predicted = try output.argmax(axis: -1).doubles().map { Int($0) }
    let actual = labels.map { Int($0) }
    var matrix = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
    for (truth, guess) in zip(actual, predicted) where truth >= 0 && truth < classes { matrix[truth][guess] += 1 }
    confusion = matrix
    let wrong = actual.indices.filter { actual[$0] != predicted[$0] }.prefix(count / 2)
    let right = Self.spread(actual.indices.filter { actual[$0] == predicted[$0] }, count - wrong.count)
    let shown = Array(wrong) + right
    let highest = try output.softmax(axis: -1).max(axes: [-1]).doubles()
    let pictures = try Self.pictures(test, shown)
    samples = try shown.enumerated().map { place, index in
      try Sample(
        index: index, image: pictures?[place], text: pictures == nil ? Self.text(test.features, index) : "",
        truth: "\(actual[index])", prediction: "\(predicted[index])", probability: highest[index],
        isRight: actual[index] == predicted[index])
    }
  }

  private mutating func showValues(_ output: Tensor, _ test: ArrayDataset, _ count: Int) throws {
    guard output.rank >= 1, output.shape[0] == test.count else { return }
    let shown = Self.spread(Array(0..<test.count), count)
    let pictures = try Self.pictures(test, shown)
    samples = try shown.enumerated().map { place, index in
      try Sample(
        index: index, image: pictures?[place], text: pictures == nil ? Self.text(test.features, index) : "",
        truth: Self.text(test.labels, index), prediction: Self.text(output, index))
    }
  }

  private static func spread(_ indices: [Int], _ count: Int) -> [Int] {
    let count = min(max(count, 0), indices.count)
    return (0..<count).map { indices[$0 * indices.count / count] }
  }

  private static func text(_ tensor: Tensor, _ index: Int) throws -> String {
    let values = try tensor[index].doubles()
    return values.prefix(6).map { String(format: "%.4g", $0) }.joined(separator: ", ")
      + (values.count > 6 ? ", ..." : "")
  }

  /// The least value of the shown samples black, the greatest white.
  private static func pictures(_ test: ArrayDataset, _ shown: [Int]) throws -> [[UInt8]]? {
    let shape = test.features.shape.dimensions
    let channels = shape.count == 4 ? shape[1] : 1
    guard shape.count == 3 || shape.count == 4, channels == 1 || channels == 3, !shown.isEmpty,
      let height = shape.dropLast().last, let width = shape.last, (4...256).contains(height), (4...256).contains(width)
    else { return nil }
    let all = try test.batch(shown).features.doubles()
    let size = all.count / shown.count
    let values = shown.indices.map { Array(all[$0 * size..<($0 + 1) * size]) }
    let finite = all.filter(\.isFinite)
    guard let least = finite.min(), let greatest = finite.max() else { return nil }
    let scale = greatest > least ? 255 / (greatest - least) : 0
    return try values.map { image in
      var pixels = [UInt8](repeating: 0, count: image.count)
      for place in 0..<height * width {
        for channel in 0..<channels {
          let value = image[channel * height * width + place]
          pixels[place * channels + channel] = value.isFinite ? UInt8(((value - least) * scale).rounded()) : 0
        }
      }
      return try PNG.encode(pixels, height: height, width: width, channels: channels)
    }
  }
}
