import Glibc

/// The few things that a command says to a terminal.
enum Terminal {
  /// One line on standard error.
  static func complain(_ text: String) { put(text + "\n", to: STDERR_FILENO) }

  static func exit(_ code: Int32) -> Never {
    fflush(nil)
    Glibc.exit(code)
  }

  /// Whether a progress bar can be drawn: standard error is a terminal.
  static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

  static func put(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if written <= 0 { return }
      bytes = bytes.dropFirst(written)
    }
  }

  /// A number with so many digits after the point.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    return withVaList([value]) { list in
      var buffer = [CChar](repeating: 0, count: 64)
      let length = vsnprintf(&buffer, buffer.count, "%.\(digits)f", list)
      return String(decoding: buffer.prefix(Int(max(length, 0))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}

/// One line at the foot of a terminal that is drawn over and over. Nowhere else does it print anything.
struct ProgressBar {
  private let isShown = Terminal.isInteractive

  func draw(label: String, done: Int, of total: Int, note: String) {
    guard isShown, total > 0 else { return }
    let width = 30
    let filled = min(width, width * done / total)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    Terminal.put("\r\u{1b}[K\(label) [\(bar)] \(done)/\(total) \(note)", to: STDERR_FILENO)
  }

  func clear() {
    if isShown { Terminal.put("\r\u{1b}[K", to: STDERR_FILENO) }
  }
}
