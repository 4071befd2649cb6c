import Foundation
import KilnDevices
import KilnEngine
import OpCases
import Testing

/// Random graphs: fused and unfused, on every device, against a float64 run node by node.
///
/// KILN_FUZZ_SEQUENCES says how many; a tenth of them are graphs, the rest sequences of mostly invalid calls.
@Suite(.serialized) struct FusionFuzz {
  static var sequences: Int {
    ProcessInfo.processInfo.environment["KILN_FUZZ_SEQUENCES"].flatMap { Int($0) } ?? 3000
  }

  @Test func fusedGraphsEqualUnfusedOnesOnTheCPU() {
    let count = FusionFuzz.sequences / 3
    let fuzzer = GraphFuzzer(oracle: .cpu)
    var compared = 0
    for seed in 0..<UInt64(count) {
      let outcome = fuzzer.check(seed: seed, devices: [.cpu])
      compared += outcome.compared
      if let failure = outcome.failure {
        Issue.record("\(failure)")
        return
      }
    }
    #expect(compared > count * 4, "only \(compared) outputs of \(count) graphs were compared")
  }

  /// Every graph is a program of its own to build, so these are fewer.
  @Test(arguments: TestDevices.openCL)
  func fusedGraphsAgreeAcrossDevices(_ device: Device) {
    let count = max(40, FusionFuzz.sequences / 200)
    let fuzzer = GraphFuzzer(oracle: .cpu)
    for seed in 0..<UInt64(count) {
      let outcome = fuzzer.check(seed: 1_000_000 + seed, devices: [device])
      if let failure = outcome.failure {
        Issue.record("\(failure)")
        return
      }
    }
  }

  @Test func invalidCallsGiveErrorsAndNothingElse() {
    let fuzzer = InvalidFuzzer(.cpu)
    var refused = 0
    var computed = 0
    for seed in 0..<UInt64(FusionFuzz.sequences) {
      let outcome = fuzzer.check(seed: seed)
      refused += outcome.refused
      computed += outcome.computed
      if let failure = outcome.failure {
        Issue.record("\(failure)")
        return
      }
    }
    #expect(
      refused > FusionFuzz.sequences && computed > FusionFuzz.sequences, "\(refused) refused, \(computed) computed")
  }

  @Test(arguments: TestDevices.openCL)
  func invalidCallsGiveErrorsOnOpenCL(_ device: Device) {
    for seed in 0..<UInt64(max(100, FusionFuzz.sequences / 100)) {
      if let failure = InvalidFuzzer(device).check(seed: 500_000 + seed, length: 4).failure {
        Issue.record("\(failure)")
        return
      }
    }
  }

  @Test func sequencesLeakNothing() throws {
    let fuzzer = GraphFuzzer(oracle: .cpu)
    func round(_ seeds: Range<UInt64>) {
      for seed in seeds {
        _ = fuzzer.check(seed: seed, devices: [.cpu])
        _ = InvalidFuzzer(.cpu).check(seed: seed)
      }
    }
    func live() throws -> Int {
      // Programs own memory for what does not fit a product's operands; they are kept, not leaked.
      ProgramCache.shared.removeAll()
      try Device.cpu.synchronize()
      return Device.cpu.driver.memoryUse().live
    }
    round(0..<20)
    let before = try live()
    round(20..<UInt64(20 + max(100, FusionFuzz.sequences / 10)))
    #expect(try live() == before)
  }

  @Test func aWrongReplayWouldBeFound() {
    // A graph grown twice is the same; another seed's is another.
    let fuzzer = GraphFuzzer(oracle: .cpu)
    #expect(fuzzer.check(seed: 7, devices: [.cpu]).compared == fuzzer.check(seed: 7, devices: [.cpu]).compared)
    #expect(fuzzer.check(seed: 7, devices: []).compared == 0)
  }
}
