import KilnEngine

/// One kind of recurrent step: its formula, and the way back through it.
///
/// Shapes: projected and product [batch, gates * hidden], every state [batch, hidden]; state 0 is h.
protocol Recurrence: Sendable {
  /// Rows of the weights in units of the hidden size.
  var gates: Int { get }
  /// 1 for h, 2 for h and c.
  var stateCount: Int { get }
  /// Whether the bias of the recurrent product is added to that product alone; otherwise it joins the input's.
  var keepsRecurrentBias: Bool { get }
  /// What it is to those who translate graphs.
  var called: RecurrentCall.Kind { get }

  /// The next states from `projected` = x W_ih^T + b and `product` = h W_hh^T, with what the way back needs.
  func step(projected: Tensor, product: Tensor, state: [Tensor]) -> RecurrentStep

  /// From the cotangents of the new states: `delta`, the cotangents of the products' columns in an order of the
  /// kind's own, and what reaches each old state other than through h W_hh^T (`nil`: nothing).
  func pullBack(_ step: RecurrentStep, from state: [Tensor], cotangents: [Tensor]) -> (delta: Tensor, passed: [Tensor?])

  /// The cotangent of `projected` in `delta` [..., columns].
  func projectedPart(_ delta: Tensor) -> Tensor
  /// The cotangent of `product` in `delta` [..., columns].
  func productPart(_ delta: Tensor) -> Tensor
}

extension Recurrence {
  var keepsRecurrentBias: Bool { false }
  func projectedPart(_ delta: Tensor) -> Tensor { delta }
  func productPart(_ delta: Tensor) -> Tensor { delta }
}

struct RecurrentStep: Sendable {
  var state: [Tensor]
  /// Gates and the like.
  var saved: [Tensor]
}

/// A sequence in one direction, as one graph.
///
/// The recurrence is unrolled: a step is a product and an elementwise kernel. Its gradient is not left to the engine,
/// which would add up a product for W_hh at each step: the steps' deltas are stacked, and one product of the whole stack
/// gives W_hh's gradient. The rule is written with tensor functions over the steps' values, so it can be differentiated.
struct RecurrentSequence<Kind: Recurrence>: Sendable {
  let kind: Kind
  /// [time, batch, gates * hidden].
  let projected: Tensor
  /// [gates * hidden, hidden].
  let weight: Tensor
  /// [gates * hidden], where the kind keeps it.
  let bias: Tensor?
  /// [batch, hidden] each.
  let initial: [Tensor]
  /// [batch, 1], or `nil` when all sequences are full.
  let lengths: Tensor?
  let isReversed: Bool

  private struct Moment: Sendable {
    var time: Int
    var before: [Tensor]
    var step: RecurrentStep
    /// [batch, 1]: whether the sequences last until this moment.
    var isValid: Tensor?
    /// The state that the next moment gets: the step's, or the one before where the sequence has ended.
    var after: [Tensor]
  }

  private var time: Int { projected.shape[0] }

  /// The states h at every time [time, batch, hidden] and the final states [batch, hidden]. A sequence that has ended
  /// keeps its state.
  func callAsFunction() -> (states: Tensor, final: [Tensor]) {
    guard projected.error == nil, projected.rank == 3 else {
      return (projected, initial.map { _ in projected })
    }
    guard time > 0 else {
      let h = initial[0]
      return (.zeros([0, h.shape[0], h.shape[1]], dtype: h.dtype, on: h.device), initial)
    }
    let moments = unrolled()
    let last = moments.last?.after ?? initial
    let inTime = isReversed ? moments.reversed() : moments
    let states = inTime.map { $0.after[0] }
    // The state before each moment is the row before (after) it, which makes the gradient of W_hh one product.
    let rows = (isReversed ? states + [initial[0]] : [initial[0]] + states) + last.dropFirst()
    let packed = customGradient([projected, weight] + initial + (bias.map { [$0] } ?? [])) { _ in
      stack(rows)
    } rule: { _, result, g in
      cotangents(moments, packed: result, g: g)
    }
    let h = isReversed ? packed[..<time] : packed[1...time]
    return (h, [packed[isReversed ? 0 : time]] + (1..<kind.stateCount).map { packed[time + $0] })
  }

  private func unrolled() -> [Moment] {
    let transposed = weight.transposed()
    var state = initial
    var moments: [Moment] = []
    moments.reserveCapacity(time)
    for position in 0..<time {
      let t = isReversed ? time - 1 - position : position
      let product = matmul(state[0], transposed)
      let step = kind.step(
        projected: projected[t], product: bias.map { product + $0 } ?? product, state: state)
      let isValid = lengths.map { $0 .> Double(t) }
      let after = isValid.map { valid in zip(step.state, state).map { select(valid, $0, $1) } } ?? step.state
      moments.append(Moment(time: t, before: state, step: step, isValid: isValid, after: after))
      state = after
    }
    return moments
  }

  /// Cotangents of projected, weight, the initial states and the bias, from that of the packed rows.
  private func cotangents(_ moments: [Moment], packed: Tensor, g: Tensor) -> [Tensor] {
    let (batch, hidden) = (initial[0].shape[0], initial[0].shape[1])
    // What reaches each state from the moments after it; h gets the rows of g besides.
    var carried: [Tensor?] = [nil] + (1..<kind.stateCount).map { g[time + $0] }
    var deltas: [Tensor] = []
    deltas.reserveCapacity(time)
    for moment in moments.reversed() {
      let row = g[isReversed ? moment.time : moment.time + 1]
      var arriving = carried.map { $0 ?? .zeros([batch, hidden], dtype: g.dtype, on: g.device) }
      arriving[0] = carried[0].map { row + $0 } ?? row
      var kept: [Tensor?] = arriving.map { _ in nil }
      if let isValid = moment.isValid {
        kept = arriving.map { select(isValid, 0, $0) }
        arriving = arriving.map { select(isValid, $0, 0) }
      }
      let (delta, passed) = kind.pullBack(moment.step, from: moment.before, cotangents: arriving)
      deltas.append(delta)
      carried = zip(passed, kept).map { Self.sum([$0, $1]) }
      carried[0] = Self.sum([matmul(kind.productPart(delta), weight), carried[0]])
    }
    let delta = stack(isReversed ? deltas : deltas.reversed())
    let product = kind.productPart(delta)
    let rows = time * batch
    let before = isReversed ? packed[1...time] : packed[..<time]
    let weightGradient = matmul(
      product.reshaped(to: [rows, kind.gates * hidden]).transposed(), before.reshaped(to: [rows, hidden]))
    let first = Self.sum([carried[0], g[isReversed ? time : 0]])
    let starts = [first] + carried.dropFirst()
    return [kind.projectedPart(delta), weightGradient] + starts.compactMap { $0 }
      + (bias == nil ? [] : [product.sum(axes: [0, 1])])
  }

  private static func sum(_ parts: [Tensor?]) -> Tensor? {
    let present = parts.compactMap { $0 }
    return present.dropFirst().reduce(present.first) { sum, part in sum.map { $0 + part } }
  }
}
