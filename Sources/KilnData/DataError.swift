/// A file or data set that cannot be used: which file, where in it, which rule it breaks, and the likely mend.
public struct DataError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The path as it was given, or the data set's name.
  public var file: String
  /// "byte 16", "line 3, column 2"; `nil` when it concerns the whole file.
  public var place: String?
  /// The rule that was broken, with the actual values.
  public var rule: String
  public var fix: String

  public init(file: String, place: String? = nil, rule: String, fix: String) {
    (self.file, self.place, self.rule, self.fix) = (file, place, rule, fix)
  }

  public var description: String {
    // One line, whatever a damaged file put into it.
    "\(file)\(place.map { ", \($0)" } ?? ""): \(rule); \(fix)".unicodeScalars.map { scalar in
      scalar.value < 0x20 || scalar.value == 0x7f || [0x85, 0x2028, 0x2029].contains(scalar.value)
        ? scalar.escaped(asASCII: true) : String(scalar)
    }.joined()
  }
}
