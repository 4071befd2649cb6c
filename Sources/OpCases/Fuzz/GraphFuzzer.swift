import KilnEngine

/// Seeded random graphs, run fused and unfused, in float32 and float64, on any number of devices.
///
/// A graph is grown step by step in float64, each node evaluated as it is made, so that every choice (divide only by
/// what is away from 0) and the error that float32 may have collected at each node are known. The same recipe is then
/// replayed lazily; the difference must stay within that propagated error, and integers and bools must be equal.
public struct GraphFuzzer: Sendable {
  /// How many outputs were compared, how many were too badly conditioned to say anything.
  public struct Outcome: Sendable {
    public var compared = 0
    public var skipped = 0
    /// The first difference, with the seed and recipe.
    public var failure: String?
  }

  /// Where graphs are grown: a device with float64.
  public var oracle: Device

  public init(oracle: Device) { self.oracle = oracle }

  /// Grows the graph of `seed` and holds it against its replays on `devices`.
  public func check(seed: UInt64, devices: [Device], steps: Int? = nil) -> Outcome {
    var outcome = Outcome()
    var recipe = FuzzRecipe(seed: seed)
    do {
      try withDevice(oracle) { try recipe.grow(steps: steps) }
      for device in devices {
        for mode in Mode.allCases {
          let dtypes: [DType] = device.driver.supports(.float64) && mode == .fused ? [.float32, .float64] : [.float32]
          for dtype in dtypes {
            if let failure = try replay(recipe, device, mode, dtype, &outcome) {
              outcome.failure = "seed \(seed), \(device.name), \(dtype), \(mode.rawValue): \(failure)\n\(recipe.words)"
              return outcome
            }
          }
        }
      }
    } catch {
      outcome.failure = "seed \(seed): threw \(error)\n\(recipe.words)"
    }
    return outcome
  }

  private enum Mode: String, CaseIterable {
    case fused, unfused
    case withoutReuse = "without memory reuse"
  }

  private func replay(
    _ recipe: FuzzRecipe, _ device: Device, _ mode: Mode, _ dtype: DType, _ outcome: inout Outcome
  ) throws -> String? {
    try withDevice(device) {
      let flags: (inout EngineOptions.Flags) -> Void = {
        $0.fusion = mode != .unfused
        $0.memoryReuse = mode != .withoutReuse
      }
      return try EngineOptions.with(flags) {
        var tensors: [Tensor] = []
        for node in recipe.nodes { tensors.append(node.make(node.inputs.map { tensors[$0] }, dtype, device)) }
        try evaluate(recipe.outputs.map { tensors[$0] })
        for i in recipe.outputs {
          let node = recipe.nodes[i]
          guard tensors[i].shape.dimensions == node.shape else {
            return "node \(i) has shape \(tensors[i].shape) instead of \(node.shape)"
          }
          let values = try tensors[i].doubles()
          if let difference = compare(values, node, dtype, &outcome) { return "node \(i) \(difference)" }
        }
        return nil
      }
    }
  }

  private func compare(_ values: [Double], _ node: FuzzNode, _ dtype: DType, _ outcome: inout Outcome) -> String? {
    guard values.count == node.values.count else { return "has \(values.count) elements" }
    let scale = dtype == .float64 ? 0x1p-29 : 1
    let bound = node.error * scale * 2 + 1e-30
    if node.isFloat && node.error > 0.05 * (1 + node.largest) {
      outcome.skipped += 1
      return nil
    }
    outcome.compared += 1
    for (j, (value, wanted)) in zip(values, node.values).enumerated() {
      let difference = abs(value - wanted)
      if !(node.isFloat ? difference <= bound : difference == 0) {
        return "(\(node.words)) element \(j) is \(value) instead of \(wanted), allowed \(node.isFloat ? bound : 0)"
      }
    }
    return nil
  }
}

