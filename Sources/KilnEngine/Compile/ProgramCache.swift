import Synchronization

/// Compiled programs by device and graph structure, so that the second training step compiles nothing.
public final class ProgramCache: Sendable {
  public static let shared = ProgramCache()

  struct Plan: Sendable {
    let compiled: any CompiledProgram
    /// The program output of each of the graph's outputs.
    let outputIndex: [Int]
  }
  private struct Key: Hashable {
    let device: Device
    let graph: Graph
  }
  private struct State {
    var plans: [Key: Plan] = [:]
    var compilations = 0
  }
  private let state = Mutex(State())
  /// Programs kept before all are dropped: a guard against loops whose every graph differs.
  static let capacity = 4096

  /// How many programs were compiled since the process began. A steady training loop leaves it unchanged.
  public var compilations: Int { state.withLock { $0.compilations } }
  /// Programs kept.
  public var count: Int { state.withLock { $0.plans.count } }
  public func removeAll() { state.withLock { $0.plans.removeAll() } }

  func plan(for graph: Graph, on device: Device) throws -> Plan {
    let key = Key(device: device, graph: graph)
    if let known = state.withLock({ $0.plans[key] }) { return known }
    // Compiled outside the lock; of two threads that meet here one result is kept.
    let (program, outputIndex) = compile(graph)
    let plan = Plan(compiled: try device.driver.compile(program), outputIndex: outputIndex)
    return state.withLock { state in
      state.compilations += 1
      if let other = state.plans[key] { return other }
      if state.plans.count >= Self.capacity { state.plans.removeAll() }
      state.plans[key] = plan
      return plan
    }
  }
}

/// The passes, in order: fold views and merge equal values, fuse, schedule, plan memory.
func compile(_ graph: Graph) -> (program: Program, outputIndex: [Int]) {
  let canonical = CanonicalGraph(graph)
  let fusion = Fusion(canonical, enabled: graph.options.fusion)
  let schedule = Scheduler.schedule(canonical, fusion)
  var (program, outputIndex) = planMemory(schedule, donated: graph.donated, reuse: graph.options.memoryReuse)
  program.scalars = graph.scalarTypes
  return (program, outputIndex)
}

extension Graph {
  /// The dtype of each run-time scalar slot.
  var scalarTypes: [DType] {
    var types: [Int: DType] = [:]
    for vertex in vertices {
      switch vertex.kind {
      case .constant(let slot): types[slot] = vertex.dtype
      case .random(_, let key, let counter):
        types[key] = .int64
        types[counter] = .int64
      default: break
      }
    }
    return types.isEmpty ? [] : (0...types.keys.max()!).map { types[$0] ?? .int64 }
  }
}

/// The program that evaluating `tensors` would run, for printing and for tests that count kernels.
public func program(for tensors: [Tensor]) throws -> Program {
  for tensor in tensors { if let error = tensor.error { throw error } }
  let roots = tensors.map(\.node).filter { $0.storage == nil }
  return compile(Snapshot(roots: roots, donated: []).graph).program
}
