import KilnEngine
import KilnProtobuf

/// Windows along one axis, as ONNX counts them.
private struct WindowAxis {
  let kernel, stride, dilation, before: Int
  /// The size of the larger and of the smaller side.
  let size, out: Int

  /// Zeros behind the larger side, for windows forwards; negative where its last elements are in no window.
  var after: Int { (out - 1) * stride + (kernel - 1) * dilation + 1 - before - size }
}

extension GraphWriter {
  mutating func convolved(_ convolution: Convolution, _ index: Int) throws -> (Operand, Form) {
    let c = convolution
    let inputs = trace.vertices[index].inputs
    let axes = [
      WindowAxis(
        kernel: c.kernelHeight, stride: c.strideY, dilation: c.dilationY, before: c.padTop, size: c.height,
        out: c.outHeight),
      WindowAxis(
        kernel: c.kernelWidth, stride: c.strideX, dilation: c.dilationX, before: c.padLeft, size: c.width,
        out: c.outWidth),
    ]
    let shared: [ONNXAttributeProto] = [
      .ints("kernel_shape", axes.map(\.kernel)), .ints("strides", axes.map(\.stride)),
      .ints("dilations", axes.map(\.dilation)), .int("group", c.groups),
    ]
    let (x, w) = (try exact(inputs[0]), try exact(inputs[1]))
    switch c.kind {
    case .forward:
      // What no window reads may stay: ONNX rounds down too.
      let pads = axes.map(\.before) + axes.map { max($0.after, 0) }
      return form(builder.add("Conv", [x, w], shared + [.ints("pads", pads)]), extents(index), of: index)
    case .inputGradient:
      // Elements that no window would have read are there all the same, as zeros: output padding.
      let pads = axes.map(\.before) + axes.map { max($0.after, 0) }
      let extra = axes.map { max(-$0.after, 0) }
      let name = builder.add(
        "ConvTranspose", [x, w], shared + [.ints("pads", pads), .ints("output_padding", extra)])
      return form(name, extents(index), of: index)
    case .filterGradient: throw unsupported("the gradient of a convolution's filters")
    }
  }

  mutating func pooled(_ pool: Pool, _ index: Int) throws -> (Operand, Form) {
    let input = trace.vertices[index].inputs[0]
    let axes = [
      WindowAxis(
        kernel: pool.kernelHeight, stride: pool.strideY, dilation: pool.dilationY, before: pool.padTop,
        size: pool.height, out: pool.outHeight),
      WindowAxis(
        kernel: pool.kernelWidth, stride: pool.strideX, dilation: pool.dilationX, before: pool.padLeft,
        size: pool.width, out: pool.outWidth),
    ]
    // The engine pools planes; ONNX images of channels, which is what planes mostly come from.
    var x = try flat(input)
    if x.extents.count != 4 || x.extents.suffix(2) != [Extent(pool.height), Extent(pool.width)] {
      let extents = [extents(input)[0], Extent(1), Extent(pool.height), Extent(pool.width)]
      x = Operand(name: builder.reshape(try exact(input), to: extents), extents: extents)
    }
    let pads = axes.map(\.before) + axes.map { max($0.after, 0) }
    let shared: [ONNXAttributeProto] = [
      .ints("kernel_shape", axes.map(\.kernel)), .ints("strides", axes.map(\.stride)), .ints("pads", pads),
    ]
    let name: String
    switch pool.kind {
    case .max: name = builder.add("MaxPool", [x.name], shared + [.ints("dilations", axes.map(\.dilation))])
    case .average(let countsPadding):
      guard axes.allSatisfy({ $0.dilation == 1 }) else { throw unsupported("average pooling with dilation") }
      name = builder.add("AveragePool", [x.name], shared + [.int("count_include_pad", countsPadding ? 1 : 0)])
    case .maxGradient, .maxGather, .averageGradient: throw unsupported("the gradient of pooling")
    }
    let extents = Array(x.extents.prefix(2)) + [Extent(pool.outHeight), Extent(pool.outWidth)]
    return (Operand(name: name, extents: extents), .reshaped)
  }
}
