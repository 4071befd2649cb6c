import KilnEngine
import KilnProtobuf

extension GraphWriter {
  mutating func viewed(_ view: View, _ index: Int) throws -> (Operand, Form) {
    let input = trace.vertices[index].inputs[0]
    let target = extents(index)
    switch view {
    case .reshape:
      let source = try flat(input)
      return source.extents == target ? (source, .exact) : (source, .reshaped)
    case .broadcast:
      let source = try broadcastable(input)
      return form(source.name, source.extents, of: index)
    case .permute(let axes):
      return form(builder.add("Transpose", [try exact(input)], [.ints("perm", axes)]), target, of: index)
    case .slice(_, _, let steps): return try sliced(input, steps, index)
    }
  }

  private mutating func sliced(_ input: Int, _ steps: [Int], _ index: Int) throws -> (Operand, Form) {
    let (source, target) = (extents(input), extents(index))
    var starts: Extents = []
    var ends: Extents = []
    var axes: [Int] = []
    for (axis, step) in steps.enumerated() {
      let start = try trace.extent(index) { op in
        if case .view(.slice(let starts, _, _)) = op { starts[axis] } else { 0 }
      }
      let count = target[axis]
      if start == Extent(0), step == 1, count == source[axis] { continue }
      axes.append(axis)
      // -1 is the last one. An end past either side is that side, and needs no computed number.
      starts.append(step < 0 && start == source[axis] - Extent(1) ? Extent(-1) : start)
      let end = start + count * step
      if step > 0 {
        ends.append(end == source[axis] ? Extent(Int(Int64.max)) : end)
      } else {
        // A whole axis backwards ends before its first element, for which only a number far below stands.
        let isWhole = end.constant.map { $0 < 0 } ?? false
        ends.append(isWhole ? Extent(Int(Int64.min)) : end)
      }
    }
    let source2 = try exact(input)
    if axes.isEmpty { return form(source2, target, of: index) }
    let name = builder.add(
      "Slice",
      [
        source2, builder.vector(starts), builder.vector(ends), builder.constant(axes),
        builder.constant(axes.map { steps[$0] }),
      ])
    return form(name, target, of: index)
  }

  /// Concatenation and padding; the gradients of slices, which are the same to the engine, are not in a forward pass.
  mutating func assembled(_ assembly: Assembly, _ index: Int) throws -> (Operand, Form) {
    let vertex = trace.vertices[index]
    let target = vertex.extents
    let pieces = vertex.inputs.map { extents($0) }
    let starts = try pieces.indices.map { piece in
      try target.indices.map { axis in
        try trace.extent(index) { op in
          if case .assemble(let assembly) = op { assembly.starts[piece][axis] } else { 0 }
        }
      }
    }
    let isDense = zip(assembly.steps, pieces).allSatisfy { steps, extents in
      zip(steps, extents).allSatisfy { $0 == 1 || $1 == Extent(1) }
    }
    guard isDense else { throw unsupported("elements put apart from each other") }
    for axis in target.indices {
      var position = Extent(0)
      var fits = true
      for (piece, start) in zip(pieces, starts) {
        fits =
          fits
          && target.indices.allSatisfy { other in
            other == axis ? start[axis] == position : start[other] == Extent(0) && piece[other] == target[other]
          }
        position = position + piece[axis]
      }
      guard fits, position == target[axis] else { continue }
      let names = try vertex.inputs.map { try exact($0) }
      return form(builder.add("Concat", names, [.int("axis", axis)]), target, of: index)
    }
    guard pieces.count == 1 else { throw unsupported("pieces that leave gaps between them") }
    let after = target.indices.map { target[$0] - starts[0][$0] - pieces[0][$0] }
    let pads = builder.vector(starts[0] + after)
    // Pad knows no bool.
    let isBool = vertex.dtype == .bool
    var source = try exact(vertex.inputs[0])
    if isBool { source = builder.add("Cast", [source], [.int("to", Int(DType.uint8.onnx))]) }
    let fill = builder.constant(isBool ? Scalar(assembly.fill.int, .uint8) : assembly.fill)
    var name = builder.add("Pad", [source, pads, fill])
    if isBool { name = builder.add("Cast", [name], [.int("to", Int(DType.bool.onnx))]) }
    return form(name, target, of: index)
  }

  mutating func gathered(_ gather: Gather, _ index: Int) throws -> (Operand, Form) {
    let vertex = trace.vertices[index]
    let (data, positions) = (vertex.inputs[0], vertex.inputs[1])
    switch gather.kind {
    case .rows:
      // A table as it lies in the file, and indices in their own shape: the two reshapes around fall away.
      let (table, indices) = (try flat(data), try flat(positions))
      let (outer, length) = (extents(data)[0], extents(data)[1])
      if outer == Extent(1), table.extents.first == length {
        let name = builder.add("Gather", [table.name, indices.name], [.int("axis", 0)])
        return form(name, indices.extents + table.extents.dropFirst(), of: index)
      }
      let name = builder.add("Gather", [try exact(data), try exact(positions)], [.int("axis", 1)])
      return form(name, extents(index), of: index)
    case .along:
      let name = builder.add("GatherElements", [try exact(data), try exact(positions)], [.int("axis", 1)])
      return form(name, extents(index), of: index)
    case .scatterAddRows, .scatterAddAlong: throw unsupported("scatterAdd")
    }
  }
}
