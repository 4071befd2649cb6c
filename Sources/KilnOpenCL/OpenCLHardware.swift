import COpenCL
import Foundation
import KilnEngine

/// How kernels are written for a device: see Kernels/prelude.cl.
public enum KernelStyle: String, Sendable, CaseIterable {
  /// Local-memory tiles, neighbouring work-items on neighbouring elements.
  case gpu
  /// A work-item alone on a contiguous chunk, vectors in registers; no barriers, no local memory.
  case cpu
}

/// What is asked of a device once, when it is found.
struct OpenCLHardware: @unchecked Sendable {  // the handles are constants of the driver, safe from any thread
  let platform: kcl_platform
  let device: kcl_device
  let platformName, platformVersion, deviceName, vendorName, driverVersion: String
  let isCPU, hasDouble, dividesExactly: Bool
  let computeUnits, maxGroupSize: Int
  /// Floats in a register.
  let floatLanes: Int
  let maxAllocation, globalMemory: Int

  init(platform: kcl_platform, device: kcl_device, name: String) throws {
    self.platform = platform
    self.device = device
    platformName = try OpenCLHardware.platformText(platform, UInt32(KCL_PLATFORM_NAME), name)
    platformVersion = try OpenCLHardware.platformText(platform, UInt32(KCL_PLATFORM_VERSION), name)
    deviceName = try OpenCLHardware.text(device, UInt32(KCL_DEVICE_NAME), name)
    vendorName = try OpenCLHardware.text(device, UInt32(KCL_DEVICE_VENDOR), name)
    driverVersion = try OpenCLHardware.text(device, UInt32(KCL_DRIVER_VERSION), name)
    func number<T: BinaryInteger & BitwiseCopyable>(_ what: UInt32, _ initial: T) throws -> Int {
      var value = initial
      let code = kcl_get_device_info(device, what, MemoryLayout<T>.size, &value, nil)
      try check(code, "clGetDeviceInfo", device: name)
      return Int(truncatingIfNeeded: value)
    }
    guard try number(UInt32(KCL_DEVICE_AVAILABLE), UInt32(0)) != 0 else {
      throw DeviceError.unavailable(device: name, reason: "the driver says that it is not available", fix: "see clinfo")
    }
    guard try number(UInt32(KCL_DEVICE_COMPILER_AVAILABLE), UInt32(0)) != 0 else {
      throw DeviceError.unavailable(
        device: name, reason: "its driver has no compiler", fix: "install the vendor's full OpenCL driver")
    }
    isCPU = try number(UInt32(KCL_DEVICE_TYPE), UInt64(0)) & KCL_DEVICE_TYPE_CPU != 0
    computeUnits = max(1, try number(UInt32(KCL_DEVICE_MAX_COMPUTE_UNITS), UInt32(0)))
    floatLanes = try number(UInt32(KCL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT), UInt32(0))
    maxGroupSize = try number(UInt32(KCL_DEVICE_MAX_WORK_GROUP_SIZE), Int(0))
    maxAllocation = try number(UInt32(KCL_DEVICE_MAX_MEM_ALLOC_SIZE), UInt64(0))
    globalMemory = try number(UInt32(KCL_DEVICE_GLOBAL_MEM_SIZE), UInt64(0))
    let extensions = try OpenCLHardware.text(device, UInt32(KCL_DEVICE_EXTENSIONS), name)
    hasDouble = extensions.split(separator: " ").contains("cl_khr_fp64")
    dividesExactly =
      try number(UInt32(KCL_DEVICE_SINGLE_FP_CONFIG), UInt64(0)) & KCL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT
      != 0
  }

  var summary: String {
    let gigabytes = (Double(globalMemory) / 1_073_741_824 * 10).rounded() / 10
    return "\(deviceName), \(platformName), driver \(driverVersion), \(computeUnits) compute units, \(gigabytes) GB"
  }

  /// The compiler's options; everything that one driver needs and others do not is here.
  var buildOptions: String {
    // No word about helpers of the prelude that a program does not use; `make kernels-check` lets no other warning pass.
    var options = "-cl-std=CL1.2 -w"
    if dividesExactly { options += " -cl-fp32-correctly-rounded-divide-sqrt" }
    // The simulator mistakes widened comparisons (true becomes 255) in loops that its compiler has vectorised.
    if isSimulator { options += " -cl-opt-disable" }
    return options
  }

