import Foundation

/// Files for the tests.
enum DataFiles {
  /// A committed file beside the tests.
  static func golden(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/\(name)").path
  }
}
