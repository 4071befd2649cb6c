import Foundation
import KilnDevices
import KilnEngine
import KilnOpenCL
import OpCases
import Testing

/// The devices that the suites run on: the CPU, and every OpenCL device with each style of kernels.
enum TestDevices {
  static let all: [Device] = [.cpu] + openCL

  /// The style that a device takes by itself, and the other one under a name of its own.
  static let openCL: [Device] = OpenCLDriver.all.flatMap { driver -> [Device] in
    let other: KernelStyle = driver.style == .cpu ? .gpu : .cpu
    let second = try? OpenCLDriver(driver, style: other)
    return [Device(driver)] + (second.map { [Device($0)] } ?? [])
  }

  /// Whether a missing OpenCL device fails: yes, unless KILN_REQUIRE_OPENCL=0.
  static var requiresOpenCL: Bool { ProcessInfo.processInfo.environment["KILN_REQUIRE_OPENCL"] != "0" }
}

@Suite struct RequiredDevices {
  @Test func theCPUComputes() throws {
    #expect(try (Tensor([1, 2] as [Float], on: .cpu) + 1).scalars(as: Float.self) == [2, 3])
  }

  @Test func everyOpenCLDeviceIsThereInBothStyles() throws {
    guard TestDevices.requiresOpenCL else { return }
    #expect(!OpenCLDriver.all.isEmpty, "no OpenCL device: \(Device.whyNoOpenCL ?? "install pocl-opencl-icd")")
    for driver in OpenCLDriver.all {
      for style in [KernelStyle.cpu, .gpu] { #expect(throws: Never.self) { try OpenCLDriver(driver, style: style) } }
    }
  }
}

extension Device {
  /// Short names in the list of a parametrised test's arguments.
  var isOpenCL: Bool { name.hasPrefix("opencl") }
}
