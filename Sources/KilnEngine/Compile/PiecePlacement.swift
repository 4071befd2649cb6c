/// Which values are made right where they belong in a concatenation, so that putting it together copies nothing: a value
/// that is a piece of an assembly has its memory inside the assembly's, and whoever else reads it reads it there.
struct PiecePlacement {
  private struct Place {
    var assembly: Int
    var piece: Int
    /// In the memory of `owner`.
    var layout: Layout
    /// The value whose memory it is: the assembly, or what the assembly is itself a piece of.
    var owner: Int
  }
  private var places: [Int: Place] = [:]

  var isEmpty: Bool { places.isEmpty }
  func layout(_ v: Int) -> Layout? { places[v]?.layout }
  func isPlaced(_ v: Int, in assembly: Int, piece: Int) -> Bool {
    places[v].map { $0.assembly == assembly && $0.piece == piece } ?? false
  }
  func memory(of slot: Int) -> Program.Slot { .arena(places[slot]?.owner ?? slot) }

  init(_ graph: CanonicalGraph, _ fusion: Fusion) {
    guard graph.values.contains(where: { if case .op(.assemble) = $0.kind { true } else { false } }) else { return }
    let results = Set(graph.outputs.map(\.value))
    // What an elementwise kernel that stores several values ends with.
    var kernelRoot: [Int: Int] = [:]
    for (kernel, extras) in fusion.extraOutputs { for extra in extras { kernelRoot[extra] = kernel.root } }

    // An assembly that is a piece itself comes after those that it is a piece of.
    for v in graph.values.indices.reversed() {
      guard case .op(.assemble(let assembly)) = graph.values[v].kind, graph.isCovered(graph.values[v]) else { continue }
      let owner = places[v]?.owner ?? v
      let whole = places[v]?.layout ?? Layout(contiguous: graph.values[v].shape)
      for (i, piece) in graph.values[v].inputs.dropFirst().enumerated() {
        let p = piece.value
        let shape = graph.values[p].shape
        if case .leaf = graph.values[p].kind { continue }
        guard fusion.isStored[p], places[p] == nil, !results.contains(p), !graph.values[p].isFree, shape.count > 0,
          piece.views.allSatisfy({ if case .reshape = $0 { true } else { false } })
        else { continue }
        let seen = piece.views.reduce(shape) { $1.resultShape($0) }
        guard let layout = assembly.place(of: i, seen, in: whole).applying(.reshape(shape)) else { continue }
        let writer = kernelRoot[p] ?? p
        let maker = fusion.producer[writer] ?? writer
        guard layout.isContiguous || Self.canStride(graph.values[maker]) else { continue }
        places[p] = Place(assembly: v, piece: i, layout: layout, owner: owner)
      }
    }
  }

  /// Whether the value's family writes results that do not lie one after another.
  private static func canStride(_ value: CanonicalGraph.Value) -> Bool {
    if value.isElementwise { return true }
    return switch value.kind {
    case .op(.reduce), .op(.matmul), .op(.assemble): true
    case .op(.rowwise(let kind)): !kind.isResultPerRow
    default: false
    }
  }
}

extension CanonicalGraph {
  /// Whether an assembly's pieces leave no gap: they never overlap.
  func isCovered(_ assembly: Value) -> Bool {
    let covered = assembly.inputs.dropFirst().reduce(0) { total, input in
      total + input.views.reduce(values[input.value].shape) { $1.resultShape($0) }.count
    }
    return covered == assembly.shape.count
  }
}

extension Assembly {
  /// Where piece `i`, of `shape`, lies when the whole lies as `whole` says.
  func place(of i: Int, _ shape: Shape, in whole: Layout) -> Layout {
    var place = Layout(shape: shape, strides: whole.strides, offset: whole.offset)
    for axis in 0..<shape.rank {
      place.offset += starts[i][axis] * whole.strides[axis]
      place.strides[axis] *= steps[i][axis]
    }
    return place
  }
}
