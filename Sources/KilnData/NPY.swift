import KilnEngine

extension HostArray {
  /// Reads a `.npy` file of any version.
  ///
  /// float32, float64, int32, int64, uint8 and bool keep their dtype; float16 becomes float32; int8, int16 and uint16
  /// become int32; uint32 becomes int64. Both byte orders and both element orders are read.
  /// Throws `DataError` for everything else (structured, complex, string and object arrays) and for damaged files.
  public init(npy path: String) throws {
    self = try HostArray.parseNPY(try Files.read(path), file: path)
  }

  /// Writes version 1.0 of the format, little-endian, row-major.
  public func writeNPY(to path: String) throws {
    try Files.write(npyBytes(), to: path)
  }

  static func parseNPY(_ bytes: [UInt8], file: String) throws -> HostArray {
    let (header, start) = try parseNPYHeader(bytes, file: file)
    return try header.decode(bytes[start...])
  }

  /// dtype, shape and the place of the data, from a file's first bytes. Throws where elements would have to be converted.
  static func npyLayout(_ head: [UInt8], file: String) throws -> (DType, Shape, Int) {
    let (header, start) = try parseNPYHeader(head, file: file)
    return (try header.layout().dtype, try header.layout().shape, start)
  }

  private static func parseNPYHeader(_ bytes: [UInt8], file: String) throws -> (NPYHeader, Int) {
    func wrong(_ place: String?, _ rule: String, _ fix: String) -> DataError {
      DataError(file: file, place: place, rule: rule, fix: fix)
    }
    guard bytes.count >= 10 else {
      throw wrong(
        "byte \(bytes.count)", "a .npy header has at least 10 bytes, got \(bytes.count)", "write the file again")
    }
    guard bytes.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw wrong("byte 0", "a .npy file begins with 93 'NUMPY', got \(Files.hex(bytes[..<6]))", "name a .npy file")
    }
    guard (1...3).contains(bytes[6]) else {
      throw wrong("byte 6", "versions 1 to 3 are known, got \(bytes[6])", "write the file again with numpy.save")
    }
    let lengthBytes = bytes[6] == 1 ? 2 : 4
    guard bytes.count >= 8 + lengthBytes else {
      throw wrong("byte \(bytes.count)", "the header ends too early", "the file was cut short; write it again")
    }
    let length = bytes[8..<8 + lengthBytes].reversed().reduce(0) { $0 << 8 | Int($1) }
    let start = 8 + lengthBytes + length
    guard start <= bytes.count else {
      throw wrong(
        "byte 8", "the header claims \(length) bytes, \(bytes.count - 8 - lengthBytes) follow",
        "the file was cut short; write it again")
    }
    var header = NPYHeader(text: bytes[(8 + lengthBytes)..<start], base: 8 + lengthBytes, file: file)
    try header.parse()
    return (header, start)
  }

  func npyBytes() -> [UInt8] {
    let descr: String
    switch dtype {
    case .float32: descr = "<f4"
    case .float64: descr = "<f8"
    case .int32: descr = "<i4"
    case .int64: descr = "<i8"
    case .uint8: descr = "|u1"
    case .bool: descr = "|b1"
    }
    let dimensions = shape.dimensions.map(String.init)
    let tuple = dimensions.count == 1 ? "(\(dimensions[0]),)" : "(\(dimensions.joined(separator: ", ")))"
    var header = Array("{'descr': '\(descr)', 'fortran_order': False, 'shape': \(tuple), }".utf8)
    // The data begins at a multiple of 64.
    while (10 + header.count + 1) % 64 != 0 { header.append(UInt8(ascii: " ")) }
    header.append(UInt8(ascii: "\n"))
    let length = [UInt8(header.count & 0xff), UInt8(header.count >> 8)]
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + length + header + bytes
  }
}

/// The Python dictionary of a `.npy` header: 'descr', 'fortran_order' and 'shape'.
private struct NPYHeader {
  private let text: [UInt8]
  private let base: Int
  private let file: String
  private var position = 0
  private var descr: String?
  private var isFortran: Bool?
  private var shape: [Int]?

  init(text: ArraySlice<UInt8>, base: Int, file: String) {
    self.text = Array(text)
    self.base = base
    self.file = file
  }

