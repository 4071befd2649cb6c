import Kiln
import KilnEngine
import OpCases
import Testing

@Suite("Training steps are replayed")
struct ReplayTests {
  @Test("the second step and later ones compile nothing", arguments: ["cpu", "opencl:0"])
  func laterStepsCompileNothing(device: String) throws {
    let driver = CountingDriver(try Device.named(device))
    let run = try TrainingRun(seed: 1, on: Device(driver))
    try run.step()
    let afterFirst = driver.compilations.load(ordering: .relaxed)
    #expect(afterFirst > 0)
    // Long enough for Adam's bias corrections to come to equal other constants of the step.
    for _ in 0..<200 { try run.step() }
    #expect(driver.compilations.load(ordering: .relaxed) == afterFirst)
  }

  @Test("a changed learning rate compiles nothing", arguments: ["cpu", "opencl:0"])
  func learningRateCompilesNothing(device: String) throws {
    let driver = CountingDriver(try Device.named(device))
    let run = try TrainingRun(seed: 1, on: Device(driver))
    try run.step()
    let before = driver.compilations.load(ordering: .relaxed)
    run.optimizer.learningRate = 0.5
    try run.step()
    #expect(driver.compilations.load(ordering: .relaxed) == before)
  }

  @Test("the same seed twice gives the same weights bit for bit", arguments: ["cpu", "opencl:0"])
  func sameBits(device: String) throws {
    let home = try Device.named(device)
    func train(_ seed: UInt64) throws -> [[UInt8]] {
      let run = try TrainingRun(seed: seed, on: home)
      for _ in 0..<20 { try run.step() }
      return try run.weights()
    }
    let first = try train(7)
    #expect(try train(7) == first)
    #expect(try train(8) != first)
  }

  @Test("a replayed program gives the bits of its first run", arguments: ["cpu", "opencl:0"])
  func replayedBits(device: String) throws {
    // A fresh driver has no program yet, so that the first of the two losses is compiled and the second replayed.
    let home = Device(CountingDriver(try Device.named(device)))
    let compiled = try TrainingRun(seed: 3, on: home).step().hostBytes()
    #expect(try TrainingRun(seed: 3, on: home).step().hostBytes() == compiled)
  }
}
