// swift-format-ignore-file
// Messages stand on one line each, as they are printed.
import Testing

@testable import KilnEngine

/// The exact text of the messages that common mistakes give. Reading them is the test: each must say what was done,
/// which rule it broke with which values, and what to do about it.
@Suite("Error texts")
struct ErrorTextTests {
  static let device = HostDriver.device
  let m23 = Tensor.zeros([2, 3], on: device)
  let m45 = Tensor.zeros([4, 5], on: device)
  let image = Tensor.zeros([8, 3, 32, 32], on: device)
  let integers = Tensor.zeros([4], dtype: .int64, on: device)
  let flags = Tensor.zeros([2, 3], dtype: .bool, on: device)
  let scalar = Tensor.zeros([], on: device)

  func expect(_ tensor: Tensor, _ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    guard var error = tensor.error as? TensorError else {
      Issue.record("no TensorError", sourceLocation: sourceLocation)
      return
    }
    error.location = nil
    #expect(error.description == text, sourceLocation: sourceLocation)
  }

  @Test func views() {
    expect(
      m23.reshaped(to: [4, 2]),
      "reshaped: [2, 3] has 6 elements, [4, 2] has 8 [x [2, 3] float32]; use a shape of 6 elements, or -1 for one axis")
    expect(
      m23.reshaped(to: [-1, -1]),
      "reshaped: at most one dimension may be -1, got [-1, -1] [x [2, 3] float32]; name all dimensions but one")
    expect(
      m23.reshaped(to: [-1, 4]),
      "reshaped: 6 elements cannot be divided into [-1, 4]: 6 is no multiple of 4 [x [2, 3] float32]; use dimensions whose product divides 6")
    expect(
      m23.reshaped(to: [2, -3]),
      "reshaped: [2, -3] is not a shape [x [2, 3] float32]; use non-negative dimensions and at most one -1")
    expect(
      m23.permuted([0, 0]),
      "permuted: axes must name each of 2 axes once, got [0, 0] [x [2, 3] float32]; use an order of [0, 1]")
    expect(
      scalar.transposed(),
      "transposed: axis -2 is out of range for rank 0 [x [] float32]; a scalar has no axes; reshape it to [1] first")
    expect(
      m23.broadcast(to: [2, 4]),
      "broadcast: [2, 3] does not broadcast to [2, 4] [x [2, 3] float32]; from the right, each dimension must be 1 or the target's; use `.expanded(axis:)` to line them up")
    expect(
      m23.sliced(axis: 2, from: 1),
      "sliced: axis 2 is out of range for rank 2 [x [2, 3] float32]; use an axis in -2..<2")
    expect(
      m23.sliced(axis: 0, step: 0),
      "sliced: step must not be 0 [x [2, 3] float32]; use 1, or -1 to walk backwards")
    expect(
      m23[2],
      "subscript: index 2 is out of range for an axis of 2 [x [2, 3] float32]; use an index in -2..<2")
    expect(
      m23[1..<5],
      "subscript: range 1..<5 is not inside 0..<2 [x [2, 3] float32]; use a range inside it, or `.sliced(axis:from:to:)`, which cuts its bounds")
    expect(
      m23.flipped(axes: [0, -2]),
      "flipped: axis -2 is named twice in [0, -2] [x [2, 3] float32]; name each axis once")
    expect(
      m23.squeezed(axes: [1]),
      "squeezed: axis 1 has size 3, not 1 [x [2, 3] float32]; leave it out, or pick one row of it with `.sliced(axis:from:to:)`")
    expect(
      m23.expanded(axis: 4),
      "expanded: axis 4 is out of range for a result of rank 3 [x [2, 3] float32]; use an axis in -3...2")
    expect(
      m23.flattened(from: 2),
      "flattened: axis 2 is out of range for rank 2 [x [2, 3] float32]; use an axis in -2..<2")
    expect(
      m23.tiled([-1]),
      "tiled: counts [-1] give no shape [x [2, 3] float32]; use non-negative counts")
  }

