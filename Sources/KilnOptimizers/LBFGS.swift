import KilnEngine
import KilnLayers

/// Limited-memory BFGS (Nocedal, 1980) on all parameters at once: each step is several iterations, and each of those
/// evaluates the loss at least once. For small models and whole data sets, where it converges in few steps.
///
///     let optimizer = LBFGS(for: model, lineSearch: .strongWolfe)
///     for _ in 0..<10 { try optimizer.step { meanSquaredError(model(x), y) } }
///
/// The parameters must be of one dtype on one device; those that are not trainable when it is made are left out.
/// Vectors stay on the device, decisions are taken on the host in Double. PyTorch's LBFGS, with its defaults, tests and
/// line search (Nocedal and Wright, 2006, algorithms 3.5 and 3.6). A class without a lock: use it from one task.
public final class LBFGS {
  /// How far a direction is followed.
  public enum LineSearch: Sendable, Hashable {
    /// As far as the learning rate says.
    case none
    /// To where the strong Wolfe conditions hold.
    case strongWolfe
  }

  public let parameters: [NamedParameter]
  public var learningRate: Double
  public var maxIterations: Int
  public var maxEvaluations: Int
  /// Stops where no element of the gradient is greater.
  public var gradientTolerance: Double
  /// Stops where neither the loss nor a parameter changes by more.
  public var changeTolerance: Double
  public var historySize: Int
  public var lineSearch: LineSearch
  /// What the next step continues from.
  public var state = State()

  /// Everything that continues the minimization.
  public struct State: Sendable {
    /// Iterations and evaluations so far.
    public var iterations = 0
    public var evaluations = 0
    var direction: Tensor?
    var length = 0.0
    /// Differences of gradients and of positions, oldest first, and the inverses of their products.
    var gradientChanges: [Tensor] = []
    var moves: [Tensor] = []
    var inverses: [Double] = []
    var scale = 1.0
    var previousGradient: Tensor?
  }

  /// PyTorch's defaults; `maxEvaluations` is 5/4 of `maxIterations` if not given.
  public init(
    for model: any Module, learningRate: Double = 1, maxIterations: Int = 20, maxEvaluations: Int? = nil,
    gradientTolerance: Double = 1e-7, changeTolerance: Double = 1e-9, historySize: Int = 100,
    lineSearch: LineSearch = .none
  ) {
    parameters = model.namedParameters.filter(\.parameter.isTrainable)
    (self.learningRate, self.maxIterations, self.historySize) = (learningRate, maxIterations, historySize)
    self.maxEvaluations = maxEvaluations ?? maxIterations * 5 / 4
    (self.gradientTolerance, self.changeTolerance) = (gradientTolerance, changeTolerance)
    self.lineSearch = lineSearch
  }

  /// Minimizes `loss`, which computes a scalar from the parameters' current values. The result is the loss before.
  @discardableResult
  public func step(_ loss: () throws -> Tensor) throws -> Double {
    var point = try measure(loss)
    let first = point.loss
    state.evaluations += 1
    var evaluations = 1
    if try greatest(point.gradient) <= gradientTolerance { return first }
    var iteration = 0
    while iteration < maxIterations {
      iteration += 1
      state.iterations += 1
      let direction = try newDirection(point.gradient)
      let previousLoss = point.loss
      state.previousGradient = point.gradient
      var length = learningRate
      if state.iterations == 1 { length *= min(1, 1 / (try abs(point.gradient).sum().item())) }
      state.direction = direction
      state.length = length
      let slope = try dot(point.gradient, direction)
      if slope > -changeTolerance { break }
      let start = try flat(parameters.map { $0.parameter.value.stopGradient() })
      switch lineSearch {
      case .strongWolfe:
        let search = WolfeSearch(
          gradientDirection: slope, greatestMove: try greatest(direction), tolerance: changeTolerance)
        let found = try search.run(from: point, length: length) { length in
          try place(start + direction * length)
          let at = try measure(loss)
          return (at, try dot(at.gradient, direction))
        }
        (point, length) = (found.point, found.length)
        state.length = length
        try place(start + direction * length)
        evaluations += found.evaluations
        state.evaluations += found.evaluations
      case .none:
        try place(start + direction * length)
        // A last evaluation would be of no use: the next step begins with one.
        if iteration < maxIterations {
          point = try measure(loss)
          evaluations += 1
          state.evaluations += 1
        }
      }
      if iteration == maxIterations || evaluations >= maxEvaluations { break }
      if try greatest(point.gradient) <= gradientTolerance { break }
      if try greatest(direction * length) <= changeTolerance { break }
      if Swift.abs(point.loss - previousLoss) < changeTolerance { break }
    }
    return first
  }

  /// The quasi-Newton direction at a gradient: the two-loop recursion over the history.
  private func newDirection(_ gradient: Tensor) throws -> Tensor {
    guard state.iterations > 1, let last = state.direction, let before = state.previousGradient else {
      return try evaluated(0 - gradient)
    }
    let change = try evaluated(gradient - before)
    let move = try evaluated(last * state.length)
    let product = try dot(change, move)
    if product > 1e-10 {
      if state.moves.count >= max(historySize, 1) {
        state.gradientChanges.removeFirst()
        state.moves.removeFirst()
        state.inverses.removeFirst()
      }
      state.gradientChanges.append(change)
      state.moves.append(move)
      state.inverses.append(1 / product)
      state.scale = product / (try dot(change, change))
    }
    var q = try evaluated(0 - gradient)
    var weights: [Double] = []
    for i in state.moves.indices.reversed() {
      let weight = try dot(state.moves[i], q) * state.inverses[i]
      q = try evaluated(q - state.gradientChanges[i] * weight)
      weights.append(weight)
    }
    q = try evaluated(q * state.scale)
    for (i, weight) in zip(state.moves.indices, weights.reversed()) {
      let back = try dot(state.gradientChanges[i], q) * state.inverses[i]
      q = try evaluated(q + state.moves[i] * (weight - back))
    }
    return q
  }

  private func measure(_ loss: () throws -> Tensor) throws -> WolfeSearch.Point {
    let value = try loss()
    let gradient = try flat(KilnEngine.gradient(of: value, withRespectTo: parameters.map(\.parameter.value)))
    let result = value.stopGradient()
    try evaluate(result, gradient)
    return WolfeSearch.Point(loss: try result.item(), gradient: gradient)
  }

  /// Puts a flat vector into the parameters.
  private func place(_ vector: Tensor) throws {
    var position = 0
    let pieces = parameters.map { named in
      defer { position += named.parameter.count }
      return vector[position..<position + named.parameter.count].reshaped(to: named.parameter.shape) + 0
    }
    try evaluate(pieces)
    for (named, piece) in zip(parameters, pieces) { named.parameter.value = piece }
  }

  private func flat(_ tensors: [Tensor]) throws -> Tensor {
    try evaluated(concatenate(tensors.map { $0.reshaped(to: [$0.count]) }, axis: 0).stopGradient())
  }

  private func evaluated(_ tensor: Tensor) throws -> Tensor {
    try evaluate(tensor)
    return tensor
  }

  private func dot(_ a: Tensor, _ b: Tensor) throws -> Double { try (a * b).sum().item() }

  private func greatest(_ a: Tensor) throws -> Double { a.count == 0 ? 0 : try abs(a).max().item() }
}
