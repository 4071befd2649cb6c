import KilnEngine

extension Initializer {
  /// Which of a weight's connections a variance is measured by.
  public enum FanMode: Sendable, Hashable { case inputs, outputs, average }

  /// A distribution whose variance is given.
  public enum VarianceDistribution: Sendable, Hashable {
    case uniform
    case normal
    /// Cut at two deviations, and widened so that the variance is right after the cut, as in Keras.
    case truncatedNormal
  }

  /// Of mean 0 and variance scale / n, n being the fan. Keras' VarianceScaling, which all of the named ones below are.
  public static func varianceScaling(
    _ scale: Double, fan mode: FanMode = .inputs, distribution: VarianceDistribution = .uniform
  ) -> Initializer {
    Initializer { shape, fan, dtype, device, generator in
      let count: Double =
        switch mode {
        case .inputs: Double(fan.inputs)
        case .outputs: Double(fan.outputs)
        case .average: (Double(fan.inputs) + Double(fan.outputs)) / 2
        }
      let variance = scale / max(count, 1)
      switch distribution {
      case .uniform:
        let limit = (3 * variance).squareRoot()
        return .randomUniform(shape, low: -limit, high: limit, dtype: dtype, generator: generator, on: device)
      case .normal:
        return .randomNormal(
          shape, standardDeviation: variance.squareRoot(), dtype: dtype, generator: generator, on: device)
      case .truncatedNormal:
        // The deviation of the standard normal distribution cut at +-2.
        let deviation = variance.squareRoot() / 0.8796256610342398
        return .randomTruncatedNormal(
          shape, standardDeviation: deviation, dtype: dtype, generator: generator, on: device)
      }
    }
  }

  /// Uniform in +-1/sqrt(inputs): PyTorch's default for the weights and biases of linear and convolution layers
  /// (which it calls kaiming_uniform_ with a = sqrt(5)).
  public static let pyTorch = varianceScaling(1.0 / 3)

  /// Uniform in +-gain * sqrt(6 / (inputs + outputs)): Glorot and Bengio, 2010. PyTorch's xavier_uniform_; with gain 1
  /// Keras' default for weights.
  public static func glorotUniform(gain: Double) -> Initializer { varianceScaling(gain * gain, fan: .average) }
  public static let glorotUniform = glorotUniform(gain: 1)

  /// Normal with variance gain^2 * 2 / (inputs + outputs). PyTorch's xavier_normal_; Keras cuts it at two deviations.
  public static func glorotNormal(gain: Double) -> Initializer {
    varianceScaling(gain * gain, fan: .average, distribution: .normal)
  }
  public static let glorotNormal = glorotNormal(gain: 1)

  /// Uniform in +-gain * sqrt(3 / fan), the gain being the nonlinearity's: He et al., 2015. PyTorch's kaiming_uniform_;
  /// for relu Keras' HeUniform.
  public static func heUniform(fan: FanMode = .inputs, for activation: Activation) -> Initializer {
    varianceScaling(activation.gain * activation.gain, fan: fan)
  }
  public static let heUniform = heUniform(for: .relu)

  /// Normal with variance gain^2 / fan. PyTorch's kaiming_normal_; Keras' HeNormal cuts it at two deviations.
  public static func heNormal(fan: FanMode = .inputs, for activation: Activation) -> Initializer {
    varianceScaling(activation.gain * activation.gain, fan: fan, distribution: .normal)
  }
  public static let heNormal = heNormal(for: .relu)

  /// Uniform in +-sqrt(3 / inputs): LeCun et al., 1998. Keras' LecunUniform.
  public static let leCunUniform = varianceScaling(1)
  /// Normal with variance 1 / inputs, cut at two deviations: Keras' LecunNormal, for selu.
  public static let leCunNormal = varianceScaling(1, distribution: .truncatedNormal)

  public static let zeros = constant(0)
  public static let ones = constant(1)

  /// One value everywhere.
  public static func constant(_ value: Double) -> Initializer {
    Initializer { shape, _, dtype, device, _ in .full(shape, value, dtype: dtype, on: device) }
  }

  /// Uniform in from ..< to, whatever the fan.
  public static func uniform(from low: Double = 0, to high: Double = 1) -> Initializer {
    Initializer { shape, _, dtype, device, generator in
      .randomUniform(shape, low: low, high: high, dtype: dtype, generator: generator, on: device)
    }
  }

