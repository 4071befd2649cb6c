import Kiln
import Testing

@Suite("Devices by name")
struct DeviceTests {
  @Test("the CPU is registered before main as the default")
  func registration() {
    #expect(Device.default == .cpu)
    #expect(Device.all.first == .cpu)
  }

  @Test("names are found in any case, by number and by a part of the hardware's name")
  func names() throws {
    #expect(try Device.named("CPU") == .cpu)
    _ = try Device.named("auto")
    for (index, device) in Device.all.dropFirst().enumerated() {
      #expect(try Device.named("opencl:\(index)") == device)
      #expect(try Device.openCL(index) == device)
      let found = try Device.named("opencl:" + device.driver.summary.prefix(8))
      #expect(found.driver.summary.prefix(8) == device.driver.summary.prefix(8))
    }
  }

  @Test(
    "a wrong name lists the devices and the nearest", arguments: ["cpuu", "gpu", "opencl:99", "opencl:", "", "auot"])
  func wrongNames(_ name: String) {
    do {
      let device = try Device.named(name)
      Issue.record("'\(name)' gave \(device)")
    } catch {
      let text = "\(error)"
      #expect(text.contains("'\(name)'"))
      #expect(text.contains("the devices are cpu, "))
      if name == "cpuu" { #expect(text.contains("did you mean 'cpu'?")) }
      if name == "auot" { #expect(text.contains("did you mean 'auto'?")) }
    }
    #expect(throws: DeviceError.self) { try Device.openCL(-1) }
  }
}
