/// Decides which elementwise values are computed inside which kernel.
///
/// A kernel is named by the value that ends it (its root); an elementwise value that is not a root is computed inside
/// its consumers' kernels. Kernels run in the order of their roots, and each reads only what earlier ones stored.
/// Values are visited from the outputs back, so the kernels of a value's consumers are known when its turn comes.
struct Fusion {
  /// A kernel's identity: its root value, or for pieces of an assembly that value and the first of the pieces.
  struct Kernel: Hashable, Comparable {
    var root: Int
    var piece = -1
    static func < (lhs: Kernel, rhs: Kernel) -> Bool { (lhs.root, lhs.piece) < (rhs.root, rhs.piece) }
  }

  /// Values that are stored in memory: roots of kernels, and further outputs of elementwise kernels.
  private(set) var isStored: [Bool]
  /// Values stored by an elementwise kernel beside its root (or beside the pieces of an assembly).
  private(set) var extraOutputs: [Kernel: [Int]] = [:]
  private(set) var isExtraOutput: [Bool]
  /// For a reduction, matmul or convolution that is finished by an elementwise kernel: that kernel's root.
  private(set) var epilogueRoot: [Int: Int] = [:]
  /// The inverse of `epilogueRoot`.
  private(set) var producer: [Int: Int] = [:]
  /// Producers finished by a kernel whose own result later kernels read too: stored beside the root.
  private(set) var isKeptProducer: Set<Int> = []

  /// Bounds that keep kernels within the argument limits of OpenCL 1.2 devices and compile times linear.
  static let maximumInstructions = 192
  static let maximumOperands = 20
  /// Pieces of an assembly that one kernel stores at most.
  static let maximumPieces = 8
  /// The dearest operation that is repeated to save a trip through memory.
  static let cheap = 2
  /// The dearest value without operands in memory (a dropout mask) that every kernel computes for itself.
  static let cheapMask = 60
  /// The dearest operation that kernels repeat which read its operand anyway: storing it for the second costs a write
  /// and a read, some tens of operations.
  static let cheapOnShared = 24
  /// How often a mask of positions is seen at least (a causal one by every head of every sample) to be stored.
  static let repeatsOfStoredMask = 8
  /// An operand is small if so many of it are not larger than what is made of it.
  static let sharesOfSmall = 8

  private struct Edge {
    var consumer: Int
    var input: Int
    var views: [View]
  }
  private let graph: CanonicalGraph
  private let enabled: Bool
  private var edges: [[Edge]]
  private var isOutput: [Bool]
  /// The kernels a value is computed in.
  private var kernels: [Set<Kernel>]
  /// Those of its kernels whose root the value reaches through no view at all.
  private var alignedKernels: [Set<Kernel>]
  /// Whether some consumer repeats the value (a broadcast on the way to the root).
  private var isRepeated: [Bool]
  private var sizes: [Kernel: (instructions: Int, operands: Int)] = [:]
  /// What an element costs of a value that depends on random numbers, positions and scalars alone; `nil` for others.
  private var costWithoutMemory: [Int?] = []
  /// For an assembly: the first input of each input's group, those that one kernel stores.
  private var pieceGroups: [Int: [Int]] = [:]

  init(_ graph: CanonicalGraph, enabled: Bool) {
    self.graph = graph
    self.enabled = enabled
    let count = graph.values.count
    edges = Array(repeating: [], count: count)
    isOutput = Array(repeating: false, count: count)
    isStored = Array(repeating: false, count: count)
    isExtraOutput = Array(repeating: false, count: count)
    kernels = Array(repeating: [], count: count)
    alignedKernels = Array(repeating: [], count: count)
    isRepeated = Array(repeating: false, count: count)
    for (consumer, value) in graph.values.enumerated() {
      for (i, input) in value.inputs.enumerated() {
        edges[input.value].append(Edge(consumer: consumer, input: i, views: input.views))
      }
    }
    for (v, value) in graph.values.enumerated() {
      if case .op(.assemble) = value.kind { pieceGroups[v] = Self.groupedPieces(value, in: graph) }
    }
    for output in graph.outputs { isOutput[output.value] = true }
    for value in graph.values {
      let below = value.inputs.map { costWithoutMemory[$0.value] }
      let total = below.reduce(value.isElementwise ? value.cost : nil) { sum, part in
        sum.flatMap { sum in part.map { min(sum + $0, 1 << 20) } }
      }
      costWithoutMemory.append(total)
    }
    for v in stride(from: count - 1, through: 0, by: -1) { place(v) }
    if enabled { for v in 0..<count where isStored[v] { attachProducer(to: v) } }
  }

  private mutating func store(_ v: Int) {
    isStored[v] = true
    isRepeated[v] = false
    kernels[v] = [Kernel(root: v)]
    alignedKernels[v] = kernels[v]
    sizes[Kernel(root: v)] = (1, max(1, graph.values[v].inputs.count))
  }

