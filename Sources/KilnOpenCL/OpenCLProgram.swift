import COpenCL
import Foundation
import KilnEngine

/// A program's launches, each with its own kernel object, so that a run sets only the arguments that changed.
final class OpenCLProgram: CompiledProgram, @unchecked Sendable {  // changed only within the driver's lock
  let program: Program
  var launches: Int { steps.count }

  /// A kernel with the values its arguments have now.
  private final class Step {
    let kernel: kcl_kernel
    let global: [Int]
    let local: [Int]?
    let note: String
    /// Arguments that depend on the run, with the bits set last (0 for none yet).
    var variable: [(index: UInt32, argument: Argument, bits: UInt64)] = []
    /// Of a chain: what runs in its place if scalars of one list differ.
    var apart: [Step] = []
    var equalScalars: [[Int]] = []
    init(kernel: kcl_kernel, _ launch: Launch) {
      (self.kernel, global, local) = (kernel, launch.global, launch.local)
      note = launch.note.isEmpty ? "" : "\(launch.note): \(launch.kernel.name) \(launch.global)"
    }
    deinit { _ = kcl_release_kernel(kernel) }
  }

  private let driver: OpenCLDriver
  private var steps: [Step] = []
  private let table: OpenCLBuffer
  private let built: [BuiltProgram]
  private let scratchBytes: Int
  private let canFault: Bool

  init(driver: OpenCLDriver, program: Program, plan: Planner, library: KernelLibrary) throws {
    self.driver = driver
    self.program = program
    scratchBytes = plan.scratchBytes
    canFault = plan.canFault
    let programs = try library.programs(for: plan.launches.flatMap { [$0.kernel] + $0.apart.prefix(1).map(\.kernel) })
    built = Array(programs.values)
    table = try driver.upload(plan.table.map(Int64.init))
    for launch in plan.launches {
      let step = try prepare(launch, programs)
      step.apart = try launch.apart.map { try prepare($0, programs) }
      step.equalScalars = launch.equalScalars
      steps.append(step)
    }
  }

  private func prepare(_ launch: Launch, _ programs: [String: BuiltProgram]) throws -> Step {
    var code: Int32 = 0
    guard let program = programs[launch.kernel.name],
      let kernel = kcl_create_kernel(program.handle, launch.kernel.name, &code)
    else {
      throw DeviceError.driverCall(
        device: driver.name, call: "clCreateKernel(\(launch.kernel.name))", code: Int(code),
        name: OpenCLCode.name(code))
    }
    let step = Step(kernel: kernel, launch)
    for (index, argument) in launch.arguments.enumerated() { try prepare(argument, UInt32(index), step) }
    return step
  }

  /// Sets an argument that is the same in every run; notes the others.
  private func prepare(_ argument: Argument, _ index: UInt32, _ step: Step) throws {
    switch argument {
    case .buffer, .scratch, .scalar: step.variable.append((index, argument, 0))
    case .offset(let slot, let elements, let size):
      if case .input = slot {
        step.variable.append((index, argument, UInt64.max))
        return
      }
      var base = 0
      if case .arena(let bytes) = slot { base = bytes / size }
      try set(step, index, Int64(base + elements))
    case .table: try set(step, index, table.block.handle)
    case .status: try set(step, index, try driver.statusBlock().handle)
    case .int(let value): try set(step, index, Int32(truncatingIfNeeded: value))
    case .long(let value): try set(step, index, Int64(value))
    case .float(let value, let dtype):
      if dtype == .float64 { try set(step, index, value) } else { try set(step, index, Float(value)) }
    }
  }

  private func set<T: BitwiseCopyable>(_ step: Step, _ index: UInt32, _ value: T) throws {
    var value = value
    try check(
      kcl_set_argument(step.kernel, index, MemoryLayout<T>.size, &value), "clSetKernelArg", device: driver.name)
  }

  func run(_ bindings: Bindings) throws {
    try driver.locked {
      let inputs = try bindings.inputs.map { try driver.block(of: $0.buffer) }
      let outputs = try bindings.outputs.map { try driver.block(of: $0) }
      let arena = try bindings.arena.map { try driver.block(of: $0) }
      let scratch = scratchBytes > 0 ? try driver.scratch(scratchBytes) : table.block
      if canFault { driver.markFaulting() }
      func run(_ step: Step) throws {
        for i in step.variable.indices {
          let (index, argument, bits) = step.variable[i]
          switch argument {
          case .buffer(let slot):
            let block: MemoryBlock
            switch slot {
            case .input(let n): block = inputs[n]
            case .output(let n): block = outputs[n]
            case .arena: block = arena ?? table.block
            }
            if bits != block.serial {
              try set(step, index, block.handle)
              step.variable[i].bits = block.serial
            }
          case .scratch:
            if bits != scratch.serial {
              try set(step, index, scratch.handle)
              step.variable[i].bits = scratch.serial
            }
          case .offset(let slot, let elements, _):
            guard case .input(let n) = slot else { continue }
            let value = Int64(elements + bindings.inputs[n].offset)
            if bits != UInt64(bitPattern: value) {
              try set(step, index, value)
              step.variable[i].bits = UInt64(bitPattern: value)
            }
          case .scalar(let n): try set(step, index, scalar: bindings.scalars[n])
          case .table, .status, .int, .long, .float: continue
          }
        }
        if let profile = LaunchProfile.shared {
          try driver.finish()
          let start = ContinuousClock.now
          try driver.enqueue(step.kernel, global: step.global, local: step.local)
          try driver.finish()
          profile.add(step.note, start.duration(to: .now))
        } else {
          try driver.enqueue(step.kernel, global: step.global, local: step.local)
        }
      }
      for step in steps {
        let isWhole = step.equalScalars.allSatisfy { list in
          list.allSatisfy { bindings.scalars[$0] == bindings.scalars[list[0]] }
        }
        if isWhole { try run(step) } else { try step.apart.forEach(run) }
      }
      try driver.flush()
    }
  }

  private func set(_ step: Step, _ index: UInt32, scalar: Scalar) throws {
    switch scalar.dtype {
    case .float32: try set(step, index, Float(scalar.double))
    case .float64: try set(step, index, scalar.double)
    case .int32: try set(step, index, Int32(truncatingIfNeeded: scalar.int))
    case .int64: try set(step, index, Int64(scalar.int))
    case .uint8, .bool: try set(step, index, UInt8(truncatingIfNeeded: scalar.int))
    }
  }
}
