import ArgumentParser
import Kiln

struct Devices: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Lists the devices, and says why one is missing.")

  @Option(help: "Writes the list as JSON.")
  var json: String?

  func run() throws {
    let devices = Device.all
    let width = devices.map(\.name.count).max() ?? 0
    for device in devices {
      print(device.name + String(repeating: " ", count: width - device.name.count + 2) + device.driver.summary)
    }
    if let reason = Device.whyNoOpenCL { print("No OpenCL device: \(reason)") }
    if let json {
      var members: [(String, JSON)] = [
        (
          "devices",
          .array(devices.map { .object([("name", .string($0.name)), ("summary", .string($0.driver.summary))]) })
        )
      ]
      if let reason = Device.whyNoOpenCL { members.append(("no_opencl", .string(reason))) }
      try TextFile.write(JSON.object(members).text, to: json)
    }
  }
}