  mutating func parse() throws {
    try expect("{")
    while !accept("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr":
        if peek() == UInt8(ascii: "[") {
          throw wrong("structured arrays are not read", "save each field as an array of its own")
        }
        descr = try string()
      case "fortran_order":
        if accept("True") {
          isFortran = true
        } else {
          try expect("False")
          isFortran = false
        }
      case "shape": shape = try tuple()
      default: throw wrong("the key '\(key.prefix(40))' is not known", "write the file again with numpy.save")
      }
      if !accept(",") {
        try expect("}")
        break
      }
    }
  }

  /// For files whose data can be read as it lies.
  func layout() throws -> (dtype: DType, shape: Shape) {
    guard let descr, let isFortran, let shape, Shape.checkedCount(shape + [8]) != nil else {
      throw wrong(
        "'descr', 'fortran_order' and 'shape' are all needed, and must fit", "write the file again with numpy.save")
    }
    let kinds: [String: DType] = [
      "<f4": .float32, "<f8": .float64, "<i4": .int32, "<i8": .int64, "|u1": .uint8, "|b1": .bool,
    ]
    guard let dtype = kinds[descr], !isFortran || shape.count < 2 else {
      throw wrong(
        "rows of '\(descr)'\(isFortran ? " in Fortran order" : "") cannot be read one by one",
        "save it with numpy.ascontiguousarray(a, '<f4'), or read it whole with HostArray(npy:)")
    }
    return (dtype, Shape(shape))
  }

  func decode(_ data: ArraySlice<UInt8>) throws -> HostArray {
    guard let descr, let isFortran, let shape else {
      throw wrong("'descr', 'fortran_order' and 'shape' are all needed", "write the file again with numpy.save")
    }
    let kind = descr.drop { "<>|=".contains($0) }
    let sizes = ["f2": 2, "f4": 4, "f8": 8, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "b1": 1]
    guard descr.count - kind.count <= 1, let size = sizes[String(kind)] else {
      throw wrong("the type '\(descr.prefix(40))' is not read", "convert it with .astype('float32') before saving")
    }
    guard let need = Shape.checkedCount(shape + [size]) else {
      throw wrong("the shape \(Shape(shape)) overflows", "the file is damaged; write it again")
    }
    guard need == data.count else {
      throw DataError(
        file: file, place: "byte \(base + text.count)",
        rule: "\(Shape(shape)) of \(descr) needs \(need) bytes, \(data.count) follow",
        fix: data.count < need ? "the file was cut short; write it again" : "the file is damaged; write it again")
    }
    var bytes = Array(data)
    if descr.first == ">", size > 1 {
      for start in Swift.stride(from: 0, to: bytes.count, by: size) { bytes[start..<start + size].reverse() }
    }
    if isFortran, shape.count > 1 { bytes = NPYHeader.rowMajor(bytes, shape, size) }
    let target = Shape(shape)
    let raw = HostArray(unchecked: .uint8, target, bytes)
    switch kind {
    case "f4": return HostArray(unchecked: .float32, target, bytes)
    case "f8": return HostArray(unchecked: .float64, target, bytes)
    case "i4": return HostArray(unchecked: .int32, target, bytes)
    case "i8": return HostArray(unchecked: .int64, target, bytes)
    case "u1": return HostArray(unchecked: .uint8, target, bytes)
    case "b1": return HostArray(unchecked: .bool, target, bytes.map { $0 == 0 ? 0 : 1 })
    case "f2": return HostArray(.float32, target, raw.values(as: UInt16.self).map(HostArray.float(half:)))
    case "i1": return HostArray(.int32, target, raw.values(as: Int8.self).map { Int32($0) })
    case "i2": return HostArray(.int32, target, raw.values(as: Int16.self).map { Int32($0) })
    case "u2": return HostArray(.int32, target, raw.values(as: UInt16.self).map { Int32($0) })
    default: return HostArray(.int64, target, raw.values(as: UInt32.self).map { Int64($0) })
    }
  }

  /// Column-major elements in row-major order.
  private static func rowMajor(_ bytes: [UInt8], _ shape: [Int], _ size: Int) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: bytes.count)
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in 1..<shape.count { strides[axis] = strides[axis - 1] * shape[axis - 1] }
    for element in 0..<bytes.count / size {
      var rest = element
      var source = 0
      for axis in shape.indices.reversed() {
        source += rest % shape[axis] * strides[axis]
        rest /= shape[axis]
      }
      for byte in 0..<size { result[element * size + byte] = bytes[source * size + byte] }
    }
    return result
  }

  private mutating func peek() -> UInt8? {
    while position < text.count, text[position] == UInt8(ascii: " ") || text[position] == UInt8(ascii: "\n") {
      position += 1
    }
    return position < text.count ? text[position] : nil
  }

  private mutating func accept(_ token: String) -> Bool {
    _ = peek()
    guard text[position...].starts(with: token.utf8) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func expect(_ token: String) throws {
    if !accept(token) { throw wrong("'\(token)' is needed in the header", "write the file again with numpy.save") }
  }

  private mutating func string() throws -> String {
    guard let quote = peek(), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\""),
      let end = text[(position + 1)...].firstIndex(of: quote)
    else { throw wrong("a quoted word is needed in the header", "write the file again with numpy.save") }
    defer { position = end + 1 }
    return String(decoding: text[(position + 1)..<end], as: UTF8.self)
  }

  private mutating func tuple() throws -> [Int] {
    try expect("(")
    var result: [Int] = []
    while !accept(")") {
      _ = peek()
      let digits = text[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
        throw wrong("a dimension in 'shape' must be a whole number that fits", "write the file again with numpy.save")
      }
      position += digits.count
      result.append(value)
      if !accept(",") {
        try expect(")")
        break
      }
    }
    return result
  }

  private func wrong(_ rule: String, _ fix: String) -> DataError {
    DataError(file: file, place: "byte \(base + position)", rule: rule, fix: fix)
  }
}