  @Test func assemblies() {
    expect(
      concatenate([]),
      "concatenate: there are no tensors; give at least one, or use `Tensor.zeros` for an empty one")
    expect(
      concatenate([m23, m45], axis: 0),
      "concatenate: operand 1 has shape [4, 5], which differs from [2, 3] beyond axis 0 [operand 0 [2, 3] float32, operand 1 [4, 5] float32]; make all other dimensions equal, or concatenate along another axis")
    expect(
      stack([m23, m45]),
      "stack: all shapes must be equal, operand 1 has [4, 5], not [2, 3] [operand 0 [2, 3] float32, operand 1 [4, 5] float32]; reshape or broadcast them first, or use `concatenate`")
    expect(
      m23.split(counts: [1, 3], axis: 1)[0],
      "split: counts [1, 3] must be non-negative and add up to 3, the size of axis 1 [x [2, 3] float32]; change the counts, or slice first")
    expect(
      m23.split(into: 2, axis: 1)[0],
      "split: axis 1 of size 3 cannot be split into 2 equal parts [x [2, 3] float32]; use `split(counts:axis:)` for parts of different sizes")
    expect(
      m23.padded(low: [1], high: [1]),
      "padded: low and high need one entry for each of 2 axes, got [1] and [1] [x [2, 3] float32]; use 0 for axes that stay as they are")
    expect(
      m23.padded(low: [2, 0], high: [0, 0], mode: .reflect),
      "padded: axis 0 of size 2 can be reflected by at most 1, got 2 and 0 [x [2, 3] float32]; pad less, or use mode .edge")
  }

  @Test func reductions() {
    expect(
      m23.sum(axes: [2]),
      "sum: axis 2 is out of range for rank 2 [x [2, 3] float32]; use an axis in -2..<2")
    expect(
      m23.sum(axes: [0, -2]),
      "sum: axis -2 is named twice in [0, -2] [x [2, 3] float32]; name each axis once")
    expect(
      integers.mean(),
      "mean: needs float32 or float64, got int64 [x [4] int64]; use `.cast(to: .float32)`")
    expect(
      Tensor.zeros([0, 3], on: Self.device).max(axes: [0]),
      "max: axis 0 is empty: nothing has no max [x [0, 3] float32]; check that there is data before reducing it")
    expect(
      Tensor.zeros([0], on: Self.device).argmax(),
      "argmax: axis 0 is empty: nothing has no argmax [x [0] float32]; check that there is data before reducing it")
    expect(
      scalar.cumulativeSum(axis: 0),
      "cumulativeSum: axis 0 is out of range for rank 0 [x [] float32]; a scalar has no axes; reshape it to [1] first")
    expect(
      m23.topK(4).values,
      "topK: k must be in 0...3, the size of axis -1, got 4 [x [2, 3] float32]; use a smaller k")
    expect(
      m23.norm(order: .nan),
      "norm: order is NaN [x [2, 3] float32]; use 1, 2 or .infinity")
  }

  @Test func rows() {
    expect(
      integers.softmax(),
      "softmax: needs float32 or float64, got int64 [x [4] int64]; use `.cast(to: .float32)`")
    expect(
      layerNorm(m23, scale: m23[0][0..<2]),
      "layerNorm: scale must have shape [3], the size of x's last axis, got [2] [x [2, 3] float32, scale [2] float32]; normalise over the last axis only, or reshape x")
    expect(
      rmsNorm(m23, scale: Tensor.ones([3], dtype: .float64, on: Self.device)),
      "rmsNorm: operands must have one dtype, got float32 and float64 [x [2, 3] float32, scale [3] float64]; use `.cast(to: .float64)` on x")
    expect(
      crossEntropy(logits: m45, labels: m45),
      "crossEntropy: labels must be integers, got float32 [labels [4, 5] float32]; use `.cast(to: .int64)`")
    expect(
      crossEntropy(logits: m45, labels: Tensor.zeros([4, 5], dtype: .int64, on: Self.device)),
      "crossEntropy: labels must have shape [4], one for each row of logits, got [4, 5] [logits [4, 5] float32, labels [4, 5] int64]; for one-hot labels use `.argmax(axis: -1)`")
    expect(
      crossEntropy(logits: m23, labels: integers),
      "crossEntropy: labels must have shape [2], one for each row of logits, got [4] [logits [2, 3] float32, labels [4] int64]; put the classes on the last axis of logits")
  }

