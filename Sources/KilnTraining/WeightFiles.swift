import KilnData
import KilnEngine
import KilnLayers

extension Module {
  /// Writes the parameters and persistent buffers under their names: `.safetensors` (with `metadata`) or `.npz`, by the
  /// path's end. The file appears whole or not at all.
  public func save(to path: String, metadata: [String: String] = [:]) throws {
    let tensors = stateDict
    switch try WeightFormat(path) {
    case .safetensors: try writeSafetensors(tensors, metadata: metadata, to: path)
    case .npz:
      for tensor in tensors.values { if let error = tensor.error { throw error } }
      try writeNPZ(tensors, to: path)
    }
  }

  /// Loads what `save` wrote, or any file of Kiln's or PyTorch's names: see `loadPyTorchStateDict`.
  @discardableResult
  public func load(from path: String, strict: Bool = true) throws -> LoadReport {
    try loadPyTorchStateDict(from: path, strict: strict)
  }

  /// Loads parameters and persistent buffers by name from a `.safetensors` or `.npz` file.
  ///
  /// Each tensor takes the dtype and device of its parameter; float dtypes are converted. Tied weights may be in the file
  /// under any of their names. Nothing is changed unless everything fits.
  ///
  /// - Parameters:
  ///   - mapping: from the file's names and layouts to the model's.
  ///   - strict: whether names that are missing in the file, or in the model, are errors; else they are in the report
  ///     only, for transfer learning. Wrong shapes are errors always: leave such names out by the mapping.
  /// - Returns: what was loaded and what was not.
  /// - Throws: `LoadError` with all missing, unexpected and mis-shaped names at once; `DataError` for the file.
  @discardableResult
  public func loadPyTorchStateDict(
    from path: String, mapping: StateDictMapping = .identity, strict: Bool = true
  ) throws -> LoadReport {
    let read: (String) throws -> HostArray
    let names: [String]
    switch try WeightFormat(path) {
    case .safetensors:
      let file = try SafetensorsFile(path)
      (names, read) = (file.names, { try file.array($0) })
    case .npz:
      let arrays = try readNPZArrays(path)
      names = arrays.keys.sorted()
      read = { name in
        guard let array = arrays[name] else {
          throw DataError(file: path, rule: "there is no '\(name)'", fix: "list the archive")
        }
        return array
      }
    }
    return try load(names: names, source: path, mapping: mapping, strict: strict) { name, device in
      Tensor(try read(name), on: device)
    }
  }

  /// Loads from tensors by name, with the rules of `loadPyTorchStateDict(from:)`. The tensors may be on any device.
  @discardableResult
  public func loadStateDict(
    _ tensors: [String: Tensor], mapping: StateDictMapping = .identity, strict: Bool = true
  ) throws -> LoadReport {
    for tensor in tensors.values { if let error = tensor.error { throw error } }
    return try load(names: tensors.keys.sorted(), source: "the tensors", mapping: mapping, strict: strict) {
      name, device in
      guard let tensor = tensors[name] else {
        throw TensorError(operation: "loadStateDict", rule: "there is no '\(name)'", fix: "pass all tensors")
      }
      return tensor.to(device)
    }
  }

  private func load(
    names: [String], source: String, mapping: StateDictMapping, strict: Bool,
    read: (String, Device) throws -> Tensor
  ) throws -> LoadReport {
    let entries = stateEntries
    let tied = tiedNames
    var report = LoadReport(source: source)
    var found: [String: Tensor] = [:]
    for fileName in names {
      guard let mapped = mapping.name(fileName) else {
        report.leftOut.append(fileName)
        continue
      }
      let name = entries[mapped] == nil ? tied[mapped] ?? mapped : mapped
      guard let entry = entries[name] else {
        report.unexpected.append(mapped == fileName ? fileName : "\(fileName) (as \(mapped))")
        continue
      }
      let current = entry.value
      let tensor = mapping.layout(name, try read(fileName, current.device))
      if let error = tensor.error { throw error }
      guard tensor.shape == current.shape,
        tensor.dtype == current.dtype || (tensor.dtype.isFloat && current.dtype.isFloat)
      else {
        report.misshaped.append(
          "\(name): the model has \(current.shape) \(current.dtype), the file \(tensor.shape) \(tensor.dtype)")
        continue
      }
      if found[name] != nil {
        // A tied weight that is in the file twice.
        continue
      }
      found[name] = tensor.cast(to: current.dtype).stopGradient()
      report.loaded.append(name)
    }
    report.missing = entries.keys.filter { name in
      found[name] == nil && !report.misshaped.contains { $0.hasPrefix("\(name): ") }
    }.sorted()
    guard report.misshaped.isEmpty, !strict || (report.missing.isEmpty && report.unexpected.isEmpty) else {
      throw LoadError(report: report)
    }
    // One by one: values of one evaluation may share memory, and each is to be updated in place.
    for tensor in found.values { try evaluate(tensor) }
    for (name, tensor) in found { entries[name]?.value = tensor }
    return report
  }
}

