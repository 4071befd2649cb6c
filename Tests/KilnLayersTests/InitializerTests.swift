import Kiln
import Testing

@Suite("Initializers")
struct InitializerTests {
  private func draw(
    _ initializer: Initializer, _ shape: Shape = [200, 300], dtype: DType = .float64, seed: UInt64 = 1
  ) throws -> [Double] {
    let places = shape.dimensions.dropFirst(2).reduce(1, *)
    let fan = Initializer.Fan(inputs: shape[1] * places, outputs: shape[0] * places)
    return try initializer.draw(shape, fan, dtype, .cpu, RandomGenerator(seed: seed)).doubles()
  }

  struct Claim: Sendable {
    var name: String
    var initializer: Initializer
    var variance: Double
    /// No value is farther from 0.
    var limit: Double?
  }
  static let claims = [
    Claim(name: "pyTorch", initializer: .pyTorch, variance: 1.0 / 900, limit: 1 / 300.0.squareRoot()),
    Claim(
      name: "xavier", initializer: .glorotUniform(gain: 2), variance: 8.0 / 500, limit: 2 * (6.0 / 500).squareRoot()),
    Claim(name: "xavierNormal", initializer: .glorotNormal(gain: 2), variance: 8.0 / 500),
    Claim(name: "kaiming", initializer: .heUniform(for: .relu), variance: 2.0 / 300, limit: (6.0 / 300).squareRoot()),
    Claim(name: "kaimingOut", initializer: .heNormal(fan: .outputs, for: .relu), variance: 2.0 / 200),
    Claim(name: "kaimingLeaky", initializer: .heNormal(for: .leakyReLU(slope: 0.5)), variance: 1.6 / 300),
    Claim(name: "kaimingTanh", initializer: .heUniform(for: .tanh), variance: 25.0 / 9 / 300),
    Claim(name: "leCunUniform", initializer: .leCunUniform, variance: 1.0 / 300, limit: (3.0 / 300).squareRoot()),
    Claim(
      name: "leCunNormal", initializer: .leCunNormal, variance: 1.0 / 300,
      limit: 2 / 0.8796 / 300.0.squareRoot()),
    Claim(name: "scaling", initializer: .varianceScaling(3, fan: .average, distribution: .normal), variance: 3.0 / 250),
    Claim(name: "uniform", initializer: .uniform(from: -0.3, to: 0.3), variance: 0.03, limit: 0.3),
    // A standard normal cut at 2 has variance 0.7737.
    Claim(name: "truncated", initializer: .truncatedNormal(standardDeviation: 0.5), variance: 0.1934, limit: 1),
  ]

  @Test("values have the variance and limits that the initializer promises", arguments: claims.indices)
  func variance(_ index: Int) throws {
    let claim = Self.claims[index]
    let values = try draw(claim.initializer)
    // The variance of 60,000 draws is within 3 %, their mean within four deviations.
    #expect(abs(values.reduce(0) { $0 + $1 * $1 } / 60_000 / claim.variance - 1) < 0.03, "\(claim.name)")
    #expect(abs(values.reduce(0, +) / 60_000) < 4 * (claim.variance / 60_000).squareRoot(), "\(claim.name)")
    if let limit = claim.limit {
      let greatest = values.map(abs).max() ?? 0
      #expect(greatest <= limit && greatest > 0.98 * limit, "\(claim.name)")
    }
    #expect(try draw(claim.initializer) == values)
    #expect(try draw(claim.initializer, seed: 2) != values)
  }

  @Test(
    "orthogonal matrices are, whatever their shape",
    arguments: [[5, 5], [3, 8], [8, 3], [4, 2, 3, 3], [1, 6], [70, 50]])
  func orthogonal(_ dimensions: [Int]) throws {
    let (rows, columns) = (dimensions[0], dimensions.dropFirst().reduce(1, *))
    for (dtype, bound) in [(DType.float64, 1e-14), (.float32, 1e-6)] {
      let q = try draw(.orthogonal(gain: 2), Shape(dimensions), dtype: dtype)
      #expect(try draw(.orthogonal(gain: 2), Shape(dimensions), dtype: dtype) == q)
      // The shorter side's products with each other are 4 times the identity.
      let count = min(rows, columns)
      for i in 0..<count {
        for j in 0...i {
          var product = 0.0
          for k in 0..<max(rows, columns) {
            product +=
              rows <= columns ? q[i * columns + k] * q[j * columns + k] : q[k * columns + i] * q[k * columns + j]
          }
          #expect(abs(product - (i == j ? 4 : 0)) < 4 * bound, "\(dimensions) \(i) \(j)")
        }
      }
    }
    #expect(Dense(0, 0, initializer: .orthogonal()).weight.value.error == nil)
  }

  @Test("orthogonal refuses vectors")
  func orthogonalVector() {
    let bias = Dense(2, 2, biasInitializer: .orthogonal()).bias
    #expect(bias?.value.error is TensorError)
  }

  @Test("a whole model can have Keras' defaults, and a layer its own")
  func defaults() throws {
    let generator = RandomGenerator(seed: 0)
    let (keras, own) = withInitializers(.keras) {
      (
        Dense(300, 200, generator: generator), Dense(3, 2, biasInitializer: .constant(0.5), generator: generator)
      )
    }
    let greatest = try abs(keras.weight.value).max().item()
    #expect(greatest <= (6.0 / 500).squareRoot() && greatest > 0.99 * (6.0 / 500).squareRoot())
    #expect(try keras.bias?.value.doubles().allSatisfy { $0 == 0 } == true)
    #expect(try own.bias?.value.doubles() == [0.5, 0.5])
    let table = withInitializers(.keras) { Embedding(100, 20, generator: generator) }
    #expect(try abs(table.weight.value).max().item() <= 0.05)
    // Afterwards it is PyTorch's again.
    let plain = Dense(300, 200, generator: generator)
    #expect(try abs(plain.weight.value).max().item() <= 1 / 300.0.squareRoot())
    #expect(try plain.bias?.value.doubles().contains { $0 != 0 } == true)
    let convolution = withInitializers(.keras) { Conv2D(4, 6, kernel: 3, groups: 2, generator: generator) }
    #expect(try abs(convolution.weight.value).max().item() <= (6.0 / (2 * 9 + 6 * 9)).squareRoot())
  }

  @Test("the embedding's padding row starts as 0")
  func padding() throws {
    let table = try Embedding(4, 3, paddingIndex: -1).weight.value.doubles()
    #expect(Array(table[9...]) == [0, 0, 0])
    #expect(!table[..<9].contains(0))
    #expect(Embedding(4, 3, paddingIndex: 4)(Tensor([0])).error is TensorError)
  }
}