  private mutating func place(_ v: Int) {
    let value = graph.values[v]
    guard value.isElementwise else { return store(v) }
    if edges[v].isEmpty { return store(v) }
    if value.inputs.isEmpty { return placeSource(v) }
    guard enabled else { return store(v) }

    // Where each consumer would compute it; nil where it must be read from memory.
    var homes: Set<Kernel> = []
    var readers: [Int] = []
    var misaligned: Set<Kernel> = []
    var repeated = false
    for edge in edges[v] {
      guard let targets = targets(of: edge, from: v) else {
        readers.append(edge.consumer)
        continue
      }
      homes.formUnion(targets.kernels)
      misaligned.formUnion(targets.kernels.subtracting(targets.aligned))
      repeated = repeated || targets.repeated
    }
    let fits = homes.allSatisfy { kernel in
      let size = sizes[kernel] ?? (0, 0)
      return size.instructions < Self.maximumInstructions
        && size.operands + addedOperands(value) <= Self.maximumOperands
    }
    let repeatable = !repeated || (value.cost <= Self.cheap && !isSmallMask(v))
    guard fits, repeatable, let first = homes.min() else { return store(v) }

    if readers.isEmpty, !isOutput[v],
      homes.count == 1 || isCheapOnStored(value) || isCheapOnKept(v) || isCheapMask(v) || isCheapOnShared(v, homes)
    {
      join(v, homes, aligned: homes.subtracting(misaligned), repeated: repeated)
      return
    }
    // As a further output of the first kernel that uses it: every other reader must come later.
    let root = graph.values[first.root]
    let laterReaders = readers.allSatisfy { $0 > first.root }
    if first.piece != 0, first.piece > 0 || root.isElementwise, isStored[first.root], laterReaders,
      shape(of: first) == value.shape, alignedWith(first, v)
    {
      isStored[v] = true
      isExtraOutput[v] = true
      extraOutputs[first, default: []].append(v)
      kernels[v] = [first]
      alignedKernels[v] = kernels[v]
      isRepeated[v] = false
      grow(first, by: value)
      return
    }
    store(v)
  }

  /// The points that a kernel visits.
  private func shape(of kernel: Kernel) -> Shape {
    let root = graph.values[kernel.root]
    return kernel.piece < 0 ? root.shape : graph.shape(root.inputs[kernel.piece])
  }

  /// For each input of an assembly the first of its group: neighbours of one shape, which one kernel can store.
  private static func groupedPieces(_ assembly: CanonicalGraph.Value, in graph: CanonicalGraph) -> [Int] {
    var groups: [Int] = []
    var shape: Shape?
    for (input, reference) in assembly.inputs.enumerated() {
      let next = graph.shape(reference)
      // Input 0 is the fill.
      let joins = input > 1 && next == shape && input - groups[input - 1] < maximumPieces
      groups.append(joins ? groups[input - 1] : input)
      shape = next
    }
    return groups
  }

  /// The inputs of an assembly in groups; each is stored by one kernel.
  func pieces(of assembly: Int) -> [[Int]] {
    let groups = pieceGroups[assembly] ?? []
    return groups.indices.dropFirst().reduce(into: [[Int]]()) { result, input in
      if groups[input] == input { result.append([input]) } else { result[result.count - 1].append(input) }
    }
  }

  /// Whether every path from `v` into `kernel` is free of views, and other kernels read it from memory.
  private func alignedWith(_ kernel: Kernel, _ v: Int) -> Bool {
    edges[v].allSatisfy { edge in
      guard kernels[edge.consumer].contains(kernel), graph.values[edge.consumer].isElementwise else { return true }
      return edge.views.isEmpty && alignedKernels[edge.consumer].contains(kernel)
    }
  }

  private mutating func join(_ v: Int, _ homes: Set<Kernel>, aligned: Set<Kernel>, repeated: Bool) {
    kernels[v] = homes
    alignedKernels[v] = aligned
    isRepeated[v] = repeated
    for kernel in homes { grow(kernel, by: graph.values[v]) }
  }

  private mutating func grow(_ kernel: Kernel, by value: CanonicalGraph.Value) {
    var size = sizes[kernel] ?? (0, 0)
    // Scalars are kernel arguments too.
    size.instructions += 1 + value.inputs.count { graph.values[$0.value].isFree }
    size.operands += addedOperands(value)
    sizes[kernel] = size
  }

  /// How many more values the kernel reads, at most, when it computes this one instead of reading it. Constants and
  /// positions are no memory.
  private func addedOperands(_ value: CanonicalGraph.Value) -> Int {
    max(0, value.inputs.count { !graph.values[$0.value].isFree } - 1)
  }

