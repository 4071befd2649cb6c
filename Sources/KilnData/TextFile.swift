/// Small text files: results and logs.
public enum TextFile {
  /// Writes UTF-8 text, replacing a file of that name at once. Throws `DataError` that names it.
  public static func write(_ text: String, to path: String) throws { try Files.write(Array(text.utf8), to: path) }
}

/// Files of bytes that others of this package make.
package enum BinaryFile {
  /// Writes bytes, replacing a file of that name at once. Throws `DataError` that names it.
  package static func write(_ bytes: [UInt8], to path: String) throws { try Files.write(bytes, to: path) }
}
