import KilnEngine

/// One argument of a kernel, as it is known when the program is compiled.
enum Argument: Hashable, Sendable {
  /// The buffer that is bound to a slot.
  case buffer(Program.Slot)
  /// A long: where in the slot's buffer the operand begins, in elements; inputs add the base offset of the run.
  case offset(Program.Slot?, Int, elementSize: Int)
  /// The driver's scratch memory and the program's table.
  case scratch, table, status
  /// The program's run-time scalar.
  case scalar(Int)
  case int(Int)
  case long(Int)
  case float(Double, DType)
}

/// One kernel launch of a run.
struct Launch: Sendable {
  var kernel: KernelText
  var arguments: [Argument]
  var global: [Int]
  /// `nil` leaves the choice to the driver.
  var local: [Int]?
  /// What it is for: see LaunchProfile.
  var note = ""
  /// The kernel that stands for several such launches in a row: see LaunchChains.
  var chained: KernelText?
  /// Of a chain: the launches that it stands for, and the run-time scalars that must be equal in a run for it to do so.
  var apart: [Launch] = []
  var equalScalars: [[Int]] = []
}

/// What the plans of the families write to.
struct Planner {
  let style: KernelStyle
  let computeUnits: Int
  let maxGroupSize: Int
  let scalarTypes: [DType]
  let tiling: Tiling
  var launches: [Launch] = []
  private(set) var table: [Int] = []
  private var entered: [[Int]: Int] = [:]
  /// The most scratch memory that a step needs.
  private(set) var scratchBytes = 0
  /// Whether a run may report a bad index.
  private(set) var canFault = false
  private var scratchUsed = 0
  private var note = ""

  init(style: KernelStyle, computeUnits: Int, maxGroupSize: Int, scalarTypes: [DType], tiling: Tiling) {
    self.style = style
    self.computeUnits = computeUnits
    self.maxGroupSize = maxGroupSize
    self.scalarTypes = scalarTypes
    self.tiling = tiling
  }

  mutating func plan(_ step: Step) {
    scratchUsed = 0
    if LaunchProfile.shared != nil { note = Planner.note(step) }
    switch step {
    case .elementwise(let step): plan(step)
    case .reduce(let step): plan(step)
    case .scan(let step): plan(step)
    case .argsort(let step): plan(step)
    case .rowwise(let step): plan(step)
    case .attention(let step): plan(step)
    case .matmul(let step): plan(step)
    case .convolution(let step): plan(step)
    case .pool(let step): plan(step)
    case .gather(let step): plan(step)
    }
  }

  /// Puts numbers into the table, or finds them there; gives the place of the first.
  mutating func enter(_ numbers: [Int]) -> Int {
    if let place = entered[numbers] { return place }
    entered[numbers] = table.count
    table += numbers
    return table.count - numbers.count
  }

  /// Memory for one step; gives its byte offset in the scratch buffer.
  mutating func scratch(_ byteCount: Int) -> Int {
    let at = scratchUsed
    scratchUsed += (byteCount + Program.alignment - 1) / Program.alignment * Program.alignment
    scratchBytes = max(scratchBytes, scratchUsed)
    return at
  }

  mutating func launch(
    _ kernel: KernelText, _ arguments: [Argument], global: [Int], local: [Int], chained: KernelText? = nil
  ) {
    launches.append(
      Launch(kernel: kernel, arguments: arguments, global: global, local: local, note: note, chained: chained))
  }

  /// Launches over `count` independent elements: the kernel's last argument is the chunk of a CPU-style work-item.
  mutating func launchEach(_ kernel: KernelText, _ arguments: [Argument], count: Int, least: Int = 4096) {
    switch style {
    case .cpu:
      let chunk = chunk(count, least: least)
      launch(kernel, arguments + [.long(chunk)], global: [(count + chunk - 1) / chunk], local: [1])
    case .gpu:
      launch(kernel, arguments + [.long(1)], global: [roundUp(min(count, 1 << 20), 64)], local: [64])
    }
  }

  /// Neighbouring elements for a work-item: four work-items a compute unit, unless that makes them too small.
  func chunk(_ count: Int, least: Int) -> Int { max(least, (count + computeUnits * 4 - 1) / (computeUnits * 4), 1) }

  func roundUp(_ count: Int, _ multiple: Int) -> Int { max(1, (count + multiple - 1) / multiple) * multiple }

  mutating func markFaulting() { canFault = true }

  /// Buffer and element offset of a dense operand.
  func place(_ operand: Operand) -> [Argument] {
    guard let slot = operand.slot else { return [.table, .long(0)] }
    return [.buffer(slot), .offset(slot, operand.offset, elementSize: operand.dtype.size)]
  }

  /// Something for a pointer and an offset that the kernel does not use.
  var nothing: [Argument] { [.table, .long(0)] }
}
