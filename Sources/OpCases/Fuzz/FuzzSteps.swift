import KilnEngine

/// The steps that a random graph grows by. Each knows what it does to the error.
extension FuzzRecipe {
  private var e: Double { FuzzRecipe.epsilon }

  private mutating func pick(_ isWanted: (FuzzNode) -> Bool) -> Int? {
    let candidates = nodes.indices.filter { isWanted(nodes[$0]) }
    return candidates.isEmpty ? nil : candidates[bits.below(candidates.count)]
  }

  private mutating func pickFloat() -> Int? { pick { $0.isFloat } }

  mutating func addStep() throws {
    switch bits.below(20) {
    case 0...4: try addUnary()
    case 5...8: try addBinary()
    case 9: try addInteger()
    case 10: try addSelect()
    case 11...13: try addView()
    case 14, 15: try addReduction()
    case 16: try addRow()
    case 17: try addMatmul()
    case 18: try addIndexing()
    default: try addAssembly()
    }
  }

  private mutating func addUnary() throws {
    guard let i = pickFloat() else { return }
    let x = nodes[i]
    let (e, m, d) = (self.e, x.largest, x.error)
    func smooth(_ words: String, _ slope: Double, _ units: Double, _ call: @escaping (Tensor) -> Tensor) throws {
      try add(words, [i], error: slope * d + units * e, perUnit: units * e) { x, _, _ in call(x[0]) }
    }
    switch bits.below(18) {
    case 0: try smooth("negate", 1, 0) { -$0 }
    case 1: try smooth("abs", 1, 0) { abs($0) }
    case 2: try smooth("square", 2 * (m + d), 1) { square($0) }
    case 3: try smooth("tanh", 1, 8) { tanh($0) }
    case 4: try smooth("sigmoid", 0.25, 8) { sigmoid($0) }
    case 5: if m < 100 { try smooth("sin", 1, 8) { sin($0) } }
    case 6: if m < 100 { try smooth("cos", 1, 8) { cos($0) } }
    case 7: try smooth("relu", 1, 0) { relu($0) }
    case 8: try smooth("softplus", 1, 8) { softplus($0) }
    case 9: try smooth("erf", 1.13, 20) { erf($0) }
    case 10: if m < 4 { try smooth("exp", 60, 8) { exp($0) } }
    case 11: try smooth("sqrt(abs + 0.5)", 0.71, 4) { sqrt(abs($0) + 0.5) }
    case 12: try smooth("log(abs + 0.5)", 2, 4 + m) { log(abs($0) + 0.5) }
    case 13: try smooth("gelu", 1.13, 20 * (1 + m)) { gelu($0) }
    case 14: try smooth("silu", 1.1, 12 * (1 + m)) { silu($0) }
    case 15: try smooth("rsqrt(square + 1)", 1, 8) { rsqrt(square($0) + 1) }
    case 16: try smooth("* 0.75 - 0.25", 0.75, 2 * (1 + m)) { $0 * 0.75 - 0.25 }
    default: try smooth("clamped", 1, 1) { $0.clamped(min: -1.5, max: 1.25) }
    }
  }

  /// Two nodes whose shapes broadcast.
  private mutating func pickPair(_ isWanted: (FuzzNode) -> Bool) -> (Int, Int)? {
    guard let i = pick(isWanted) else { return nil }
    let shape = nodes[i].shape
    let partner = pick { other in
      guard isWanted(other) else { return false }
      return Swift.zip(shape.reversed(), other.shape.reversed()).allSatisfy { $0 == $1 || $0 == 1 || $1 == 1 }
    }
    return partner.map { bits.unit() < 0.5 ? (i, $0) : ($0, i) }
  }

