import COpenCL
import Foundation
import KilnEngine

/// A built OpenCL program; kernels made from it keep it alive in the driver.
final class BuiltProgram: @unchecked Sendable {  // a driver handle that is not changed after it is built
  let handle: kcl_program
  init(_ handle: kcl_program) { self.handle = handle }
  deinit { _ = kcl_release_program(handle) }
}

/// Builds kernels, as few programs as possible, and keeps them in memory and on disk. Guarded by the driver's lock.
final class KernelLibrary {
  private let device: String
  private let context: kcl_context
  private let hardware: OpenCLHardware
  private let header: String
  private let options: String
  private var programs: [String: BuiltProgram] = [:]
  /// Programs built from source since the start, for tests of the caches.
  private(set) var builds = 0

  init(device: String, context: kcl_context, hardware: OpenCLHardware, style: KernelStyle) {
    self.device = device
    self.context = context
    self.hardware = hardware
    header =
      (hardware.hasDouble ? "#define KILN_DOUBLE 1\n" : "") + (style == .cpu ? "#define STYLE_CPU\n" : "")
      + KernelSource.cached("prelude")
    options = hardware.buildOptions
  }

  /// The program that holds each kernel, by the kernel's name.
  func programs(for kernels: [KernelText]) throws -> [String: BuiltProgram] {
    var missing: [KernelText] = []
    var seen = Set<String>()
    for kernel in kernels where programs[kernel.name] == nil && seen.insert(kernel.name).inserted {
      missing.append(kernel)
    }
    if !missing.isEmpty {
      // Sorted, so that the same set of kernels is the same text.
      missing.sort { $0.name < $1.name }
      var source = header + "\n"
      if missing.contains(where: \.usesRandom) { source += KernelSource.cached("random") + "\n" }
      for kernel in missing { source += kernel.text }
      let program = try build(source, first: missing[0].name)
      for kernel in missing { programs[kernel.name] = program }
    }
    var result: [String: BuiltProgram] = [:]
    for kernel in kernels { result[kernel.name] = programs[kernel.name] }
    return result
  }

  private func build(_ source: String, first: String) throws -> BuiltProgram {
    let key = StableHash.hex(
      [
        source, options, hardware.deviceName, hardware.driverVersion, hardware.platformName, hardware.platformVersion,
      ].joined(separator: "\u{0}"))
    let usesDisk = !hardware.keepsOwnCache
    if usesDisk, let binary = KernelDiskCache.read(key), let program = fromBinary(binary) { return program }
    builds += 1
    var code: Int32 = 0
    let created = source.withCString { kcl_create_program(context, $0, strlen($0), &code) }
    guard let created, code == Int32(KCL_SUCCESS) else {
      throw DeviceError.driverCall(
        device: device, call: "clCreateProgramWithSource", code: Int(code), name: OpenCLCode.name(code))
    }
    let program = BuiltProgram(created)
    let status = kcl_build_program(created, hardware.device, options)
    if status != Int32(KCL_SUCCESS) {
      throw DeviceError.buildFailed(
        device: device, kernel: first, log: "\(OpenCLCode.name(status)) (\(status))\n\(log(of: program))")
    }
    if usesDisk, let binary = binary(of: program) { KernelDiskCache.write(key, binary) }
    return program
  }

  private func fromBinary(_ binary: [UInt8]) -> BuiltProgram? {
    var code: Int32 = 0
    guard
      let handle = kcl_create_program_from_binary(context, hardware.device, binary, binary.count, &code)
    else { return nil }
    let program = BuiltProgram(handle)
    guard code == Int32(KCL_SUCCESS), kcl_build_program(handle, hardware.device, options) == Int32(KCL_SUCCESS)
    else { return nil }
    return program
  }

  private func log(of program: BuiltProgram) -> String {
    var size = 0
    guard kcl_get_build_log(program.handle, hardware.device, 0, nil, &size) == Int32(KCL_SUCCESS), size > 0
    else { return "(no log)" }
    var text = [CChar](repeating: 0, count: size)
    guard kcl_get_build_log(program.handle, hardware.device, size, &text, nil) == Int32(KCL_SUCCESS)
    else { return "(no log)" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The binary for the disk, `nil` when the driver has none to give.
  private func binary(of program: BuiltProgram) -> [UInt8]? {
    var size = 0
    let what = UInt32(KCL_PROGRAM_BINARY_SIZES)
    guard kcl_get_program_info(program.handle, UInt32(what), MemoryLayout<Int>.size, &size, nil) == Int32(KCL_SUCCESS),
      size > 0
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    let code = bytes.withUnsafeMutableBufferPointer { buffer in
      var pointer = buffer.baseAddress
      return kcl_get_program_info(
        program.handle, UInt32(KCL_PROGRAM_BINARIES), MemoryLayout<UnsafeMutablePointer<UInt8>?>.size,
        &pointer, nil)
    }
    return code == Int32(KCL_SUCCESS) ? bytes : nil
  }
}

/// Built programs in `KILN_CACHE_DIR` or ~/.cache/kiln/kernels. Whatever goes wrong here only costs a build.
enum KernelDiskCache {
  private static let magic: [UInt8] = Array("KILNCL1\n".utf8)

  static var folder: String? {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["KILN_CACHE_DIR"] { return folder.isEmpty ? nil : folder }
    if let cache = environment["XDG_CACHE_HOME"], !cache.isEmpty { return cache + "/kiln/kernels" }
    return environment["HOME"].map { $0 + "/.cache/kiln/kernels" }
  }

  static func read(_ key: String) -> [UInt8]? {
    guard let folder, let data = FileManager.default.contents(atPath: "\(folder)/\(key).bin") else { return nil }
    let bytes = [UInt8](data)
    guard bytes.count > magic.count + 32, Array(bytes.prefix(magic.count)) == magic else { return nil }
    let body = Array(bytes.dropFirst(magic.count + 32))
    let sum = body.withUnsafeBytes { StableHash.hex($0) }
    return Array(bytes[magic.count..<(magic.count + 32)]) == Array(sum.utf8) ? body : nil
  }

  static func write(_ key: String, _ body: [UInt8]) {
    guard let folder else { return }
    let files = FileManager.default
    guard (try? files.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil else { return }
    let sum = body.withUnsafeBytes { StableHash.hex($0) }
    let temporary = "\(folder)/\(key).\(getpid()).\(UInt64.random(in: 0...UInt64.max)).tmp"
    guard files.createFile(atPath: temporary, contents: Data(magic + Array(sum.utf8) + body)) else { return }
    if rename(temporary, "\(folder)/\(key).bin") != 0 { try? files.removeItem(atPath: temporary) }
  }
}