/// How the names and layouts of a file become those of a model.
///
///     .identity.removing(prefix: "model.").transposing { $0.hasSuffix("c_attn.weight") }
public struct StateDictMapping: Sendable {
  /// The file's name to the model's; `nil` leaves a tensor out.
  public var name: @Sendable (_ fileName: String) -> String?
  /// The tensor of a name of the model's, in the model's layout.
  public var layout: @Sendable (_ name: String, _ tensor: Tensor) -> Tensor

  public init(
    name: @escaping @Sendable (String) -> String? = { $0 },
    layout: @escaping @Sendable (String, Tensor) -> Tensor = { $1 }
  ) {
    (self.name, self.layout) = (name, layout)
  }

  /// Names and layouts as they are.
  public static let identity = StateDictMapping()

  /// With another change of names after this one's.
  public func renaming(_ change: @escaping @Sendable (String) -> String?) -> StateDictMapping {
    let before = name
    return StateDictMapping(name: { before($0).flatMap(change) }, layout: layout)
  }

  /// Only names that begin with a prefix, without it: a part of the file.
  public func removing(prefix: String) -> StateDictMapping {
    renaming { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
  }

  /// Every name with a prefix before it: the file is a part of the model.
  public func adding(prefix: String) -> StateDictMapping { renaming { prefix + $0 } }

  /// Without names that begin with a prefix: a head that is to be trained anew.
  public func leavingOut(prefix: String) -> StateDictMapping { renaming { $0.hasPrefix(prefix) ? nil : $0 } }

  /// The tensors of which `isTransposed` holds (by the model's name) with their two axes exchanged: weights [in, out].
  public func transposing(_ isTransposed: @escaping @Sendable (_ name: String) -> Bool) -> StateDictMapping {
    let before = layout
    return StateDictMapping(
      name: name,
      layout: { name, tensor in
        let tensor = before(name, tensor)
        return isTransposed(name) && tensor.rank == 2 ? tensor.transposed() : tensor
      })
  }
}

/// What became of each name when weights were loaded.
public struct LoadReport: Hashable, Sendable {
  /// The file.
  public var source: String
  /// The model's names.
  public var loaded: [String] = []
  /// The model's names that the file has not.
  public var missing: [String] = []
  /// The file's names that the model has not.
  public var unexpected: [String] = []
  /// Names with both shapes and dtypes.
  public var misshaped: [String] = []
  /// The file's names that the mapping left out.
  public var leftOut: [String] = []
}

/// Weights that do not fit a model: all that is wrong, at once.
public struct LoadError: Error, Hashable, Sendable, CustomStringConvertible {
  public var report: LoadReport

  public var description: String {
    func list(_ title: String, _ names: [String]) -> String {
      names.isEmpty
        ? "" : "\n  \(title) (\(names.count)): " + names.joined(separator: names.count > 3 ? "\n    " : ", ")
    }
    return "\(report.source) does not fit the model:" + list("missing in the file", report.missing)
      + list("unexpected in the file", report.unexpected) + list("of another shape", report.misshaped)
      + "\n  use a mapping of names, or `strict: false` to load what is there"
  }
}

private enum WeightFormat {
  case safetensors, npz

  init(_ path: String) throws {
    if path.hasSuffix(".safetensors") {
      self = .safetensors
    } else if path.hasSuffix(".npz") {
      self = .npz
    } else {
      throw DataError(
        file: path, rule: "weights are read and written as .safetensors or .npz",
        fix: "name it so; PyTorch's .pt files are converted with safetensors.torch.save_file")
    }
  }
}