  @Test func products() {
    expect(
      matmul(m23, m45),
      "matmul: inner dimensions must be equal, got 3 and 4 [lhs [2, 3] float32, rhs [4, 5] float32]; reshape one so that lhs is [..., m, k] and rhs [..., k, n]")
    expect(
      matmul(m23, m23),
      "matmul: inner dimensions must be equal, got 3 and 2 [lhs [2, 3] float32, rhs [2, 3] float32]; use `matmul(lhs, rhs.transposed())`")
    expect(
      matmul(m45, Tensor.zeros([4, 2], on: Self.device)),
      "matmul: inner dimensions must be equal, got 5 and 4 [lhs [4, 5] float32, rhs [4, 2] float32]; use `matmul(lhs.transposed(), rhs)`")
    expect(
      matmul(m23, scalar),
      "matmul: operands need at least one axis, got ranks 2 and 0 [lhs [2, 3] float32, rhs [] float32]; use `*` to scale by a number")
    expect(
      matmul(Tensor.zeros([2, 4, 3], on: Self.device), Tensor.zeros([3, 3, 1], on: Self.device)),
      "matmul: batch dimensions [2] and [3] do not broadcast [lhs [2, 4, 3] float32, rhs [3, 3, 1] float32]; from the right, each pair must be equal or one of them 1")
    expect(
      matmul(m23, Tensor.zeros([3, 1], dtype: .float64, on: Self.device)),
      "matmul: operands must have one dtype, got float32 and float64 [lhs [2, 3] float32, rhs [3, 1] float64]; use `.cast(to: .float64)` on lhs")
    expect(
      matmul(flags, flags.transposed()),
      "matmul: bool has no products [lhs [2, 3] bool, rhs [3, 2] bool]; use `.cast(to: .float32)`")
    expect(
      einsum("ij,jk->ik", m23),
      "einsum: 'ij,jk->ik' names 2 operands, got 1 [operand 0 [2, 3] float32]; give one operand for each term")
    expect(
      einsum("ij,jk->ik", m23, m45),
      "einsum: 'j' stands for 3 and, in operand 1, for 4 [operand 0 [2, 3] float32, operand 1 [4, 5] float32]; use another letter, or make the sizes equal")
    expect(
      einsum("ijk->i", m23),
      "einsum: term 'ijk' names 3 axes, operand 0 has 2 [operand 0 [2, 3] float32]; name each axis by one letter, or several by '...'")
    expect(
      einsum("ij->ik", m23),
      "einsum: the result's 'k' is in no operand [operand 0 [2, 3] float32]; name only axes of the operands")
    expect(
      einsum("ij->ii", m23),
      "einsum: the result names 'i' twice [operand 0 [2, 3] float32]; name each axis of the result once")
    expect(
      einsum("i1->i", m23),
      "einsum: cannot read term 'i1' of 'i1->i' [operand 0 [2, 3] float32]; use letters and at most one '...' in each term")
    expect(
      einsum("ij->i->j", m23),
      "einsum: 'ij->i->j' has more than one '->' [operand 0 [2, 3] float32]; write it as in 'ij,jk->ik'")
  }

  @Test func images() {
    expect(
      convolution2D(m23, filter: m45),
      "convolution2D: x and filter must have 4 axes, got 2 and 2 [x [2, 3] float32, filter [4, 5] float32]; x is [batch, channels, height, width]; for a single image use `.expanded(axis: 0)`")
    expect(
      convolution2D(image, filter: Tensor.zeros([16, 4, 3, 3], on: Self.device)),
      "convolution2D: the filter reads 4 channels, x has 3 [x [8, 3, 32, 32] float32, filter [16, 4, 3, 3] float32]; the filter must be [filters, 3, kernelHeight, kernelWidth]")
    expect(
      convolution2D(image, filter: Tensor.zeros([3, 3, 3, 16], on: Self.device), groups: 2),
      "convolution2D: 3 channels and 3 filters cannot be divided into 2 groups [x [8, 3, 32, 32] float32, filter [3, 3, 3, 16] float32]; use a positive number of groups that divides both")
    expect(
      convolution2D(image, filter: Tensor.zeros([16, 3, 40, 3], on: Self.device)),
      "convolution2D: the window spans 40 along height, the padded input only 32 [x [8, 3, 32, 32] float32, filter [16, 3, 40, 3] float32]; use a smaller window or dilation, a larger input, or more padding")
    expect(
      convolution2D(image, filter: Tensor.zeros([16, 3, 3, 3], on: Self.device), stride: (0, 1)),
      "convolution2D: the stride along height must be positive, got 0 [x [8, 3, 32, 32] float32, filter [16, 3, 3, 3] float32]; use 1 or more")
    expect(
      convolution1D(image, filter: m23),
      "convolution1D: x and filter must have 3 axes, got 4 and 2 [x [8, 3, 32, 32] float32, filter [2, 3] float32]; x is [batch, channels, width]; for a single sequence use `.expanded(axis: 0)`")
    expect(
      transposedConvolution2D(image, filter: Tensor.zeros([16, 3, 3, 3], on: Self.device)),
      "transposedConvolution2D: the filter reads 16 channels, x has 3 [x [8, 3, 32, 32] float32, filter [16, 3, 3, 3] float32]; the filter must be [3, out / 1, kernelHeight, kernelWidth]")
    expect(
      transposedConvolution2D(image, filter: Tensor.zeros([3, 16, 3, 3], on: Self.device), outputPadding: (1, 1)),
      "transposedConvolution2D: outputPadding 1 must be below the stride 1 or the dilation 1 [x [8, 3, 32, 32] float32, filter [3, 16, 3, 3] float32]; it only chooses among the sizes that a stride makes possible")
    expect(
      maxPool2D(m23, size: (2, 2)),
      "maxPool2D: x must have 4 axes, got 2 [x [2, 3] float32]; x is [batch, channels, height, width]; for a single image use `.expanded(axis: 0)`")
    expect(
      maxPool2D(image, size: (2, 2), padding: .symmetric(2, 0)),
      "maxPool2D: a window along height lies in the padding alone (window 2, padding 2 and 2) [x [8, 3, 32, 32] float32]; pad by at most half the window")
    expect(
      averagePool2D(image.cast(to: .int32), size: (2, 2)),
      "averagePool2D: needs float32 or float64, got int32 [x [8, 3, 32, 32] int32]; use `.cast(to: .float32)`")
    expect(
      adaptiveAveragePool2D(image, outputSize: (0, 1)),
      "adaptiveAveragePool2D: outputSize must be positive and x not empty, got 0 x 1 [x [8, 3, 32, 32] float32]; use 1 or more")
  }

