import Testing

@testable import KilnEngine

/// The way back through the graph: watching, stopping, custom rules, higher orders, and every refusal.
@Suite struct AutodiffTests {
  let device = Device(InterpreterDriver())
  private func tensor(_ values: [Double]) -> Tensor { Tensor(values, on: device) }

  @Test func gradientOfASumOfSquares() throws {
    let x = tensor([1, -2, 3])
    #expect(try gradient(of: square(x).sum(), withRespectTo: x).doubles() == [2, -4, 6])
  }

  @Test func sharedInputsAddUp() throws {
    let x = tensor([2, 3])
    #expect(try gradient(of: (x * x + x).sum(), withRespectTo: x).doubles() == [5, 7])
  }

  @Test func higherOrders() throws {
    let x = tensor([2]).watched()
    let first = try gradient(of: (x * x * x * x).sum(), withRespectTo: x)
    let second = try gradient(of: first.sum(), withRespectTo: x)
    let third = try gradient(of: second.sum(), withRespectTo: x)
    #expect(try first.item() == 32 && second.item() == 48 && third.item() == 48)
  }

  @Test func hessianVectorProductOfAQuadraticForm() throws {
    let a = Tensor([2.0, 1, 1, 4], shape: [2, 2], on: device)
    let v = Tensor([1.0, -1], shape: [2, 1], on: device)
    let x = Tensor([3.0, 5], shape: [2, 1], on: device)
    let product = try hessianVectorProduct(
      of: { matmul(matmul($0.transposed(), a), $0).sum() }, at: x, vector: v)
    #expect(try product.doubles() == [2, -6])  // (A + A^T) v
  }

  @Test func stoppedGradientIsAConstant() throws {
    let x = tensor([3])
    #expect(try gradient(of: (x * x.stopGradient()).sum(), withRespectTo: x).item() == 3)
  }

  @Test func independentTensorHasGradientZero() throws {
    let (x, z) = (tensor([1, 2]), tensor([3, 4]))
    #expect(try gradient(of: x.sum(), withRespectTo: [x, z])[1].doubles() == [0, 0])
    let position = x.argmax().cast(to: .float64)
    #expect(try gradient(of: position, withRespectTo: x).doubles() == [0, 0])
  }

  @Test func customRuleIsUsedAndDifferentiable() throws {
    let x = tensor([2]).watched()
    let y = customGradient([x], forward: { square($0[0]) }) { arguments, _, g in [g * arguments[0] * 10] }
    let first = try gradient(of: y.sum(), withRespectTo: x)
    #expect(try y.item() == 4 && first.item() == 20)
    #expect(try gradient(of: first.sum(), withRespectTo: x).item() == 10)
  }

  @Test func customRuleWithTooFewCotangentsIsRefused() throws {
    let (x, z) = (tensor([2]), tensor([3]))
    let y = customGradient([x, z], forward: { $0[0] * $0[1] }) { _, _, g in [g] }
    #expect(throws: TensorError.self) { try gradient(of: y.sum(), withRespectTo: [x, z]) }
  }

  @Test func watchedHistorySurvivesReading() throws {
    let x = tensor([1, 2]).watched()
    let y = exp(x)
    _ = try y.doubles()
    #expect(try gradient(of: y.sum(), withRespectTo: x).doubles() == y.doubles())
  }

  @Test func historyThatWasLetGoIsAnErrorNotAZero() throws {
    let x = tensor([1, 2])
    let y = exp(x)
    _ = try y.doubles()
    #expect {
      try gradient(of: (y * 2).sum(), withRespectTo: x)
    } throws: { "\($0)".contains("use `x.watched()`") }
  }

  @Test func refusals() throws {
    let x = tensor([1, 2])
    #expect { try gradient(of: x * 2, withRespectTo: x) } throws: { "\($0)".contains("one element") }
    #expect { try gradient(of: x.argmax(), withRespectTo: x) } throws: { "\($0)".contains("float32 or float64") }
    let integers = Tensor([1, 2], on: device)
    #expect { try gradient(of: x.sum(), withRespectTo: integers) } throws: { "\($0)".contains("only float tensors") }
    #expect { try gradient(of: x * 2, withRespectTo: x, seed: tensor([1])) } throws: { "\($0)".contains("seed") }
  }

  @Test func valueAndGradientLetsTheFunctionRead() throws {
    let (value, gradients) = try valueAndGradient(at: [tensor([3])]) { xs in
      let y = square(xs[0])
      return try y.item() > 5 ? y.sum() : (y * 2).sum()
    }
    #expect(try value.item() == 9 && gradients[0].item() == 6)
  }

  @Test func slicesOfOneValueMeetInOneAssembly() throws {
    let x = tensor((0..<12).map { Double($0) }).reshaped(to: [4, 3]).watched()
    let weights = [2.0, -1, 5, 3]
    func loss(_ rows: [Range<Int>]) -> Tensor {
      zip(rows, weights).map { square(x[$0]).sum() * $1 }.reduce(tensor([0]).sum()) { $0 + $1 }
    }
    let apart = try gradient(of: loss([0..<1, 1..<2, 2..<3, 3..<4]), withRespectTo: x)
    let steps = try program(for: [apart]).steps
    #expect(steps.count == 1, "\(steps)")
    #expect(try apart.doubles() == (0..<12).map { 2 * Double($0) * weights[$0 / 3] })
    let overlapping = try gradient(of: loss([0..<3, 2..<4, 1..<2]), withRespectTo: x)
    #expect(try overlapping.doubles() == (0..<12).map { 2 * Double($0) * [2, 7, 1, -1][$0 / 3] })
    // Slices that interleave, and one that walks backwards.
    let interleaved = x.sliced(axis: 0, step: 2).sum() * 3 + (x.sliced(axis: 0, from: 3, step: -2) * 5).sum()
    #expect(try gradient(of: interleaved, withRespectTo: x).doubles() == (0..<12).map { $0 / 3 % 2 == 0 ? 3 : 5 })
  }
}