/// One node of a random graph: how to make it, and what it is in float64.
struct FuzzNode {
  var words: String
  var inputs: [Int]
  /// From the inputs; `dtype` is what float nodes are made in.
  var make: ([Tensor], DType, Device) -> Tensor
  var shape: [Int] = []
  var values: [Double] = []
  var isFloat = true
  var isBool = false
  /// What float32 may be off by, absolutely, at any element.
  var error = 0.0

  var rank: Int { shape.count }
  var largest: Double { values.reduce(0) { max($0, abs($1)) } }
  var smallest: Double { values.reduce(.infinity) { min($0, abs($1)) } }
}

/// A list of nodes, each from earlier ones, and which of them are read.
struct FuzzRecipe {
  static let epsilon = Double(Float.ulpOfOne)
  var bits: SeededBits
  var nodes: [FuzzNode] = []
  var tensors: [Tensor] = []
  var outputs: [Int] = []

  init(seed: UInt64) {
    bits = SeededBits(seed)
    _ = bits.next()
  }

  var words: String {
    nodes.enumerated().map {
      "  \($0) = \($1.words)(\($1.inputs.map(String.init).joined(separator: ", "))) \($1.shape)"
    }
    .joined(separator: "\n") + "\n  read: \(outputs)"
  }

  mutating func grow(steps: Int?) throws {
    for _ in 0..<(2 + bits.below(3)) { try addLeaf() }
    let count = steps ?? 3 + bits.below(14)
    var tries = 0
    while nodes.count < count + 3 && tries < count * 12 {
      tries += 1
      try addStep()
    }
    var used = Set(nodes.flatMap(\.inputs))
    for i in nodes.indices where !used.contains(i) && !nodes[i].inputs.isEmpty { outputs.append(i) }
    // Some intermediate values are wanted as well: they must survive fusion.
    for _ in 0..<bits.below(3) {
      let i = bits.below(nodes.count)
      if !outputs.contains(i) { outputs.append(i) }
    }
    used.removeAll()
    if outputs.isEmpty { outputs = [nodes.count - 1] }
  }

  /// Evaluates a node in float64 and keeps it, unless it is too large or has left the numbers.
  /// Its error is `error`, plus `perUnit` for each unit of its largest element.
  @discardableResult
  mutating func add(
    _ words: String, _ inputs: [Int], error: Double, perUnit: Double = 0,
    _ make: @escaping ([Tensor], DType, Device) -> Tensor
  ) throws -> Bool {
    let tensor = make(inputs.map { tensors[$0] }, .float64, Device.default)
    if let error = tensor.error { throw error }
    guard tensor.count <= 5000 else { return false }
    var node = FuzzNode(words: words, inputs: inputs, make: make)
    node.values = try tensor.doubles()
    node.shape = tensor.shape.dimensions
    node.isFloat = tensor.dtype.isFloat
    node.isBool = tensor.dtype == .bool
    guard node.values.allSatisfy(\.isFinite), node.largest < 1e6 else { return false }
    node.error = node.isFloat ? error + perUnit * node.largest : 0
    nodes.append(node)
    tensors.append(tensor)
    return true
  }

  mutating func addLeaf() throws {
    let rank = bits.below(5)
    let shape = (0..<rank).map { _ in bits.unit() < 0.02 ? 0 : 1 + bits.below(bits.unit() < 0.1 ? 40 : 5) }
    let kind = bits.below(10)
    let n = NDArray.count(shape)
    switch kind {
    case 0..<7:
      let values = (0..<n).map { _ in Double(Float(bits.uniform(-2, 2))) }
      try add("leaf", [], error: 0) { _, dtype, device in makeTensor(values, shape, dtype, device) }
    case 7, 8:
      let dtype: DType = bits.unit() < 0.5 ? .int32 : .int64
      let values = (0..<n).map { _ in Double(bits.below(11) - 5) }
      try add("\(dtype) leaf", [], error: 0) { _, _, device in makeTensor(values, shape, dtype, device) }
    default:
      let values = (0..<n).map { _ in Double(bits.below(2)) }
      try add("bool leaf", [], error: 0) { _, _, device in makeTensor(values, shape, .bool, device) }
    }
  }
}
