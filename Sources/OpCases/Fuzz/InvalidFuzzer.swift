import KilnEngine

/// Random calls with random arguments, most of them wrong: whatever is asked for, nothing traps, and a tensor either
/// carries an error or can be read.
public struct InvalidFuzzer: Sendable {
  public var device: Device
  public init(_ device: Device) { self.device = device }

  /// Calls that gave an error, and calls that gave values.
  public struct Outcome: Sendable {
    public var refused = 0
    public var computed = 0
    public var failure: String?
  }

  /// One sequence of `length` calls, each on results of earlier ones.
  public func check(seed: UInt64, length: Int = 6) -> Outcome {
    var bits = SeededBits(seed ^ 0xBAD0_5EED)
    var outcome = Outcome()
    var words: [String] = []
    withDevice(device) {
      var tensors = (0..<3).map { _ in leaf(&bits) }
      for _ in 0..<length {
        let step = InvalidFuzzer.steps[bits.below(InvalidFuzzer.steps.count)]
        words.append(step.name)
        let results = step.call(&bits, tensors)
        for y in results.prefix(3) {
          if let failure = judge(y, &outcome) {
            outcome.failure = "seed \(seed), \(words.joined(separator: ", ")): \(failure)"
            return
          }
          // Errors travel: what has one stays in play sometimes.
          if y.error == nil ? y.count < 5000 && y.rank < 7 : bits.unit() < 0.1 { tensors.append(y) }
        }
        if tensors.count > 8 { tensors.removeFirst() }
      }
      outcome.failure = differentiate(tensors, &bits).map { "seed \(seed), \(words.joined(separator: ", ")): \($0)" }
    }
    return outcome
  }

  private func leaf(_ bits: inout SeededBits) -> Tensor {
    let shape = (0..<bits.below(4)).map { _ in bits.unit() < 0.1 ? 0 : 1 + bits.below(4) }
    let dtype = DType.allCases[bits.unit() < 0.5 ? 0 : bits.below(DType.allCases.count)]
    guard device.driver.supports(dtype) else {
      return makeTensor((0..<NDArray.count(shape)).map(Double.init), shape, .float32, device)
    }
    let values = (0..<NDArray.count(shape)).map { _ in Double(bits.below(7) - (dtype == .uint8 ? 0 : 3)) }
    return makeTensor(values, shape, dtype, device).watched()
  }

  /// An error must be thrown by a read; without one the read must work, but for indices out of range.
  private func judge(_ y: Tensor, _ outcome: inout Outcome) -> String? {
    if y.error != nil {
      outcome.refused += 1
      return (try? y.doubles()) == nil ? nil : "a tensor with an error could be read"
    }
    guard y.count < 50_000 else { return nil }
    do {
      let values = try y.doubles()
      outcome.computed += 1
      return values.count == y.count ? nil : "\(values.count) elements for shape \(y.shape)"
    } catch is TensorError {
      return "a tensor without an error threw a TensorError: \(y)"
    } catch DeviceError.indexOutOfRange, DeviceError.outOfMemory {
      outcome.refused += 1
      return nil
    } catch {
      return "threw \(error)"
    }
  }

  private func differentiate(_ tensors: [Tensor], _ bits: inout SeededBits) -> String? {
    guard let y = tensors.last, let x = tensors.first, bits.unit() < 0.5 else { return nil }
    guard let g = try? gradient(of: y.sum(), withRespectTo: x) else { return nil }
    guard g.shape == x.shape, g.dtype == x.dtype else { return "a gradient is \(g.shape) \(g.dtype) for \(x.shape)" }
    guard g.count < 50_000 else { return nil }
    _ = try? g.doubles()
    return nil
  }
}

/// Random arguments, absurd ones included.
private func axis(_ b: inout SeededBits) -> Int {
  b.unit() < 0.05 ? [Int.max, Int.min, 99][b.below(3)] : b.below(9) - 4
}
private func axes(_ b: inout SeededBits) -> [Int] { (0..<b.below(4)).map { _ in axis(&b) } }
private func size(_ b: inout SeededBits) -> Int {
  b.unit() < 0.05 ? [Int.max, Int.min, 1 << 40, -1][b.below(4)] : b.below(7) - 1
}
private func sizes(_ b: inout SeededBits) -> [Int] { (0..<b.below(5)).map { _ in size(&b) } }
private func pair(_ b: inout SeededBits) -> (Int, Int) { (size(&b), size(&b)) }
private func number(_ b: inout SeededBits) -> Double {
  b.unit() < 0.1 ? [Double.nan, .infinity, -.infinity, 1e300, -0.0][b.below(5)] : b.uniform(-4, 4)
}
private func dtype(_ b: inout SeededBits) -> DType { DType.allCases[b.below(DType.allCases.count)] }
private func one(_ b: inout SeededBits, _ t: [Tensor]) -> Tensor { t[b.below(t.count)] }

