/// Gives every value of a schedule its place: a program output, or a stretch of the arena that is reused as soon as
/// the last step that reads it has run.
func planMemory(_ schedule: Schedule, donated: [Int], reuse: Bool) -> (program: Program, outputIndex: [Int]) {
  var program = Program()
  var slots: [Int: Program.Slot] = [:]
  for (v, index) in schedule.leafIndex {
    slots[v] = .input(index)
    while program.inputs.count <= index { program.inputs.append(schedule.types[v]) }
    program.inputs[index] = schedule.types[v]
  }
  var outputIndex: [Int] = []
  for v in schedule.outputs {
    if case .output(let index)? = slots[v] {
      outputIndex.append(index)
    } else {
      slots[v] = .output(program.outputs.count)
      outputIndex.append(program.outputs.count)
      program.outputs.append(schedule.types[v])
    }
  }

  // First and last step that touches each value.
  var first: [Int: Int] = [:]
  var last: [Int: Int] = [:]
  for (i, step) in schedule.steps.enumerated() {
    for v in step.values {
      if first[v] == nil { first[v] = i }
      last[v] = i
    }
  }

  var arena = Arena()
  for (i, step) in schedule.steps.enumerated() {
    for v in step.writtenValues where slots[v] == nil {
      if reuse, let donor = step.inPlaceDonor(for: v, types: schedule.types), case .arena(let offset)? = slots[donor],
        last[donor] == i, first[v] == i, arena.isOwned(donor)
      {
        arena.transfer(from: donor, to: v)
        slots[v] = .arena(offset)
        continue
      }
      slots[v] = .arena(arena.allocate(schedule.types[v].byteCount, for: v))
    }
    // Values without elements are never written, but a step may still name them.
    for v in step.values where slots[v] == nil { slots[v] = .arena(arena.allocate(0, for: v)) }
    guard reuse else { continue }
    for v in Set(step.values).sorted() where last[v] == i { arena.free(v) }
  }
  program.arenaBytes = arena.size

  if reuse {
    program.donations = donations(schedule, slots, donated: donated, first: first, last: last)
  }
  program.steps = schedule.steps.map { $0.mapSlots { slots[$0]! } }
  return (program, outputIndex)
}

/// Outputs that can be written over a donated input: an elementwise step reads the input for the last time at the very
/// points where it writes the output for the first.
private func donations(
  _ schedule: Schedule, _ slots: [Int: Program.Slot], donated: [Int], first: [Int: Int], last: [Int: Int]
) -> [Int: Int] {
  var result: [Int: Int] = [:]
  var taken: Set<Int> = []
  for (i, step) in schedule.steps.enumerated() {
    for v in step.writtenValues {
      guard case .output(let output)? = slots[v], first[v] == i else { continue }
      let donor = step.inPlaceDonor(for: v, types: schedule.types) { candidate in
        guard case .input(let input)? = slots[candidate] else { return false }
        return donated.contains(input) && !taken.contains(input) && last[candidate] == i
      }
      if let donor, case .input(let input)? = slots[donor] {
        result[output] = input
        taken.insert(input)
      }
    }
  }
  return result
}

/// Best fit over one growing block of memory.
private struct Arena {
  private(set) var size = 0
  private var live: [Int: (offset: Int, size: Int)] = [:]
  private var holes: [(offset: Int, size: Int)] = []

  func isOwned(_ v: Int) -> Bool { live[v] != nil }

  mutating func allocate(_ byteCount: Int, for v: Int) -> Int {
    let size = max(1, (byteCount + Program.alignment - 1) / Program.alignment) * Program.alignment
    var best: Int?
    for i in holes.indices where holes[i].size >= size {
      if best == nil || holes[i].size < holes[best!].size { best = i }
    }
    if let best {
      let offset = holes[best].offset
      holes[best].offset += size
      holes[best].size -= size
      if holes[best].size == 0 { holes.remove(at: best) }
      live[v] = (offset, size)
      return offset
    }
    // Extend a hole at the end, if there is one, rather than leave it.
    if let end = holes.firstIndex(where: { $0.offset + $0.size == self.size }) {
      let offset = holes[end].offset
      holes.remove(at: end)
      self.size = offset + size
      live[v] = (offset, size)
      return offset
    }
    let offset = self.size
    self.size += size
    live[v] = (offset, size)
    return offset
  }

  mutating func transfer(from donor: Int, to v: Int) { live[v] = live.removeValue(forKey: donor) }

  mutating func free(_ v: Int) {
    guard let block = live.removeValue(forKey: v) else { return }
    holes.append(block)
    holes.sort { $0.offset < $1.offset }
    var merged: [(offset: Int, size: Int)] = []
    for hole in holes {
      if let previous = merged.last, previous.offset + previous.size == hole.offset {
        merged[merged.count - 1].size += hole.size
      } else {
        merged.append(hole)
      }
    }
    holes = merged
  }
}