  @Test func indices() {
    expect(
      m23.gathered(m23[0]),
      "gathered: indices must be integers, got float32 [indices [3] float32]; use `.cast(to: .int64)`")
    expect(
      m23.takenAlong(integers, axis: 0),
      "takenAlong: indices [4] do not fit [2, 3] beyond axis 0 [x [2, 3] float32, indices [4] int64]; give indices x's rank, the other axes equal or 1; to choose whole rows use `gathered`")
    expect(
      Tensor.zeros([0, 3], on: Self.device).gathered(integers),
      "gathered: axis 0 is empty: there is nothing to choose [x [0, 3] float32, indices [4] int64]; check that there is data before choosing from it")
    expect(
      embedding(integers, m23),
      "embedding: the table must have 2 axes, got 1 [table [4] int64, indices [2, 3] float32]; the table is [words, features], and comes first")
    expect(
      scatterAdd(m23, integers, count: 5),
      "scatterAdd: source [2, 3] must have the shape of indices [4] at axis 0 [source [2, 3] float32, indices [4] int64]; give one row of source for each index")
    expect(
      scatterAddAlong(m23, integers, axis: 0, count: 2),
      "scatterAddAlong: source [2, 3] and indices [4] must have one shape [source [2, 3] float32, indices [4] int64]; broadcast the smaller one first")
    expect(
      oneHot(m23, depth: 10),
      "oneHot: indices must be integers, got float32 [indices [2, 3] float32]; use `.cast(to: .int64)`")
  }

  @Test func creation() {
    expect(
      Tensor.zeros([2, -1], on: Self.device),
      "zeros: shape [2, -1] has a negative dimension; -1 is only for `reshaped(to:)`; use dimensions of 0 or more")
    expect(
      Tensor.ones([1 << 40, 1 << 40], on: Self.device),
      "ones: shape [1099511627776, 1099511627776] has too many elements; use smaller dimensions")
    expect(
      Tensor.arange(to: 3, step: 0, on: Self.device),
      "arange: from 0.0, to 3.0 and step 0.0 must be finite, the step not 0; use a step such as 1")
    expect(
      Tensor.arange(to: 3, step: 0.5, dtype: .int32, on: Self.device),
      "arange: from 0.0 and step 0.5 must be whole for int32; use dtype: .float32")
    expect(
      Tensor.linspace(from: 0, to: 1, count: -2, on: Self.device),
      "linspace: needs a count of 0 or more and a float dtype, got -2 and float32; use `arange` for integers")
    expect(
      Tensor([1, 2, 3] as [Float], shape: [2, 2], on: Self.device),
      "Tensor: shape [2, 2] needs 4 elements, got 3; give a shape whose dimensions multiply to 3")
    expect(
      Tensor.randomUniform([2], low: 1, high: 0, on: Self.device),
      "randomUniform: low must not exceed high, and both be finite, got 1.0 and 0.0; exchange them")
    expect(
      Tensor.randomNormal([2], dtype: .int32, on: Self.device),
      "randomNormal: needs float32 or float64, got int32; use `randomIntegers`")
    expect(
      Tensor.randomNormal([2], standardDeviation: -1, on: Self.device),
      "randomNormal: the standard deviation must not be negative, got -1.0; use its magnitude")
    expect(
      Tensor.randomBernoulli([2], probability: 50, on: Self.device),
      "randomBernoulli: the probability must be in 0...1, got 50.0; divide percentages by 100")
    expect(
      Tensor.randomIntegers([2], low: 3, high: 3, on: Self.device),
      "randomIntegers: low must be below high, got 3 and 3; high is excluded")
    expect(
      Tensor.randomIntegers([2], high: 300, dtype: .uint8, on: Self.device),
      "randomIntegers: uint8 cannot hold all of 0..<300; use dtype: .int64, or a smaller range")
  }