extension InvalidFuzzer {
  struct Step: Sendable {
    var name: String
    var call: @Sendable (inout SeededBits, [Tensor]) -> [Tensor]
    init(_ name: String, _ call: @escaping @Sendable (inout SeededBits, [Tensor]) -> [Tensor]) {
      self.name = name
      self.call = call
    }
  }

  static let steps: [Step] = elementwise + shaping + reducing + linear + indexing + making

  private static let elementwise: [Step] = [
    Step("exp") { b, t in [exp(one(&b, t))] },
    Step("relu") { b, t in [relu(one(&b, t))] },
    Step("isNaN") { b, t in [isNaN(one(&b, t))] },
    Step("logicalNot") { b, t in [logicalNot(one(&b, t))] },
    Step("gelu") { b, t in [gelu(one(&b, t))] },
    Step("erfInverse") { b, t in [erfInverse(one(&b, t))] },
    Step("add") { b, t in [one(&b, t) + one(&b, t)] },
    Step("divide") { b, t in [one(&b, t) / one(&b, t)] },
    Step("remainder") { b, t in [remainder(one(&b, t), one(&b, t))] },
    Step("pow") { b, t in [pow(one(&b, t), number(&b))] },
    Step("multiply by a number") { b, t in [one(&b, t) * number(&b)] },
    Step("less") { b, t in [one(&b, t) .< one(&b, t)] },
    Step("and") { b, t in [one(&b, t) .&& one(&b, t)] },
    Step("select") { b, t in [select(one(&b, t), one(&b, t), one(&b, t))] },
    Step("cast") { b, t in [one(&b, t).cast(to: dtype(&b))] },
    Step("clamped") { b, t in [one(&b, t).clamped(min: number(&b), max: number(&b))] },
  ]

  private static let shaping: [Step] = [
    Step("reshaped") { b, t in [one(&b, t).reshaped(to: Shape(sizes(&b)))] },
    Step("permuted") { b, t in [one(&b, t).permuted(axes(&b))] },
    Step("transposed") { b, t in [one(&b, t).transposed(axis(&b), axis(&b))] },
    Step("broadcast") { b, t in [one(&b, t).broadcast(to: Shape(sizes(&b)))] },
    Step("sliced") { b, t in [one(&b, t).sliced(axis: axis(&b), from: size(&b), to: size(&b), step: size(&b))] },
    Step("subscript") { b, t in [one(&b, t)[axis(&b)]] },
    Step("flipped") { b, t in [one(&b, t).flipped(axes: axes(&b))] },
    Step("squeezed") { b, t in [one(&b, t).squeezed(axes: axes(&b))] },
    Step("expanded") { b, t in [one(&b, t).expanded(axis: axis(&b))] },
    Step("tiled") { b, t in [one(&b, t).tiled(sizes(&b))] },
    Step("flattened") { b, t in [one(&b, t).flattened(from: axis(&b))] },
    Step("padded") { b, t in
      let mode: PaddingMode = [.constant(number(&b)), .reflect, .edge][b.below(3)]
      return [one(&b, t).padded(low: sizes(&b), high: sizes(&b), mode: mode)]
    },
    Step("concatenate") { b, t in [concatenate([one(&b, t), one(&b, t)], axis: axis(&b))] },
    Step("stack") { b, t in [stack([one(&b, t), one(&b, t)], axis: axis(&b))] },
    Step("split counts") { b, t in one(&b, t).split(counts: sizes(&b), axis: axis(&b)) },
    Step("split into") { b, t in one(&b, t).split(into: b.below(6) - 1, axis: axis(&b)) },
  ]

  private static let reducing: [Step] = [
    Step("sum") { b, t in [one(&b, t).sum(axes: axes(&b), keepDims: b.unit() < 0.5)] },
    Step("product") { b, t in [one(&b, t).product(axes: axes(&b))] },
    Step("mean") { b, t in [one(&b, t).mean(axes: axes(&b))] },
    Step("max") { b, t in [one(&b, t).max(axes: axes(&b))] },
    Step("variance") { b, t in [one(&b, t).variance(axes: axes(&b), unbiased: b.unit() < 0.5)] },
    Step("argmax") { b, t in [one(&b, t).argmax(axis: axis(&b))] },
    Step("any") { b, t in [one(&b, t).any(axes: axes(&b))] },
    Step("logSumExp") { b, t in [one(&b, t).logSumExp(axes: axes(&b))] },
    Step("norm") { b, t in [one(&b, t).norm(order: number(&b), axes: axes(&b))] },
    Step("cumulativeSum") { b, t in [one(&b, t).cumulativeSum(axis: axis(&b), reverse: b.unit() < 0.5)] },
    Step("cumulativeProduct") { b, t in [one(&b, t).cumulativeProduct(axis: axis(&b))] },
    Step("sorted") { b, t in [one(&b, t).sorted(axis: axis(&b))] },
    Step("topK") { b, t in
      let top = one(&b, t).topK(size(&b), axis: axis(&b))
      return [top.values, top.indices]
    },
    Step("softmax") { b, t in [one(&b, t).softmax(axis: axis(&b))] },
    Step("layerNorm") { b, t in [layerNorm(one(&b, t), scale: one(&b, t), shift: one(&b, t))] },
    Step("rmsNorm") { b, t in [rmsNorm(one(&b, t), scale: one(&b, t))] },
    Step("crossEntropy") { b, t in [crossEntropy(logits: one(&b, t), labels: one(&b, t))] },
  ]