  /// Normal, whatever the fan.
  public static func normal(mean: Double = 0, standardDeviation: Double = 1) -> Initializer {
    Initializer { shape, _, dtype, device, generator in
      .randomNormal(
        shape, mean: mean, standardDeviation: standardDeviation, dtype: dtype, generator: generator, on: device)
    }
  }

  /// Normal, cut at `low` and `high` deviations from the mean. PyTorch's trunc_normal_, whose limits are values and not
  /// deviations; Keras' TruncatedNormal, whose limits are 2.
  public static func truncatedNormal(
    mean: Double = 0, standardDeviation: Double = 1, low: Double = -2, high: Double = 2
  ) -> Initializer {
    Initializer { shape, _, dtype, device, generator in
      .randomTruncatedNormal(
        shape, mean: mean, standardDeviation: standardDeviation, low: low, high: high, dtype: dtype,
        generator: generator, on: device)
    }
  }

  /// Rows or columns, whichever are fewer, orthogonal and of length `gain` (Saxe et al., 2013); further axes count as
  /// columns. PyTorch's orthogonal_, Keras' Orthogonal: the Q of a matrix of normals, with R's diagonal positive.
  ///
  /// Made on the host. Errors: fewer than two axes.
  public static func orthogonal(gain: Double = 1) -> Initializer {
    Initializer { shape, _, dtype, device, generator in
      guard shape.rank >= 2, Shape.checkedCount(shape.dimensions) != nil else {
        return .layerFailure(
          "orthogonal", rule: "needs 2 axes or more, of sizes that can be, got \(shape)", operands: [],
          fix: "use another initializer for vectors", shape: shape, dtype: dtype)
      }
      let (rows, columns) = (shape[0], shape.dimensions[1...].reduce(1, *))
      let (count, length) = (min(rows, columns), max(rows, columns))
      do {
        let draws = try Tensor.randomNormal([count, length], generator: generator, on: device).doubles()
        let basis = orthonormalized(draws, count: count, length: length).map { $0 * gain }
        let flat = Tensor(basis, shape: [count, length], on: device, dtype: dtype)
        return (rows <= columns ? flat : flat.transposed()).reshaped(to: shape)
      } catch let error as TensorError {
        return Tensor.zeros(shape, dtype: dtype, on: device).replacing(error)
      } catch {
        return Tensor.zeros(shape, dtype: dtype, on: device).replacing(
          TensorError(operation: "orthogonal", rule: "\(error)", fix: "see the device's own error"))
      }
    }
  }
}

extension Tensor {
  /// Doubles as a float tensor, rounded on the host: a device need not have float64.
  fileprivate init(_ values: [Double], shape: Shape, on device: Device, dtype: DType) {
    self =
      dtype == .float64
      ? Tensor(values, shape: shape, on: device)
      : Tensor(values.map { Float($0) }, shape: shape, on: device).cast(to: dtype)
  }
}

/// `count` vectors of `length` made orthogonal and of length 1, in order, by Gram and Schmidt's method; each is projected
/// twice, after which they are orthogonal to rounding ("twice is enough": Giraud, Langou and Rozloznik, 2005).
private func orthonormalized(_ vectors: [Double], count: Int, length: Int) -> [Double] {
  var q = vectors
  q.withUnsafeMutableBufferPointer { q in
    func dot(_ a: Int, _ b: Int) -> Double {
      var sums = SIMD8<Double>.zero
      var i = 0
      while i + 8 <= length {
        for lane in 0..<8 { sums[lane] += q[a + i + lane] * q[b + i + lane] }
        i += 8
      }
      var sum = sums.sum()
      while i < length {
        sum += q[a + i] * q[b + i]
        i += 1
      }
      return sum
    }
    for row in 0..<count {
      let start = row * length
      for _ in 0..<2 {
        for earlier in 0..<row {
          let share = dot(start, earlier * length)
          for i in 0..<length { q[start + i] -= share * q[earlier * length + i] }
        }
      }
      let scale = 1 / dot(start, start).squareRoot()
      for i in 0..<length { q[start + i] *= scale }
    }
  }
  return q
}