  @Test func elementwise() {
    expect(
      m23 + m45,
      "add: shapes [2, 3] and [4, 5] do not broadcast [lhs [2, 3] float32, rhs [4, 5] float32]; aligned at the right, each pair of dimensions must be equal or one of them 1; use `.reshaped(to:)` or `.expanded(axis:)`")
    expect(
      flags + flags,
      "add: the dtype must be a number dtype (not bool), got bool [lhs [2, 3] bool, rhs [2, 3] bool]; use `.&&`, `.||`, `.^^`, or `.cast(to: .float32)`")
    expect(
      m23 .&& flags,
      "and: the dtype must be bool, got float32 [lhs [2, 3] float32, rhs [2, 3] bool]; use `.cast(to: .float32)`")
    expect(
      select(m23, m23, 0),
      "select: the condition must be bool, got float32 [condition [2, 3] float32, a [2, 3] float32, b [] float32]; compare it first, as in `x .!= 0`")
  }

  @Test("the place of the call is named, through compositions and subscripts too")
  func locations() {
    func location(_ tensor: Tensor) -> String? { (tensor.error as? TensorError)?.location }
    #expect(location(m23.sum(axes: [7], file: "App/Model.swift", line: 12)) == "App/Model.swift:12")
    #expect(location(einsum("ij->k", m23, file: "App/Model.swift", line: 3)) == "App/Model.swift:3")
    #expect(location(m23[9])?.hasPrefix("KilnEngineTests/ErrorTextTests.swift:") == true)
    let error = m23.sum(axes: [7], file: "App/Model.swift", line: 12).error as? TensorError
    #expect(
      error?.description
        == "sum: axis 7 is out of range for rank 2 [x [2, 3] float32]; use an axis in -2..<2 (at App/Model.swift:12)")
  }

  @Test("the first error travels; later operations neither replace it nor trap")
  func propagation() {
    let broken = matmul(m23, m45)
    let later: [Tensor] = [
      broken.sum(axes: [1]).reshaped(to: [3, -1]).permuted([2]), concatenate([m23, broken], axis: 5),
      einsum("ij,jk->ik", broken, m23), convolution2D(broken, filter: m23), broken.softmax(axis: 4),
      m23.gathered(broken), m23.padded(low: [1, 1], high: [0, 0]) * broken, broken[3][1], broken.topK(9).values,
      stack([m23, broken]), select(broken, m23, 1), layerNorm(m23, scale: broken), oneHot(broken, depth: 3),
      scatterAdd(broken, integers, count: 2), broken.split(into: 7)[0], broken.logSumExp(), broken.norm(order: 3),
    ]
    for tensor in later { #expect((tensor.error as? TensorError)?.operation == "matmul") }
  }

  @Test("operands on two devices, and dtypes that a device lacks")
  func devices() {
    let other = Device(HostDriver("other", lacks: [.float64]))
    expect(
      matmul(m23, Tensor.zeros([3, 2], on: other)),
      "matmul: all operands must be on one device, got host and other [lhs [2, 3] float32, rhs [3, 2] float32]; move them together with `.to(device)`")
    expect(
      concatenate([m23, Tensor.zeros([3, 3], on: other)]),
      "concatenate: all operands must be on one device, got host and other [operand 0 [2, 3] float32, operand 1 [3, 3] float32]; move them together with `.to(device)`")
    expect(
      Tensor.zeros([3], on: other).cast(to: .float64),
      "cast: device other does not support float64 [x [3] float32]; use `.cast(to: .float32)`, or another device")
  }
}