  private static let linear: [Step] = [
    Step("matmul") { b, t in [matmul(one(&b, t), one(&b, t))] },
    Step("einsum") { b, t in
      let equation = ["ij,jk->ik", "i,i->", "ij->ji", "ii->i", "", "->", "i,", "ij,ij->k", "a1->b", "ij,jk"][
        b.below(10)]
      return [einsum(equation, one(&b, t), one(&b, t))]
    },
    Step("convolution2D") { b, t in
      let image =
        one(&b, t).broadcast(to: [1, 2, 4, 4]).error == nil ? one(&b, t).broadcast(to: [1, 2, 4, 4]) : one(&b, t)
      return [
        convolution2D(
          image, filter: one(&b, t), stride: pair(&b), padding: .symmetric(size(&b), size(&b)), dilation: pair(&b),
          groups: size(&b))
      ]
    },
    Step("convolution1D") { b, t in [convolution1D(one(&b, t), filter: one(&b, t), stride: size(&b), groups: size(&b))]
    },
    Step("transposedConvolution2D") { b, t in
      [
        transposedConvolution2D(
          one(&b, t), filter: one(&b, t), stride: pair(&b), padding: pair(&b), outputPadding: pair(&b))
      ]
    },
    Step("maxPool2D") { b, t in
      [
        maxPool2D(
          one(&b, t).reshaped(to: [1, 1, -1, 1]), size: pair(&b), stride: pair(&b),
          padding: .symmetric(size(&b), size(&b)))
      ]
    },
    Step("averagePool1D") { b, t in [averagePool1D(one(&b, t), size: size(&b), stride: size(&b))] },
    Step("adaptiveAveragePool2D") { b, t in [adaptiveAveragePool2D(one(&b, t), outputSize: pair(&b))] },
  ]

  private static let indexing: [Step] = [
    Step("gathered") { b, t in [one(&b, t).gathered(one(&b, t), axis: axis(&b))] },
    Step("takenAlong") { b, t in [one(&b, t).takenAlong(one(&b, t), axis: axis(&b))] },
    Step("embedding") { b, t in [embedding(one(&b, t), one(&b, t))] },
    Step("scatterAdd") { b, t in [scatterAdd(one(&b, t), one(&b, t), axis: axis(&b), count: size(&b))] },
    Step("scatterAddAlong") { b, t in [scatterAddAlong(one(&b, t), one(&b, t), axis: axis(&b), count: size(&b))] },
    Step("oneHot") { b, t in [oneHot(one(&b, t), depth: b.below(9) - 2, dtype: dtype(&b))] },
  ]

  private static let making: [Step] = [
    Step("zeros") { b, _ in [.zeros(Shape(sizes(&b)), dtype: dtype(&b))] },
    Step("full") { b, _ in [.full(Shape(sizes(&b)), number(&b), dtype: dtype(&b))] },
    Step("arange") { b, _ in [.arange(from: number(&b), to: number(&b), step: number(&b), dtype: dtype(&b))] },
    Step("linspace") { b, _ in [.linspace(from: number(&b), to: number(&b), count: size(&b), dtype: dtype(&b))] },
    Step("eye") { b, _ in [.eye(size(&b), columns: size(&b), dtype: dtype(&b))] },
    Step("Tensor") { b, _ in [Tensor([1, 2, 3] as [Float], shape: Shape(sizes(&b)))] },
    Step("randomNormal") { b, _ in
      [
        .randomNormal(
          Shape(sizes(&b)), mean: number(&b), standardDeviation: number(&b), dtype: dtype(&b),
          generator: RandomGenerator(seed: 1))
      ]
    },
    Step("randomIntegers") { b, _ in
      [
        .randomIntegers(
          Shape(sizes(&b)), low: size(&b), high: size(&b), dtype: dtype(&b), generator: RandomGenerator(seed: 1))
      ]
    },
    Step("randomBernoulli") { b, _ in
      [.randomBernoulli(Shape(sizes(&b)), probability: number(&b), generator: RandomGenerator(seed: 1))]
    },
    Step("randomPermutation") { b, _ in [.randomPermutation(size(&b), generator: RandomGenerator(seed: 1))] },
  ]
}
