import KilnEngine

/// Gradients: float64 against finite differences along random directions, float32 against float64.
extension CaseRunner {
  /// Step of the fourth-order central difference: its truncation error is about h^4, its rounding error eps / h.
  private static let step = 2e-4
  private static let directions = 2

  /// (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h.
  public static func derivative(_ f: (Double) throws -> Double) rethrows -> Double {
    let h = step
    return try (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
  }

  private func differentiable(_ one: OpCase) -> [Int] {
    one.operands.indices.filter { one.operands[$0].isDifferentiable && one.operands[$0].dtype == nil }
  }

  /// sum(y * cotangent) and its gradients at `values`, lazily.
  private func lossGradients(
    _ one: OpCase, _ values: [NDArray], _ cotangent: NDArray, dtype: DType, on device: Device
  ) throws -> (watched: [Tensor], gradients: [Tensor]) {
    var tensors = zip(one.operands, values).map { makeTensor($1.values, $1.shape, $0.dtype ?? dtype, device) }
    let indices = differentiable(one)
    for i in indices { tensors[i] = tensors[i].watched() }
    let y = one.call(tensors, OpCase.Place(device: device, dtype: dtype))
    if let error = y.error { throw error }
    let seed = makeTensor(cotangent.values, cotangent.shape, y.dtype, device)
    let loss = (y * seed).sum()
    let watched = indices.map { tensors[$0] }
    return (watched, try gradient(of: loss, withRespectTo: watched))
  }

  /// Gradients as values; their shapes and dtypes must be the operands' own.
  private func read(_ gradients: [Tensor], like watched: [Tensor]) throws -> [[Double]] {
    for (g, x) in zip(gradients, watched) {
      guard g.shape == x.shape, g.dtype == x.dtype else {
        throw TensorError(
          operation: "gradient", rule: "a gradient is \(g.shape) \(g.dtype)", operands: "x \(x.shape) \(x.dtype)",
          fix: "it must have its operand's shape and dtype")
      }
    }
    return try gradients.map { try $0.doubles() }
  }

  private func moved(_ values: [NDArray], _ indices: [Int], _ direction: [[Double]], _ t: Double) -> [NDArray] {
    var result = values
    for (i, v) in zip(indices, direction) {
      for j in v.indices { result[i].values[j] += t * v[j] }
    }
    return result
  }

  private func dot(_ a: [[Double]], _ b: [[Double]]) -> (value: Double, magnitude: Double) {
    var value = 0.0
    var magnitude = 0.0
    for (x, y) in zip(a, b) {
      for (p, q) in zip(x, y) {
        value += p * q
        magnitude += abs(p * q)
      }
    }
    return (value, magnitude)
  }

  func firstOrder(_ one: OpCase, _ i: Int) throws -> Comparison {
    let values = one.values(shapes: i, dtype: .float64, "gradient")
    var bits = SeededBits("\(one.id) direction \(i)")
    let y = one.reference(values, .float64)
    let cotangent = NDArray(y.shape, y.values.map { _ in bits.uniform(-1, 1) })
    let lazy = try lossGradients(one, values, cotangent, dtype: .float64, on: device)
    let gradients = try read(lazy.gradients, like: lazy.watched)
    let indices = differentiable(one)
    var result = Comparison()
    for _ in 0..<CaseRunner.directions {
      let direction = indices.map { values[$0].values.map { _ in bits.uniform(-1, 1) } }
      let numeric = CaseRunner.derivative { t in
        let moved = one.reference(moved(values, indices, direction, t), .float64)
        return dot([moved.values], [cotangent.values]).value
      }
      let analytic = dot(gradients, direction)
      let loss = dot([y.values], [cotangent.values]).magnitude
      let bound = 1e-6 * analytic.magnitude + 1e-9 * loss + 1e-12
      result = worse(result, CaseRunner.judge(analytic.value, numeric, bound, "the gradient along a direction"))
    }
    return result
  }

  func secondOrder(_ one: OpCase, _ i: Int) throws -> Comparison {
    let values = one.values(shapes: i, dtype: .float64, "gradient")
    var bits = SeededBits("\(one.id) second direction \(i)")
    let y = one.reference(values, .float64)
    let cotangent = NDArray(y.shape, y.values.map { _ in bits.uniform(-1, 1) })
    let indices = differentiable(one)
    let inner = indices.map { values[$0].values.map { _ in bits.uniform(-1, 1) } }
    let lazy = try lossGradients(one, values, cotangent, dtype: .float64, on: device)
    var projected: Tensor?
    for (g, v) in zip(lazy.gradients, inner) {
      let term = (g * makeTensor(v, g.shape.dimensions, .float64, device)).sum()
      projected = projected.map { $0 + term } ?? term
    }
    guard let projected else { return Comparison() }
    let second = try read(
      try gradient(of: projected, withRespectTo: lazy.watched), like: lazy.watched)
    let first = try dot(read(lazy.gradients, like: lazy.watched), inner)
    var result = Comparison()
    for _ in 0..<CaseRunner.directions {
      let outer = indices.map { values[$0].values.map { _ in bits.uniform(-1, 1) } }
      let numeric = try CaseRunner.derivative { t in
        let moved = try lossGradients(one, moved(values, indices, outer, t), cotangent, dtype: .float64, on: device)
        return try dot(read(moved.gradients, like: moved.watched), inner).value
      }
      let analytic = dot(second, outer)
      let bound = 1e-6 * analytic.magnitude + 1e-8 * first.magnitude + 1e-12
      result = worse(result, CaseRunner.judge(analytic.value, numeric, bound, "the second derivative"))
    }
    return result
  }

  func float32Precision(_ one: OpCase, _ i: Int) throws -> Comparison {
    let values = one.values(shapes: i, dtype: .float32, "precision")
    var bits = SeededBits("\(one.id) precision \(i)")
    let y = one.reference(values, .float32)
    let cotangent = NDArray(y.shape, y.values.map { _ in Double(Float(bits.uniform(-1, 1))) })
    let narrow = try lossGradients(one, values, cotangent, dtype: .float32, on: device)
    let exact = try lossGradients(one, values, cotangent, dtype: .float64, on: oracle)
    let found = try read(narrow.gradients, like: narrow.watched)
    let wanted = try read(exact.gradients, like: exact.watched)
    var result = Comparison()
    for (a, b) in zip(found, wanted) {
      let largest = b.reduce(0) { max($0, abs($1)) }
      let bound = one.gradientUnits * Double(Float.ulpOfOne) * largest + 1e-30
      for (p, q) in zip(a, b) { result = worse(result, CaseRunner.judge(p, q, bound, "a float32 gradient")) }
    }
    return result
  }

  /// One number against another. Public for the suite that proves that it can fail.
  public static func judge(_ actual: Double, _ expected: Double, _ bound: Double, _ what: String) -> Comparison {
    let error = abs(actual - expected) / bound
    if error <= 1 { return Comparison(worst: error) }
    return Comparison(
      worst: error.isNaN ? .infinity : error,
      message: "\(what) is \(actual) instead of \(expected), \(short(error)) times the allowed error")
  }

  private func worse(_ a: Comparison, _ b: Comparison) -> Comparison {
    b.worst > a.worst ? b : a
  }
}
