import KilnEngine

extension Tensor {
  /// A copy of host numbers on a device.
  public init(_ array: HostArray, on device: Device = .default) {
    self = array.bytes.withUnsafeBytes { Tensor(bytes: $0, shape: array.shape, dtype: array.dtype, on: device) }
  }

  /// Reads a `.npy` file; see `HostArray(npy:)` for the types that are read. Throws `DataError`.
  public init(npy path: String, on device: Device = .default) throws {
    self.init(try HostArray(npy: path), on: device)
  }

  /// Evaluates, and writes a `.npy` file that `numpy.load` reads.
  public func writeNPY(to path: String) throws { try HostArray(self).writeNPY(to: path) }
}

extension HostArray {
  /// Evaluates a tensor and copies its elements to the host. Throws the tensor's error, or the device's.
  public init(_ tensor: Tensor) throws {
    if let error = tensor.error { throw error }
    self.init(unchecked: tensor.dtype, tensor.shape, try tensor.hostBytes())
  }
}

/// Reads every array of a `.npz` archive, by name. Throws `DataError` that names the member at fault.
public func readNPZ(_ path: String, on device: Device = .default) throws -> [String: Tensor] {
  try readNPZArrays(path).mapValues { Tensor($0, on: device) }
}

/// Writes tensors as a `.npz` archive that `numpy.load` reads, deflated if `compressed`.
/// Equal tensors give equal files.
public func writeNPZ(_ tensors: [String: Tensor], to path: String, compressed: Bool = false) throws {
  try writeNPZArrays(tensors.mapValues { try HostArray($0) }, to: path, compressed: compressed)
}

/// `readNPZ` without a device.
public func readNPZArrays(_ path: String) throws -> [String: HostArray] {
  var arrays: [String: HostArray] = [:]
  for member in try Zip.read(try Files.read(path), file: path) {
    let name = member.name.hasSuffix(".npy") ? String(member.name.dropLast(4)) : member.name
    let array = try HostArray.parseNPY(member.bytes, file: "\(path)(\(member.name))")
    guard arrays.updateValue(array, forKey: name) == nil else {
      throw DataError(file: path, rule: "holds two arrays named '\(name)'", fix: "write it again")
    }
  }
  return arrays
}

/// `writeNPZ` without a device.
public func writeNPZArrays(_ arrays: [String: HostArray], to path: String, compressed: Bool = false) throws {
  let members = arrays.sorted { $0.key < $1.key }.map {
    Zip.Member(name: $0.key + ".npy", bytes: $0.value.npyBytes())
  }
  try Files.write(Zip.write(members, compressed: compressed, file: path), to: path)
}
