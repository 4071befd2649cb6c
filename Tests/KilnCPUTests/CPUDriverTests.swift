import CVector
import Foundation
import KilnCPU
import Testing

@testable import KilnEngine

@Suite(.serialized) struct CPUDriverTests {
  /// OpenBLAS on its own takes recent CPUs for older ones; a user's OPENBLAS_CORETYPE is left alone.
  @Test func openBLASRunsAsThisCPU() throws {
    let (actual, expected) = try OpenBLAS.cores()
    let wish = ProcessInfo.processInfo.environment["OPENBLAS_CORETYPE"] ?? expected
    #expect(!actual.isEmpty)
    if !wish.isEmpty { #expect(actual.lowercased() == wish.lowercased()) }
  }

  /// The same in a process whose environment says nothing of OpenBLAS, in case this one's does.
  @Test func openBLASRunsAsThisCPUByItself() throws {
    var environment = ProcessInfo.processInfo.environment
    guard environment.removeValue(forKey: "OPENBLAS_CORETYPE") != nil else { return }
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = ["--testing-library", "swift-testing", "--filter", "openBLASRunsAsThisCPU\\(\\)"]
    child.environment = environment
    let output = Pipe()
    child.standardOutput = output
    child.standardError = output
    try child.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    child.waitUntilExit()
    #expect(child.terminationStatus == 0)
    #expect(text.contains("Test openBLASRunsAsThisCPU() passed"), "\(text)")
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