  /// Constants and positions cost nothing and are computed wherever they are used; so are uniform random numbers,
  /// which are dearer to store than to repeat.
  private mutating func placeSource(_ v: Int) {
    let value = graph.values[v]
    let readFromMemory = isOutput[v] || edges[v].contains { targets(of: $0, from: v) == nil }
    let repeated = edges[v].contains { $0.views.contains { if case .broadcast = $0 { true } else { false } } }
    let isDear = !value.isFree && (repeated || (value.cost > 50 && edges[v].count > 1))
    if readFromMemory || isDear {
      // A free value that is read from memory somewhere is still computed in place elsewhere.
      store(v)
      return
    }
    kernels[v] = Set(edges[v].flatMap { targets(of: $0, from: v)?.kernels ?? [] })
  }

  /// The kernels in which the consumer at the end of `edge` would compute `v`, and those of them whose points are `v`'s
  /// own; `nil` if it reads memory.
  private func targets(of edge: Edge, from v: Int) -> (kernels: Set<Kernel>, aligned: Set<Kernel>, repeated: Bool)? {
    let value = graph.values[v]
    let consumer = graph.values[edge.consumer]
    // A chain of views that strides cannot express needs a stored source.
    if Layout(contiguous: value.shape).applying(edge.views) == nil { return nil }
    let seen = edge.views.reduce(value.shape) { $1.resultShape($0) }
    let repeats = seen.count > value.shape.count
    if consumer.isElementwise {
      return (
        kernels[edge.consumer], edge.views.isEmpty ? alignedKernels[edge.consumer] : [],
        repeats || isRepeated[edge.consumer]
      )
    }
    switch consumer.kind {
    case .op(.reduce): return ([Kernel(root: edge.consumer)], [], repeats)
    case .op(.rowwise(let kind)) where edge.input < kind.rowInputCount:
      // A product takes the chain into its own kernel, which costs it nothing.
      if endsProducer(v) { return nil }
      return ([Kernel(root: edge.consumer)], [], repeats)
    case .op(.assemble) where edges[v].count == 1 || edge.input == 0:
      // Input 0 is the constant fill; a piece is computed in place when nothing else uses it. What a product finishes
      // in its own kernel is better stored by that, in place as well.
      if edge.input > 0, keepsOrder(edge.views), endsProducer(v) { return nil }
      let group = pieceGroups[edge.consumer]?[edge.input] ?? edge.input
      let kernel = Kernel(root: edge.consumer, piece: group)
      return ([kernel], edge.views.isEmpty ? [kernel] : [], repeats)
    default: return nil
    }
  }

  /// Worth repeating in several kernels: reading its one operand costs no more than reading it.
  private func isCheapOnStored(_ value: CanonicalGraph.Value) -> Bool {
    guard value.cost <= 1 else { return false }
    let real = value.inputs.filter { !graph.values[$0.value].isFree }
    guard real.count <= 1 else { return false }
    // Widening casts read less than they would store; the reverse saves nothing.
    return real.allSatisfy { graph.values[$0.value].dtype.size <= value.dtype.size }
  }

  /// Worth repeating in several kernels: its one large operand is in memory anyway, because what reads it takes no chain
  /// into its own kernel; the others, as the mean of a channel, are small.
  private func isCheapOnKept(_ v: Int) -> Bool {
    let value = graph.values[v]
    guard value.cost <= 1 else { return false }
    let large = value.inputs.filter { graph.values[$0.value].shape.count * Self.sharesOfSmall > value.shape.count }
    guard large.count == 1, large[0].views.isEmpty else { return false }
    let base = large[0].value
    guard canBeFinished(graph.values[base]), graph.values[base].dtype.size <= value.dtype.size else { return false }
    return edges[base].contains { edge in
      edge.consumer != v && !graph.values[edge.consumer].isElementwise
    }
  }

  /// Worth repeating in several kernels: a random mask takes arithmetic instead of memory.
  private func isCheapMask(_ v: Int) -> Bool { costWithoutMemory[v].map { $0 <= Self.cheapMask } ?? false }

  /// A mask of positions that many points share: cheaper to read than to make again for each.
  private func isSmallMask(_ v: Int) -> Bool {
    let value = graph.values[v]
    guard value.dtype == .bool, let cost = costWithoutMemory[v], cost >= 2 else { return false }
    return edges[v].contains {
      graph.shape(Reference(value: v, views: $0.views)).count >= Self.repeatsOfStoredMask * value.shape.count
    }
  }