  /// Oclgrind. Where it looks for reads of memory that was never written, it takes the last write from the host for the
  /// whole of a buffer, and does not see that a buffer is released and its number given to another. So each buffer must
  /// have its exact size, and none may be released or used a second time.
  var isSimulator: Bool { deviceName.contains("Oclgrind") }

  /// PoCL keeps built programs on disk itself, and aborts the process on a damaged binary (one that it gave out while
  /// another process was writing to its folder) instead of refusing it.
  var keepsOwnCache: Bool { platformName == "Portable Computing Language" }

  private static func text(_ device: kcl_device, _ what: UInt32, _ name: String) throws -> String {
    try read(name) { kcl_get_device_info(device, what, $0, $1, $2) }
  }

  private static func platformText(_ platform: kcl_platform, _ what: UInt32, _ name: String) throws -> String {
    try read(name) { kcl_get_platform_info(platform, what, $0, $1, $2) }
  }

  private static func read(
    _ name: String, _ ask: (Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32
  ) throws -> String {
    var size = 0
    try check(ask(0, nil, &size), "clGetInfo", device: name)
    var bytes = [UInt8](repeating: 0, count: size)
    try check(bytes.withUnsafeMutableBytes { ask(size, $0.baseAddress, nil) }, "clGetInfo", device: name)
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).trimmingCharacters(in: .whitespaces)
  }
}

/// All devices of all platforms, asked once.
public struct OpenCLDevices: Sendable {
  public let drivers: [OpenCLDriver]
  /// Why there are none, or why some were left out: one line each.
  public let problems: [String]

  public static let found = OpenCLDevices()

  private init() {
    let environment = ProcessInfo.processInfo.environment
    let path = environment["KILN_OPENCL_LIBRARY"]
    let reason: UnsafePointer<CChar>? = path.map { text in text.withCString { kcl_open($0) } } ?? kcl_open(nil)
    if let reason {
      drivers = []
      problems = [
        "no OpenCL: \(String(cString: reason)); install ocl-icd-libopencl1 and a driver such as pocl-opencl-icd"
      ]
      return
    }
    var drivers: [OpenCLDriver] = []
    var problems: [String] = []
    for (index, platform) in OpenCLDevices.platforms().enumerated() {
      let found = OpenCLDevices.devices(of: platform)
      if found.isEmpty { problems.append("OpenCL platform \(index) has no device") }
      for device in found {
        let name = "opencl:\(drivers.count)"
        do {
          let hardware = try OpenCLHardware(platform: platform, device: device, name: name)
          drivers.append(try OpenCLDriver(hardware: hardware, name: name, style: nil))
        } catch {
          problems.append("a device of OpenCL platform \(index) was left out: \(error)")
        }
      }
    }
    if drivers.isEmpty && problems.isEmpty {
      problems = ["OpenCL found no platform; install a driver such as pocl-opencl-icd (see clinfo -l)"]
    }
    self.drivers = drivers
    self.problems = problems
  }

  private static func platforms() -> [kcl_platform] {
    var count: UInt32 = 0
    guard kcl_get_platforms(0, nil, &count) == Int32(KCL_SUCCESS), count > 0 else { return [] }
    var list = [kcl_platform?](repeating: nil, count: Int(count))
    guard kcl_get_platforms(count, &list, nil) == Int32(KCL_SUCCESS) else { return [] }
    return list.compactMap { $0 }
  }

  private static func devices(of platform: kcl_platform) -> [kcl_device] {
    var count: UInt32 = 0
    guard kcl_get_devices(platform, UInt64(KCL_DEVICE_TYPE_ALL), 0, nil, &count) == Int32(KCL_SUCCESS), count > 0
    else { return [] }
    var list = [kcl_device?](repeating: nil, count: Int(count))
    guard kcl_get_devices(platform, UInt64(KCL_DEVICE_TYPE_ALL), count, &list, nil) == Int32(KCL_SUCCESS)
    else { return [] }
    return list.compactMap { $0 }
  }
}
