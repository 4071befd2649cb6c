import CVector
import KilnCPU
import Testing

@testable import KilnEngine

@Suite(.serialized) struct CPUDriverTests {
  @Test func openBLASRunsAsThisCPU() throws {
    let (actual, expected) = try OpenBLAS.cores()
    #expect(!actual.isEmpty)
    if !expected.isEmpty { #expect(actual.lowercased() == expected.lowercased()) }
  }

  @Test func refusesMoreThanTheMachineHas() throws {
    #expect(throws: DeviceError.self) { try CPUDriver.shared.allocate(byteCount: Int.max / 2) }
    do {
      _ = try CPUDriver.shared.allocate(byteCount: 1 << 50)
      Issue.record("a petabyte was allocated")
    } catch let DeviceError.outOfMemory(device, requested, _, capacity) {
      #expect(device == "cpu")
      #expect(requested == 1 << 50)
      #expect(capacity > 0 && capacity < 1 << 50)
    }
  }

  @Test func releasedMemoryIsReused() throws {
    let driver = CPUDriver.shared
    let before = driver.memoryUse()
    do {
      let buffer = try driver.allocate(byteCount: 3_000_000)
      #expect(buffer.byteCount == 3_000_000)
      #expect(driver.memoryUse().live >= before.live + 3_000_000)
      #expect(driver.memoryUse().peak >= driver.memoryUse().live)
    }
    #expect(driver.memoryUse().cached >= 3_000_000)
  }

  @Test func emptyBuffersAreFine() throws {
    let buffer = try CPUDriver.shared.allocate(byteCount: 0)
    try CPUDriver.shared.write(UnsafeRawBufferPointer(start: nil, count: 0), to: buffer, byteOffset: 0)
  }
}