  /// Worth repeating in several kernels: each reads what it is made of for another reason too.
  private func isCheapOnShared(_ v: Int, _ homes: Set<Kernel>) -> Bool {
    var chain: Set<Int> = [v]
    var base = v
    var cost = 0
    // Down to the value in memory, through what `isCheapOnStored` repeats as well.
    repeat {
      let value = graph.values[base]
      guard value.isElementwise else { break }
      let real = value.inputs.filter { !graph.values[$0.value].isFree }
      guard real.count == 1, real[0].views.isEmpty, base == v || isCheapOnStored(value) else { break }
      cost += value.cost
      chain.insert(base)
      base = real[0].value
    } while cost <= Self.cheapOnShared
    guard base != v, cost <= Self.cheapOnShared else { return false }
    var others: Set<Kernel> = []
    for link in chain.union([base]) where link != v {
      for edge in edges[link] where !chain.contains(edge.consumer) { others.formUnion(reach(edge.consumer, before: v)) }
    }
    return homes.isSubset(of: others)
  }

  /// The kernels that compute `v`, or for values without a place yet (up to `limit`) those of their consumers.
  private func reach(_ v: Int, before limit: Int, depth: Int = 4) -> Set<Kernel> {
    if v > limit { return graph.values[v].isElementwise ? kernels[v] : [] }
    guard v < limit, depth > 0, graph.values[v].isElementwise else { return [] }
    return edges[v].reduce(into: []) { $0.formUnion(reach($1.consumer, before: limit, depth: depth - 1)) }
  }

  /// Whether the chain of elementwise values that ends at `v` begins at a matmul, convolution or reduction that `v` as
  /// a kernel of its own would finish.
  private func endsProducer(_ v: Int) -> Bool {
    let shape = graph.values[v].shape
    var pending = [v]
    var visited = 0
    while let member = pending.popLast(), visited < 64 {
      visited += 1
      for input in graph.values[member].inputs where edges[input.value].count == 1 && !isOutput[input.value] {
        let value = graph.values[input.value]
        guard value.shape.count == shape.count, keepsOrder(input.views) else { continue }
        if value.isElementwise && input.views.isEmpty { pending.append(input.value) }
        if canBeFinished(value) { return true }
      }
    }
    return false
  }

  /// Whether the value's family takes an epilogue.
  private func canBeFinished(_ value: CanonicalGraph.Value) -> Bool {
    switch value.kind {
    case .op(.reduce), .op(.matmul): true
    case .op(.convolution(let c)): c.kind != .filterGradient
    case .op(.rowwise(let kind)): !kind.isResultPerRow
    default: false
    }
  }

  /// Lets an elementwise kernel finish a reduction, matmul, convolution or row operation that no earlier kernel reads.
  private mutating func attachProducer(to root: Int) {
    let value = graph.values[root]
    guard value.isElementwise, !value.inputs.isEmpty else { return }
    let kernel = Kernel(root: root)
    guard kernels[root] == [kernel] else { return }  // itself an extra output of another kernel
    var members: [Int] = []
    var pending = [root]
    var seen: Set<Int> = []
    while let v = pending.popLast() {
      guard seen.insert(v).inserted else { continue }
      members.append(v)
      for input in graph.values[v].inputs where graph.values[input.value].isElementwise {
        let computedHere = !isStored[input.value] || extraOutputs[kernel]?.contains(input.value) == true
        if computedHere { pending.append(input.value) }
      }
    }
    let inside = Set(members)
    var best: Int?
    for member in members {
      for input in graph.values[member].inputs {
        let p = input.value
        let candidate = graph.values[p]
        guard canBeFinished(candidate), epilogueRoot[p] == nil else { continue }
        guard candidate.shape.count == value.shape.count, value.shape.count > 0,
          edges[p].allSatisfy({ edge in
            inside.contains(edge.consumer)
              ? keepsOrder(edge.views) && alignedKernels[edge.consumer].contains(kernel)
                && kernels[edge.consumer].allSatisfy { $0 == kernel || $0.root > root }
              : isComputedAfter(root, edge.consumer)
          })
        else { continue }
        // The step's iteration space is the producer's: the kernel's axes must be the same but for axes of size 1.
        guard candidate.shape.dimensions.filter({ $0 != 1 }) == value.shape.dimensions.filter({ $0 != 1 }) else {
          continue
        }
        best = max(best ?? p, p)
      }
    }
    if let best {
      epilogueRoot[best] = root
      producer[root] = best
      if isOutput[best]
        || edges[best].contains(where: { !inside.contains($0.consumer) || kernels[$0.consumer].count > 1 })
      {
        isKeptProducer.insert(best)
      }
    }
  }

  /// Whether everything that computes `consumer` runs after the kernel that ends at `root`.
  private func isComputedAfter(_ root: Int, _ consumer: Int) -> Bool {
    guard graph.values[consumer].isElementwise else { return consumer > root }
    return kernels[consumer].allSatisfy { $0.root > root }
  }

  /// Whether the views only add or drop axes of size 1.
  private func keepsOrder(_ views: [View]) -> Bool {
    views.allSatisfy { if case .reshape = $0 { true } else { false } }
  }
}
