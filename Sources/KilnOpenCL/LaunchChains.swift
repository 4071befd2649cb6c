import KilnEngine

// A recurrent network's time steps are many launches of one kernel by a single work-item each, which take longer to hand over
// than to compute. A chain is one launch whose work-item does them one after the other: it sees what it wrote itself.

extension KernelText {
  /// Macros of a kernel's chained form: `names` are its operands in the order of their offsets among the arguments. In turn
  /// t each offset is that of the first turn and what the table adds.
  static func chainMacros(_ names: [String]) -> [(String, String)] {
    let from = names.map { "const long \($0)_from = \($0)_at;" }
    let here = names.enumerated().map { "const long \($1)_at = \($1)_from + chain[at + \($0)];" }
    return [
      ("CHAIN_PARAMETERS", ", GLOBAL const long *chain, const long chain_at, const long turns"),
      (
        "CHAIN_BEGIN",
        (from + ["for (long turn = 0; turn < turns; turn++) {", "const long at = chain_at + turn * \(names.count);"]
          + here)
          .joined(separator: " ")
      ), ("CHAIN_END", "}"),
    ]
  }
}

extension Planner {
  /// Puts launches in a row that can be one into one.
  mutating func chain() {
    var result: [Launch] = []
    result.reserveCapacity(launches.count)
    var begin = 0
    while begin < launches.count {
      let first = launches[begin]
      var deltas: [[Int]] = []
      if first.chained != nil {
        while begin + deltas.count < launches.count, let delta = launches[begin + deltas.count].steps(from: first) {
          deltas.append(delta)
        }
      }
      if let kernel = first.chained, deltas.count > 1 {
        var launch = first
        launch.kernel = kernel
        launch.apart = Array(launches[begin..<(begin + deltas.count)])
        launch.equalScalars = Launch.scalars(of: launch.apart)
        if launch.equalScalars.isEmpty { launch.apart = [] }
        launch.arguments += [.table, .long(enter(deltas.flatMap { $0 })), .long(deltas.count)]
        if !launch.note.isEmpty { launch.note += ", \(deltas.count) times" }
        result.append(launch)
        begin += deltas.count
      } else {
        result.append(first)
        begin += 1
      }
    }
    launches = result
  }
}

extension Launch {
  /// What is to be added to the offsets of `first`, in elements, to make this launch of it; `nil` if more differs.
  fileprivate func steps(from first: Launch) -> [Int]? {
    guard chained == first.chained, kernel == first.kernel, global == first.global,
      arguments.count == first.arguments.count
    else { return nil }
    var steps: [Int] = []
    for (here, there) in zip(arguments, first.arguments) {
      switch (here, there) {
      case (.offset(let slot, let elements, let size), .offset(let other, let base, let otherSize)):
        guard size == otherSize, let (bytes, byteBase) = Launch.places(slot, other) else { return nil }
        steps.append((bytes - byteBase) / size + elements - base)
      case (.buffer(let slot), .buffer(let other)):
        if Launch.places(slot, other) == nil { return nil }
      case (.scalar, .scalar): continue
      default:
        if here != there { return nil }
      }
    }
    return steps
  }

  /// The scalars that stand in one place of the launches, for each place where there are several: every number in a graph
  /// is a scalar of its own, though it may be the same number at each time step.
  fileprivate static func scalars(of launches: [Launch]) -> [[Int]] {
    let places = launches.map { launch in
      launch.arguments.compactMap { argument in
        if case .scalar(let scalar) = argument { scalar } else { nil }
      }
    }
    return places[0].indices.map { place in Set(places.map { $0[place] }).sorted() }.filter { $0.count > 1 }
  }

  /// Where in one buffer the two begin, in bytes, or `nil` if they are in different ones.
  private static func places(_ slot: Program.Slot?, _ other: Program.Slot?) -> (Int, Int)? {
    if case .arena(let bytes)? = slot, case .arena(let base)? = other { return (bytes, base) }
    return slot == other ? (0, 0) : nil
  }
}