  private mutating func addBinary() throws {
    guard let (i, j) = pickPair({ $0.isFloat }) else { return }
    let (e, a, b) = (self.e, nodes[i], nodes[j])
    let (ma, mb) = (a.largest, b.largest)
    switch bits.below(7) {
    case 0: try add("add", [i, j], error: a.error + b.error, perUnit: e) { x, _, _ in x[0] + x[1] }
    case 1:
      try add("subtract", [i, j], error: a.error + b.error + e * (ma + mb), perUnit: e) { x, _, _ in x[0] - x[1] }
    case 2, 3:
      try add(
        "multiply", [i, j], error: ma * b.error + mb * a.error + a.error * b.error, perUnit: e
      ) { x, _, _ in x[0] * x[1] }
    case 4:
      guard b.values.count > 0, b.smallest > 0.3 + 4 * b.error else { return }
      let least = b.smallest - b.error
      try add("divide", [i, j], error: a.error / least, perUnit: b.error / least + 4 * e) { x, _, _ in
        x[0] / x[1]
      }
    case 5: try add("maximum", [i, j], error: max(a.error, b.error)) { x, _, _ in maximum(x[0], x[1]) }
    default: try add("minimum", [i, j], error: max(a.error, b.error)) { x, _, _ in minimum(x[0], x[1]) }
    }
  }

  /// Whole numbers and truth: exact on every device.
  private mutating func addInteger() throws {
    if bits.unit() < 0.3, let i = pick({ !$0.isFloat }) {
      try add("to float", [i], error: 0) { x, dtype, _ in x[0].cast(to: dtype) }
      return
    }
    if bits.unit() < 0.3, let (i, j) = pickPair({ $0.isBool }) {
      switch bits.below(4) {
      case 0: try add("and", [i, j], error: 0) { x, _, _ in x[0] .&& x[1] }
      case 1: try add("or", [i, j], error: 0) { x, _, _ in x[0] .|| x[1] }
      case 2: try add("xor", [i, j], error: 0) { x, _, _ in x[0] .^^ x[1] }
      default: try add("not", [i], error: 0) { x, _, _ in logicalNot(x[0]) }
      }
      return
    }
    guard let (i, j) = pickPair({ !$0.isFloat && !$0.isBool && $0.largest < 1000 }) else { return }
    switch bits.below(8) {
    case 0: try add("integer add", [i, j], error: 0) { x, _, _ in x[0] + x[1] }
    case 1: try add("integer multiply", [i, j], error: 0) { x, _, _ in x[0] * x[1] }
    case 2: try add("integer maximum", [i, j], error: 0) { x, _, _ in maximum(x[0], x[1]) }
    case 3: try add("integer remainder", [i, j], error: 0) { x, _, _ in remainder(x[0], x[1]) }
    case 4: try add("less", [i, j], error: 0) { x, _, _ in x[0] .< x[1] }
    case 5: try add("equal", [i, j], error: 0) { x, _, _ in x[0] .== x[1] }
    case 6: try add("less than 1", [i], error: 0) { x, _, _ in x[0] .< 1 }
    default:
      guard nodes[i].rank > 0, !nodes[i].shape.contains(0) else { return }
      switch bits.below(3) {
      case 0: try add("integer sum", [i], error: 0) { x, _, _ in x[0].sum(axes: [-1]) }
      case 1: try add("argmax", [i], error: 0) { x, _, _ in x[0].argmax(axis: 0) }
      default: try add("argsorted", [i], error: 0) { x, _, _ in x[0].argsorted() }
      }
    }
  }

