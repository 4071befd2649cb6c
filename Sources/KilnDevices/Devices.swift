import KilnCPU
import KilnEngine
import KilnOpenCL

extension Device {
  /// The processor that the program runs on.
  public static let cpu = Device(CPUDriver.shared)

  /// The OpenCL device of this number in `Device.all`'s order: "opencl:0" is 0.
  /// Throws `DeviceError.unavailable` with the reason when there is no such device.
  public static func openCL(_ index: Int) throws -> Device {
    let devices = openCLDevices
    guard devices.indices.contains(index) else { throw missing("opencl:\(index)") }
    return devices[index]
  }

  /// The CPU, then every OpenCL device of every platform.
  public static var all: [Device] { [.cpu] + openCLDevices }

  /// Why there is no OpenCL device, or which was left out; `nil` when all is well.
  public static var whyNoOpenCL: String? {
    let problems = OpenCLDevices.found.problems
    return problems.isEmpty ? nil : problems.joined(separator: "; ")
  }

  /// The device of this name: "cpu", "opencl:0", "opencl:<part of its name>" (any case), "opencl" for the first of
  /// them, or "auto": the first OpenCL GPU, else the CPU.
  ///
  /// Throws `DeviceError.unavailable` with the names there are, and the nearest of them.
  public static func named(_ name: String) throws -> Device {
    let text = name.lowercased()
    switch text {
    case "cpu": return .cpu
    case "opencl": return try openCL(0)
    case "auto": return OpenCLDevices.found.drivers.first { $0.style == .gpu }.map { Device($0) } ?? .cpu
    default: break
    }
    guard text.hasPrefix("opencl:") else { throw missing(name) }
    let part = text.dropFirst("opencl:".count)
    if let index = Int(part) { return try openCL(index) }
    guard !part.isEmpty, let device = openCLDevices.first(where: { $0.driver.summary.lowercased().contains(part) })
    else { throw missing(name) }
    return device
  }

  private static var openCLDevices: [Device] { OpenCLDevices.found.drivers.map { Device($0) } }

  private static func missing(_ name: String) -> DeviceError {
    let devices = all
    var reason = "there is no device of this name"
    if name.lowercased().hasPrefix("opencl"), let why = whyNoOpenCL { reason += " (\(why))" }
    let names = devices.map { $0.name == "cpu" ? "cpu" : "\($0.name) (\($0.driver.summary))" } + ["auto"]
    var fix = "the devices are " + names.joined(separator: ", ")
    let near = (devices.map(\.name) + ["auto", "opencl"]).map { ($0, distance($0, name.lowercased())) }
      .min { $0.1 < $1.1 }
    if let near, near.1 <= 2 { fix = "did you mean '\(near.0)'? " + fix }
    return .unavailable(device: name, reason: reason, fix: fix)
  }

  /// The fewest insertions, deletions and changes of letters between two words.
  private static func distance(_ lhs: String, _ rhs: String) -> Int {
    var row = Array(0...rhs.count)
    for (i, a) in lhs.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in rhs.enumerated() {
        let change = diagonal + (a == b ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(change, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[rhs.count]
  }
}
