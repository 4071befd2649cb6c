import Foundation
import Kiln

/// Predictions as a table, or as text.
public struct Predictions: Sendable {
  public var header: [String]
  public var rows: [[String]]
  /// Running text instead of rows.
  public var text: String?

  /// Rows of as many cells as the header has.
  public init(header: [String], rows: [[String]], text: String? = nil) {
    (self.header, self.rows, self.text) = (header, rows, text)
  }

  /// Lines of comma-separated values, or the text.
  public var lines: String {
    text ?? ([header] + rows).map { $0.map(Self.field).joined(separator: ",") + "\n" }.joined()
  }

  private static func field(_ text: String) -> String {
    text.contains { ",\"\n\r".contains($0) } ? "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : text
  }
}

extension Configuration {
  /// What a trained model says to a file: images (.npy, IDX, PNG, JPEG) and tables get a line for each sample, a series its
  /// next rows, a text so many more tokens, drawn by the seed, or a class for each of its lines. Throws `DataError` where the file does not fit.
  public func predict(_ path: String, _ trainer: Trainer, _ preparation: Preparation, length: Int) throws -> Predictions
  {
    do {
      switch task {
      case .image: return try classes(try images(path, preparation), trainer, preparation)
      case .tabular: return try tablePredictions(path, trainer, preparation)
      case .text:
        return isClassifyingText
          ? try lineClasses(path, trainer, preparation) : try continuation(path, trainer, preparation, length)
      case .series: return try forecast(path, trainer, preparation)
      }
    } catch let error as TensorError {
      throw DataError(
        file: path, rule: "does not fit the model: \(error.rule)", fix: "give what '\(name)' was trained on")
    }
  }

  private func images(_ path: String, _ preparation: Preparation) throws -> Tensor {
    let scale = preparation.scale ?? 1
    let name = path.lowercased()
    return try onHost { host in
      if [".png", ".jpg", ".jpeg"].contains(where: name.hasSuffix) {
        let shape = preparation.inputShape
        let picture = try Picture(contentsOf: path).converted(channels: shape[0])
        let fitted =
          picture.width == shape[2] && picture.height == shape[1]
          ? picture : picture.resized(width: shape[2], height: shape[1])
        return (Tensor(fitted.array, on: host).cast(to: .float32) * scale).reshaped(to: Shape([1] + shape))
      }
      let array = try name.hasSuffix(".npy") ? HostArray(npy: path) : HostArray(idx: path)
      let raw = Tensor(array, on: host)
      let images = array.dtype == .uint8 ? raw.cast(to: .float32) * scale : raw.cast(to: .float32)
      let whole = Self.withChannels(images)
      guard Array(whole.shape.dimensions.dropFirst()) == preparation.inputShape else {
        throw DataError(
          file: path,
          rule: "\(array.shape) \(array.dtype) does not fit the model, which takes [count, "
            + preparation.inputShape.map(String.init).joined(separator: ", ") + "]",
          fix: "give samples of the shape that '\(self.name)' was trained on")
      }
      return whole
    }
  }

  private func classes(_ features: Tensor, _ trainer: Trainer, _ preparation: Preparation) throws -> Predictions {
    let outputs = try trainer.predict(features)
    let kind = try loss().predictions
    let probabilities = kind == .probabilities ? outputs : outputs.softmax(axis: -1)
    let places = try outputs.argmax(axis: -1).scalars(as: Int.self)
    let highest = try probabilities.max(axes: [-1]).doubles()
    let rows = zip(places, highest).enumerated().map { index, pair in
      [
        "\(index)", preparation.classes.indices.contains(pair.0) ? preparation.classes[pair.0] : "\(pair.0)",
        decimal(pair.1),
      ]
    }
    return Predictions(header: ["sample", "class", "probability"], rows: rows)
  }

  /// Of every line of a text file.
  private func lineClasses(_ path: String, _ trainer: Trainer, _ preparation: Preparation) throws -> Predictions {
    guard let saved = preparation.tokenizer else { return Predictions(header: [], rows: []) }
    let context = preparation.inputShape[0]
    let lines = try TextFile.read(path).split(whereSeparator: \.isNewline).map(String.init)
    guard !lines.isEmpty else {
      throw DataError(file: path, rule: "has no line to classify", fix: "write a text a line")
    }
    let tokens = try lines.flatMap { try saved.padded($0, to: context) }
    return try classes(onHost { Tensor(tokens, shape: [lines.count, context], on: $0) }, trainer, preparation)
  }