  private mutating func addSelect() throws {
    guard let c = pick({ $0.isBool }), let (i, j) = pickPair({ $0.isFloat }) else { return }
    let shape = NDArray.commonShape(nodes[i].shape, nodes[j].shape)
    guard Swift.zip(shape.reversed(), nodes[c].shape.reversed()).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      return
    }
    let error = max(nodes[i].error, nodes[j].error)
    try add("select", [c, i, j], error: error) { x, _, _ in select(x[0], x[1], x[2]) }
  }

  private mutating func addView() throws {
    guard let i = pick({ $0.rank > 0 }) else { return }
    let x = nodes[i]
    let axis = bits.below(x.rank)
    func view(_ words: String, _ call: @escaping (Tensor) -> Tensor) throws {
      try add(words, [i], error: x.error) { t, _, _ in call(t[0]) }
    }
    switch bits.below(9) {
    case 0:
      let order = Array(0..<x.rank).shuffled(using: &bits)
      try view("permuted \(order)") { $0.permuted(order) }
    case 1:
      let n = x.values.count
      let divisors = (1...max(n, 1)).filter { n % $0 == 0 }
      let first = divisors[bits.below(divisors.count)]
      try view("reshaped [\(first), \(n / first)]") { $0.reshaped(to: [first, n / first]) }
    case 2, 3:
      let n = x.shape[axis]
      let (from, to) = (bits.below(n + 1), bits.below(n + 1))
      let step = [1, 1, 2, 3, -1, -2][bits.below(6)]
      if bits.unit() < 0.1 || (step > 0) == (from < to) {
        try view("sliced \(axis), \(from):\(to):\(step)") { $0.sliced(axis: axis, from: from, to: to, step: step) }
      } else {
        try view("sliced \(axis), ::\(step)") { $0.sliced(axis: axis, step: step) }
      }
    case 4: try view("flipped \(axis)") { $0.flipped(axes: [axis]) }
    case 5: try view("expanded \(axis)") { $0.expanded(axis: axis) }
    case 6: try view("squeezed") { $0.squeezed() }
    case 7:
      let target = [1 + bits.below(3)] + x.shape.map { $0 == 1 ? 1 + bits.below(4) : $0 }
      try view("broadcast \(target)") { $0.broadcast(to: Shape(target)) }
    default:
      let counts = x.shape.map { _ in 1 + bits.below(2) }
      try view("tiled \(counts)") { $0.tiled(counts) }
    }
  }

  private mutating func addReduction() throws {
    guard let i = pick({ $0.isFloat && $0.rank > 0 && !$0.shape.contains(0) }) else { return }
    let x = nodes[i]
    let axes = Array(0..<x.rank).filter { _ in bits.unit() < 0.6 }
    let keep = bits.unit() < 0.5
    let n = axes.reduce(1) { $0 * x.shape[$1] }
    let (e, m, d) = (self.e, x.largest, x.error)
    let rounding = Double(n) * m * e * NDArray.sumUnits(n)
    let words = " \(axes)" + (keep ? " kept" : "")
    switch bits.below(6) {
    case 0, 1:
      try add("sum" + words, [i], error: Double(n) * d + rounding) { x, _, _ in
        x[0].sum(axes: axes, keepDims: keep)
      }
    case 2:
      try add("mean" + words, [i], error: d + rounding / Double(n) + e * m) { x, _, _ in
        x[0].mean(axes: axes, keepDims: keep)
      }
    case 3: try add("max" + words, [i], error: d) { x, _, _ in x[0].max(axes: axes, keepDims: keep) }
    case 4: try add("min" + words, [i], error: d) { x, _, _ in x[0].min(axes: axes, keepDims: keep) }
    default:
      let both = 4 * (m + d) * d + (NDArray.sumUnits(n) + 8) * e * 4 * m * m
      try add("variance" + words, [i], error: both) { x, _, _ in x[0].variance(axes: axes, keepDims: keep) }
    }
  }

  private mutating func addRow() throws {
    guard let i = pick({ $0.isFloat && $0.rank > 0 && !$0.shape.contains(0) }) else { return }
    let x = nodes[i]
    let (e, m, d) = (self.e, x.largest, x.error)
    let n = x.shape[x.rank - 1]
    let units = NDArray.sumUnits(n) + 8
    let axis = bits.below(x.rank)
    let long = Double(x.shape[axis])
    switch bits.below(5) {
    case 0:
      try add("softmax \(axis)", [i], error: 2 * d + (units + long + 4 * m) * e) { x, _, _ in
        x[0].softmax(axis: axis)
      }
    case 1:
      try add("logSoftmax \(axis)", [i], error: 2 * d + (units + long + 8 * m) * e) { x, _, _ in
        x[0].logSoftmax(axis: axis)
      }
    case 2:
      try add("cumulativeSum \(axis)", [i], error: long * d + long * m * e * NDArray.sumUnits(Int(long))) {
        x, _, _ in x[0].cumulativeSum(axis: axis)
      }
    case 3:
      // 1 / sqrt(variance + 0.5) is at most 1.42 and changes by at most 2.83 * m for each unit of variance / 2.
      let slope = 1.42 * 2 + 4 * m * m * 2.83
      try add("layerNorm", [i], error: slope * d + units * e * (4 + 8 * m * (1 + m * m))) { x, _, _ in
        layerNorm(x[0], epsilon: 0.5)
      }
    default: try add("sorted \(axis)", [i], error: d) { x, _, _ in x[0].sorted(axis: axis) }
    }
  }

  private mutating func addMatmul() throws {
    guard let i = pick({ $0.isFloat && $0.rank >= 2 && $0.rank <= 3 }) else { return }
    let a = nodes[i]
    let k = a.shape[a.rank - 1]
    // Any matrix with k rows, or with k columns to be turned.
    guard let j = pick({ $0.isFloat && $0.rank == 2 && $0.shape.contains(k) }) else { return }
    let b = nodes[j]
    let turned = b.shape[0] != k || (b.shape[1] == k && bits.unit() < 0.5)
    let products = Double(k) * (a.largest * b.error + b.largest * a.error + a.error * b.error)
    let rounding = Double(k) * a.largest * b.largest * e * NDArray.sumUnits(k)
    try add(turned ? "matmul with the right side transposed" : "matmul", [i, j], error: products + rounding) {
      x, _, _ in matmul(x[0], turned ? x[1].transposed() : x[1])
    }
  }

  private mutating func addIndexing() throws {
    guard let i = pick({ $0.isFloat && $0.rank > 0 && $0.shape[0] > 0 }) else { return }
    let x = nodes[i]
    let axis = x.shape.contains(0) ? 0 : bits.below(x.rank)
    let length = x.shape[axis]
    let (e, m, d) = (self.e, x.largest, x.error)
    let n = 1 + bits.below(6)
    let indices = (0..<n).map { _ in Double(bits.below(length)) }
    if bits.unit() < 0.6 {
      try add("gathered \(axis) \(indices)", [i], error: d) { x, _, device in
        x[0].gathered(makeTensor(indices, [n], .int64, device), axis: axis)
      }
    } else {
      let places = (0..<length).map { _ in Double(bits.below(4)) }
      let units = NDArray.sumUnits(length)
      try add("scatterAdd \(axis) \(places)", [i], error: Double(length) * (d + m * e * units)) {
        x, _, device in
        scatterAdd(x[0], makeTensor(places, [length], .int64, device), axis: axis, count: 4)
      }
    }
  }

  private mutating func addAssembly() throws {
    guard let i = pick({ $0.isFloat && $0.rank > 0 }) else { return }
    let x = nodes[i]
    let axis = bits.below(x.rank)
    if bits.unit() < 0.5 {
      let low = x.shape.map { _ in bits.below(3) }
      let high = x.shape.map { _ in bits.below(3) }
      try add("padded \(low) \(high)", [i], error: x.error) { t, _, _ in
        t[0].padded(low: low, high: high, mode: .constant(0.5))
      }
      return
    }
    let partner = pick { other in
      other.isFloat && other.rank == x.rank
        && x.shape.indices.allSatisfy { $0 == axis || other.shape[$0] == x.shape[$0] }
    }
    guard let j = partner else { return }
    let error = max(x.error, nodes[j].error)
    try add("concatenated \(axis)", [i, j], error: error) { t, _, _ in concatenate([t[0], t[1]], axis: axis) }
  }
}
