import Kiln
import KilnEngine

/// A device whose programs do nothing when they are told to: what is left of a step is the host's work.
final class IdleDriver: ForwardingDriver {
  let base: any DeviceDriver
  init(_ device: Device) { base = device.driver }

  var name: String { base.name + " (idle)" }
  func compile(_ program: Program) throws -> any CompiledProgram { Idle(try base.compile(program)) }

  private final class Idle: CompiledProgram {
    let base: any CompiledProgram
    init(_ base: any CompiledProgram) { self.base = base }
    var program: Program { base.program }
    var launches: Int { base.launches }
    func run(_ bindings: Bindings) {}
  }
}

/// What a replayed training step costs beside its kernels.
enum HostCost {
  /// Seconds a step: the least mean of some windows.
  static func seconds(_ workload: Workload, on device: Device) throws -> Double {
    let idle = Device(IdleDriver(device))
    let batch = try TrainWorker.batches(workload, on: idle)[0]
    let trainer = TrainWorker.trainer(workload, on: idle)
    // The first steps trace, and compare.
    for _ in 0..<3 { try trainer.step(batch.features, batch.labels) }
    let count = 500
    let windows = try (0..<20).map { _ in
      try ContinuousClock().measure { for _ in 0..<count { try trainer.step(batch.features, batch.labels) } }.inSeconds
    }
    return (windows.min() ?? .nan) / Double(count)
  }
}
