import ArgumentParser
import Foundation
import Kiln
import KilnEngine

/// Where the time of a training step goes: each step of its programs by itself.
struct ProfileBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile",
    abstract: "Times each kernel of a workload's training step by itself.",
    discussion: """
      Kernels run one at a time, with the device waited for after each, so that a short one costs more here than in a step. \
      What it prints: the sum over all steps' kernels in ms, its share, how often it ran, and what it is; and what a step \
      costs the host, measured by itself with programs that do nothing.
      """)

  @Argument(help: "One of the workloads of `kiln-bench train`.")
  var workload: String
  @Option(help: "The device.")
  var device = "cpu"
  @Option(help: "Training steps to measure.")
  var steps = 20

  func validate() throws {
    if !(1...100_000).contains(steps) { throw ValidationError("--steps must lie in 1...100000, got \(steps)") }
  }

  func run() throws {
    let workload = try Workload.named(workload)
    let profiler = StepProfiler(try Device.named(device))
    let profiled = Device(profiler)
    let batch = try TrainWorker.batches(workload, on: profiled)[0]
    let trainer = TrainWorker.trainer(workload, on: profiled)
    // The first steps compile, and make what is not there yet.
    for _ in 0..<5 { try trainer.step(batch.features, batch.labels) }
    profiler.reset()
    for _ in 0..<steps { try trainer.step(batch.features, batch.labels) }
    let entries = profiler.entries()
    let total = entries.map(\.seconds).reduce(0, +)
    print(
      "\(workload.name) on \(device): \(String(format: "%.3f", total / Double(steps) * 1e3)) ms in kernels per step, "
        + "\(String(format: "%.1f", try HostCost.seconds(workload, on: Device.named(device)) * 1e6)) us on the host")
    for entry in entries {
      let ms = String(format: "%9.4f", entry.seconds / Double(steps) * 1e3)
      let share = String(format: "%5.1f %%", entry.seconds / total * 100)
      let rate = entry.operations > 0 ? String(format: "%7.1f GFLOP/s", entry.operations / entry.seconds / 1e9) : ""
      print(ms, share, "\(entry.runs / steps)x", entry.name, rate)
    }
  }
}

/// A device that runs each step of a program as a program of its own, and notes how long it takes.
final class StepProfiler: ForwardingDriver, @unchecked Sendable {  // used by one thread
  struct Entry {
    var name: String
    var seconds = 0.0
    var runs = 0
    /// Floating-point operations of all runs of a matrix product or convolution.
    var operations = 0.0
  }
  let base: any DeviceDriver
  private var totals: [String: Entry] = [:]

  init(_ device: Device) { base = device.driver }

  func reset() { totals = [:] }
  /// The dearest first.
  func entries() -> [Entry] { totals.values.sorted { $0.seconds > $1.seconds } }

  var name: String { base.name + " (profiled)" }
  func compile(_ program: Program) throws -> any CompiledProgram {
    let parts = try program.steps.map { step in
      var part = program
      part.steps = [step]
      return try base.compile(part)
    }
    return Parts(program: program, parts: parts, profiler: self)
  }

  private final class Parts: CompiledProgram {
    let program: Program
    let parts: [any CompiledProgram]
    let profiler: StepProfiler
    init(program: Program, parts: [any CompiledProgram], profiler: StepProfiler) {
      (self.program, self.parts, self.profiler) = (program, parts, profiler)
    }
    var launches: Int { parts.map(\.launches).reduce(0, +) }
    func run(_ bindings: Bindings) throws {
      for (step, part) in zip(program.steps, parts) {
        let time = try ContinuousClock().measure {
          try part.run(bindings)
          try profiler.base.synchronize()
        }
        var entry = profiler.totals[step.words] ?? Entry(name: step.words)
        entry.seconds += time.inSeconds
        entry.runs += 1
        entry.operations += step.operations
        profiler.totals[step.words] = entry
      }
    }
  }
}

extension Step {
  /// What the step does, with its sizes.
  fileprivate var words: String {
    func fused(_ expression: KilnEngine.Expression) -> String {
      let names: [String] = expression.instructions.compactMap {
        switch $0 {
        case .unary(let op, _): "\(op)"
        case .binary(let op, _, _): "\(op)"
        case .select: "select"
        case .cast: "cast"
        case .random: "random"
        default: nil
        }
      }
      return names.isEmpty ? "" : names.count > 8 ? "(\(names.count) operations)" : "(\(names.joined(separator: " ")))"
    }
    func strides(_ operand: Operand) -> String { "\(operand.strides)" }
    switch self {
    case .elementwise(let s):
      return "elementwise \(s.dims) \(fused(s.expression)) \(s.operands.count) in \(s.outputs.count) out"
    case .reduce(let s):
      return "reduce \(s.kind) \(s.outer) over \(s.inner) \(fused(s.prologue)) then \(fused(s.epilogue))"
    case .scan(let s): return "scan \(s.kind) [\(s.outer), \(s.length), \(s.inner)]"
    case .argsort(let s): return "argsort [\(s.rows), \(s.columns)]"
    case .rowwise(let s):
      return "rowwise \(s.kind) [\(s.rows), \(s.columns)] \(fused(s.prologue)) then \(fused(s.epilogue))"
    case .attention(let s):
      let kind = "\(s.attention.isGradient ? "gradient" : "forward")\(s.attention.isCausal ? ", causal" : "")"
      return "attention \(kind) \(s.batch), \(s.queries) x \(s.keys) of \(s.features)"
    case .matmul(let s):
      return "matmul \(s.batch) \(s.m) x \(s.k) x \(s.n), \(strides(s.lhs)) by \(strides(s.rhs)) \(fused(s.epilogue))"
    case .convolution(let s):
      let c = s.convolution
      return "convolution \(c.kind) [\(c.batch), \(c.channels), \(c.height), \(c.width)] with \(c.filters) of "
        + "\(c.kernelHeight)x\(c.kernelWidth) stride \(c.strideY) \(fused(s.epilogue))"
    case .pool(let s):
      return "pool \(s.pool.kind) \(s.pool.planes) planes of \(s.pool.height)x\(s.pool.width)"
    case .gather(let s): return "gather \(s.gather.kind) [\(s.gather.outer), \(s.gather.count), \(s.gather.inner)]"
    }
  }

  /// Floating-point operations of products and convolutions.
  fileprivate var operations: Double {
    switch self {
    case .matmul(let s): return 2.0 * Double(s.batch.reduce(1, *)) * Double(s.m) * Double(s.n) * Double(s.k)
    case .convolution(let s):
      let c = s.convolution
      let points = Double(c.batch * c.filters) * Double(c.outHeight * c.outWidth)
      return 2 * points * Double(c.channels / max(c.groups, 1)) * Double(c.kernelHeight * c.kernelWidth)
    default: return 0
    }
  }
}
