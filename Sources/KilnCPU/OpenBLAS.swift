import COpenBLAS
import CVector
import KilnEngine

/// The BLAS that float matmuls and convolutions run on, opened when the first of them is compiled.
public enum OpenBLAS {
  /// The core OpenBLAS runs as, and the one that fits this CPU ("" where the choice is left to OpenBLAS).
  public static func cores() throws -> (actual: String, expected: String) {
    let library = try open()
    return (String(cString: library.core), String(cString: kiln_openblas_expected_core()))
  }

  static var summary: String {
    do {
      let (actual, expected) = try cores()
      let isOther = !expected.isEmpty && actual.lowercased() != expected.lowercased()
      return "OpenBLAS for \(actual)" + (isOther ? " (OPENBLAS_CORETYPE; this CPU's own is \(expected))" : "")
    } catch {
      return "no OpenBLAS"
    }
  }

  static func functions() throws -> kv_blas {
    let library = try open()
    return kv_blas(sgemm: library.sgemm, dgemm: library.dgemm)
  }

  private static func open() throws -> kiln_openblas {
    let library = kiln_openblas_open().pointee
    if let error = library.error {
      throw DeviceError.unavailable(
        device: "cpu",
        reason: "matmul and convolution need OpenBLAS, which could not be opened: \(String(cString: error))",
        fix: "install it (apt-get install libopenblas0-pthread, or libopenblas-dev), or set KILN_OPENBLAS to its path")
    }
    return library
  }
}
