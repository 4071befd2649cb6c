import Foundation
import KilnEngine
import Kernels

/// The text of the kernel files: embedded, or read from the folder that `KILN_KERNELS` names.
enum KernelSource {
  private static let folder = ProcessInfo.processInfo.environment["KILN_KERNELS"]

  static func text(_ name: String) -> String {
    if let folder, let text = try? String(contentsOfFile: "\(folder)/\(name).cl", encoding: .utf8) { return text }
    return kiln_kernel_source(name).map { String(cString: $0) } ?? ""
  }

  private static let embedded: [String: String] = {
    var all: [String: String] = [:]
    var index = 0
    while let name = kiln_kernel_name(index) {
      all[String(cString: name)] = text(String(cString: name))
      index += 1
    }
    return all
  }()

  /// As `text`, read once.
  static func cached(_ name: String) -> String { embedded[name] ?? "" }

  /// The lines that take away all macros that a file defines.
  static func undefinitions(_ name: String) -> String { undefined[name] ?? "" }

  private static let undefined = embedded.mapValues { text in
    var names = Set<Substring>()
    for line in text.split(separator: "\n") where line.hasPrefix("#define ") {
      names.insert(line.dropFirst(8).prefix { $0.isLetter || $0.isNumber || $0 == "_" })
    }
    return names.sorted().map { "#undef \($0)\n" }.joined()
  }
}

/// One kernel: template files and the macros that fill them. Its name is a hash of both, so that equal kernels of
/// different programs are one.
struct KernelText: Hashable, Sendable {
  let name: String
  let usesRandom: Bool
  private let files: [String]
  private let macros: [Macro]

  struct Macro: Hashable, Sendable {
    /// With its parameters: "ROW(row)".
    var name: String
    var value: String
  }

  init(files: [String], macros: [(String, String)]) {
    self.files = files
    self.macros = macros.map { Macro(name: $0.0, value: $0.1) }
    let key = macros.map { "\($0.0) \($0.1)\n" }.joined()
    name = "kiln_\(files.last ?? "")_\(StableHash.hex(files.joined(separator: ",") + "\n" + key))"
    usesRandom = key.contains("kiln_random_")
  }

  /// What goes into the program: definitions, files, and all definitions taken away again.
  var text: String {
    var result = "#define NAME \(name)\n"
    for macro in macros { result += "#define \(macro.name) \(macro.value)\n" }
    for file in files { result += KernelSource.cached(file) + "\n" }
    for file in files { result += KernelSource.undefinitions(file) }
    result += "#undef NAME\n"
    for macro in macros { result += "#undef \(macro.name.prefix { $0 != "(" })\n" }
    return result
  }
}

/// A 128-bit hash that is the same in every process (two FNV-1a of 64 bits).
enum StableHash {
  static func hex(_ text: String) -> String {
    var text = text
    return text.withUTF8 { hex(UnsafeRawBufferPointer($0)) }
  }

  static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
    let (a, b) = words(bytes)
    return pad(a) + pad(b)
  }

  static func words(_ bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64) {
    var a: UInt64 = 0xcbf2_9ce4_8422_2325
    var b: UInt64 = 0x9ae1_6a3b_2f90_404f
    for byte in bytes {
      a = (a ^ UInt64(byte)) &* 0x100_0000_01b3
      b = (b ^ UInt64(byte)) &* 0x100_0000_01b3
      b ^= b >> 29
    }
    return (a, b)
  }

  private static func pad(_ value: UInt64) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}

extension DType {
  /// The type's name in OpenCL C. Bool is stored as uchar 0 or 1.
  var openCL: String {
    switch self {
    case .float32: "float"
    case .float64: "double"
    case .int32: "int"
    case .int64: "long"
    case .uint8, .bool: "uchar"
    }
  }

  /// The unsigned type of the same width, in which integer arithmetic wraps; the type itself for floats.
  var openCLWrapping: String {
    switch self {
    case .float32: "float"
    case .float64: "double"
    case .int32: "uint"
    case .int64: "ulong"
    case .uint8, .bool: "uchar"
    }
  }
}
