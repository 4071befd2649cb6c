import KilnEngine
import KilnLayers

/// Looks for the operation with which numbers that are not finite came into a step: runs it anew, value by value, and
/// follows them from the loss, or from a gradient, back to the first that had only finite inputs.
struct NonFiniteSearch {
  let trainer: Trainer
  private let features: Tensor
  private let labels: Tensor
  /// Of the samples. Those of classes are left out: they are finite.
  private let weights: Tensor?

  init(_ trainer: Trainer, _ batch: TrainingBatch) throws {
    let inputs = batch.chosen
    try evaluate(inputs)
    (self.trainer, features, labels) = (trainer, inputs[0], inputs[1])
    weights = batch.isWeighted ? inputs[2] : nil
  }

  fileprivate struct Value {
    let tensor: Tensor
    let node: GraphNode
  }

  /// Where they come from, in words; `nil` if the step gives finite numbers. The model is in the mode that it is in.
  func run() throws -> String? {
    for (name, tensor) in [("features", features), ("labels", labels)] where tensor.dtype.isFloat {
      if let (index, value) = try firstBad(tensor) {
        let sample = tensor.shape[0] > 0 ? index / max(tensor.count / tensor.shape[0], 1) : 0
        return "the batch's \(name) hold \(value), first in sample \(sample) of the batch"
      }
    }
    if let name = try trainer.model.firstNotFinite() { return "parameter \(name) was not finite before this step" }
    let (predictions, trace) = trainer.model.traced(features)
    let loss = trainer.loss(predictions, labels, weights: weights)
    if let error = loss.error { throw error }
    let forward = Tensor.newestValue
    var values = collect(from: [loss])
    if let origin = try origin(of: loss, in: values) {
      return try sentence(origin, in: values, place: trace.call(making: origin.node.number).map { "layer \($0.name)" })
    }
    let parameters = trainer.optimizer.parameters
    let gradients = try gradient(of: loss, withRespectTo: parameters.map(\.parameter.value))
    values = collect(from: gradients)
    for (named, g) in zip(parameters, gradients) {
      guard let origin = try origin(of: g, in: values) else { continue }
      let layer = layer(behind: origin, upTo: forward, trace).map { "the gradient of layer \($0)" }
      return try sentence(origin, in: values, place: layer ?? "the gradient that reaches \(named.name)")
    }
    return nil
  }

  /// The layer whose way back a value is on: of the values of the way there that it reads, directly or else through as few
  /// operations as possible, the earliest. What came back from later layers reads later ones.
  private func layer(behind value: Value, upTo forward: UInt64, _ trace: LayerTrace) -> String? {
    var level = value.node.inputs
    for _ in 0..<4 {
      let made = level.map(\.graphNode.number).filter { $0 <= forward }
        .compactMap { number in trace.call(making: number).map { (number, $0.name) } }
      if let first = made.min(by: { $0.0 < $1.0 }) { return first.1 }
      level = level.flatMap(\.graphNode.inputs)
    }
    return nil
  }

  // MARK: - The graph

  private func collect(from roots: [Tensor]) -> [ObjectIdentifier: Value] {
    var values: [ObjectIdentifier: Value] = [:]
    var pending = roots
    while let tensor = pending.popLast() {
      let node = tensor.graphNode
      guard values[node.identity] == nil else { continue }
      values[node.identity] = Value(tensor: tensor, node: node)
      pending += node.inputs
    }
    return values
  }

  private func origin(of root: Tensor, in values: [ObjectIdentifier: Value]) throws -> Value? {
    guard var current = values[root.graphNode.identity], try firstBad(current.tensor) != nil else { return nil }
    while true {
      var bad: [(value: Value, isNaN: Bool)] = []
      for input in current.node.inputs {
        guard let value = values[input.graphNode.identity], !value.isGiven, let found = try firstBad(value.tensor)
        else { continue }
        bad.append((value, found.value.isNaN))
      }
      // Infinity may be meant, as in a mask; NaN never is.
      guard let next = bad.first(where: \.isNaN) ?? bad.first else { return current }
      current = next.value
    }
  }

  private func sentence(_ origin: Value, in values: [ObjectIdentifier: Value], place: String?) throws -> String {
    let (_, value) = try firstBad(origin.tensor) ?? (0, .nan)
    var ranges: [String] = []
    for input in origin.node.inputs where input.dtype.isFloat && !(values[input.graphNode.identity]?.isGiven ?? true) {
      let numbers = try input.doubles()
      if let least = numbers.min(), let greatest = numbers.max() {
        ranges.append(least == greatest ? words(least) : "\(words(least)) to \(words(greatest))")
      }
    }
    let inputs = ranges.isEmpty ? "" : " from inputs of " + ranges.joined(separator: " and ")
    return "'\(origin.node.op.word)' in \(place ?? "the loss") gave \(value)\(inputs)"
  }

  private func firstBad(_ tensor: Tensor) throws -> (index: Int, value: Double)? {
    guard tensor.dtype.isFloat, tensor.count > 0 else { return nil }
    let values = try tensor.doubles()
    return (values.firstIndex { $0.isNaN } ?? values.firstIndex { !$0.isFinite }).map { ($0, values[$0]) }
  }
}

extension NonFiniteSearch.Value {
  /// A number of the program rather than a result.
  fileprivate var isGiven: Bool {
    switch node.op {
    case .constant, .position, .random: true
    default: false
    }
  }
}

extension Op {
  /// What people call it.
  fileprivate var word: String {
    switch self {
    case .unary(let op): op.rawValue
    case .binary(let op): op.rawValue
    case .reduce(let reduction, _): "\(reduction)"
    case .rowwise(let row): String("\(row)".prefix { $0 != "(" })
    case .convolution: "convolution"
    case .pool: "pooling"
    case .gather: "gather"
    case .scan: "cumulative sum or product"
    case .assemble: "concatenation or padding"
    case .identity, .leaf, .transfer: "a value in memory"
    case .random: "random numbers"
    default: String("\(self)".prefix { $0 != "(" })
    }
  }
}