  private func tablePredictions(_ path: String, _ trainer: Trainer, _ preparation: Preparation) throws -> Predictions {
    guard let learned = preparation.table else { return Predictions(header: [], rows: []) }
    let table = try Table(contentsOf: path, header: .present)
    let (array, kept) = try learned.features(table)
    guard !kept.isEmpty else {
      throw DataError(file: path, rule: "has no row to predict", fix: "name a file with rows")
    }
    let features = try onHost { Tensor(array, on: $0).cast(to: .float32) }
    var result: Predictions
    if learned.isRegression {
      let outputs = try trainer.predict(features).doubles()
      let scaled = HostArray(rows: outputs.map { [$0] })
      let values = try (learned.answers?.invert(scaled) ?? scaled).rowValues()
      result = Predictions(
        header: ["sample", learned.label], rows: values.enumerated().map { ["\($0)", decimal($1[0])] })
    } else {
      result = try classes(features, trainer, preparation)
    }
    for (index, row) in kept.enumerated() { result.rows[index][0] = "\(row)" }
    return result
  }

  private func forecast(_ path: String, _ trainer: Trainer, _ preparation: Preparation) throws -> Predictions {
    guard let series = preparation.series else { return Predictions(header: [], rows: []) }
    let table = try Table(contentsOf: path, header: .present)
    let rows = try series.values(table).rowValues()
    guard rows.count >= series.history else {
      throw DataError(
        file: path, rule: "has \(rows.count) rows, the model sees \(series.history)", fix: "give more rows")
    }
    let seen = rows.suffix(series.history).flatMap { $0.map { Float($0) } }
    let input = try onHost { Tensor(seen, shape: [1, series.history, series.columns.count], on: $0) }
    let values = try trainer.predict(input).doubles()
    let places = series.places
    let lines = (0..<series.horizon).map { step in
      ["\(step + 1)"]
        + places.enumerated().map { index, place in
          let value = values[step * places.count + index]
          return decimal(series.scaler.map { value * $0.scales[place] + $0.offsets[place] } ?? value)
        }
    }
    return Predictions(header: ["step"] + series.targets, rows: lines)
  }

  private func continuation(_ path: String, _ trainer: Trainer, _ preparation: Preparation, _ length: Int) throws
    -> Predictions
  {
    guard let tokenizer = preparation.tokenizer?.tokenizer else { return Predictions(header: [], rows: []) }
    let context = preparation.inputShape[0]
    let text = try TextFile.read(path)
    var tokens = try tokenizer.encode(text)
    guard !tokens.isEmpty else {
      throw DataError(file: path, rule: "is empty", fix: "write the beginning that is to be continued")
    }
    var generator = SeededDraws(seed: seed)
    for _ in 0..<max(length, 0) {
      let seen = Array(tokens.suffix(context))
      // One shape for all steps: what is right of the last token is not seen by it.
      let padded = seen + [Int](repeating: 0, count: context - seen.count)
      let input = try onHost { Tensor(padded, shape: [1, context], on: $0) }
      let all = try trainer.predict(input)
      let last = all[0..<1].sliced(axis: 1, from: seen.count - 1, to: seen.count)
      let kind = try loss().predictions
      let shares = try (kind == .probabilities ? last : last.softmax(axis: -1)).doubles()
      tokens.append(generator.draw(shares))
    }
    return Predictions(header: [], rows: [], text: try tokenizer.decode(tokens) + "\n")
  }

  private func decimal(_ value: Double) -> String { String(format: "%.6f", value) }
}

/// Draws from a distribution, the same for the same seed (SplitMix64; Steele, Lea and Flood, 2014).
private struct SeededDraws {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func draw(_ shares: [Double]) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    var left = Double((bits ^ (bits >> 31)) >> 11) * 0x1p-53 * shares.reduce(0, +)
    for (index, share) in shares.enumerated() {
      left -= share
      if left < 0 { return index }
    }
    return shares.count - 1
  }
}
